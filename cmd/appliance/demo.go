package main

import (
	"errors"
	"os/signal"

	"github.com/urfave/cli/v2"

	"appliance/internal/config"
	"appliance/internal/demo"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "show a TCP connection between Linux and the appliance, with no set-up at all",
		Description: "It makes a lab, starts the appliance at 192.168.12.53 with all its programs, lets Linux run\n" +
			"the hello client, tells the story, writes the trace and removes the lab. Without root it\n" +
			"does so in a user namespace, and where that is not to be had, on a pipe.",
		Flags: []cli.Flag{
			optionFlag("link", "the link; without it veth where that may be had, else pipe", "veth", "tap", "pipe"),
			&cli.StringFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the trace to `FILE`", DefaultText: "appliance-demo.jsonl"},
			choiceFlag("level", "how much is traced", "segments", "states", "full"),
			choiceFlag("time", "the times of the text", "rel", "delta", "abs"),
			langFlag(),
			colorFlag(),
		},
		Action: demoAction,
	}
}

func demoAction(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	if path := c.String("write"); path != "" {
		if _, err := config.TraceFormat(path); err != nil {
			return usageErr("%s-w: %v", where(c), err)
		}
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	v := readVersions()
	o := demo.Options{
		Link: config.LinkKind(c.String("link")), Trace: c.String("write"),
		Level: config.Level(c.String("level")), Time: config.Time(c.String("time")),
		Out: c.App.Writer, Log: logf(c.App.ErrWriter), Color: colored(c, c.App.Writer), Lang: langOf(c),
		Appliance: v.Appliance, GVisor: v.GVisor,
	}
	if !inUserNS() {
		o.Reexec = reexecInUserNS
	}
	err := demo.Run(ctx, o)
	var elsewhere *demo.ErrReexec
	if errors.As(err, &elsewhere) {
		return &exitError{code: elsewhere.Code} // it has said why
	}
	return err
}
