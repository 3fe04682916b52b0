package text

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

// flood is what a listener sees of so many SYNs, each from an end of its own, and of data
// whose sequence numbers move on by step.
func flood(syns, data int, step uint32) []tracer.Event {
	local := netip.MustParseAddrPort("192.168.12.53:9000")
	var events []tracer.Event
	add := func(peer int, b tracer.Body) {
		events = append(events, tracer.Event{
			N: uint64(len(events) + 1), T: time.Duration(len(events)) * time.Millisecond, Stack: "server", Conn: 1, Local: local,
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(peer)}), 1000), Body: b,
		})
	}
	for i := range syns {
		add(i, &tracer.Segment{Dir: tracer.In, Flags: tracer.SYN, HasRel: true, Seq: uint32(i), Win: 1000, Opts: tracer.Options{MSS: 1460}})
		add(i, &tracer.Segment{Dir: tracer.Out, Flags: tracer.SYN | tracer.ACK, HasRel: true, HasRelAck: true, RelAck: 1, Win: 1000, Notes: []string{"syn-cookie"}})
	}
	for i := range data {
		add(0, &tracer.Segment{Dir: tracer.In, Flags: tracer.ACK, HasRel: true, HasRelAck: true, RelSeq: 1 + uint32(i)*step, RelAck: 1, Win: 1000, Len: 10})
	}
	return events
}

// repeated is a segment that is sent again and again.
func repeated(n int) []tracer.Event {
	events := flood(0, n, 0)
	for i := range events {
		s := events[i].Body.(*tracer.Segment)
		s.Dir, s.Notes = tracer.Out, []string{"retransmission"}
	}
	return events
}

// TestWriteFolded: a screen and more of lines that say the same is folded, and counted; what
// moves on, or is short, is not.
func TestWriteFolded(t *testing.T) {
	const syn, synACK = ": ◀ SYN seq 0 mss 1460", ": ▶ SYN ACK seq 0 ack 1 syn-cookie"
	for _, c := range []struct {
		name   string
		events []tracer.Event
		o      Options
		lines  int // of events
		folded []string
	}{
		{"a flood", flood(30, 1, 0), Options{}, 5, []string{
			"server  … 28 more, with 28 peers, #5 to #59" + syn,
			"server  … 28 more, with 28 peers, #6 to #60" + synACK,
		}},
		{"in Chinese", flood(30, 0, 0), Options{Lang: words.Chinese}, 4, []string{
			"server  … 另有 28 条，涉及 28 个对端，#5 至 #59：◀ SYN seq 0 mss 1460",
			"server  … 另有 28 条，涉及 28 个对端，#6 至 #60：▶ SYN ACK seq 0 ack 1 syn-cookie",
		}},
		{"the same again", flood(0, 40, 0), Options{}, 2, []string{"server  … 38 more, #3 to #40: ◀ ACK seq 1 ack 1 len 10"}},
		{"in Chinese, with notes", repeated(40), Options{Lang: words.Chinese}, 2, []string{"server  … 另有 38 条，#3 至 #40：▶ ACK seq 1 ack 1 len 10 重传"}},
		{"a short one", flood(13, 1, 0), Options{}, 27, nil},
		{"a stream", flood(0, 100, 10), Options{}, 100, nil},
	} {
		var b bytes.Buffer
		s := New(&b, c.o)
		if err := s.WriteFolded(c.events); err != nil {
			t.Fatal(err)
		}
		var folded []string
		lines := 0
		for line := range strings.Lines(b.String()) {
			if strings.Contains(line, " … ") {
				folded = append(folded, strings.TrimSpace(line))
			} else if strings.Contains(line, " ◀ ") || strings.Contains(line, " ▶ ") {
				lines++
			}
		}
		if lines != c.lines || fmt.Sprint(folded) != fmt.Sprint(c.folded) {
			t.Errorf("%s: %d lines of events, want %d, folded %q:\n%s", c.name, lines, c.lines, folded, b.String())
		}
	}
}

// TestFoldedDelta: the line behind a fold counts its time from the last that was folded.
func TestFoldedDelta(t *testing.T) {
	var b bytes.Buffer
	if err := New(&b, Options{Time: TimeDelta}).WriteFolded(flood(30, 1, 0)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, "   61      +1.000  server") {
		t.Errorf("%q", last)
	}
}

// A story is its event's line without the columns before it.
func TestStory(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, events := read(t, ar.Files[0].Data)
		o := Options{Width: 1000, Conns: ConnsAlways}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		var lines []string
		for line := range strings.Lines(render(t, h, events, o)) {
			if !strings.Contains(line, " ── ") && !strings.HasPrefix(strings.TrimSpace(line), "n ") {
				lines = append(lines, squeeze(line))
			}
		}
		if len(lines) != len(events) {
			t.Fatalf("%s: %d lines of %d events", file, len(lines), len(events))
		}
		s := New(nil, o)
		for i := range events {
			story := s.Story(&events[i])
			if strings.ContainsAny(story, "\n\x1b") || !strings.HasSuffix(lines[i], squeeze(story)) || squeeze(story) == "" {
				t.Errorf("%s: story %q, and the line is %q", file, story, lines[i])
			}
		}
	}
}
