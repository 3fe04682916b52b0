package ladder

import (
	"net/netip"
	"time"

	"appliance/tracer"
)

// The two ends of a Talk.
var (
	clientEnd = netip.MustParseAddrPort("192.0.2.1:40000")
	serverEnd = netip.MustParseAddrPort("192.0.2.2:80")
)

// Talk is a connection of two traced ends with that many segments, which cross and get lost
// as pick decides, with calls, states and timers in between: pick(n) is 0 … n-1.
func Talk(segments int, pick func(n int) int) []tracer.Event {
	var events []tracer.Event
	states := [2]tracer.State{}
	add := func(end int, body tracer.Body) {
		e := tracer.Event{
			N: uint64(len(events) + 1), T: time.Duration(len(events)) * 10 * time.Microsecond,
			Stack: "client", Conn: 1, Local: clientEnd, Remote: serverEnd, Body: body,
		}
		if end == 1 {
			e.Stack, e.Conn, e.Local, e.Remote = "server", 2, serverEnd, clientEnd
		}
		events = append(events, e)
	}
	type flying struct {
		to int
		g  tracer.Segment
	}
	var air []flying
	for sent := 0; sent < segments || len(air) > 0; {
		end := pick(2)
		switch what := pick(8); {
		case what < 3 && sent < segments:
			g := tracer.Segment{
				Dir: tracer.Out, Flags: tracer.ACK | tracer.PSH, Seq: uint32(1000 + 10*sent), Ack: 5000,
				HasRel: true, RelSeq: uint32(1 + 10*sent), HasRelAck: true, RelAck: 1, Len: pick(1460), Win: 65535,
			}
			if sent == 0 {
				g.Flags = tracer.SYN
				end = 0
			}
			sent++
			out := g
			add(end, &out)
			if pick(8) > 0 {
				g.Dir = tracer.In
				air = append(air, flying{1 - end, g})
			}
		case what < 6 && len(air) > 0:
			at := pick(len(air))
			f := air[at]
			air = append(air[:at:at], air[at+1:]...)
			add(f.to, &f.g)
		case what == 6:
			next := tracer.State(pick(int(tracer.TimeWait) + 1))
			if next != states[end] {
				add(end, &tracer.StateChange{From: states[end], To: next, Cause: tracer.Cause{Kind: tracer.CauseSegment, What: "ACK of our FIN"}})
				states[end] = next
			}
		case pick(2) == 0:
			add(end, &tracer.Call{Name: "send", Phase: tracer.PhaseEnter, Args: []tracer.Arg{{Name: "bytes", Value: int64(10)}}, Bytes: -1})
		default:
			add(end, &tracer.Timer{Name: "retransmit", What: "fired", RTO: time.Second})
		}
	}
	return events
}
