package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"appliance/internal/bench"
	"appliance/internal/lab"
	"appliance/internal/runner"
)

func TestMain(m *testing.M) {
	// A lab's holder and the doctor's probes start this program again, which here is
	// the test.
	lab.RegisterOpener(runner.OpenLabLink)
	lab.RunHolderIfAsked()
	bench.RunPeerIfAsked()
	testscript.Main(m, map[string]func(){
		appName: func() { os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr)) },
	})
}

// noRaceSleep keeps a program with the race detector from sleeping a second before it
// ends, each time that a test runs it.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

// update has the scripts' cmp write what the command prints.
var update = flag.Bool("update", false, "write what the commands print into testdata/script")

// TestScripts runs the command as a user does: testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, noRaceSleep)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": codeCmd},
	})
}

// codeCmd is "code N COMMAND …": the command must end with the exit code N.
func codeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND …")
	}
	want, err := strconv.Atoi(args[0])
	if err != nil {
		ts.Fatalf("code %s: want a number", args[0])
	}
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
