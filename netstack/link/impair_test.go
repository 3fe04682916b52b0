package link

import (
	"encoding/hex"
	"math"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"pgregory.net/rapid"

	"appliance/tracer"
)

// plans returns the verdicts on segments in one direction.
func plans(t testing.TB, o ImpairOptions, dir tracer.Direction, segs []testSeg) []Verdict {
	im, _, _ := impaired(t, o)
	defer im.Close()
	var vs []Verdict
	for _, s := range segs {
		pkt := s.out()
		vs = append(vs, im.Plan(dir, pkt))
		pkt.DecRef()
	}
	return vs
}

func drawImpairment(t *rapid.T, name string) Impairment {
	p := func(what string) float64 { return rapid.Float64Range(0, 1).Draw(t, name+" "+what) }
	return Impairment{
		Loss: p("loss"), Duplicate: p("duplicate"), Reorder: p("reorder"), Corrupt: p("corrupt"),
		Delay:  time.Duration(rapid.IntRange(0, 50).Draw(t, name+" delay")) * time.Millisecond,
		Jitter: time.Duration(rapid.IntRange(0, 50).Draw(t, name+" jitter")) * time.Millisecond,
	}
}

func TestImpairSameSeedSameDecisions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := ImpairOptions{
			Seed: rapid.Uint64().Draw(rt, "seed"), In: drawImpairment(rt, "in"), Out: drawImpairment(rt, "out"),
			Clock: faketime.NewManualClock(),
		}
		segs := numberedSegs(rapid.IntRange(1, 60).Draw(rt, "segments"))
		for _, dir := range []tracer.Direction{tracer.In, tracer.Out} {
			first, again := plans(t, o, dir, segs), plans(t, o, dir, segs)
			if !slices.Equal(first, again) {
				rt.Fatalf("%s: %v, then %v", dir, first, again)
			}
		}
	})
}

func TestImpairSettingsDoNotShiftOneAnother(t *testing.T) {
	segs := numberedSegs(400)
	lost := func(o ImpairOptions) []bool {
		o.Seed = 7
		var out []bool
		for _, v := range plans(t, o, tracer.Out, segs) {
			out = append(out, v.Drop == dropLoss)
		}
		return out
	}
	want := lost(ImpairOptions{Out: Impairment{Loss: 0.3}})
	all := Impairment{Loss: 0.3, Duplicate: 0.5, Reorder: 0.5, Corrupt: 0.5, Delay: time.Second, Jitter: time.Second}
	for name, o := range map[string]ImpairOptions{
		"other settings":      {Out: all},
		"the other direction": {Out: Impairment{Loss: 0.3}, In: all},
		"a rule":              {Out: Impairment{Loss: 0.3}, Rules: mustRules(t, "corrupt out ACK")},
	} {
		if got := lost(o); !slices.Equal(got, want) {
			t.Errorf("%s: shifted which segments are lost", name)
		}
	}
	// Stray traffic draws from another stream.
	var mixed []testSeg
	for _, s := range segs {
		mixed = append(mixed, testSeg{udp: true, port: 53}, s)
	}
	var got []bool
	for i, v := range plans(t, ImpairOptions{Seed: 7, Out: Impairment{Loss: 0.3}}, tracer.Out, mixed) {
		if i%2 == 1 {
			got = append(got, v.Drop == dropLoss)
		}
	}
	if !slices.Equal(got, want) {
		t.Error("UDP traffic shifted which segments are lost")
	}
	if other := plans(t, ImpairOptions{Seed: 8, Out: Impairment{Loss: 0.3}}, tracer.Out, segs); slices.EqualFunc(other, want,
		func(v Verdict, lost bool) bool { return (v.Drop != "") == lost }) {
		t.Error("another seed made the same decisions")
	}
}

func TestImpairRatios(t *testing.T) {
	const n = 4000
	segs := numberedSegs(n)
	for _, p := range []float64{0, 0.01, 0.1, 0.5, 0.99, 1} {
		o := ImpairOptions{Seed: 42, Clock: faketime.NewManualClock()}
		for name, set := range map[string]struct {
			i  Impairment
			is func(Verdict) bool
		}{
			"loss":      {Impairment{Loss: p}, func(v Verdict) bool { return v.Drop == "impairment: loss" }},
			"duplicate": {Impairment{Duplicate: p}, func(v Verdict) bool { return v.Copies == 1 }},
			"reorder":   {Impairment{Reorder: p}, func(v Verdict) bool { return v.Reorder }},
			"corrupt":   {Impairment{Corrupt: p}, func(v Verdict) bool { return v.Corrupt }},
		} {
			o.In = set.i
			count := 0
			for _, v := range plans(t, o, tracer.In, segs) {
				if set.is(v) {
					count++
				}
			}
			// Five standard deviations; exactly none or all at the ends.
			if off, allow := math.Abs(float64(count)-n*p), 5*math.Sqrt(n*p*(1-p)); off > allow {
				t.Errorf("%s %v: %d of %d, off by more than %.0f", name, p, count, n, allow)
			}
		}
	}
}

func TestImpairKeepsOrderUnderJitter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock := faketime.NewManualClock()
		i := Impairment{
			Delay:  time.Duration(rapid.IntRange(0, 30).Draw(rt, "delay")) * time.Millisecond,
			Jitter: time.Duration(rapid.IntRange(1, 60).Draw(rt, "jitter")) * time.Millisecond,
		}
		im, lower, up := impaired(t, ImpairOptions{Seed: rapid.Uint64().Draw(rt, "seed"), In: i, Out: i, Clock: clock})
		defer im.Close()
		segs := numberedSegs(rapid.IntRange(2, 40).Draw(rt, "segments"))
		var want []int
		for k, s := range segs {
			sendOut(t, im, s)
			s.in = true
			lower.inject(s.proto(), s.wire())
			want = append(want, k+1)
			clock.Advance(time.Duration(rapid.IntRange(0, 20).Draw(rt, "pause")) * time.Millisecond)
		}
		clock.Advance(i.Delay + i.Jitter)
		wantSeqs(t, "out", lower.take(), want...)
		wantSeqs(t, "in", up.take(), want...)
	})
}

func TestImpairDelayIsExact(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, _ := impaired(t, ImpairOptions{Out: Impairment{Delay: 20 * time.Millisecond}, Clock: clock})
	defer im.Close()
	sendOut(t, im, numberedSegs(1)...)
	clock.Advance(20*time.Millisecond - 1)
	wantSeqs(t, "1 ns before", lower.take())
	clock.Advance(1)
	wantSeqs(t, "at 20 ms", lower.take(), 1)
}

func TestImpairHoldingDelaysWhatFollows(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, _ := impaired(t, ImpairOptions{Rules: mustRules(t, "delay out SYN 20ms"), Clock: clock})
	defer im.Close()
	sendOut(t, im, testSeg{port: 1, flags: tracer.ACK, seq: 1}, testSeg{port: 2, flags: tracer.SYN, seq: 2})
	clock.Advance(5 * time.Millisecond)
	pkt := testSeg{port: 1, flags: tracer.ACK, seq: 3}.out()
	defer pkt.DecRef()
	v := im.Plan(tracer.Out, pkt)
	if v.Delay != 15*time.Millisecond || v.Rule != "" {
		t.Errorf("what follows: %+v, want to be held 15 ms by no rule", v)
	}
	if err := im.WritePlanned(pkt, v); err != nil {
		t.Error(err)
	}
	wantSeqs(t, "before", lower.take(), 1)
	clock.Advance(15 * time.Millisecond)
	wantSeqs(t, "after", lower.take(), 2, 3)
}

func TestImpairReorder(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		name  string
		rules []string
		now   []int // what went at once
		after []int // what the clock brought later
		wait  time.Duration
	}{
		{"one passes", []string{"reorder out ACK nth=2"}, []int{1, 3, 2, 4, 5}, nil, 0},
		{"three pass", []string{"reorder out ACK nth=1 by=3"}, []int{2, 3, 4, 1, 5}, nil, 0},
		{"two held", []string{"reorder out ACK nth=1-2 by=2"}, []int{3, 4, 1, 2, 5}, nil, 0},
		{"none to pass", []string{"reorder out ACK nth=5"}, []int{1, 2, 3, 4}, []int{5}, 20 * ms},
		{"its own time", []string{"reorder out ACK 7ms nth=5"}, []int{1, 2, 3, 4}, []int{5}, 7 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := faketime.NewManualClock()
			im, lower, _ := impaired(t, ImpairOptions{Rules: mustRules(t, tt.rules...), Clock: clock})
			defer im.Close()
			sendOut(t, im, numberedSegs(5)...)
			wantSeqs(t, "at once", lower.take(), tt.now...)
			clock.Advance(max(tt.wait-1, 0))
			wantSeqs(t, "before its time", lower.take())
			clock.Advance(1)
			wantSeqs(t, "then", lower.take(), tt.after...)
		})
	}
}

func TestImpairReorderIsPerFlow(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, _ := impaired(t, ImpairOptions{Rules: mustRules(t, "reorder out SYN"), Clock: clock})
	defer im.Close()
	sendOut(t, im, testSeg{port: 1, flags: tracer.SYN, seq: 1},
		testSeg{port: 2, flags: tracer.ACK, seq: 2}, testSeg{port: 1, flags: tracer.ACK, seq: 3})
	wantSeqs(t, "out", lower.take(), 2, 3, 1)
}

func TestImpairReorderByChance(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, _ := impaired(t, ImpairOptions{Seed: 3, Out: Impairment{Reorder: 0.2, ReorderBy: 3}, Clock: clock})
	defer im.Close()
	sendOut(t, im, numberedSegs(200)...)
	clock.Advance(defaultReorderHold)
	got := seqs(lower.take())
	if slices.IsSorted(got) {
		t.Error("nothing was reordered")
	}
	slices.Sort(got)
	if len(got) != 200 || got[0] != 1 || got[199] != 200 {
		t.Errorf("reordering lost or invented segments: %v", got)
	}
}

func TestImpairRate(t *testing.T) {
	clock := faketime.NewManualClock()
	seg := testSeg{port: 1, flags: tracer.ACK, payload: make([]byte, 1000-20-20-14)}
	im, lower, _ := impaired(t, ImpairOptions{
		Out: Impairment{Rate: 8_000_000, RateBuffer: 3000, Delay: 10 * time.Millisecond}, Clock: clock,
	})
	defer im.Close()
	// 1000 bytes at 8 Mbit/s take 1 ms.
	var drops []string
	var delays []time.Duration
	for i := range 5 {
		seg.seq = uint32(i + 1)
		pkt := seg.out()
		v := im.Plan(tracer.Out, pkt)
		drops, delays = append(drops, v.Drop), append(delays, v.Delay)
		if err := im.WritePlanned(pkt, v); err != nil {
			t.Error(err)
		}
		pkt.DecRef()
	}
	full := "impairment: queue full"
	if want := []string{"", "", "", full, full}; !slices.Equal(drops, want) {
		t.Errorf("drops %q, want %q", drops, want)
	}
	ms := time.Millisecond
	if want := []time.Duration{11 * ms, 12 * ms, 13 * ms, 0, 0}; !slices.Equal(delays, want) {
		t.Errorf("delays %v, want %v", delays, want)
	}
	clock.Advance(11*ms - 1)
	wantSeqs(t, "1 ns before 11 ms", lower.take())
	clock.Advance(1)
	wantSeqs(t, "at 11 ms", lower.take(), 1)
	clock.Advance(ms - 1)
	wantSeqs(t, "1 ns before 12 ms", lower.take())
	clock.Advance(ms + 1)
	wantSeqs(t, "at 13 ms", lower.take(), 2, 3)
	clock.Advance(time.Second)
	sendOut(t, im, seg)
	clock.Advance(11 * ms)
	if got := len(lower.take()); got != 1 {
		t.Errorf("%d went after the queue had emptied, want 1", got)
	}
}

func TestImpairDuplicates(t *testing.T) {
	im, lower, up := impaired(t, ImpairOptions{In: Impairment{Duplicate: 1}, Rules: mustRules(t, "duplicate out ACK nth=2 copies=2")})
	defer im.Close()
	w := &fakeWatcher{up: up}
	im.SetWatcher(w)
	sendOut(t, im, numberedSegs(3)...)
	wantSeqs(t, "out", lower.take(), 1, 2, 2, 2, 3)
	in := testSeg{in: true, port: 1, flags: tracer.ACK, seq: 9}
	lower.inject(in.proto(), in.wire())
	got := up.take()
	wantSeqs(t, "in", got, 9, 9)
	if !slices.Equal(got[0], got[1]) || !slices.Equal(got[0], in.wire()) {
		t.Error("the copy is not the packet")
	}
	if len(w.delivered) != 2 || w.delivered[0].Notes()[0] != "duplicated" || w.delivered[1].Notes()[0] != "duplicate" {
		t.Errorf("watcher was told %+v", w.delivered)
	}
}

// arp and neighbour solicitation, as far as an impairment looks into them.
var (
	arpWire, _ = hex.DecodeString("0001080006040001020000000001c0a80c35000000000000c0a80c01")
	nsWire, _  = hex.DecodeString("6000000000083aff" + "fe800000000000000000000000000001" +
		"ff0200000000000000000001ff000001" + "8700000000000000")
)

func TestImpairExemptsARPAndNDP(t *testing.T) {
	im, lower, up := impaired(t, ImpairOptions{In: Impairment{Loss: 1}, Out: Impairment{Loss: 1}})
	defer im.Close()
	for proto, wire := range map[tcpip.NetworkProtocolNumber][]byte{
		header.ARPProtocolNumber: arpWire, header.IPv6ProtocolNumber: nsWire,
	} {
		lower.inject(proto, wire)
		if got := up.take(); len(got) != 1 || !slices.Equal(got[0], wire) {
			t.Errorf("protocol %#x in: got %x", proto, got)
		}
		pkt := inPacket(wire)
		pkt.NetworkProtocolNumber = proto
		var list stack.PacketBufferList
		list.PushBack(pkt)
		if _, err := im.WritePackets(list); err != nil {
			t.Error(err)
		}
		pkt.DecRef()
		if got := lower.take(); len(got) != 1 || !slices.Equal(got[0], wire) {
			t.Errorf("protocol %#x out: got %x", proto, got)
		}
	}
	// Another ICMPv6 message is not exempt.
	echo := slices.Clone(nsWire)
	echo[40] = byte(header.ICMPv6EchoRequest)
	lower.inject(header.IPv6ProtocolNumber, echo)
	if got := up.take(); len(got) != 0 {
		t.Errorf("echo request passed a loss of 1: %x", got)
	}
}

func TestImpairExemptOvertakesWhatIsHeld(t *testing.T) {
	clock := faketime.NewManualClock()
	im, lower, up := impaired(t, ImpairOptions{In: Impairment{Delay: time.Second}, Clock: clock})
	defer im.Close()
	s := testSeg{in: true, port: 1, flags: tracer.SYN}
	lower.inject(s.proto(), s.wire())
	lower.inject(header.ARPProtocolNumber, arpWire)
	if got := up.take(); len(got) != 1 || !slices.Equal(got[0], arpWire) {
		t.Errorf("got %x, want ARP at once", got)
	}
	clock.Advance(time.Second)
	if got := up.take(); len(got) != 1 {
		t.Errorf("got %d packets after the delay, want 1", len(got))
	}
}
