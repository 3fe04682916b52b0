package pcapng

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write returns the pcapng of a trace, which the sink gets in runs of so many events.
func write(t fataler, h tracer.Header, events []tracer.Event, run int) []byte {
	t.Helper()
	var out bytes.Buffer
	s := New(&out)
	err := s.Start(h)
	for len(events) > 0 && err == nil {
		n := min(run, len(events))
		err = s.Write(events[:n])
		events = events[n:]
	}
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatalf("write: %v", err)
	}
	return out.Bytes()
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// read returns a trace's header and events; the error is that of the last Next, nil at the
// end.
func read(r io.Reader) (h tracer.Header, events []tracer.Event, err error) {
	in, err := NewReader(r)
	if err != nil {
		return h, nil, err
	}
	for {
		e, err := in.Next()
		if errors.Is(err, io.EOF) {
			return in.Header(), events, nil
		}
		if err != nil {
			return in.Header(), events, err
		}
		events = append(events, e)
	}
}

// TestRoundTrip: whatever the events, their order and their runs, all of them come back as
// they were.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := tracertest.DrawHeader(t)
		want := rapid.SliceOfN(rapid.Custom(tracertest.DrawEvent), 0, 20).Draw(t, "events")
		out := write(t, h, want, rapid.IntRange(1, 20).Draw(t, "run"))
		gotHeader, got, err := read(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, h, want, gotHeader, got)
		if n, events := wholeBlocks(out); n != len(out) || events != uint64(len(want)) {
			t.Fatalf("%d of %d bytes are whole blocks, of %d events", n, len(out), events)
		}
	})
}

// checkSame holds traces together by their lines, which have every field.
func checkSame(t fataler, wantHeader tracer.Header, want []tracer.Event, gotHeader tracer.Header, got []tracer.Event) {
	t.Helper()
	if diff := cmp.Diff(lines(wantHeader, want), lines(gotHeader, got)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func lines(h tracer.Header, events []tracer.Event) []string {
	all := []string{string(tracer.AppendHeader(nil, h))}
	for i := range events {
		all = append(all, string(tracer.AppendJSON(nil, &events[i])))
	}
	return all
}

// TestLongEvents: what is too long for an option or for a journal entry is kept all the same.
func TestLongEvents(t *testing.T) {
	long := func(n int) string { return string(bytes.Repeat([]byte("é"), n/2)) }
	want := []tracer.Event{
		packetEvent(1, "server", tracer.In, &tracer.Segment{Flags: tracer.SYN}),
		packetEvent(2, "server", tracer.In, &tracer.Segment{Flags: tracer.SYN, Notes: []string{long(70_000)}}), // no option
		packetEvent(3, "server", tracer.In, &tracer.Segment{Flags: tracer.SYN, Dropped: long(60_000)}),         // an option, and a comment
		{N: 4, Stack: "server", Body: &tracer.Timer{Name: long(300_000), What: "fired"}},                       // no journal entry
		{N: 5, Stack: long(5000), Body: &tracer.Timer{Name: "tcp", What: "fired"}},
	}
	out := write(t, tracer.Header{}, want, 2)
	h, got, err := read(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, tracer.Header{}, want, h, got)
	var kinds []uint32
	for in := (blockReader{in: bytes.NewReader(out)}); ; {
		b, err := in.next()
		if err != nil {
			break
		}
		kinds = append(kinds, b.typ)
	}
	if diff := cmp.Diff([]uint32{blockSection, blockInterface, blockPacket, blockJournal, blockPacket, blockCustom, blockJournal}, kinds); diff != "" {
		t.Errorf("blocks (-want +got):\n%s", diff)
	}
}

func TestHeaderTooLong(t *testing.T) {
	s := New(io.Discard)
	if err := s.Start(tracer.Header{Go: string(make([]byte, 70_000))}); err == nil {
		t.Error("a header that fits into no comment was written")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestManyStacks: interfaces are bounded, and every packet has one.
func TestManyStacks(t *testing.T) {
	var events []tracer.Event
	for i := range 3 * maxInterfaces {
		events = append(events, packetEvent(uint64(i)+1, string(rune('一'+i)), tracer.Out, &tracer.Segment{Flags: tracer.RST}))
	}
	out := write(t, tracer.Header{}, events, 1000)
	packets := capture(t, out)
	if len(packets) != len(events) {
		t.Fatalf("%d packets, want %d", len(packets), len(events))
	}
	if last := packets[len(packets)-1]; last.ci.InterfaceIndex != maxInterfaces-1 {
		t.Errorf("the last is on interface %d, want %d", last.ci.InterfaceIndex, maxInterfaces-1)
	}
}
