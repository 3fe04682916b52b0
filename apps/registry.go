package apps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"appliance/apps/chargen"
	"appliance/apps/discard"
	"appliance/apps/echo"
	"appliance/apps/hello"
	"appliance/apps/http"
	"appliance/apps/iperf"
)

// sentence is what the echo and discard clients send unless told otherwise.
const sentence = "the quick brown fox jumps over the lazy dog\n"

// chargenLines is how many lines chargen's client takes of each connection.
const chargenLines = 10

var all = []App{
	{
		Name: "echo", Port: echo.Port, TCP: true, UDP: true,
		Summary: "sends back what it gets (RFC 862)",
		Serve: func(ctx context.Context, l net.Listener, env Env) error {
			return (&echo.Server{Log: env.Log, Count: env.Count}).Serve(ctx, l)
		},
		ServePacket: func(ctx context.Context, pc net.PacketConn, env Env) error {
			return (&echo.Server{Log: env.Log}).ServePacket(ctx, pc)
		},
		Client: client(true, func(ctx context.Context, conn net.Conn, env Env) error {
			r, err := echo.Run(ctx, conn, env.data())
			if err != nil {
				return err
			}
			return env.printf("%d bytes back in %v\n", len(r.Data), r.RTT)
		}),
	},
	{
		Name: "discard", Port: discard.Port, TCP: true, UDP: true,
		Summary: "throws away what it gets (RFC 863)",
		Serve: func(ctx context.Context, l net.Listener, env Env) error {
			return (&discard.Server{Log: env.Log, Count: env.Count}).Serve(ctx, l)
		},
		ServePacket: func(ctx context.Context, pc net.PacketConn, env Env) error {
			return (&discard.Server{Log: env.Log}).ServePacket(ctx, pc)
		},
		Client: client(true, func(ctx context.Context, conn net.Conn, env Env) error {
			r, err := discard.Run(ctx, conn, env.data())
			if err != nil {
				return err
			}
			return env.printf("%d bytes sent in %v\n", r.Bytes, r.Took)
		}),
	},
	{
		Name: "chargen", Port: chargen.Port, TCP: true, UDP: true,
		Summary: "sends lines of characters without end (RFC 864)",
		Serve: func(ctx context.Context, l net.Listener, env Env) error {
			return (&chargen.Server{Log: env.Log, Count: env.Count}).Serve(ctx, l)
		},
		ServePacket: func(ctx context.Context, pc net.PacketConn, env Env) error {
			return (&chargen.Server{Log: env.Log}).ServePacket(ctx, pc)
		},
		Client: client(true, func(ctx context.Context, conn net.Conn, env Env) error {
			_, err := chargen.Run(ctx, conn, env.out(), chargenLines)
			return err
		}),
	},
	{
		Name: "hello", Port: hello.Port, TCP: true,
		Summary: "the socket server that says hello and is told byebye",
		Serve: func(ctx context.Context, l net.Listener, env Env) error {
			s := hello.Server{Out: env.Out, Log: env.Log, Count: env.Count, AwaitClose: env.AwaitClose}
			return s.Serve(ctx, l)
		},
		Client: client(false, func(ctx context.Context, conn net.Conn, env Env) error {
			c := hello.Client{Out: env.Out, AwaitClose: env.AwaitClose}
			_, err := c.Run(ctx, conn)
			return err
		}),
	},
	{
		Name: "http", Port: http.Port, TCP: true,
		Summary: "a web page that says who you are",
		Serve: func(ctx context.Context, l net.Listener, env Env) error {
			return (&http.Server{Log: env.Log, Count: env.Count}).Serve(ctx, l)
		},
		Client: client(false, func(ctx context.Context, conn net.Conn, env Env) error {
			return http.Run(ctx, conn, env.out(), "/")
		}),
	},
	{
		Name: "iperf", Port: iperf.Port, TCP: true,
		Summary: "measures throughput, with iperf3 or with itself",
		CheckOptions: func(client bool, options []string) error {
			if client {
				return new(iperf.Client).Set(options)
			}
			return new(iperf.Server).Set(options)
		},
		Serve: func(ctx context.Context, l net.Listener, env Env) error {
			s := iperf.Server{Out: env.Out, Log: env.Log, Count: env.Count}
			if err := s.Set(env.Options); err != nil {
				return errors.Join(err, l.Close())
			}
			return s.Serve(ctx, l)
		},
		Client: func(ctx context.Context, dial Dialer, addr string, env Env) error {
			c := iperf.Client{Out: env.Out}
			if err := c.Set(env.Options); err != nil {
				return err
			}
			if _, err := env.network(addr, false); err != nil {
				return err
			}
			for range max(env.Count, 1) {
				if _, err := c.Run(ctx, dial, addr); err != nil {
					return err
				}
			}
			return nil
		},
	},
}

// client makes an App's Client of what its program does with one connection, which
// closes it.
func client(udp bool, run func(context.Context, net.Conn, Env) error) func(context.Context, Dialer, string, Env) error {
	return func(ctx context.Context, dial Dialer, addr string, env Env) error {
		network, err := env.network(addr, udp)
		if err != nil {
			return err
		}
		for range max(env.Count, 1) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return err // a dialer's error names the operation and the address
			}
			if err := run(ctx, conn, env); err != nil {
				return err
			}
		}
		return nil
	}
}

// network is what a client dials, or what is wrong with that.
func (e Env) network(addr string, udp bool) (string, error) {
	switch {
	case e.Network == "":
		return "tcp", nil
	case e.Network != "tcp" && e.Network != "udp":
		return "", fmt.Errorf("dial %s over %q: the network is tcp or udp", addr, e.Network)
	case e.Network == "udp" && !udp:
		return "", fmt.Errorf("dial %s over udp: this program speaks TCP only", addr)
	}
	return e.Network, nil
}

func (e Env) data() []byte {
	if e.Data == nil {
		return []byte(sentence)
	}
	return e.Data
}

func (e Env) out() io.Writer {
	if e.Out == nil {
		return io.Discard
	}
	return e.Out
}

func (e Env) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(e.out(), format, args...)
	return err
}
