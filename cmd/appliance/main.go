// Command appliance runs gVisor's TCP/IP stack on a Linux link and tells, from inside
// the stack, every state change of every connection and what caused it.
//
// Data goes to standard output, messages to standard error. A command is a file of
// this package that returns a *cli.Command; what it does is in other packages.
package main

import (
	"context"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"appliance/internal/bench"
	"appliance/internal/lab"
	"appliance/internal/runner"
)

const appName = "appliance"

func main() {
	// A lab's holder, the doctor's probes and a benchmark's load are this program, started
	// again.
	lab.RegisterOpener(runner.OpenLabLink)
	lab.RunHolderIfAsked()
	bench.RunPeerIfAsked()
	os.Exit(run(context.Background(), os.Args, os.Stdout, os.Stderr))
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	// The framework prints some of its errors itself and ends the program: not here.
	cli.OsExiter = func(int) {}
	cli.ErrWriter = io.Discard
	return printError(stderr, newApp(stdout, stderr).RunContext(ctx, args))
}

// newApp returns the command line.
func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:      appName,
		Usage:     "run gVisor's TCP stack on a link and trace every state change with its cause",
		UsageText: "appliance [--color auto|always|never] COMMAND [OPTIONS] [ARGUMENTS]",
		Description: "Exit codes: 0 done, 1 failed at run time, 2 wrong command line, 3 wrong configuration,\n" +
			"4 not permitted, 5 a check or a scenario did not hold.\n\n" +
			"NO_COLOR, when set to anything, turns colour off unless --color always is given.",
		Version:     readVersions().Appliance,
		HideVersion: true, // there is a command
		Writer:      stdout,
		ErrWriter:   stderr,
		Commands: []*cli.Command{
			demoCommand(),
			runCommand(),
			labCommand(),
			scenarioCommand(),
			traceCommand(),
			benchCommand(),
			doctorCommand(),
			configCommand(),
			versionCommand(),
			completionCommand(),
			manCommand(),
		},
		Flags: []cli.Flag{
			colorFlag(),
			&cli.BoolFlag{Name: "version", Usage: "print the versions, as the command version does"},
			cli.HelpFlag, // the framework adds it only along with its own help command
		},
		Action:                    noCommand,
		ExitErrHandler:            func(*cli.Context, error) {}, // printError does
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		Suggest:                   true,
		OnUsageError:              onUsageError,
	}
	app.Commands = append(app.Commands, helpCommand())
	app.HideHelpCommand = true // ours takes its place: the framework's exits 3 on an unknown topic
	prepare(app.Commands)
	return app
}

// prepare gives every command what all have in common.
func prepare(commands []*cli.Command) {
	for _, c := range commands {
		c.OnUsageError = onUsageError
		c.HideHelpCommand = true
		if len(c.Subcommands) > 0 {
			c.Action = noSubcommand
			if c.ArgsUsage == "" {
				c.ArgsUsage = "COMMAND"
			}
		}
		prepare(c.Subcommands)
	}
}

// noCommand is what the program does when its first argument is no command: the
// framework would call that a success.
func noCommand(c *cli.Context) error {
	if c.Args().Present() {
		return unknownCommand(c, c.App.Commands)
	}
	if c.Bool("version") {
		return printVersions(c)
	}
	return cli.ShowAppHelp(c)
}
