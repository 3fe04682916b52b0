package main

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// helpCommand shows the help of the program or of one command. The framework's own
// exits with 3, our code for a wrong configuration, on an unknown topic.
func helpCommand() *cli.Command {
	return &cli.Command{
		Name:      "help",
		Usage:     "show the commands, or the help of one",
		ArgsUsage: "[COMMAND [SUBCOMMAND]]",
		HideHelp:  true,
		Action: func(c *cli.Context) error {
			root := c.Lineage()[1]
			topic := c.Args().Slice()
			commands := c.App.Commands
			for i, name := range topic {
				command := find(commands, name)
				if command == nil {
					return noTopic(topic[:i+1], commands)
				}
				commands = command.Subcommands
			}
			if len(topic) == 0 {
				return cli.ShowAppHelp(root)
			}
			// The command prints its own help: the framework then knows its full name.
			return c.App.RunContext(c.Context, append(append([]string{appName}, topic...), "--help"))
		},
	}
}

func noTopic(topic []string, commands []*cli.Command) error {
	name := strings.Join(topic, " ")
	if s := suggestCommand(commands, topic[len(topic)-1]); s != "" {
		return usageErr("help: %s: no such command: did you mean %q?", name, s)
	}
	if len(commands) == 0 {
		return usageErr("help: %s: no such command: %s has none", name, strings.Join(topic[:len(topic)-1], " "))
	}
	return usageErr("help: %s: no such command: want %s", name, commandNames(commands))
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}
