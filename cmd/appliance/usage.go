package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// noSubcommand is what a command does whose next argument is none of its own.
func noSubcommand(c *cli.Context) error {
	if c.Args().Present() {
		return unknownCommand(c, c.Command.Subcommands)
	}
	return usageErr("%sno command given: want %s", where(c), commandNames(c.Command.Subcommands))
}

// unknownCommand says that the first argument is none of commands.
func unknownCommand(c *cli.Context, commands []*cli.Command) error {
	name := c.Args().First()
	if strings.HasPrefix(name, "-") {
		return usageErr("%s%s: unknown flag: see %s --help", where(c), name, path(c))
	}
	if s := suggestCommand(commands, name); s != "" {
		return usageErr("%s%s: unknown command: did you mean %q?", where(c), name, s)
	}
	return usageErr("%s%s: unknown command: want %s", where(c), name, commandNames(commands))
}

// where returns the command as an error names it: "config validate: ", "" for the
// program itself.
func where(c *cli.Context) string {
	if rest, ok := strings.CutPrefix(path(c), appName+" "); ok {
		return rest + ": "
	}
	return ""
}

// path returns the command as it is typed: "appliance config".
func path(c *cli.Context) string {
	if c.Command == nil || c.Command.HelpName == "" {
		return appName
	}
	return c.Command.HelpName
}

func commandNames(commands []*cli.Command) string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return orList(names)
}

// orList joins words as a sentence does: "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// suggestCommand returns the command that name was probably meant to be, "" where
// none is near.
func suggestCommand(commands []*cli.Command, name string) string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Names()...)
		}
	}
	return nearest(name, names)
}

// nearest returns the candidate that shares most letters with word in their order,
// if that is at least two thirds of both, else "".
func nearest(word string, candidates []string) string {
	best, score := "", 0.0
	for _, c := range candidates {
		if s := 2 * float64(common(word, c)) / float64(len(word)+len(c)); s > score {
			best, score = c, s
		}
	}
	if score < 2.0/3 {
		return ""
	}
	return best
}

// common returns the length of the longest common subsequence.
func common(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range len(a) {
		diagonal := 0
		for j := range len(b) {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// onUsageError says what is wrong with a flag in our words; the framework would print
// the help to standard output.
func onUsageError(c *cli.Context, err error, _ bool) error {
	const undefined = "flag provided but not defined: -"
	name, ok := strings.CutPrefix(err.Error(), undefined)
	if !ok {
		return usageErr("%s%s: see %s --help", where(c), flagMessage(err), path(c))
	}
	var names []string
	for _, f := range c.Command.Flags {
		for _, n := range f.Names() {
			names = append(names, dashed(n))
		}
	}
	if s := nearest(dashed(strings.TrimLeft(name, "-")), names); s != "" {
		return usageErr("%s%s: unknown flag: did you mean %s?", where(c), dashed(name), s)
	}
	return usageErr("%s%s: unknown flag: see %s --help", where(c), dashed(name), path(c))
}

// flagMessage turns `invalid value "x" for flag -o: …` into `-o x: …`, as all our
// messages name first what was tried.
func flagMessage(err error) string {
	text := err.Error()
	if rest, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return dashed(rest) + ": needs a value"
	}
	for _, prefix := range []string{"invalid value ", "invalid boolean value "} {
		rest, ok := strings.CutPrefix(text, prefix)
		if !ok {
			continue
		}
		value, rest, ok := strings.Cut(rest, " for flag -")
		if !ok {
			value, rest, ok = strings.Cut(rest, " for -") // the standard library's form for booleans
		}
		if name, why, found := strings.Cut(rest, ": "); ok && found {
			return fmt.Sprintf("%s %s: %s", dashed(name), strings.Trim(value, `"`), why)
		}
	}
	return text
}

// dashed returns a flag's name as it is typed.
func dashed(name string) string {
	name = strings.TrimLeft(name, "-")
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// arguments returns a command's arguments, of which there must be one for each of
// names. A flag behind an argument is one that the framework takes for an argument:
// it is refused, unless "--" stands before it.
func arguments(c *cli.Context, names ...string) ([]string, error) {
	args, err := anyArguments(c)
	switch {
	case err != nil:
		return nil, err
	case len(args) < len(names):
		return nil, usageErr("%s%s is missing: usage: %s", where(c), names[len(args)], usageOf(c, names))
	case len(args) > len(names) && len(names) == 0:
		return nil, usageErr("%s%s: takes no arguments", where(c), args[0])
	case len(args) > len(names):
		return nil, usageErr("%s%s: one argument too many: usage: %s", where(c), args[len(names)], usageOf(c, names))
	}
	return args, nil
}

func usageOf(c *cli.Context, names []string) string {
	return strings.Join(append([]string{path(c)}, names...), " ")
}

// A choice is a flag's value that is one of several words.
type choice struct {
	value string
	words []string
}

// Set implements cli.Generic.
func (v *choice) Set(s string) error {
	for _, w := range v.words {
		if s == w {
			v.value = s
			return nil
		}
	}
	return errors.New("want " + orList(v.words))
}

// String implements cli.Generic.
func (v *choice) String() string { return v.value }

// choiceFlag returns a flag that takes one of words; the first is the default.
func choiceFlag(names, usage string, words ...string) *cli.GenericFlag {
	all := strings.Split(names, ",")
	return &cli.GenericFlag{
		Name:    all[0],
		Aliases: all[1:],
		Usage:   usage + ": " + strings.Join(words, ", "),
		Value:   &choice{words[0], words},
	}
}

// outputFlag is -o, of commands that print data.
func outputFlag(words ...string) *cli.GenericFlag {
	return choiceFlag("output,o", "form of the output", words...)
}

// anyArguments returns the arguments, as many as there are. It errs on flags behind them.
func anyArguments(c *cli.Context) ([]string, error) {
	args := c.Args().Slice()
	for i, a := range args {
		if a == "--" {
			return append(args[:i:i], args[i+1:]...), nil
		}
		if i > 0 && len(a) > 1 && a[0] == '-' {
			return nil, usageErr("%s%s stands behind the argument %q: flags go before arguments", where(c), a, args[i-1])
		}
	}
	return args, nil
}
