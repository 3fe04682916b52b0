package tracertest

import (
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
)

// DrawTrace draws the events of a trace that looks like one: numbers and times rise, there
// are few connections, addresses, states and notes, so that they meet; causes and calls
// name events before them, as a rule. It need not make sense as TCP.
func DrawTrace(t *rapid.T) []tracer.Event {
	n := rapid.IntRange(0, 60).Draw(t, "events")
	events := make([]tracer.Event, 0, n)
	at := time.Duration(0)
	number := uint64(0)
	for range n {
		number++
		at += time.Duration(rapid.IntRange(0, 1000).Draw(t, "dt")) * time.Microsecond
		e := tracer.Event{
			N: number, T: at,
			Stack: rapid.SampledFrom([]string{"server", "client"}).Draw(t, "stack"),
			Conn:  rapid.Uint32Range(0, 5).Draw(t, "conn"),
		}
		if e.Conn > 3 {
			e.Parent = 1
		}
		if rapid.IntRange(0, 4).Draw(t, "bound") > 0 {
			e.Local, e.Remote = drawEnd(t, "local"), drawEnd(t, "remote")
		}
		e.Body = drawBody(t, number)
		if l, ok := e.Body.(*tracer.Lost); ok {
			e.Conn, e.Parent = 0, 0
			number += l.Missed - 1
		}
		events = append(events, e)
	}
	return events
}

func drawEnd(t *rapid.T, label string) netip.AddrPort {
	return netip.MustParseAddrPort(rapid.SampledFrom([]string{
		"192.0.2.1:80", "192.0.2.2:4000", "[fd00::1]:80", "[fe80::2%eth0]:4000",
	}).Draw(t, label))
}

// drawBody draws what event n tells.
func drawBody(t *rapid.T, n uint64) tracer.Body {
	before := func(label string) uint64 { return rapid.Uint64Range(0, n).Draw(t, label) }
	pick := func(label string, words ...string) string { return rapid.SampledFrom(words).Draw(t, label) }
	dir := tracer.Direction(pick("dir", "in", "out"))
	var notes []string
	if note := pick("note", "", "", "retransmission", "dup-ack", "delayed 40ms", "window-probe"); note != "" {
		notes = []string{note}
	}
	dropped := pick("dropped", "", "", "", "impairment: loss")
	state := func(label string) tracer.State {
		return tracer.State(rapid.IntRange(int(tracer.Closed), int(tracer.TimeWait)).Draw(t, label))
	}
	switch rapid.IntRange(0, 12).Draw(t, "body") {
	case 0, 1:
		c := &tracer.Call{Name: pick("call", "connect", "send", "recv", "close", "accept", "bind"), Bytes: -1, Phase: tracer.PhaseEnter}
		switch {
		case rapid.Bool().Draw(t, "returns"):
			c.Phase, c.Of, c.Bytes = tracer.PhaseReturn, before("of"), rapid.IntRange(-1, 50).Draw(t, "bytes")
			c.Conn = rapid.Uint32Range(0, 5).Draw(t, "result conn")
		case c.Name == "send":
			c.Args = SendBytes(rapid.Int64Range(0, 100).Draw(t, "sends"))
		}
		return c
	case 2, 3, 4, 5, 6:
		g := &tracer.Segment{
			Dir: dir, Flags: tracer.Flags(rapid.Uint8().Draw(t, "flags")), Seq: rapid.Uint32Range(1000, 1100).Draw(t, "seq"),
			Ack: rapid.Uint32Range(1000, 1100).Draw(t, "ack"), Len: rapid.IntRange(0, 30).Draw(t, "len"), Notes: notes, Dropped: dropped,
		}
		if g.HasRel = rapid.Bool().Draw(t, "rel"); g.HasRel {
			g.RelSeq = g.Seq - 1000
		}
		return g
	case 7, 8:
		return &tracer.StateChange{From: state("from"), To: state("to"), Cause: tracer.Cause{Kind: tracer.CauseSegment, N: before("cause"), What: "SYN"}}
	case 9:
		return &tracer.TCB{After: before("after"), Vars: []tracer.TCBVar{{Name: "cwnd", Value: 10}}}
	case 10:
		return &tracer.Timer{Name: pick("timer", "retransmit", "time-wait"), What: "fired"}
	case 11:
		return &tracer.End{
			Role: tracer.Role(pick("role", "active", "passive", "")), Duration: time.Second, How: tracer.How(pick("how", "fin", "reset")),
			BytesIn: 7, BytesOut: 11, SegmentsIn: 3, SegmentsOut: 5, Retransmits: 1,
		}
	default:
		if rapid.Bool().Draw(t, "lost") {
			return &tracer.Lost{Missed: rapid.Uint64Range(1, 5).Draw(t, "missed")}
		}
		return &tracer.Datagram{Dir: dir, Len: rapid.IntRange(0, 3).Draw(t, "len"), Notes: notes, Dropped: dropped}
	}
}

// SendBytes are a send's arguments where its bytes do not matter.
func SendBytes(n int64) []tracer.Arg { return []tracer.Arg{{Name: "bytes", Value: n}} }
