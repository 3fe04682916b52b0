package main

import (
	"io"
	"os"

	"github.com/urfave/cli/v2"
)

// colorFlag is --color, of the program and of each command that prints text.
func colorFlag() *cli.GenericFlag {
	return choiceFlag("color", "colour in text", "auto", "always", "never")
}

// colored tells whether text to w is to be coloured: as the --color nearest to the
// command says, else on a terminal without NO_COLOR (no-color.org).
func colored(c *cli.Context, w io.Writer) bool {
	setting := "auto"
	for _, ctx := range c.Lineage() {
		// A command's own default must not hide what the program was given.
		if v, ok := ctx.Generic("color").(*choice); ok && ctx.IsSet("color") {
			setting = v.value
			break
		}
	}
	switch setting {
	case "always":
		return true
	case "never":
		return false
	}
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	return isTerminal(w)
}

// A style is a terminal's escape sequence.
type style string

const (
	styleGood style = "\x1b[32m"
	styleBad  style = "\x1b[31m"
	styleBold style = "\x1b[1m"
)

// paint returns text in style s where color is on.
func paint(color bool, s style, text string) string {
	if !color {
		return text
	}
	return string(s) + text + "\x1b[0m"
}
