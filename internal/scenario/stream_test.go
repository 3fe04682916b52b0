package scenario

import (
	"testing"

	"appliance/internal/scenario/host"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

func steps(t *testing.T, lines ...string) []sequence.Step {
	t.Helper()
	var all []sequence.Step
	for _, l := range lines {
		s, err := sequence.ParseStep(l)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// TestStream: what an end sends is its pattern, with the texts in their places.
func TestStream(t *testing.T) {
	all, ok := streamsOf(true, steps(t, "connect", "send 10", `send "hello"`, "send 100 by 7", `b: send "x"`))
	if !ok {
		t.Fatal("the steps tell all that is sent")
	}
	want := host.Pattern(true, 0, 115)
	copy(want[10:], "hello")
	for _, cut := range []int{1, 7, 12, 115} {
		for off := 0; off < len(want); off += cut {
			if err := all[""].check(off, want[off:min(off+cut, len(want))]); err != nil {
				t.Fatalf("%d bytes at %d: %v", cut, off, err)
			}
		}
	}
	want[12]++
	if err := all[""].check(5, want[5:20]); err == nil {
		t.Error("a byte that was not sent is let pass")
	}
	if err := all["b"].check(0, []byte("y")); err == nil {
		t.Error("a byte of the other connection's is let pass")
	}
	if _, ok := streamsOf(false, steps(t, "app echo")); ok {
		t.Error("what a program sends is not known")
	}
}

// TestScriptStream: a script's sequence numbers say where its texts stand.
func TestScriptStream(t *testing.T) {
	var frames []sequence.Frame
	for _, l := range []string{"send SYN seq=0", `send ACK seq=6 ack=1 "hello"`, "send ACK seq=1 ack=1 len=5"} {
		f, err := sequence.ParseFrame(l)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
	s := scriptStreams(false, frames)[""]
	if err := s.check(0, append(host.Pattern(false, 0, 5), "hello"...)); err != nil {
		t.Error(err)
	}
}

// TestDescribe writes steps as they were read.
func TestDescribe(t *testing.T) {
	for _, line := range []string{
		"listen", "listen backlog=5", "accept", "b: connect port=9999", "send 14480 by 1448", `send "hello"`, "recv", "recv 20",
		"recv EOF", "recv all", "close listener", "set rcvbuf=4096", "set nodelay", "wait C FIN-WAIT-2", "wait fin", "wait rest",
		"pause 1s", "app echo count=1", "udp send \"x\"", "shutdown",
	} {
		if got := describe(&steps(t, line)[0]); got != line {
			t.Errorf("%q, want %q", got, line)
		}
	}
}

// TestWaitForSegment: which events a row's label waits for.
func TestWaitForSegment(t *testing.T) {
	row := func(line string) sequence.Row {
		r, err := sequence.ParseRow(line)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	run := &sequence.Run{Expect: []sequence.Row{
		row("C → S ACK seq=1 ack=1 len=20 lost"),
		row("data: C → S ACK seq=1 ack=1 len=20 note=retransmission"),
		row("again: C → S ACK seq=1 ack=1 len=20 note=retransmission"),
		row("out: C ▶ ACK seq=1 ack=1 len=20"),
		row("lost: S → C ACK seq=1 ack=21 lost"),
	}}
	segment := func(stack string, dir tracer.Direction, n int, dropped string, notes ...string) tracer.Event {
		seq, ack := uint32(1), uint32(1)
		if n == 0 {
			ack = 21
		}
		return tracer.Event{Stack: stack, Body: &tracer.Segment{
			Dir: dir, Flags: tracer.ACK | tracer.PSH, RelSeq: seq, RelAck: ack, Len: n, Dropped: dropped, Notes: notes,
		}}
	}
	sent, arrived := segment("client", tracer.Out, 20, ""), segment("server", tracer.In, 20, "")
	both := sequence.Players{sequence.Client: sequence.Stack, sequence.Server: sequence.Stack}
	linux := sequence.Players{sequence.Client: sequence.Stack, sequence.Server: sequence.Linux}
	for _, c := range []struct {
		name    string
		players sequence.Players
		label   string
		events  []tracer.Event
		want    bool
	}{
		{"sent only", both, "data", []tracer.Event{sent}, false},
		{"arrived", both, "data", []tracer.Event{sent, arrived}, true},
		{"dropped", both, "data", []tracer.Event{segment("server", tracer.In, 20, "bad checksum")}, false},
		{"another length", both, "data", []tracer.Event{segment("server", tracer.In, 19, "")}, false},
		{"once, and not again", both, "again", []tracer.Event{arrived}, false},
		{"again", both, "again", []tracer.Event{arrived, arrived}, true},
		{"its sending", both, "out", []tracer.Event{sent}, true},
		{"its sending, and not its arrival", both, "out", []tracer.Event{arrived}, false},
		{"another meaning", both, "out", []tracer.Event{segment("client", tracer.Out, 20, "", "retransmission")}, false},
		{"no receiver in the trace", linux, "data", []tracer.Event{segment("client", tracer.Out, 20, "", "retransmission")}, true},
		{"no receiver, and the first", linux, "data", []tracer.Event{sent}, false},
		{"lost", both, "lost", []tracer.Event{segment("client", tracer.In, 0, "impairment: loss")}, true},
		{"not lost", both, "lost", []tracer.Event{segment("client", tracer.In, 0, "")}, false},
	} {
		s := &stage{players: c.players, run: run, names: newNames(func() {})}
		w, err := s.waitFor(c.label)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.seen(c.events); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if _, err := (&stage{run: run}).waitFor("nothing"); err == nil {
		t.Error("a label that no row has is let pass")
	}
}
