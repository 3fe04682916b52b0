package report

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"appliance/tracer"
	"appliance/tracer/view"
)

// talk makes traces for the tests.
type talk struct {
	events []tracer.Event
	conns  uint32
	words  string // payload, and what other texts out of a trace may hold
}

var server = netip.MustParseAddrPort("192.168.12.53:9000")

// end is one end of a connection while it talks.
type end struct {
	stack         string
	conn, parent  uint32
	local, remote netip.AddrPort
}

func (k *talk) add(e end, after time.Duration, body tracer.Body) uint64 {
	n := uint64(len(k.events) + 1)
	at := after
	if n > 1 {
		at += k.events[n-2].T
	}
	k.events = append(k.events, tracer.Event{
		N: n, T: at, Stack: e.stack, Conn: e.conn, Parent: e.parent, Local: e.local, Remote: e.remote, Body: body,
	})
	return n
}

func (k *talk) listen() end {
	k.conns++
	l := end{stack: "server", conn: k.conns, local: server}
	call := k.add(l, 0, &tracer.Call{Name: "listen", Phase: tracer.PhaseEnter, Bytes: -1, Args: []tracer.Arg{{Name: "backlog", Value: int64(128)}}})
	k.state(l, tracer.Closed, tracer.Listen, tracer.CauseCall, call, "listen")
	k.add(l, 1000, &tracer.Call{Name: "listen", Phase: tracer.PhaseReturn, Of: call, Bytes: -1, Took: 1000})
	return l
}

func (k *talk) state(e end, from, to tracer.State, kind tracer.CauseKind, n uint64, what string) {
	k.add(e, 2000, &tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: kind, N: n, What: what}, Via: "probe", RFC: "3.10.7.4", Dwell: 5000})
}

// segment lets a segment leave one end and come to the other; it returns the number of its
// arrival.
func (k *talk) segment(from, to end, flags tracer.Flags, seq, ack uint32, size int, notes ...string) (in uint64) {
	own, peer := uint32(5000), uint32(9000) // the initial sequence numbers
	if from.parent != 0 {
		own, peer = peer, own
	}
	s := tracer.Segment{
		Dir: tracer.Out, Flags: flags, Seq: own + seq, Ack: peer + ack, HasRel: true, RelSeq: seq,
		HasRelAck: flags.Has(tracer.ACK), RelAck: ack, Len: size, Win: 65535, Notes: notes,
	}
	k.add(from, 3000, &s)
	arrived := s
	arrived.Dir, arrived.Notes = tracer.In, nil
	return k.add(to, 40_000, &arrived)
}

// connect opens a connection to the listener.
func (k *talk) connect(l end) (client, child end) {
	k.conns += 2
	from := netip.AddrPortFrom(netip.MustParseAddr("192.168.12.1"), uint16(40000+k.conns%20000))
	client = end{stack: "client", conn: k.conns - 1, local: from, remote: server}
	child = end{stack: "server", conn: k.conns, parent: l.conn, local: server, remote: from}
	call := k.add(client, 10_000, &tracer.Call{Name: "connect", Phase: tracer.PhaseEnter, Bytes: -1, Args: []tracer.Arg{{Name: "addr", Value: server.String()}}})
	k.state(client, tracer.Closed, tracer.SynSent, tracer.CauseCall, call, "connect")
	syn := k.segment(client, child, tracer.SYN, 0, 0, 0)
	k.state(child, tracer.Listen, tracer.SynReceived, tracer.CauseSegment, syn, "SYN")
	both := k.segment(child, client, tracer.SYN|tracer.ACK, 0, 1, 0)
	k.state(client, tracer.SynSent, tracer.Established, tracer.CauseSegment, both, "SYN ACK")
	ack := k.segment(client, child, tracer.ACK, 1, 1, 0)
	k.state(child, tracer.SynReceived, tracer.Established, tracer.CauseSegment, ack, "ACK of our SYN")
	k.add(client, 500, &tracer.Call{Name: "connect", Phase: tracer.PhaseReturn, Of: call, Bytes: -1, Took: 90_000})
	return client, child
}

// send lets n segments of data go from one end to the other, each acknowledged; every
// twentieth is lost at first.
func (k *talk) send(from, to end, n int) {
	seq := uint32(1)
	for i := range n {
		call := k.add(from, 20_000, &tracer.Call{Name: "send", Phase: tracer.PhaseEnter, Bytes: -1, Args: []tracer.Arg{
			{Name: "n", Value: int64(1000)}, {Name: "data", Value: fmt.Sprintf("%s %d…", k.words, i)},
		}})
		if i%20 == 19 {
			k.add(from, 3000, &tracer.Segment{
				Dir: tracer.Out, Flags: tracer.PSH | tracer.ACK, Seq: 5000 + seq, Ack: 9001, HasRel: true, RelSeq: seq,
				HasRelAck: true, RelAck: 1, Len: 1000, Win: 65535, Dropped: "impairment: drop",
			})
			k.add(from, 200*time.Millisecond, &tracer.Timer{Name: "retransmit", What: "fired", RTO: 200 * time.Millisecond})
			k.segment(from, to, tracer.PSH|tracer.ACK, seq, 1, 1000, "retransmission")
		} else {
			k.segment(from, to, tracer.PSH|tracer.ACK, seq, 1, 1000)
		}
		seq += 1000
		in := k.segment(to, from, tracer.ACK, 1, seq, 0)
		k.add(from, 100, &tracer.TCB{After: in, Vars: []tracer.TCBVar{{Name: "cwnd", Value: int64(14600 + 100*i)}, {Name: "srtt_ns", Value: 86_000}}})
		k.add(from, 1000, &tracer.Call{Name: "send", Phase: tracer.PhaseReturn, Of: call, Bytes: 1000, Took: 100_000})
	}
}

// reset ends a connection from its first end.
func (k *talk) reset(from, to end, why string) {
	sum := func(e end) tracer.End {
		var x tracer.End
		for i := range k.events {
			g, ok := k.events[i].Body.(*tracer.Segment)
			switch {
			case !ok || k.events[i].Conn != e.conn:
			case g.Dir == tracer.Out:
				x.SegmentsOut++
				if slices.Contains(g.Notes, "retransmission") {
					x.Retransmits++
				} else {
					x.BytesOut += uint64(g.Len)
				}
			default:
				x.SegmentsIn++
				x.BytesIn += uint64(g.Len)
			}
			if k.events[i].Conn == e.conn && x.Opened == 0 {
				x.Opened = k.events[i].T
			}
		}
		x.Duration = k.events[len(k.events)-1].T - x.Opened
		return x
	}
	call := k.add(from, 10_000, &tracer.Call{Name: "close", Phase: tracer.PhaseEnter, Bytes: -1})
	in := k.segment(from, to, tracer.RST|tracer.ACK, 1, 1, 0)
	k.state(from, tracer.Established, tracer.Closed, tracer.CauseCall, call, "close")
	k.add(to, 1000, &tracer.StateChange{
		From: tracer.Established, To: tracer.Closed, Cause: tracer.Cause{Kind: tracer.CauseSegment, N: in, What: "RST"}, Error: why,
	})
	here, there := sum(from), sum(to)
	here.Role, here.How, there.Role, there.How = tracer.Active, tracer.HowAborted, tracer.Passive, tracer.HowReset
	k.add(from, 1000, &here)
	k.add(to, 1000, &there)
}

var header = tracer.Header{
	Started: time.Date(2026, 11, 20, 21, 6, 0, 123456789, time.UTC), Appliance: "v0.5", GVisor: "v0.0.0-20260905035102-160fafc42237", Go: "go1.26.3",
	Link: tracer.LinkInfo{Kind: "veth", Name: "app0", MTU: 1500, Peer: "host0"},
	TCP:  tracer.TCPInfo{Congestion: "cubic", SACK: true, MSS: 1460, MSL: time.Minute},
}

// conversation is a trace of one connection with that many segments of data.
func conversation(segments int) *view.Trace {
	k := talk{words: "hello"}
	client, child := k.connect(k.listen())
	k.send(client, child, segments)
	k.reset(client, child, "connection reset by peer")
	return view.New(header, k.events)
}

// crowd is a trace of many short connections.
func crowd(connections int) *view.Trace {
	k := talk{words: "hello"}
	l := k.listen()
	for range connections {
		client, child := k.connect(l)
		k.send(client, child, 2)
		k.reset(client, child, "connection reset by peer")
	}
	return view.New(header, k.events)
}
