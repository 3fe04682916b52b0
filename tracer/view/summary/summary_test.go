package summary

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// summarize returns what a Summary tells.
func summarize(t interface{ Fatal(...any) }, events []tracer.Event) ([]*Conn, Totals) {
	var conns []*Conn
	s := New(Options{}, func(c *Conn) error { conns = append(conns, c); return nil })
	for i := range events {
		if err := s.Add(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return conns, all
}

// TestSummaryIsTheNaiveOne holds each line, and the sums of them, to what the whole trace
// gives.
func TestSummaryIsTheNaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := tracertest.DrawTrace(t)
		conns, all := summarize(t, events)
		var want []*Conn
		for id := uint32(1); id <= 5; id++ {
			if c := naiveConn(events, id); c != nil {
				want = append(want, c)
			}
		}
		got := slices.Clone(conns)
		slices.SortFunc(got, func(a, b *Conn) int { return int(a.ID) - int(b.ID) })
		ignoreRTT := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".RTT" }, cmp.Ignore())
		if diff := cmp.Diff(want, got, sameAddr, ignoreRTT); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		checkTotals(t, events, conns, all)
	})
}

func checkTotals(t *rapid.T, events []tracer.Event, conns []*Conn, all Totals) {
	type sums struct {
		Conns, Open, Active, Passive, Out, In, SegOut, SegIn, Again, Samples, Events, Lost, UDP uint64
	}
	want, got := map[string]*sums{}, map[string]*sums{}
	of := func(stack string) *sums {
		if want[stack] == nil {
			want[stack] = &sums{}
		}
		return want[stack]
	}
	for i := range events {
		s := of(events[i].Stack)
		switch b := events[i].Body.(type) {
		case *tracer.Lost:
			s.Lost += b.Missed
			continue
		case *tracer.Datagram:
			s.UDP++
		default:
		}
		s.Events++
	}
	for _, c := range conns {
		s := of(c.Stack)
		s.Conns++
		if c.Open {
			s.Open++
		}
		switch c.Role {
		case tracer.Active:
			s.Active++
		case tracer.Passive:
			s.Passive++
		}
		s.Out, s.In, s.SegOut, s.SegIn, s.Again = s.Out+c.BytesOut, s.In+c.BytesIn, s.SegOut+c.SegmentsOut, s.SegIn+c.SegmentsIn, s.Again+c.Retransmits
		if c.RTT != nil {
			s.Samples += c.RTT.Samples
		}
	}
	for _, s := range all.Stacks {
		g := &sums{s.Connections, s.Open, s.Active, s.Passive, s.BytesOut, s.BytesIn, s.SegmentsOut, s.SegmentsIn, s.Retransmits, 0, s.Events, s.Lost, s.Datagrams}
		if s.RTT != nil {
			g.Samples = s.RTT.Samples
		}
		got[s.Name] = g
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("totals (-want +got):\n%s", diff)
	}
}

// TestQuantiles holds the times to the sorted samples: few exactly, many as nearly as is said.
func TestQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Int64Range(0, 1<<rapid.IntRange(1, 62).Draw(t, "bits")), 1, 200).Draw(t, "samples")
		room := rapid.SampledFrom([]int{0, 10, 1000}).Draw(t, "room")
		h := times{room: &room}
		left := room
		var a, b times
		for i, v := range samples {
			h.add(time.Duration(v))
			if i%2 == 0 {
				a.add(time.Duration(v))
			} else {
				b.add(time.Duration(v))
			}
		}
		a.merge(&b)
		if diff := cmp.Diff(exactRTT(samples), a.summary()); diff != "" {
			t.Fatalf("merged (-want +got):\n%s", diff)
		}
		checkRTT(t, samples, h.summary())
		different := len(slices.Compact(slices.Sorted(slices.Values(samples))))
		if h.coarse != (different > left) || h.coarse && room != left {
			t.Fatalf("room for %d of %d, coarse: %v", room, left, h.coarse)
		}
		if h.drop(); room != left {
			t.Fatalf("room for %d of %d afterwards", room, left)
		}
	})
}

// exactRTT is what is to be told of samples.
func exactRTT(samples []int64) *RTT {
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	d := func(i int) time.Duration { return time.Duration(s[i]) }
	return &RTT{Samples: uint64(n), Min: d(0), Median: d(n / 2), P99: d((99*n+99)/100 - 1), Max: d(n - 1)}
}

func checkRTT(t interface{ Fatalf(string, ...any) }, samples []int64, got *RTT) {
	want := exactRTT(samples)
	if got.Samples != want.Samples || got.Min != want.Min || got.Max != want.Max {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for _, q := range [][2]time.Duration{{got.Median, want.Median}, {got.P99, want.P99}} {
		off := float64(q[0] - q[1])
		if off != 0 && (!got.Approximate || max(off, -off) > 0.016*float64(q[1])) || q[0] < want.Min || q[0] > want.Max {
			t.Fatalf("%+v, want %+v", got, want)
		}
	}
}

// TestManyTimes: more than can be kept each by itself are told as nearly as is said, and as
// such; the same few are exact however often they come.
func TestManyTimes(t *testing.T) {
	var few, many times
	var fewSamples, manySamples []int64
	for i := range int64(100_000) {
		v := 12_000 + i%maxExact*1000
		few.add(time.Duration(v))
		fewSamples = append(fewSamples, v)
		v = 12_000 + i*7919%100_003
		many.add(time.Duration(v))
		manySamples = append(manySamples, v)
	}
	if diff := cmp.Diff(exactRTT(fewSamples), few.summary()); diff != "" {
		t.Errorf("few (-want +got):\n%s", diff)
	}
	checkRTT(t, manySamples, many.summary())
	if r := many.summary(); !r.Approximate || len(many.counts) > 200 {
		t.Errorf("%+v, %d buckets", r, len(many.counts))
	}
	few.merge(&many)
	checkRTT(t, append(fewSamples, manySamples...), few.summary())
}

// TestBounded: neither too many ended connections nor too many open ones are kept.
func TestBounded(t *testing.T) {
	told := map[bool]int{}
	s := New(Options{}, func(c *Conn) error { told[c.Open]++; return nil })
	add := func(id uint32, b tracer.Body) {
		if err := s.Add(&tracer.Event{N: 1, Stack: "s", Conn: id, Body: b}); err != nil {
			t.Fatal(err)
		}
	}
	const maxOpen, maxEnded, maxDone = 100, 10, 1000
	const n = maxOpen + 1000
	s.maxOpen, s.maxEnded, s.maxDone = maxOpen, maxEnded, maxDone
	for id := uint32(1); id <= n; id++ {
		add(id, &tracer.StateChange{From: tracer.Closed, To: tracer.SynSent})
	}
	if len(s.open.byID) != maxOpen || told[true] != 1000 {
		t.Fatalf("%d open, %v told", len(s.open.byID), told)
	}
	add(1, &tracer.StateChange{From: tracer.SynSent, To: tracer.Closed}) // it has been told
	for id := uint32(1); id <= n; id++ {
		add(id, &tracer.End{How: tracer.HowFIN})
	}
	if len(s.open.byID) != 0 || len(s.ended.byID) != maxEnded || told[false] != maxOpen-maxEnded || told[true] != 1000 || len(s.done) > n/64+1 {
		t.Fatalf("%d open, %d ended, %v told, %d words", len(s.open.byID), len(s.ended.byID), told, len(s.done))
	}
	for id := uint64(1); id < maxDone*2; id++ {
		add(uint32(id*64), &tracer.End{})
		if len(s.done) > maxDone {
			t.Fatalf("%d words of what is done", len(s.done))
		}
	}
}

// TestTotalsAreBounded: neither many stacks, many ways to end nor long names are kept.
func TestTotalsAreBounded(t *testing.T) {
	var events []tracer.Event
	for n := range 1000 {
		how := strconv.Itoa(n)
		if n%2 == 0 {
			how = strings.Repeat("x", 1000+n)
		}
		events = append(events, tracer.Event{N: uint64(n + 1), Stack: how, Conn: uint32(n + 1), Body: &tracer.End{How: tracer.How(how)}})
		events = append(events, tracer.Event{N: uint64(n + 1), Stack: "one", Conn: uint32(n + 10_001), Body: &tracer.End{How: tracer.How(how)}})
	}
	conns, all := summarize(t, events)
	if len(conns) != 2000 || len(all.Stacks) > maxStacks+1 {
		t.Errorf("%d connections, %d stacks", len(conns), len(all.Stacks))
	}
	for _, s := range all.Stacks {
		sum := uint64(0)
		for how, n := range s.How {
			sum += n
			if len(how) > maxName {
				t.Errorf("%d bytes of a way to end", len(how))
			}
		}
		if len(s.Name) > maxName || len(s.How) > maxHow+1 || sum != s.Connections {
			t.Errorf("%.20s: %d ways to end, of %d of %d connections", s.Name, len(s.How), sum, s.Connections)
		}
	}
}

// TestTellErrs: what tell errs with ends it.
func TestTellErrs(t *testing.T) {
	broken := errors.New("broken")
	s := New(Options{}, func(*Conn) error { return broken })
	s.maxEnded = 0
	if err := s.Add(&tracer.Event{Conn: 1, Body: &tracer.End{}}); !errors.Is(err, broken) {
		t.Errorf("Add: %v", err)
	}
	if _, err := s.Finish(); !errors.Is(err, broken) {
		t.Errorf("Finish: %v", err)
	}
}

// TestJSONIsOne: whatever there is, one JSON value comes out, and it reads back.
func TestJSONIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []tracer.Event
		if rapid.Bool().Draw(t, "wild") {
			events = rapid.SliceOfN(rapid.Custom(tracertest.DrawEvent), 0, 10).Draw(t, "events")
		} else {
			events = tracertest.DrawTrace(t)
		}
		conns, all := summarize(t, events)
		var b bytes.Buffer
		j := NewJSON(&b, tracertest.DrawHeader(t))
		for _, c := range conns {
			if err := j.Conn(c); err != nil {
				t.Fatal(err)
			}
		}
		if err := j.Totals(all); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Schema      string
			Connections []struct{ Conn uint32 }
			Stacks      []Stack
		}
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v in:\n%s", err, b.Bytes())
		}
		if got.Schema != SummarySchema || len(got.Connections) != len(conns) || len(got.Stacks) != len(all.Stacks) {
			t.Fatalf("%d connections, %d stacks in:\n%s", len(conns), len(all.Stacks), b.Bytes())
		}
	})
}
