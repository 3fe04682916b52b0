package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"appliance/apps"
	"appliance/internal/config"
	"appliance/netstack"
)

// helloPort is where hello is served unless told otherwise.
const helloPort = 9000

func isClient(c config.App) bool { return c.Role == config.RoleClient }

// hasClients tells whether a program runs as a client.
func (a *Appliance) hasClients() bool { return slices.ContainsFunc(a.opts.Config.Apps, isClient) }

// endsWithClients tells whether nothing is left to do once the clients are done:
// there is nothing to serve, or, on a pipe, nobody else to serve it to.
func (a *Appliance) endsWithClients() bool {
	servers := slices.ContainsFunc(a.opts.Config.Apps, func(c config.App) bool { return !isClient(c) })
	return a.hasClients() && (!servers || a.peer != nil)
}

// startApps starts every program: servers listen before it returns, and clients
// begin after that.
func (a *Appliance) startApps(ctx context.Context) error {
	ctx, a.stopApps = context.WithCancel(context.WithoutCancel(ctx))
	for _, c := range a.opts.Config.Apps {
		if c.Role == config.RoleClient {
			continue
		}
		if err := a.serve(ctx, c); err != nil {
			return err
		}
	}
	for _, c := range a.opts.Config.Apps {
		if c.Role == config.RoleClient {
			if err := a.connect(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Appliance) app(c config.App) (apps.App, apps.Env, error) {
	app, ok := apps.Lookup(string(c.Name))
	if !ok {
		return app, apps.Env{}, fmt.Errorf("no program %q: want %s", c.Name, strings.Join(apps.Names(), ", "))
	}
	env := apps.Env{Out: &lines{to: a.printTo(), sync: a.bus.Sync}, Log: a.opts.Log, Options: c.Options}
	if c.Once {
		env.Count = 1
	}
	return app, env, nil
}

// printTo is where programs print: on the screen, unless a machine reads that.
func (a *Appliance) printTo() io.Writer {
	if a.opts.Print != nil {
		return a.opts.Print
	}
	screen := a.opts.Config.Trace.Screen
	if (screen == config.ScreenJSONL || screen == config.ScreenPCAPNG) && a.opts.Config.Trace.Level != config.LevelOff {
		return logWriter(a.opts.Log)
	}
	return a.out
}

// logWriter logs each line that is written to it.
type logWriter func(format string, args ...any)

// Write implements io.Writer.
func (l logWriter) Write(b []byte) (int, error) {
	l("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// serve starts one server, on each of its protocols.
func (a *Appliance) serve(ctx context.Context, c config.App) error {
	app, env, err := a.app(c)
	if err != nil {
		return err
	}
	address := fmt.Sprintf(":%d", c.Port)
	for _, proto := range c.Protocols {
		switch proto {
		case config.TCPProtocol:
			l, err := a.stack.Listen("tcp", address)
			if err != nil {
				return fmt.Errorf("start %s: %w", c.Name, err)
			}
			a.goServe(c, func() error { return app.Serve(ctx, l, env) })
		case config.UDPProtocol:
			pc, err := a.stack.ListenPacket("udp", address)
			if err != nil {
				return fmt.Errorf("start %s: %w", c.Name, err)
			}
			a.goServe(c, func() error { return app.ServePacket(ctx, pc, env) })
		}
	}
	return nil
}

func (a *Appliance) goServe(c config.App, serve func() error) {
	a.apps.Add(1)
	go func() {
		defer a.apps.Done()
		if err := serve(); err != nil {
			a.fail(fmt.Errorf("%s: %w", c.Name, err))
		}
	}()
}

// connect starts one client. On a pipe it runs on the other end's stack.
func (a *Appliance) connect(ctx context.Context, c config.App) error {
	app, env, err := a.app(c)
	if err != nil {
		return err
	}
	from := a.stack
	if a.peer != nil {
		from = a.peer
	}
	network := string(c.Protocols[0])
	env.Network = network
	a.apps.Add(1)
	a.clients.Add(1)
	go func() {
		defer a.apps.Done()
		defer a.clients.Done()
		err := app.Client(ctx, dialer(from), c.Connect.String(), env)
		if err != nil && !errors.Is(err, context.Canceled) {
			a.fail(fmt.Errorf("%s: %w", c.Name, advised(err)))
		}
	}()
	return nil
}

func dialer(s *netstack.Stack) apps.Dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		return s.DialContext(ctx, network, address)
	}
}
