package main

import "github.com/urfave/cli/v2"

// optionFlag returns a flag that takes one of words, or nothing: what it is not given
// for stays as it is.
func optionFlag(names, usage string, words ...string) *cli.GenericFlag {
	f := choiceFlag(names, usage, words...)
	f.Value = &choice{"", words}
	return f
}
