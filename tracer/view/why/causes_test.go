package why

import (
	"net/netip"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
)

var (
	near = netip.MustParseAddrPort("192.168.12.53:9000")
	far  = netip.MustParseAddrPort("192.168.12.1:40000")
)

// came and went are segments at one end.
func came(flags tracer.Flags, seq, ack uint32, length int, notes ...string) tracer.Body {
	return &tracer.Segment{Dir: tracer.In, Flags: flags, Seq: seq, Ack: ack, Len: length, Win: 1000, Notes: notes}
}

func went(flags tracer.Flags, seq, ack uint32, length int, notes ...string) tracer.Body {
	g := &tracer.Segment{Dir: tracer.Out, Flags: flags, Seq: seq, Ack: ack, Len: length, Win: 1000, Notes: notes}
	g.HasRel, g.RelSeq = true, seq-500
	return g
}

func change(from, to tracer.State, kind tracer.CauseKind, n uint64, via string) tracer.Body {
	return &tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: kind, N: n}, Via: via}
}

func enter(name string, args ...tracer.Arg) tracer.Body {
	return &tracer.Call{Name: name, Phase: tracer.PhaseEnter, Args: args}
}

func returned(of uint64, name string, bytes int) tracer.Body {
	return &tracer.Call{Name: name, Phase: tracer.PhaseReturn, Of: of, Bytes: bytes}
}

func sending(bytes int64) tracer.Body {
	return enter("send", tracer.Arg{Name: "bytes", Value: bytes})
}

func fired(name string) tracer.Body { return &tracer.Timer{Name: name, What: "fired"} }

// TestDeductions: what caused the last event, where it must have, and 0 where it may have been
// something else. The connection's peer has the numbers from 100 on, its own end those from 500.
func TestDeductions(t *testing.T) {
	const ack = tracer.ACK
	inside := change(tracer.Listen, tracer.SynReceived, tracer.CauseSegment, 0, "call")
	outside := change(tracer.Listen, tracer.SynReceived, tracer.CauseSegment, 0, "inferred")
	established := []tracer.Body{inside, went(ack, 501, 101, 0)} // 1, 2
	onWire := []tracer.Body{outside, went(ack, 501, 101, 0)}     // 1, 2
	for name, c := range map[string]struct {
		before, events []tracer.Body
		want           uint64
	}{
		"a retransmission after the timer":                {established, []tracer.Body{sending(10), went(ack, 501, 101, 10), fired("retransmit"), went(ack, 501, 101, 10, "retransmission")}, 5},
		"and once more":                                   {established, []tracer.Body{fired("retransmit"), went(ack, 501, 101, 10, "retransmission"), went(ack, 511, 101, 10, "retransmission")}, 3},
		"after new data":                                  {established, []tracer.Body{fired("retransmit"), went(ack, 501, 101, 10), went(ack, 501, 101, 10, "retransmission")}, 0},
		"after the timer and a segment":                   {established, []tracer.Body{fired("retransmit"), came(ack, 101, 501, 0), went(ack, 501, 101, 10, "retransmission")}, 0},
		"after a segment":                                 {established, []tracer.Body{came(ack, 101, 501, 0), went(ack, 501, 101, 10, "retransmission")}, 3},
		"after a segment and a send":                      {established, []tracer.Body{came(ack, 101, 501, 0), sending(3), went(ack, 501, 101, 10, "retransmission")}, 0},
		"after two segments":                              {established, []tracer.Body{came(ack, 101, 501, 0), came(ack, 101, 501, 0), went(ack, 501, 101, 10, "retransmission")}, 0},
		"of which one was read":                           {established, []tracer.Body{came(ack, 101, 501, 0), came(ack, 101, 501, 0), &tracer.TCB{After: 3}, went(ack, 501, 101, 10, "retransmission")}, 4},
		"a fast one":                                      {established, []tracer.Body{came(ack, 101, 501, 0), went(ack, 501, 101, 10, "retransmission", "fast-retransmit")}, 3},
		"a probe by another timer":                        {established, []tracer.Body{fired("retransmit"), went(ack, 501, 101, 10, "retransmission", "tail-loss-probe")}, 0},
		"a retransmission on the wire":                    {onWire, []tracer.Body{went(ack, 501, 101, 10), came(ack, 101, 501, 0), went(ack, 501, 101, 10, "retransmission")}, 0},
		"a fast one on the wire":                          {onWire, []tracer.Body{went(ack, 501, 101, 10), came(ack, 101, 501, 0), went(ack, 501, 101, 10, "retransmission", "fast-retransmit")}, 0},
		"data on the wire":                                {onWire, []tracer.Body{came(ack, 101, 501, 0), went(ack, 501, 101, 10)}, 0},
		"data that no send had":                           {established, []tracer.Body{sending(10), returned(3, "send", 4), went(ack, 505, 101, 3)}, 0},
		"data of a send":                                  {established, []tracer.Body{sending(10), returned(3, "send", 4), sending(5), went(ack, 505, 101, 3)}, 5},
		"data of sends that were called at once":          {established, []tracer.Body{sending(10), sending(5), went(ack, 501, 101, 3)}, 0},
		"data behind lost events":                         {established, []tracer.Body{&tracer.Lost{Missed: 1}, sending(10), went(ack, 501, 101, 3)}, 0},
		"FIN by the first close":                          {established, []tracer.Body{enter("shutdown", tracer.Arg{Name: "how", Value: "SHUT_RD"}), enter("shutdown", tracer.Arg{Name: "how", Value: "SHUT_WR"}), enter("close"), went(ack|tracer.FIN, 501, 101, 0)}, 4},
		"ACK of the segment that fills the hole":          {established, []tracer.Body{came(ack, 111, 501, 10), came(ack, 101, 501, 10), went(ack, 501, 121, 0)}, 4},
		"the hole is there":                               {established, []tracer.Body{came(ack, 111, 501, 10), went(ack, 501, 101, 0, "dup-ack")}, 3},
		"one of two holes":                                {established, []tracer.Body{came(ack, 111, 501, 10), came(ack, 131, 501, 10), went(ack, 501, 101, 0, "dup-ack")}, 0},
		"an ACK that nothing asks for":                    {established, []tracer.Body{came(ack, 101, 501, 0), went(ack, 501, 101, 0, "dup-ack")}, 0},
		"the answer to a keepalive":                       {established, []tracer.Body{came(ack, 100, 501, 0), went(ack, 501, 101, 0)}, 3},
		"a keepalive":                                     {established, []tracer.Body{came(ack, 101, 501, 0), fired("keepalive"), went(ack, 500, 101, 0, "keepalive")}, 4},
		"a keepalive on the wire":                         {onWire, []tracer.Body{came(ack, 101, 501, 0), went(ack, 500, 101, 0)}, 0},
		"ACK on the wire":                                 {onWire, []tracer.Body{came(ack, 101, 501, 10), went(ack, 501, 111, 0)}, 3},
		"ACK on the wire, where something was lost":       {onWire, []tracer.Body{came(ack, 101, 501, 10), came(ack, 111, 501, 10), went(ack, 501, 101, 0, "dup-ack"), came(ack, 101, 501, 10, "retransmission"), went(ack, 501, 121, 0)}, 0},
		"ACK of a segment that came twice":                {established, []tracer.Body{came(ack, 101, 501, 10), came(ack, 101, 501, 10), went(ack, 501, 111, 0)}, 0},
		"a window by recv":                                {established, []tracer.Body{came(ack, 101, 501, 0), enter("recv"), went(ack, 501, 101, 0, "window-update")}, 4},
		"a window, the recv is over":                      {established, []tracer.Body{enter("recv"), returned(3, "recv", 1), went(ack, 501, 101, 0, "window-update")}, 0},
		"a window with a segment to answer":               {established, []tracer.Body{came(ack, 111, 501, 10), enter("recv"), went(ack, 501, 101, 0, "window-update")}, 0},
		"RST by a call":                                   {established, []tracer.Body{enter("close"), change(tracer.Established, tracer.Closed, tracer.CauseCall, 3, "call"), went(tracer.RST|ack, 501, 101, 0)}, 3},
		"RST that nothing tells of":                       {established, []tracer.Body{enter("close"), came(ack, 101, 501, 0), went(tracer.RST|ack, 501, 101, 0)}, 0},
		"RST that answers":                                {established, []tracer.Body{came(ack, 101, 777, 0), went(tracer.RST, 777, 0, 0)}, 3},
		"RST on the wire, which may be the program's":     {onWire, []tracer.Body{came(ack, 101, 501, 0), went(tracer.RST, 501, 0, 0)}, 0},
		"RST that refuses, on the wire":                   {nil, []tracer.Body{came(tracer.SYN, 100, 0, 0), went(tracer.RST|ack, 0, 101, 0)}, 1},
		"SYN ACK of another SYN":                          {nil, []tracer.Body{came(tracer.SYN, 100, 0, 0), went(tracer.SYN|ack, 500, 99, 0)}, 0},
		"SYN ACK":                                         {nil, []tracer.Body{came(tracer.SYN, 100, 0, 0), went(tracer.SYN|ack, 500, 101, 0)}, 1},
		"a SYN that crosses, and its SYN ACK's answer":    {established[:1], []tracer.Body{came(tracer.SYN, 100, 0, 0), went(tracer.SYN|ack, 500, 101, 0), came(tracer.SYN|ack, 100, 501, 0), went(ack, 501, 101, 0)}, 4},
		"a datagram of one of two sends":                  {nil, []tracer.Body{sending(5), sending(5), &tracer.Datagram{Dir: tracer.Out, Len: 5}}, 0},
		"a datagram of the send of its length":            {nil, []tracer.Body{sending(5), sending(6), &tracer.Datagram{Dir: tracer.Out, Len: 5}}, 1},
		"an echo reply":                                   {nil, []tracer.Body{&tracer.ICMP{Dir: tracer.In, Name: echoRequest, Len: 9}, &tracer.Datagram{Dir: tracer.In, Len: 5}, &tracer.ICMP{Dir: tracer.Out, Name: echoReply, Len: 9}}, 1},
		"an error about a datagram":                       {nil, []tracer.Body{&tracer.Datagram{Dir: tracer.In, Len: 5}, &tracer.ICMP{Dir: tracer.In, Name: echoRequest, Len: 9}, &tracer.ICMP{Dir: tracer.Out, Name: "destination unreachable: port", Len: 9}}, 1},
		"an error about one of two datagrams":             {nil, []tracer.Body{&tracer.Datagram{Dir: tracer.In, Len: 5}, &tracer.Datagram{Dir: tracer.In, Len: 5}, &tracer.ICMP{Dir: tracer.Out, Name: "destination unreachable: port", Len: 9}}, 0},
		"an echo request of its own after another packet": {nil, []tracer.Body{&tracer.Datagram{Dir: tracer.In, Len: 5}, &tracer.ICMP{Dir: tracer.Out, Name: echoRequest, Len: 9}}, 0},
	} {
		var events []tracer.Event
		for i, b := range append(append([]tracer.Body{}, c.before...), c.events...) {
			e := tracer.Event{N: uint64(i) + 1, T: time.Duration(i), Stack: "server", Local: near, Remote: far, Body: b} //nolint:gosec // small
			if c.before != nil {
				e.Conn = 1
			}
			events = append(events, e)
		}
		if got, _, _ := New(view.New(tracer.Header{}, events)).Cause(uint64(len(events))); got != c.want {
			t.Errorf("%s: #%d, want #%d", name, got, c.want)
		}
	}
}

// TestRSTFirst: a RST that stands before the change of state has that one's cause.
func TestRSTFirst(t *testing.T) {
	events := []tracer.Event{
		{N: 1, Body: enter("close")},
		{N: 2, Body: went(tracer.RST|tracer.ACK, 501, 101, 0)},
		{N: 3, Body: change(tracer.Established, tracer.Closed, tracer.CauseCall, 1, "call")},
	}
	for i := range events {
		events[i].Stack, events[i].Conn, events[i].Local, events[i].Remote = "server", 1, near, far
	}
	if got, link, _ := New(view.New(tracer.Header{}, events)).Cause(2); got != 1 || link != Deduced {
		t.Errorf("#%d, %s", got, link)
	}
}
