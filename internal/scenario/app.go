package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"appliance/apps"
	"appliance/tracer/sequence"
)

// output is what a program prints; it may print from several goroutines.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// appArgs are what the arguments of a step "app" say.
type appArgs struct {
	env     apps.Env
	out     *output
	network string
}

// parseApp reads KEY=VALUE: count=N, network=tcp|udp, data=TEXT; and await-close.
func parseApp(args []string) (appArgs, error) {
	a := appArgs{out: &output{}, network: "tcp"}
	a.env.Out = a.out
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "count":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return a, fmt.Errorf("%s: want a number of connections, 1 or more", arg)
			}
			a.env.Count = n
		case "network":
			if value != "tcp" && value != "udp" {
				return a, fmt.Errorf("%s: want tcp or udp", arg)
			}
			a.network, a.env.Network = value, value
		case "data":
			a.env.Data = []byte(value)
		case "await-close":
			a.env.AwaitClose = true
		default:
			return a, fmt.Errorf("%s: want count=N, network=tcp, network=udp, data=TEXT or await-close", arg)
		}
	}
	return a, nil
}

// endless tells whether a step serves until it is told to stop.
func endless(e sequence.End, s *sequence.Step) bool {
	if s.Do != sequence.App || e != sequence.Server {
		return false
	}
	a, err := parseApp(s.Args)
	return err == nil && (a.network == "udp" || a.env.Count == 0)
}

// app runs a program of package apps: C's is the client, S's the server.
func (p *program) app(ctx context.Context, s *sequence.Step) error {
	app, ok := apps.Lookup(s.Text)
	if !ok {
		return fmt.Errorf("no program %q: want one of %s", s.Text, strings.Join(apps.Names(), ", "))
	}
	a, err := parseApp(s.Args)
	if err != nil {
		return err
	}
	var trouble error // of a server's single connections
	var mu sync.Mutex
	a.env.Log = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		trouble = errors.Join(trouble, fmt.Errorf(format, args...))
	}
	switch {
	case p.end == sequence.Client:
		err = p.appClient(ctx, app, a)
	case a.network == "udp":
		err = p.appPackets(ctx, app, a)
	default:
		err = p.appServer(ctx, app, a)
	}
	mu.Lock()
	defer mu.Unlock()
	if err = errors.Join(err, trouble); err != nil {
		return err
	}
	return checkPrints(s.Prints, a.out.buf.String())
}

// checkPrints compares what a program printed with what it should.
func checkPrints(want, got string) error {
	if want != "" && strings.TrimRight(got, "\n") != want {
		return fmt.Errorf("printed %q, want %q", got, want)
	}
	return nil
}

func (p *program) appClient(ctx context.Context, app apps.App, a appArgs) error {
	if app.Client == nil {
		return fmt.Errorf("%s has no client", app.Name)
	}
	server := netip.AddrPortFrom(p.addrs[sequence.Server], p.port)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		if network == "udp" {
			return p.host.DialUDP(server)
		}
		c, err := p.host.Connect(ctx, netip.AddrPort{}, server)
		if err != nil {
			return nil, err
		}
		p.keep("", c)
		return c.Net(), nil
	}
	return app.Client(ctx, dial, server.String(), a.env)
}

func (p *program) appServer(ctx context.Context, app apps.App, a appArgs) error {
	if app.Serve == nil {
		return fmt.Errorf("%s does not serve TCP", app.Name)
	}
	l, err := p.host.Listen(p.port, 0)
	if err != nil {
		return err
	}
	p.listening()
	return app.Serve(ctx, l.Net(), a.env)
}

func (p *program) appPackets(ctx context.Context, app apps.App, a appArgs) error {
	if app.ServePacket == nil {
		return fmt.Errorf("%s does not serve UDP", app.Name)
	}
	c, err := p.host.ListenUDP(p.port)
	if err != nil {
		return err
	}
	p.listening()
	return app.ServePacket(ctx, c, a.env)
}

// python runs a script of package scripts, where the end is Linux.
func (p *program) python(ctx context.Context, s *sequence.Step) error {
	h, ok := p.host.(pythonHost)
	if !ok {
		return fmt.Errorf("%s has no Python: only Linux's end does", p.end)
	}
	args := make([]string, len(s.Args))
	for i, a := range s.Args {
		a = strings.ReplaceAll(a, "{host}", p.addrs[sequence.Server].String())
		args[i] = strings.ReplaceAll(a, "{port}", strconv.Itoa(int(p.port)))
	}
	out, err := h.Python(ctx, s.Text, args, p.listening)
	if err != nil {
		return err
	}
	return checkPrints(s.Prints, out)
}
