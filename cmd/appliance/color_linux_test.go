package main

import (
	"io"
	"os"
	"testing"

	"github.com/urfave/cli/v2"
)

// TestColored: on a terminal, --color and the environment decide; NO_COLOR that is
// empty does not count (no-color.org).
func TestColored(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs a pseudo-terminal: %v", err)
	}
	defer func() { _ = tty.Close() }()
	for _, tt := range []struct {
		noColor, term string
		args          []string
		tty, pipe     bool
	}{
		{"", "xterm", nil, true, false},
		{"1", "xterm", nil, false, false},
		{"", "dumb", nil, false, false},
		{"1", "xterm", []string{"--color", "always"}, true, true},
		{"", "xterm", []string{"--color", "never"}, false, false},
		{"1", "xterm", []string{"--color", "auto"}, false, false},
	} {
		t.Setenv("NO_COLOR", tt.noColor)
		t.Setenv("TERM", tt.term)
		var onTTY, onPipe bool
		app := &cli.App{
			Flags: []cli.Flag{colorFlag()},
			Action: func(c *cli.Context) error {
				onTTY, onPipe = colored(c, tty), colored(c, io.Discard)
				return nil
			},
		}
		if err := app.Run(append([]string{appName}, tt.args...)); err != nil {
			t.Fatal(err)
		}
		if onTTY != tt.tty || onPipe != tt.pipe {
			t.Errorf("NO_COLOR=%q TERM=%s %v: %t on a terminal, %t in a pipe; want %t, %t",
				tt.noColor, tt.term, tt.args, onTTY, onPipe, tt.tty, tt.pipe)
		}
	}
}
