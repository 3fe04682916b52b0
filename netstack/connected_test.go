package netstack

import (
	"context"
	"net/netip"
	"testing"

	"appliance/netstack/link"
	"appliance/tracer"
)

// nowhere is a sink that does nothing.
type nowhere struct{}

func (nowhere) Start(tracer.Header) error  { return nil }
func (nowhere) Write([]tracer.Event) error { return nil }
func (nowhere) Close() error               { return nil }
func (nowhere) Borrows() bool              { return true }

// connected returns both ends of a connection over a pipe, traced by a Bus, which are
// closed when the test is over.
func connected(t testing.TB, level tracer.Level) (client, server *Conn) {
	t.Helper()
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{}, nowhere{})
	if err != nil {
		t.Fatal(err)
	}
	left, right := link.NewPipe(link.PipeOptions{})
	addrs := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")}
	var stacks [2]*Stack
	for i, end := range []*link.Pipe{left, right} {
		if stacks[i], err = New(end, Options{Addresses: addrs[i : i+1], Recorder: bus, Level: level}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, c := range []interface{ Close() error }{stacks[0], stacks[1], bus} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	ln, err := stacks[1].Listen("tcp", "10.0.0.2:9000")
	if err != nil {
		t.Fatal(err)
	}
	if client, err = stacks[0].DialTCP(context.Background(), netip.AddrPort{}, netip.MustParseAddrPort("10.0.0.2:9000")); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	return client, server
}
