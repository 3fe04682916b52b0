package graph

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
	"appliance/tracer/view/draw/drawtest"
	"appliance/tracer/view/words"
)

// traces is where the traces of the documented sequences are.
const traces = "../../sequence/testdata/match"

func load(t testing.TB, path string) *view.Trace {
	t.Helper()
	h, events := tracertest.Read(t, path)
	return view.New(h, events)
}

// svgOf draws and reads back.
func svgOf(t interface {
	Helper()
	Fatal(...any)
}, trace *view.Trace, c *view.Conn, o Options,
) (*drawtest.Picture, int) {
	t.Helper()
	var b bytes.Buffer
	if err := SVG(&b, trace, c, o); err != nil {
		t.Fatal(err)
	}
	p, err := drawtest.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p, b.Len()
}

// TestSequences draws every connection of every sequence's trace both ways: each picture is
// whole, and each segment of data has its mark.
func TestSequences(t *testing.T) {
	files, err := filepath.Glob(traces + "/*.jsonl")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	drawn := 0
	for _, path := range files {
		trace := load(t, path)
		for _, c := range trace.Conns {
			if c.Listener || c.UDP {
				continue
			}
			for _, dir := range []tracer.Direction{tracer.Out, tracer.In} {
				pair, _ := trace.PairOf(c.ID)
				if peer := pair.Other(c); !c.Segments && (peer == nil || !peer.Segments) {
					continue // an error: see TestNothing
				}
				name := fmt.Sprintf("%s, connection %d %s", filepath.Base(path), c.ID, dir)
				for _, lang := range []words.Lang{words.English, words.Chinese} {
					p, _ := svgOf(t, trace, c, Options{Dir: dir, Lang: lang})
					for _, problem := range p.Problems(nil) {
						t.Errorf("%s: %s", name, problem)
					}
					checkData(t, name, trace, c, dir, p)
				}
				drawn++
			}
		}
	}
	if drawn < 100 {
		t.Errorf("only %d were drawn", drawn)
	}
}

type failer interface {
	Helper()
	Errorf(string, ...any)
}

// checkData holds that each segment of data is drawn where it belongs, and each repeated
// one and each loss by itself.
func checkData(t failer, name string, trace *view.Trace, c *view.Conn, dir tracer.Direction, p *drawtest.Picture) {
	t.Helper()
	f := choose(trace, c, dir)
	var bars, lost []drawtest.Shape
	repeats := map[uint64]int{}
	for _, s := range p.Shapes {
		switch {
		case s.Tag == "line" && s.Has("l-data") && s.Has("sequence"):
			bars = append(bars, s)
			if s.Has("l-repeat") {
				repeats[s.N]++
			}
		case s.Tag == "line" && s.Has("lost"):
			lost = append(lost, s)
		}
	}
	pg := page{flow: f}
	pg.clock(Kinds())
	chart := pg.sequence()
	var y scale
	for _, s := range p.Shapes {
		if s.Has("sequence") && s.Has("panel") {
			y = scale{lo: chart.lo, hi: chart.hi, a: s.Y2 - 4, b: s.Y1 + 6}
		}
	}
	for i := range f.segs {
		s := &f.segs[i]
		x := pg.place(s.at, s.n)
		low, high := y.at(max(float64(s.from), 0)), y.at(max(float64(s.to), 0))
		found := slices.ContainsFunc(bars, func(b drawtest.Shape) bool {
			return math.Abs(b.X1-x) <= 1.01 && b.Y1 <= high+1.1 && b.Y2 >= low-1.1
		})
		if !found {
			t.Errorf("%s: no mark for #%d at %.1f, %.1f … %.1f", name, s.n, x, high, low)
		}
		if s.kind == repeat && repeats[s.n] != 1 {
			t.Errorf("%s: retransmission #%d has %d marks", name, s.n, repeats[s.n])
		}
		if s.lost && s.n != 0 && !slices.ContainsFunc(lost, func(b drawtest.Shape) bool { return b.N == s.n }) {
			t.Errorf("%s: no cross for the loss of #%d", name, s.n)
		}
	}
}

// maker makes traces by hand.
type maker struct {
	events []tracer.Event
}

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:40000")
	serverAddr = netip.MustParseAddrPort("192.0.2.2:80")
)

// isn is the client's, isn2 the server's: both wrap soon.
const (
	isn  = 0xffff_f000
	isn2 = 0xffff_ff00
)

// seg adds a segment of the client's (conn 1) or the server's (conn 2).
func (m *maker) seg(at time.Duration, conn uint32, dir tracer.Direction, seq, ack, length int, notes ...string) *tracer.Segment {
	own, peer := uint32(isn), uint32(isn2)
	if (conn == 1) != (dir == tracer.Out) {
		own, peer = peer, own
	}
	b := &tracer.Segment{
		Dir: dir, Flags: tracer.ACK, Seq: own + uint32(seq), Ack: peer + uint32(ack), HasRel: true, HasRelAck: true,
		RelSeq: uint32(seq), RelAck: uint32(ack), Len: length, Win: 60_000, Notes: notes,
	}
	e := tracer.Event{N: uint64(len(m.events) + 1), T: at, Stack: "client", Conn: conn, Local: clientAddr, Remote: serverAddr, Body: b}
	if conn == 2 {
		e.Stack, e.Local, e.Remote = "server", serverAddr, clientAddr
	}
	m.events = append(m.events, e)
	return b
}

func (m *maker) trace() *view.Trace { return view.New(tracer.Header{}, m.events) }

const ms = time.Millisecond

// TestSendersClock: of two ends, the sender's tells when data was sent; the receiver's side
// of the link tells what was lost.
func TestSendersClock(t *testing.T) {
	m := &maker{}
	m.seg(0, 1, tracer.Out, 1, 1, 1000)
	m.seg(1*ms, 1, tracer.Out, 1001, 1, 1000)
	m.seg(40*ms, 2, tracer.In, 1, 1, 1000)
	m.seg(41*ms, 2, tracer.In, 1001, 1, 1000).Dropped = "impairment: loss"
	m.seg(41*ms, 2, tracer.Out, 1, 1001, 0)
	m.seg(80*ms, 1, tracer.In, 1, 1001, 0)
	again := m.seg(250*ms, 1, tracer.Out, 1001, 1, 1000, "retransmission")
	m.seg(290*ms, 2, tracer.In, 1001, 1, 1000).Dropped = "impairment: once more"
	m.seg(650*ms, 1, tracer.Out, 1001, 1, 1000, "retransmission")
	m.seg(690*ms, 2, tracer.In, 1001, 1, 1000)
	trace := m.trace()
	for _, c := range []struct {
		conn uint32
		dir  tracer.Direction
	}{{1, tracer.Out}, {2, tracer.In}, {1, ""}, {2, ""}} {
		f := choose(trace, trace.Conn(c.conn), c.dir)
		if !f.sender || f.end.ID != 1 || len(f.segs) != 4 {
			t.Fatalf("%+v: %+v", c, f)
		}
		if s := f.segs[2]; s.at != 250*ms || s.kind != repeat || s.why != "impairment: once more" || s.from != 1001 || s.to != 2001 {
			t.Errorf("%+v: again: %+v", c, s)
		}
		if s := f.segs[1]; !s.lost || s.why != "impairment: loss" || s.kind != fresh {
			t.Errorf("%+v: lost: %+v", c, s)
		}
		if f.segs[0].lost || f.segs[3].lost {
			t.Errorf("%+v: what came is lost: %+v, %+v", c, f.segs[0], f.segs[3])
		}
	}
	// Without notes a sender's repeated bytes are told all the same.
	again.Notes = nil
	if f := choose(trace, trace.Conn(1), tracer.Out); f.segs[2].kind != repeat {
		t.Errorf("without notes: %+v", f.segs[2])
	}
	// Where the receiver alone is traced, its clock has to do.
	half := view.New(tracer.Header{}, slices.DeleteFunc(slices.Clone(m.events), func(e tracer.Event) bool { return e.Conn == 1 }))
	f := choose(half, half.Conn(2), tracer.In)
	if f.sender || len(f.segs) != 4 || f.segs[0].at != 40*ms || !f.segs[1].lost {
		t.Errorf("the receiver alone: %+v", f)
	}
}

// TestLinuxPeer: of a peer whose states alone are traced, the other end shows the data both
// ways, as its receiver and as its sender.
func TestLinuxPeer(t *testing.T) {
	const peer, server = 2, 3
	trace := load(t, "../testdata/server-closes-first-linux.jsonl")
	for _, c := range []struct {
		conn    uint32
		dir     tracer.Direction
		sender  bool
		payload int64
	}{
		{peer, tracer.Out, false, 18},
		{peer, tracer.In, true, 379},
		{peer, "", true, 379},
		{server, tracer.Out, true, 379},
		{server, tracer.In, false, 18},
		{server, "", true, 379},
	} {
		f := choose(trace, trace.Conn(c.conn), c.dir)
		if f.end.ID != server || f.sender != c.sender || payload(f.segs) != c.payload {
			t.Errorf("%+v: seen by %s, its sender %v, %d bytes", c, f.end.Name(), f.sender, payload(f.segs))
		}
	}
	p, _ := svgOf(t, trace, trace.Conn(peer), Options{Dir: tracer.Out})
	if want := "as the data's receiver saw it (server.3): no segments of the sender are in this trace"; !slices.ContainsFunc(p.Texts(), func(s drawtest.Shape) bool { return s.Text == want }) {
		t.Errorf("the picture does not say %q", want)
	}
	// What such a peer sent counts where it came to.
	m := &maker{}
	m.events = []tracer.Event{{
		N: 1, Stack: "client", Conn: 1, Local: clientAddr, Remote: serverAddr,
		Body: &tracer.StateChange{From: tracer.Closed, To: tracer.SynSent},
	}}
	m.seg(1*ms, 2, tracer.In, 1, 1, 1000)
	m.seg(2*ms, 2, tracer.Out, 1, 1001, 10)
	if c := Busiest(m.trace(), nil); c == nil || c.ID != 1 {
		t.Errorf("the busiest: %+v", c)
	}
	if c := Busiest(m.trace(), []string{"server"}); c == nil || c.ID != 2 {
		t.Errorf("the server's busiest: %+v", c)
	}
}

// TestEdgeFromTheHandshake: the SYN-ACK gives the first window, as it stands there: the
// first data lies below an edge.
func TestEdgeFromTheHandshake(t *testing.T) {
	m := &maker{}
	m.seg(0, 1, tracer.Out, 0, 0, 0).Flags = tracer.SYN
	synAck := m.seg(10*ms, 1, tracer.In, 0, 1, 0)
	synAck.Flags, synAck.Win = tracer.SYN|tracer.ACK, 1500
	m.seg(11*ms, 1, tracer.Out, 1, 1, 0)
	m.seg(12*ms, 1, tracer.Out, 1, 1, 1000)
	m.seg(20*ms, 1, tracer.In, 1, 1001, 0).Win = 500
	trace := m.trace()
	p, _ := svgOf(t, trace, trace.Conn(1), Options{Kinds: []Kind{Sequence}})
	edge, data := math.Inf(1), math.Inf(1)
	for _, s := range p.Shapes {
		switch {
		case s.Tag == "polyline" && s.Has("l-timer"):
			edge = min(edge, s.X1)
		case s.Tag == "line" && s.Has("l-data") && s.N == 4:
			data = s.X1
		}
	}
	if f := choose(trace, trace.Conn(1), tracer.Out); math.IsInf(data, 1) || len(f.acks) != 2 || edge >= data {
		t.Errorf("the edge begins at %.1f, the data stands at %.1f", edge, data)
	}
}

// TestWrap: sequence numbers go on beyond 2^32, relative ones as well.
func TestWrap(t *testing.T) {
	m := &maker{}
	const step = 1 << 30
	for i := range 9 {
		m.seg(time.Duration(i)*ms, 1, tracer.Out, 1+i*step, 1, 1000)
		m.seg(time.Duration(i)*ms, 1, tracer.In, 1, 1001+i*step, 0)
	}
	trace := m.trace()
	f := choose(trace, trace.Conn(1), tracer.Out)
	for i, s := range f.segs {
		if s.from != int64(1+i*step) || f.acks[i].ack != s.to {
			t.Errorf("segment %d: from %d, acknowledged %d", i, s.from, f.acks[i].ack)
		}
	}
}

// TestKarn: an ACK measures the newest segment that it covers, never one that was sent
// twice.
func TestKarn(t *testing.T) {
	m := &maker{}
	m.seg(0, 1, tracer.Out, 1, 1, 100)
	m.seg(10*ms, 1, tracer.Out, 101, 1, 100)
	m.seg(30*ms, 1, tracer.In, 1, 201, 0) // both: measures the second, 20 ms
	m.seg(40*ms, 1, tracer.Out, 201, 1, 100)
	m.seg(240*ms, 1, tracer.Out, 201, 1, 100, "retransmission")
	m.seg(260*ms, 1, tracer.In, 1, 301, 0) // ambiguous
	m.seg(260*ms, 1, tracer.In, 1, 301, 0, "dup-ack")
	m.seg(300*ms, 1, tracer.Out, 301, 1, 100)
	m.seg(301*ms, 1, tracer.Out, 401, 1, 100)
	m.seg(325*ms, 1, tracer.In, 1, 401, 0) // 25 ms
	trace := m.trace()
	var got []time.Duration
	for _, s := range choose(trace, trace.Conn(1), tracer.Out).samples() {
		got = append(got, s.rtt)
	}
	if want := []time.Duration{20 * ms, 25 * ms}; !slices.Equal(got, want) {
		t.Errorf("measured %v, want %v", got, want)
	}
	if s := choose(trace, trace.Conn(1), tracer.In).samples(); len(s) != 0 {
		t.Errorf("at the receiver: %v", s)
	}
}

// TestManyPoints: a hundred thousand segments make a light picture, in which each of a
// hundred retransmissions still has its mark.
func TestManyPoints(t *testing.T) {
	m := &maker{}
	const segments, every = 100_000, 1000
	want := map[uint64]bool{}
	at := time.Duration(0)
	for i := range segments {
		at += 50 * time.Microsecond
		m.seg(at, 1, tracer.Out, 1+i*1000, 1, 1000)
		if i%every == every-1 {
			m.seg(at, 1, tracer.Out, 1+(i-5)*1000, 1, 1000, "retransmission")
			want[uint64(len(m.events))] = true
		}
		m.seg(at, 1, tracer.In, 1, 1+i*1000, 0)
	}
	trace := m.trace()
	p, size := svgOf(t, trace, trace.Conn(1), Options{})
	if size > 400_000 {
		t.Errorf("the picture has %d bytes", size)
	}
	got := map[uint64]bool{}
	for _, s := range p.Shapes {
		if s.Has("sequence") && s.Has("l-repeat") && s.Has("l-data") {
			got[s.N] = true
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d retransmissions drawn, want %d", len(got), len(want))
	}
	for _, problem := range p.Problems(nil) {
		t.Error(problem)
	}
}

// TestVariables: cwnd and its like are there where the trace has them, and the picture says
// so where it has not.
func TestVariables(t *testing.T) {
	m := &maker{}
	m.seg(0, 1, tracer.Out, 1, 1, 1000)
	m.seg(20*ms, 1, tracer.In, 1, 1001, 0)
	text := func() string {
		trace := m.trace()
		p, _ := svgOf(t, trace, trace.Conn(1), Options{Kinds: []Kind{Window, RTT}})
		var all []string
		for _, s := range p.Texts() {
			all = append(all, s.Text)
		}
		return strings.Join(all, "\n")
	}
	if got := text(); strings.Contains(got, "cwnd") || !strings.Contains(got, "no tcb events") {
		t.Errorf("without variables: %s", got)
	}
	m.events = append(m.events, tracer.Event{
		N: 3, T: 20 * ms, Stack: "client", Conn: 1, Local: clientAddr, Remote: serverAddr,
		Body: &tracer.TCB{After: 2, Vars: []tracer.TCBVar{
			{Name: "cwnd", Value: 14_600},
			{Name: "ssthresh", Value: 1 << 30},
			{Name: "srtt_ns", Value: 20e6},
			{Name: "rttvar_ns", Value: 10e6},
			{Name: "rto_ns", Value: 220e6},
			{Name: "recovery", Text: "fast"},
		}},
	})
	got := text()
	for _, want := range []string{"cwnd", "ssthresh: above, at 1.07 GB and more", "fast recovery", "srtt ± rttvar", "rto"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the picture: %s", want, got)
		}
	}
}

// TestNothing: what cannot be drawn is an error that says why.
func TestNothing(t *testing.T) {
	trace := view.New(tracer.Header{}, []tracer.Event{{
		N: 1, Stack: "a", Conn: 1, Body: &tracer.StateChange{From: tracer.Closed, To: tracer.SynSent},
	}})
	if err := SVG(io.Discard, trace, trace.Conn(1), Options{}); err == nil || !strings.Contains(err.Error(), "no segments") {
		t.Errorf("error %v", err)
	}
	if c := Busiest(trace, []string{"b"}); c != nil {
		t.Errorf("the busiest of no stack: %+v", c)
	}
	if c := Busiest(trace, nil); c == nil || c.ID != 1 {
		t.Errorf("the busiest: %+v", c)
	}
}
