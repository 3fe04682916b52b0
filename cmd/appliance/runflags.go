package main

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"appliance/apps"
	"appliance/internal/config"
)

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
		return nil, flagsErr(c, err)
	}
	for _, file := range cfg.Trace.Files {
		if err := notOver(c, c.String("config"), "-w", file); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// flagOf is the flag that sets a key, where it is one flag alone.
var flagOf = map[string]string{
	"addresses": "address", "link.mtu": "mtu", "link.mac": "mac", "link.interface": "interface", "link.lab": "lab",
	"link.netns": "netns", "link.offload": "offload", "tcp.msl": "msl", "impair.rules": "rule", "impair.in.delay": "delay",
	"impair.out.delay": "delay", "trace.level": "level", "trace.files": "w", "trace.rotate_size": "rotate-size",
	"trace.rotate_count": "rotate-count",
}

// flagsErr is what is wrong with the configuration that the flags made: the command line, for
// without them it was valid. It names the flags where it can.
func flagsErr(c *cli.Context, err error) error {
	var all *config.Error
	if !errors.As(err, &all) {
		return err
	}
	var lines []string
	for _, p := range all.Problems {
		name := p.Path
		key, _, _ := strings.Cut(name, "[")
		if flag := flagOf[key]; flag != "" && c.IsSet(flag) {
			name = dashed(flag)
		}
		lines = append(lines, where(c)+name+": "+p.Message)
	}
	return usageErr("%s", strings.Join(slices.Compact(lines), "\n"))
}

func applyLink(c *cli.Context, cfg *config.Config) error {
	kind := cfg.Link.Kind
	if k := c.String("link"); k != "" {
		kind = config.LinkKind(k)
	}
	if c.IsSet("lab") && (c.IsSet("interface") || c.IsSet("netns")) {
		return usageErr("run: --lab %s: the lab decides which interface it is: leave out --interface and --netns, or --lab", c.String("lab"))
	}
	if c.IsSet("netns") && cfg.Link.Interface == "" && !c.IsSet("interface") {
		return usageErr("run: --netns %s: --interface is missing: say which interface in there", c.String("netns"))
	}
	if c.IsSet("link") || c.IsSet("interface") {
		cfg.UseLink(kind, c.String("interface"))
	}
	if c.IsSet("lab") {
		cfg.Link.Lab, cfg.Link.Interface, cfg.Link.NetNS, cfg.Link.PeerNetNS = c.String("lab"), "", "", ""
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
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return usageErr("run: --address %s: want an address and its prefix length, such as 192.168.12.53/24", text)
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
	if v := c.String("congestion"); v != "" {
		cfg.TCP.Congestion = config.Congestion(v)
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
			if cfg.Trace.Screen != config.ScreenPCAPNG {
				cfg.Trace.Screen = config.ScreenJSONL
			}
			continue
		}
		cfg.Trace.Files = append(cfg.Trace.Files, f)
	}
	if c.IsSet("rotate-count") {
		cfg.Trace.RotateCount = c.Int("rotate-count")
	}
	if err := setText(c, "rotate-size", &cfg.Trace.RotateSize); err != nil {
		return err
	}
	if c.IsSet("rotate-count") && cfg.Trace.RotateSize == 0 {
		return usageErr("run: --rotate-count %d: nothing begins another file: give --rotate-size too", cfg.Trace.RotateCount)
	}
	if c.IsSet("rotate-size") && cfg.Trace.RotateSize > 0 && len(cfg.Trace.Files) == 0 {
		return usageErr("run: --rotate-size %s: no file is written: give -w FILE too", c.String("rotate-size"))
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
		spec, options := cutOptions(text)
		name, address, ok := strings.Cut(spec, "=")
		to, err := netip.ParseAddrPort(address)
		if !ok || err != nil {
			return usageErr("run: --connect %s: want NAME=ADDRESS:PORT, such as hello=192.168.12.1:9000", text)
		}
		if err := checkProgram("connect", text, name, options); err != nil {
			return err
		}
		cfg.Apps = append(cfg.Apps, config.App{Name: config.AppName(name), Role: config.RoleClient, Connect: to, Options: options})
	}
	cfg.Complete()
	return nil
}

// checkProgram errs where the text of a flag names no program, or options that the
// program does not take.
func checkProgram(flag, text, name string, options []string) error {
	app, ok := apps.Lookup(name)
	switch {
	case ok && len(options) == 0:
		return nil
	case ok && app.CheckOptions == nil:
		return usageErr("run: --%s %s: %s takes no options: remove %s", flag, text, name, strings.Join(options, ","))
	case ok:
		if err := app.CheckOptions(flag == "connect", options); err != nil {
			return usageErr("run: --%s %s: %v", flag, text, err)
		}
		return nil
	}
	if s := nearest(name, apps.Names()); s != "" {
		return usageErr("run: --%s %s: no program %q: did you mean %s?", flag, text, name, s)
	}
	return usageErr("run: --%s %s: no program %q: want %s", flag, text, name, orList(apps.Names()))
}

// cutOptions cuts off what follows the first comma of a program's flag.
func cutOptions(text string) (spec string, options []string) {
	spec, list, ok := strings.Cut(text, ",")
	if ok {
		options = strings.Split(list, ",")
	}
	return spec, options
}

// parseApp reads NAME[:PORT][/udp][,OPTION...].
func parseApp(text string) (config.App, error) {
	spec, options := cutOptions(text)
	spec, proto, hasProto := strings.Cut(spec, "/")
	name, port, hasPort := strings.Cut(spec, ":")
	app := config.App{Name: config.AppName(name), Role: config.RoleServer, Options: options}
	if err := checkProgram("app", text, name, options); err != nil {
		return app, err
	}
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
