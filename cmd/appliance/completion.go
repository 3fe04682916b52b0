package main

import (
	_ "embed" // the scripts

	"github.com/urfave/cli/v2"
)

//go:embed completion.bash
var bashCompletion string

//go:embed completion.zsh
var zshCompletion string

func completionCommand() *cli.Command {
	printer := func(script string) cli.ActionFunc {
		return func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			out := errWriter{w: c.App.Writer}
			out.printf("%s", script)
			return out.done()
		}
	}
	return &cli.Command{
		Name:  "completion",
		Usage: "print a shell's completion script",
		Subcommands: []*cli.Command{
			{
				Name:        "bash",
				Usage:       "for bash",
				Description: "source <(appliance completion bash)",
				Action:      printer(bashCompletion),
			},
			{
				Name:        "zsh",
				Usage:       "for zsh",
				Description: "source <(appliance completion zsh)",
				Action:      printer(zshCompletion),
			},
		},
	}
}
