package graph

import (
	"slices"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/view/draw/drawtest"
)

// TestLostAfterDuplicate: what comes twice by the link's doing was sent once, and a loss after
// it is of the sending after it.
func TestLostAfterDuplicate(t *testing.T) {
	m := &maker{}
	m.seg(0, 1, tracer.Out, 1, 1, 100)
	m.seg(1*ms, 2, tracer.In, 1, 1, 100, "duplicated")
	m.seg(1*ms, 2, tracer.In, 1, 1, 100, "retransmission", "duplicate")
	m.seg(2*ms, 1, tracer.Out, 1, 1, 100, "retransmission")
	m.seg(3*ms, 2, tracer.In, 1, 1, 100).Dropped = "impairment: loss"
	trace := m.trace()
	f := choose(trace, trace.Conn(1), tracer.Out)
	if len(f.segs) != 2 || f.segs[0].lost || !f.segs[1].lost {
		t.Errorf("%+v", f.segs)
	}
}

// TestNothingThisWay: where a trace has nothing of a direction, the graphs of it have their
// axes and say so.
func TestNothingThisWay(t *testing.T) {
	const nothing = "nothing to draw: no data went this way, and no ACK of any came back"
	syn := func(m *maker, at time.Duration, conn uint32, dir tracer.Direction) {
		m.seg(at, conn, dir, 0, 0, 0).Flags = tracer.SYN
	}
	for _, c := range []struct {
		name  string
		make  func(m *maker)
		conn  uint32
		dir   tracer.Direction
		empty tracer.Direction // the direction of which there is nothing
	}{
		{"refused", func(m *maker) {
			syn(m, 0, 1, tracer.Out)
			m.seg(0, 1, tracer.In, 0, 1, 0).Flags = tracer.RST | tracer.ACK
		}, 1, tracer.In, tracer.In},
		{"only SYNs", func(m *maker) {
			syn(m, 0, 1, tracer.Out)
			syn(m, 1000*ms, 1, tracer.Out)
		}, 1, tracer.In, tracer.In},
		{"a SYN, as its receiver saw it", func(m *maker) {
			syn(m, 0, 2, tracer.In)
		}, 2, tracer.Out, tracer.Out},
		{"cut off after LISTEN → SYN-RECEIVED", func(m *maker) {
			syn(m, 0, 1, tracer.In)
			e := &m.events[0]
			m.events = append(m.events, tracer.Event{
				N: 2, Stack: e.Stack, Conn: 2, Parent: 1, Local: e.Local, Remote: e.Remote,
				Body: &tracer.StateChange{From: tracer.Listen, To: tracer.SynReceived},
			})
		}, 2, tracer.Out, tracer.Out},
		{"only SYN-ACKs", func(m *maker) {
			m.seg(0, 2, tracer.Out, 0, 1, 0).Flags = tracer.SYN | tracer.ACK
			m.seg(1000*ms, 2, tracer.Out, 0, 1, 0).Flags = tracer.SYN | tracer.ACK
		}, 2, tracer.In, ""}, // they acknowledge what came in
	} {
		for _, kind := range Kinds() {
			m := &maker{}
			c.make(m)
			trace := m.trace()
			p, _ := svgOf(t, trace, trace.Conn(c.conn), Options{Dir: c.dir, Kinds: []Kind{kind}})
			for _, problem := range p.Problems(nil) {
				t.Errorf("%s, %s: %s", c.name, kind, problem)
			}
			axes := slices.ContainsFunc(p.Shapes, func(s drawtest.Shape) bool { return s.Tag == "line" && s.Has("l-axis") })
			said := slices.ContainsFunc(p.Texts(), func(s drawtest.Shape) bool { return s.Text == nothing })
			want := c.empty != "" && (kind == Sequence || kind == Window) // the others have words of their own
			if said != want || want && !axes {
				t.Errorf("%s, %s: it says that there is nothing: %v, with axes: %v", c.name, kind, said, axes)
			}
		}
	}
}

// TestSeenBefore: at the receiver a retransmission is told by bytes that were seen before,
// dropped or not; what the link made two of was sent once.
func TestSeenBefore(t *testing.T) {
	const why = `impairment: rule "drop in payload>0 nth=3-4"`
	type segment struct {
		seq, len int
		dropped  string
		notes    []string
	}
	for _, c := range []struct {
		name        string
		segs        []segment
		kinds       []kind
		sent, again int64
	}{
		{
			"dropped and repeated in order",
			[]segment{{seq: 1, len: 100}, {101, 100, why, nil}, {201, 100, why, nil}, {301, 100, "", []string{"out-of-order"}}, {seq: 101, len: 100}, {seq: 201, len: 100}},
			[]kind{fresh, fresh, fresh, late, repeat, repeat},
			600, 200,
		},
		{
			"the second is repeated first",
			[]segment{{101, 100, why, nil}, {201, 100, why, nil}, {301, 100, "", []string{"out-of-order"}}, {201, 100, "", []string{"out-of-order"}}, {seq: 101, len: 100}},
			[]kind{fresh, fresh, late, repeat, repeat},
			500, 200,
		},
		{
			"both are repeated in one segment",
			[]segment{{1, 100, why, nil}, {101, 100, why, nil}, {seq: 1, len: 200}},
			[]kind{fresh, fresh, repeat},
			400, 200,
		},
		{
			"dropped twice",
			[]segment{{1, 100, why, nil}, {1, 100, why, nil}, {seq: 1, len: 100}},
			[]kind{fresh, repeat, repeat},
			300, 200,
		},
		{
			"lost on the way: these bytes come for the first time",
			[]segment{{seq: 1, len: 100}, {201, 100, "", []string{"out-of-order"}}, {seq: 101, len: 100}},
			[]kind{fresh, late, fresh},
			300, 0,
		},
		{
			"reordered",
			[]segment{{101, 100, "", []string{"out-of-order"}}, {1, 100, "", []string{"reordered"}}},
			[]kind{late, fresh},
			200, 0,
		},
		{
			"a duplicate",
			[]segment{{1, 100, "", []string{"duplicated"}}, {1, 100, "", []string{"retransmission", "duplicate"}}},
			[]kind{fresh, copied},
			100, 0,
		},
		{
			"a retransmission and its duplicate",
			[]segment{{1, 100, why, nil}, {1, 100, "", []string{"duplicated"}}, {1, 100, "", []string{"retransmission", "duplicate"}}},
			[]kind{fresh, repeat, copied},
			200, 100,
		},
	} {
		m := &maker{}
		for i, s := range c.segs {
			m.seg(time.Duration(i)*ms, 2, tracer.In, s.seq, 1, s.len, s.notes...).Dropped = s.dropped
		}
		trace := m.trace()
		f := choose(trace, trace.Conn(2), tracer.In)
		var got []kind
		for i := range f.segs {
			got = append(got, f.segs[i].kind)
		}
		pg := page{flow: f}
		if sent, again := payload(f.segs), pg.again(); !slices.Equal(got, c.kinds) || sent != c.sent || again != c.again {
			t.Errorf("%s: kinds %v, sent %d, again %d, want %v, %d, %d", c.name, got, sent, again, c.kinds, c.sent, c.again)
		}
		p, _ := svgOf(t, trace, trace.Conn(2), Options{Dir: tracer.In})
		checkData(t, c.name, trace, trace.Conn(2), tracer.In, p)
	}
}
