package infer_test

import (
	"net/netip"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/infer"
)

// TestConnectTimesOut: no segment shows that an end has given up on its SYN; its
// connect's return does, and any other error does not.
func TestConnectTimesOut(t *testing.T) {
	server, client := netip.MustParseAddrPort("192.168.12.53:9000"), netip.MustParseAddrPort("192.168.12.1:40000")
	for _, c := range []struct{ err, want string }{
		{"connection timed out", "SYN-SENT → CLOSED by timer retransmit timer"},
		{"no route to host", ""},
	} {
		t.Run(c.err, func(t *testing.T) {
			i := infer.New(infer.Options{Vantage: "server", Stack: "peer"})
			var last string
			feed := func(e tracer.Event) {
				for _, got := range i.Feed(e) {
					s := got.Body.(*tracer.StateChange)
					last = s.From.String() + " → " + s.To.String() + " by " + string(s.Cause.Kind) + " " + s.Cause.What
				}
			}
			feed(tracer.Event{N: 1, Stack: "peer", Conn: 7, Body: &tracer.Call{
				Name: "connect", Phase: tracer.PhaseEnter, Args: []tracer.Arg{{Name: "address", Value: server.String()}}, Bytes: -1,
			}})
			feed(tracer.Event{N: 2, T: time.Millisecond, Stack: "server", Local: server, Remote: client, Body: &tracer.Segment{
				Dir: tracer.In, Flags: tracer.SYN, Seq: 100, Dropped: "impairment: loss",
			}})
			if want := "CLOSED → SYN-SENT by call connect"; last != want {
				t.Fatalf("after the SYN: %q, want %q", last, want)
			}
			last = ""
			feed(tracer.Event{N: 3, T: time.Second, Stack: "peer", Conn: 7, Local: client, Remote: server, Body: &tracer.Call{
				Name: "connect", Phase: tracer.PhaseReturn, Of: 1, Bytes: -1, Error: c.err,
			}})
			if last != c.want {
				t.Errorf("after connect's return: %q, want %q", last, c.want)
			}
		})
	}
}
