package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/internal/config"
	"appliance/internal/runner"
)

// stdin is the program's standard input.
var stdin io.Reader = os.Stdin

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "run the appliance in the foreground, until SIGINT or SIGTERM",
		Description: "Without -c the configuration is the default one (appliance config default); flags change\n" +
			"what the file says. The trace goes to standard output and to each -w FILE.\n" +
			"SIGUSR1 prints counters. SIGINT and SIGTERM let open connections end and print totals.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "read the configuration from `FILE`; - is standard input"},
			optionFlag("link", "what the stack stands on", "veth", "tap", "pipe"),
			&cli.StringFlag{Name: "interface", Aliases: []string{"i"}, Usage: "the `NAME` of the veth end, Ethernet interface or TAP device; instead of a lab"},
			&cli.StringFlag{Name: "lab", Usage: "the `NAME` of the lab to run in"},
			&cli.StringFlag{Name: "netns", Usage: "the network namespace that the interface is in, a `NAME` or path"},
			&cli.StringSliceFlag{Name: "address", Usage: "`ADDRESS/LEN` of the stack's own; may be repeated"},
			&cli.StringFlag{Name: "mac", Usage: "the stack's MAC `ADDRESS`"},
			&cli.IntFlag{Name: "mtu", Usage: "of a pipe or a new TAP device, in `BYTES`"},
			optionFlag("offload", "the offloads of the other end of a veth pair", "off", "on"),
			&cli.StringSliceFlag{Name: "app", Usage: "run the program `NAME[:PORT][/udp]` as a server; may be repeated"},
			&cli.StringSliceFlag{Name: "connect", Usage: "run a program as a client: `NAME=ADDRESS:PORT`; may be repeated"},
			&cli.StringFlag{Name: "congestion", Usage: "congestion control: `cubic or reno`"},
			&cli.StringFlag{Name: "msl", Usage: "the maximum segment lifetime, a `TIME`: TIME-WAIT lasts twice as long"},
			&cli.StringSliceFlag{Name: "rule", Usage: "what the link does to a segment, such as `\"drop out FIN nth=2\"`; may be repeated"},
			&cli.StringFlag{Name: "loss", Usage: "the share of packets that the link loses, both ways: `PERCENT`"},
			&cli.StringFlag{Name: "delay", Usage: "how long the link holds packets, each way: `TIME`"},
			&cli.Uint64Flag{Name: "seed", Usage: "of the link's chance: the same `NUMBER` gives the same run"},
			&cli.StringSliceFlag{Name: "write", Aliases: []string{"w"}, Usage: "write the trace to `FILE` (.jsonl, or .txt for text); - is standard output, as JSONL; may be repeated"},
			optionFlag("level", "how much is traced", "off", "states", "segments", "full"),
			optionFlag("output,o", "the trace on standard output", "text", "jsonl", "off"),
			optionFlag("time", "the times of the text", "rel", "delta", "abs"),
			colorFlag(),
		},
		Action: runAction,
	}
}

func runAction(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	cfg, err := runConfig(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, stopSignals...)
	defer stop()
	v := readVersions()
	a, err := runner.Start(ctx, runner.Options{
		Config: cfg, Out: c.App.Writer, Log: logf(c.App.ErrWriter), Color: traceColor(c, cfg),
		Appliance: v.Appliance, GVisor: v.GVisor,
	})
	if err != nil {
		return err
	}
	log := logf(c.App.ErrWriter)
	log("%s", a.Greeting())
	for _, w := range a.Warnings() {
		log("warning: %s", w)
	}
	stopCounters := printCounters(a, log)
	err = a.Run(ctx)
	stop() // a second signal ends the program at once
	stopCounters()
	err = errors.Join(err, a.Close())
	for _, line := range a.Counters() {
		log("%s", line)
	}
	return err
}

// printCounters prints the counters at each SIGUSR1, until its function is called.
func printCounters(a *runner.Appliance, log func(string, ...any)) (stop func()) {
	signals := make(chan os.Signal, 1)
	quit, done := make(chan struct{}), make(chan struct{})
	signal.Notify(signals, counterSignals...)
	go func() {
		defer close(done)
		for {
			select {
			case <-signals:
				for _, line := range a.Counters() {
					log("%s", line)
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(quit)
		<-done
	}
}

// logf returns what writes lines of the program's own to w.
func logf(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		_, _ = fmt.Fprintf(w, appName+": "+format+"\n", args...) // nowhere left to report that this failed
	}
}

// traceColor tells whether the trace on the screen is coloured.
func traceColor(c *cli.Context, cfg *config.Config) bool {
	switch {
	case c.IsSet("color") || cfg.Trace.Color == config.ColorAuto:
		return colored(c, c.App.Writer)
	default:
		return cfg.Trace.Color == config.ColorAlways
	}
}

// runConfig is the configuration that file and flags ask for.
func runConfig(c *cli.Context) (*config.Config, error) {
	cfg := config.Default()
	if path := c.String("config"); path != "" {
		var err error
		if cfg, err = loadConfig(path); err != nil {
			return nil, err
		}
	}
	for _, apply := range []func(*cli.Context, *config.Config) error{applyLink, applyApps, applyTCP, applyImpair, applyTrace} {
		if err := apply(c, cfg); err != nil {
			return nil, err
		}
	}
	if err := cfg.Validate(); err != nil {
		return nil, configErr(err)
	}
	return cfg, nil
}

func applyLink(c *cli.Context, cfg *config.Config) error {
	kind := cfg.Link.Kind
	if k := c.String("link"); k != "" {
		kind = config.LinkKind(k)
	}
	if c.IsSet("link") || c.IsSet("interface") || c.IsSet("netns") {
		cfg.UseLink(kind, c.String("interface"))
	}
	if c.IsSet("lab") {
		cfg.Link.Lab = c.String("lab")
	}
	if c.IsSet("netns") {
		cfg.Link.NetNS, cfg.Link.Lab = c.String("netns"), ""
	}
	if c.IsSet("mtu") {
		cfg.Link.MTU = c.Int("mtu")
	}
	if v := c.String("offload"); v != "" {
		cfg.Link.Offload = config.Offload(v)
	}
	if c.IsSet("address") {
		cfg.Addresses = nil
	}
	for _, text := range c.StringSlice("address") {
		p, err := parsePrefix(text)
		if err != nil {
			return usageErr("run: --address %s: %v", text, err)
		}
		cfg.Addresses = append(cfg.Addresses, p)
	}
	return setText(c, "mac", &cfg.Link.MAC)
}

// textValue is a configuration value that reads its own text.
type textValue interface{ UnmarshalText([]byte) error }

// setText sets a value from the flag of that name, where it is given.
func setText(c *cli.Context, flag string, v textValue) error {
	if !c.IsSet(flag) {
		return nil
	}
	if err := v.UnmarshalText([]byte(c.String(flag))); err != nil {
		return usageErr("run: --%s %s: %v", flag, c.String(flag), err)
	}
	return nil
}

func applyTCP(c *cli.Context, cfg *config.Config) error {
	if c.IsSet("congestion") {
		cfg.TCP.Congestion = config.Congestion(c.String("congestion"))
	}
	return setText(c, "msl", &cfg.TCP.MSL)
}

func applyImpair(c *cli.Context, cfg *config.Config) error {
	cfg.Impair.Rules = append(cfg.Impair.Rules, c.StringSlice("rule")...)
	if c.IsSet("seed") {
		cfg.Impair.Seed = c.Uint64("seed")
	}
	for _, side := range []*config.Impairment{&cfg.Impair.In, &cfg.Impair.Out} {
		if err := setText(c, "loss", &side.Loss); err != nil {
			return err
		}
		if err := setText(c, "delay", &side.Delay); err != nil {
			return err
		}
	}
	return nil
}

func applyTrace(c *cli.Context, cfg *config.Config) error {
	if v := c.String("level"); v != "" {
		cfg.Trace.Level = config.Level(v)
	}
	if v := c.String("time"); v != "" {
		cfg.Trace.Time = config.Time(v)
	}
	if v := c.String("output"); v != "" {
		cfg.Trace.Screen = config.Screen(v)
	}
	for _, f := range c.StringSlice("write") {
		if f == "-" {
			cfg.Trace.Screen = config.ScreenJSONL
			continue
		}
		cfg.Trace.Files = append(cfg.Trace.Files, f)
	}
	return nil
}

// applyApps takes --app and --connect; either replaces the programs of the file.
func applyApps(c *cli.Context, cfg *config.Config) error {
	if c.IsSet("app") || c.IsSet("connect") {
		cfg.Apps = nil
	}
	for _, text := range c.StringSlice("app") {
		app, err := parseApp(text)
		if err != nil {
			return err
		}
		cfg.Apps = append(cfg.Apps, app)
	}
	for _, text := range c.StringSlice("connect") {
		name, address, ok := strings.Cut(text, "=")
		to, err := parseAddrPort(address)
		if !ok || err != nil {
			return usageErr("run: --connect %s: want NAME=ADDRESS:PORT, such as hello=192.168.12.1:9000", text)
		}
		cfg.Apps = append(cfg.Apps, config.App{Name: config.AppName(name), Role: config.RoleClient, Connect: to})
	}
	cfg.Complete()
	return nil
}

// parseApp reads NAME[:PORT][/udp].
func parseApp(text string) (config.App, error) {
	spec, proto, hasProto := strings.Cut(text, "/")
	name, port, hasPort := strings.Cut(spec, ":")
	app := config.App{Name: config.AppName(name), Role: config.RoleServer}
	if hasPort {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return app, usageErr("run: --app %s: %q is no port: want 1 to 65535", text, port)
		}
		app.Port = int(n)
	}
	if hasProto {
		if proto != "tcp" && proto != "udp" {
			return app, usageErr("run: --app %s: %q is no protocol: want tcp or udp", text, proto)
		}
		app.Protocols = []config.Protocol{config.Protocol(proto)}
	}
	return app, nil
}
