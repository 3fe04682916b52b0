package iperf

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"appliance/apps/internal/apptest"
	"appliance/netstack"
	"appliance/netstack/link"
)

// pipeAddr is where the server of stacks is.
const pipeAddr = "192.168.12.53:5201"

// stacks gives two of the appliance's stacks on a pipe.
func stacks(t testing.TB, rules ...string) (client, server *netstack.Stack) {
	t.Helper()
	a, b := link.NewPipe(link.PipeOptions{})
	o := link.ImpairOptions{}
	for _, text := range rules {
		rule, err := link.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		o.Rules = append(o.Rules, rule)
	}
	impaired, err := link.NewImpair(a, o)
	if err != nil {
		t.Fatal(err)
	}
	client, err = netstack.New(impaired, netstack.Options{Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.1/24")}})
	if err != nil {
		t.Fatal(err)
	}
	server, err = netstack.New(b, netstack.Options{Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range []*netstack.Stack{client, server} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return client, server
}

// TestStacks: client and server over the appliance's own stack.
func TestStacks(t *testing.T) {
	for _, options := range []string{
		"bytes=20M", "bytes=20M reverse", "time=1 bidir parallel=2", "bytes=20M parallel=4 window=256K no-delay", "time=1 omit=1 bitrate=80M reverse",
	} {
		t.Run(options, func(t *testing.T) {
			// The second stream's first data is lost, once: somebody retransmits.
			from, to := stacks(t, "drop both payload>1000 nth=3")
			s := serveStack(t, to, Server{})
			var c Client
			if err := c.Set(strings.Fields(options)); err != nil {
				t.Fatal(err)
			}
			r, err := c.Run(apptest.Context(t), dialer(from), pipeAddr)
			if err != nil {
				t.Fatalf("%v\nthe server's log:\n%s", err, s.log.String())
			}
			agree(t, r, s.last(t))
			if r.End.SenderCongestion != "reno" || r.End.ReceiverCongestion != "reno" {
				t.Errorf("congestion control %q and %q", r.End.SenderCongestion, r.End.ReceiverCongestion)
			}
			if n := r.End.SumSent.Retransmits; c.Omit == 0 && (n == nil || *n < 1) {
				t.Errorf("retransmissions: %v, want at least the one that was lost", n)
			}
			if log := s.log.String(); log != "" {
				t.Errorf("the server logged:\n%s", log)
			}
		})
	}
}

// serveStack runs a server at pipeAddr.
func serveStack(t testing.TB, on *netstack.Stack, s Server) *running {
	t.Helper()
	l, err := on.Listen("tcp", ":5201")
	if err != nil {
		t.Fatal(err)
	}
	r := &running{}
	s.Out, s.Log, s.Done = &r.out, r.logf, r.done
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server returned: %v", err)
		}
	})
	return r
}

func dialer(s *netstack.Stack) Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return s.DialContext(ctx, network, addr)
	}
}
