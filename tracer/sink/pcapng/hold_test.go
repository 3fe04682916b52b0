package pcapng

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
)

// blocksOf is a file's packets and journal entries in their order, each in a line: "packet 3
// server: comment | comment", "journal 4".
func blocksOf(t *testing.T, file []byte) []string {
	t.Helper()
	packets := capture(t, file)
	_, events, err := read(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for in := (blockReader{in: bytes.NewReader(file)}); ; {
		b, err := in.next()
		if err != nil {
			return all
		}
		switch b.typ {
		case blockPacket:
			line := fmt.Sprintf("packet %d %s", events[0].N, packets[0].link)
			if c := packets[0].opts.Comments; len(c) > 0 {
				line += ": " + strings.Join(c, " | ")
			}
			all = append(all, line)
			packets, events = packets[1:], events[1:]
		case blockJournal:
			all = append(all, fmt.Sprintf("journal %d", events[0].N))
			events = events[1:]
		}
	}
}

func change(n, cause uint64, stack string, kind tracer.CauseKind, from, to tracer.State) tracer.Event {
	return packetEvent(n, stack, "", &tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: kind, N: cause, What: "cause"}})
}

// TestEffects: a packet's comments tell the changes that it caused, whatever stands between,
// as long as they come soon.
func TestEffects(t *testing.T) {
	segment := func() tracer.Body { return &tracer.Segment{Flags: tracer.ACK} }
	events := []tracer.Event{
		packetEvent(1, "server", tracer.In, segment()),
		packetEvent(2, "server", tracer.In, segment()),
		packetEvent(3, "server", tracer.Out, segment()),
		change(4, 2, "server", tracer.CauseSegment, tracer.Established, tracer.CloseWait),
		change(5, 3, "server", tracer.CauseCall, tracer.CloseWait, tracer.LastAck), // 3 is no call here
		change(6, 1, "server", tracer.CauseSegment, tracer.LastAck, tracer.Closed),
		change(7, 2, "server", tracer.CauseSegment, tracer.Closed, tracer.Listen),
	}
	want := []string{
		"packet 1 server: server.1 ● LAST-ACK → CLOSED  by cause #1",
		"packet 2 server: server.1 ● ESTABLISHED → CLOSE-WAIT  by cause #2 | server.1 ● CLOSED → LISTEN  by cause #2",
		"packet 3 server", "journal 4", "journal 5", "journal 6", "journal 7",
	}
	for _, run := range []int{1, 2, 100} {
		if diff := cmp.Diff(want, blocksOf(t, write(t, tracer.Header{}, events, run))); diff != "" {
			t.Errorf("in runs of %d (-want +got):\n%s", run, diff)
		}
	}
}

// TestLateEffects: what comes too late is in the journal only.
func TestLateEffects(t *testing.T) {
	many := []tracer.Event{packetEvent(1, "server", tracer.In, &tracer.Segment{})}
	for n := range uint64(holdEvents) {
		many = append(many, packetEvent(n+2, "server", "", &tracer.Timer{}))
	}
	many = append(many, change(holdEvents+2, 1, "server", tracer.CauseSegment, tracer.Listen, tracer.Closed))
	later := change(3, 1, "server", tracer.CauseSegment, tracer.Listen, tracer.Closed)
	between := packetEvent(2, "server", "", &tracer.Timer{})
	between.T, later.T = time.Second, time.Second
	for name, events := range map[string][]tracer.Event{
		"many events between": many,
		"much time between":   {packetEvent(1, "server", tracer.In, &tracer.Segment{}), between, later},
		"never there":         {packetEvent(5, "server", tracer.In, &tracer.Segment{}), change(6, 4, "server", tracer.CauseSegment, tracer.Listen, tracer.Closed)},
	} {
		got := blocksOf(t, write(t, tracer.Header{}, events, 1))
		if len(got) != len(events) || strings.Contains(got[0], ":") {
			t.Errorf("%s: %d blocks of %d events, the first %s", name, len(got), len(events), got[0])
		}
	}
}

// TestRemarks: what the stack noted of a packet is a comment too.
func TestRemarks(t *testing.T) {
	events := []tracer.Event{
		packetEvent(1, "server", tracer.Out, &tracer.Segment{Notes: []string{"retransmission", "piggyback"}, Dropped: "loss", WireSegments: 3}),
		packetEvent(2, "server", tracer.Out, &tracer.Segment{WireSegments: 1}),
	}
	want := []string{"packet 1 server: retransmission, piggyback, 3 segments on the wire, dropped: loss", "packet 2 server"}
	if diff := cmp.Diff(want, blocksOf(t, write(t, tracer.Header{}, events, 9))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTwins: a packet that both ends saw is there once.
func TestTwins(t *testing.T) {
	type seen struct {
		stack   string
		dir     tracer.Direction
		seq     uint32
		dropped string
	}
	far := time.Second // between events, where the first is to be written before the second
	for name, c := range map[string]struct {
		seen []seen
		gap  time.Duration
		want []string
	}{
		"from the first on": {
			[]seen{{"client", tracer.Out, 1, ""}, {"server", tracer.In, 1, ""}, {"server", tracer.Out, 9, ""}, {"client", tracer.In, 9, ""}},
			0,
			[]string{"journal 1", "packet 2 server", "journal 3", "packet 4 client"},
		},
		"over a long line": {
			[]seen{{"client", tracer.Out, 1, ""}, {"client", tracer.Out, 2, ""}, {"server", tracer.In, 1, ""}, {"server", tracer.In, 2, ""}},
			far,
			[]string{"packet 1 client", "packet 2 client", "journal 3", "journal 4"},
		},
		"lost": {
			[]seen{{"client", tracer.Out, 1, "loss"}, {"client", tracer.Out, 1, ""}, {"server", tracer.In, 1, ""}, {"server", tracer.Out, 9, "loss"}},
			0,
			[]string{"packet 1 client: dropped: loss", "journal 2", "packet 3 server", "packet 4 server: dropped: loss"},
		},
		"lost on arrival": {
			[]seen{{"client", tracer.Out, 1, ""}, {"server", tracer.In, 1, "loss"}, {"client", tracer.Out, 1, ""}, {"server", tracer.In, 1, ""}},
			0,
			[]string{"journal 1", "packet 2 server: dropped: loss", "journal 3", "packet 4 server"},
		},
		"duplicated": {
			[]seen{{"client", tracer.Out, 1, ""}, {"server", tracer.In, 1, ""}, {"server", tracer.In, 1, ""}},
			0,
			[]string{"journal 1", "packet 2 server", "packet 3 server"},
		},
		"one end": {
			[]seen{{"client", tracer.Out, 1, ""}, {"client", tracer.In, 9, ""}, {"client", tracer.Out, 2, ""}},
			0,
			[]string{"packet 1 client", "packet 2 client", "packet 3 client"},
		},
		"from the middle on": {
			[]seen{{"server", tracer.In, 1, ""}, {"server", tracer.Out, 9, ""}, {"client", tracer.In, 9, ""}, {"client", tracer.Out, 2, ""}, {"server", tracer.In, 2, ""}},
			0,
			[]string{"packet 1 server", "packet 2 server", "packet 3 client", "journal 4", "packet 5 server"},
		},
	} {
		var events []tracer.Event
		for i, s := range c.seen {
			e := packetEvent(uint64(i)+1, s.stack, s.dir, &tracer.Segment{Seq: s.seq, Dropped: s.dropped})
			e.T += c.gap * time.Duration(i)
			events = append(events, e)
		}
		if diff := cmp.Diff(c.want, blocksOf(t, write(t, tracer.Header{}, events, 1))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestRecentStaysBounded: a flood from ever new addresses costs no more memory.
func TestRecentStaysBounded(t *testing.T) {
	s := newTwins()
	c := newEncoder("")
	for i := range uint32(300_000) {
		e := packetEvent(uint64(i)+1, "server", tracer.In, &tracer.Segment{Flags: tracer.SYN})
		e.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1024)
		p, ok := packetOf(&e)
		if !ok {
			t.Fatal("no packet")
		}
		s.judge(&e, &p, uint64(i), func(uint64) bool { return false })
		c.scales.window(&e, e.Body.(*tracer.Segment))
	}
	if n := len(s.traced.cur) + len(s.traced.old); n > 2*maxFlows {
		t.Errorf("%d ends kept", n)
	}
	if n := len(c.scales.flows.cur) + len(c.scales.flows.old); n > 2*maxFlows {
		t.Errorf("%d connections kept", n)
	}
	if traced, _ := s.traced.get(serverEnd); !traced {
		t.Error("the end in use all the time was forgotten")
	}
}
