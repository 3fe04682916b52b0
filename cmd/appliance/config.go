package main

import (
	"github.com/urfave/cli/v2"

	"appliance/internal/config"
)

func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "print, check and describe configurations",
		Subcommands: []*cli.Command{
			{
				Name:   "default",
				Usage:  "print the default configuration, every key explained",
				Action: configDefault,
			},
			{
				Name:        "validate",
				Usage:       "check a configuration file and name all that is wrong with it",
				ArgsUsage:   "FILE",
				Description: "FILE may be - for standard input. Nothing but the file is touched.",
				Action:      configValidate,
			},
			{
				Name:        "schema",
				Usage:       "print the JSON Schema of the configuration, for editors",
				Description: "For example, appliance config schema > appliance.schema.json, and in the configuration:\n# yaml-language-server: $schema=appliance.schema.json",
				Action:      configSchema,
			},
		},
	}
}

func configDefault(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	out := errWriter{w: c.App.Writer}
	out.printf("%s", config.Default().Marshal())
	return out.done()
}

func configValidate(c *cli.Context) error {
	args, err := arguments(c, "FILE")
	if err != nil {
		return err
	}
	if _, err := loadConfig(args[0]); err != nil {
		return err
	}
	name := args[0]
	if name == "-" {
		name = "standard input"
	}
	out := errWriter{w: c.App.Writer}
	out.printf("%s: valid\n", name)
	return out.done()
}

// loadConfig reads the configuration at path; every error of it is one of the
// configuration.
func loadConfig(path string) (*config.Config, error) {
	c, err := config.Load(path)
	if err != nil {
		return nil, configErr(orMake(err, "appliance config default > "+path))
	}
	return c, nil
}

func configSchema(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	schema, err := config.Schema()
	if err != nil {
		return err
	}
	out := errWriter{w: c.App.Writer}
	out.printf("%s", schema)
	return out.done()
}
