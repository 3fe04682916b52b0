package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/internal/lab"
)

func labCommand() *cli.Command {
	return &cli.Command{
		Name:  "lab",
		Usage: "make and remove a network with a Linux host for the appliance to meet",
		Description: "A lab is two network namespaces and a veth pair, or one and a TAP device: one side is the\n" +
			"appliance's, the other a Linux host with 192.168.12.1/24 and fd00:12::1/64. As root it is\n" +
			"named (ip netns); without root a process of yours holds it, until lab down.",
		Subcommands: []*cli.Command{
			{
				Name:  "up",
				Usage: "make the lab, or mend it; do nothing when it is up",
				Flags: []cli.Flag{
					labNameFlag(),
					optionFlag("kind", "what joins the two sides", "veth", "tap"),
					&cli.IntFlag{Name: "mtu", Usage: "of both ends, in `BYTES`", DefaultText: "1500"},
					&cli.StringSliceFlag{Name: "address", Usage: "`ADDRESS/LEN` of the Linux side; may be repeated", DefaultText: "192.168.12.1/24, fd00:12::1/64"},
				},
				Action: labUp,
			},
			{
				Name:   "down",
				Usage:  "remove the lab, all of it, also after a crash",
				Flags:  []cli.Flag{labNameFlag()},
				Action: labDown,
			},
			{
				Name:   "ls",
				Usage:  "list the labs",
				Flags:  []cli.Flag{outputFlag("text", "json")},
				Action: labList,
			},
			{
				Name:      "exec",
				Usage:     "run a command on the Linux side",
				ArgsUsage: "COMMAND [ARGUMENTS]",
				Description: "The exit code is the command's own. Flags for it need no -- before them:\n" +
					"appliance lab exec ping -c 3 192.168.12.53",
				Flags:  []cli.Flag{labNameFlag()},
				Action: labExec,
			},
		},
	}
}

func labNameFlag() *cli.StringFlag {
	return &cli.StringFlag{Name: "name", Usage: "the lab's `NAME`", Value: lab.DefaultName}
}

func labUp(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	o := lab.Options{Name: c.String("name"), Kind: lab.Kind(c.String("kind")), MTU: c.Int("mtu")}
	for _, text := range c.StringSlice("address") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return usageErr("lab up: --address %s: want an address and its prefix length, such as 192.168.12.1/24", text)
		}
		o.Addresses = append(o.Addresses, p)
	}
	l, err := lab.Up(c.Context, o)
	if err != nil {
		return err
	}
	out := errWriter{w: c.App.Writer}
	what := "is up already"
	switch {
	case l.Created:
		what = "is up"
	case len(l.Changes) > 0:
		what = "is mended: " + strings.Join(l.Changes, ", ")
	}
	out.printf("lab %s (%s) %s: Linux has %s on %s\n", l.Name(), l.Kind(), what, prefixes(l.Addresses()), l.HostInterface())
	for _, w := range l.Warnings {
		logf(c.App.ErrWriter)("%s", w)
	}
	if err := out.done(); err != nil {
		return err
	}
	return l.Close()
}

func labDown(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	removed, err := lab.Down(c.Context, c.String("name"))
	if err != nil {
		return err
	}
	out := errWriter{w: c.App.Writer}
	if removed.Existed {
		out.printf("lab %s is down\n", c.String("name"))
	} else {
		out.printf("lab %s was not up\n", c.String("name"))
	}
	for _, p := range removed.StillIn {
		logf(c.App.ErrWriter)("process %d (%s) is still in the lab: end it, and the namespace goes with it", p.PID, p.Command)
	}
	return out.done()
}

func labList(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	labs, err := lab.List(c.Context)
	if err != nil {
		return err
	}
	out := errWriter{w: c.App.Writer}
	if c.String("output") == "json" {
		if labs == nil {
			labs = []lab.Info{}
		}
		return printJSON(&out, labs)
	}
	for _, l := range labs {
		out.printf("%s\n", labLine(l))
	}
	if len(labs) == 0 {
		logf(c.App.ErrWriter)("no lab is up: make one with `appliance lab up`")
	}
	return out.done()
}

func labLine(l lab.Info) string {
	if l.Problem != "" {
		return fmt.Sprintf("%-16s %s", l.Name, l.Problem)
	}
	held := ""
	if l.Holder != 0 {
		held = fmt.Sprintf(", held by process %d", l.Holder)
	}
	return fmt.Sprintf("%-16s %-5s %s on %s, MTU %d%s", l.Name, l.Kind, prefixes(l.Addresses), l.HostInterface, l.MTU, held)
}

func prefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}

func labExec(c *cli.Context) error {
	argv := c.Args().Slice()
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return usageErr("lab exec: COMMAND is missing: usage: appliance lab exec COMMAND [ARGUMENTS]")
	}
	l, err := lab.Open(c.Context, c.String("name"))
	if err != nil {
		return err
	}
	code, err := l.Exec(c.Context, lab.Command{Argv: argv, Stdin: stdin, Stdout: c.App.Writer, Stderr: c.App.ErrWriter})
	if closeErr := l.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return &exitError{max(code, exitRuntime), err}
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}
