package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
)

// linux reads a trace whose one end is Linux: of that end it has states and calls alone.
func linux(t *testing.T, name string) *view.Trace {
	t.Helper()
	h, events := tracertest.Read(t, filepath.Join("..", "testdata", name+".jsonl"))
	return view.New(h, events)
}

// What one end does not tell, the page has from the other: no zero stands for what was not
// counted.
func TestEndWithoutSegments(t *testing.T) {
	for name, want := range map[string]struct{ bytes, segments, end, payload string }{
		// The opener is Linux, and the other end closed.
		"server-closes-first-linux": {"18 / 379", "6 / 5", "server.3: closed by FIN", "397"},
		// The listener's end is Linux; the trace stops while both are open.
		"data-lost-sack-linux": {"5,000 / 0", "8 / 6", "open: ESTABLISHED", "5,000"},
	} {
		b, err := newBook(linux(t, name), Options{})
		if err != nil {
			t.Fatal(err)
		}
		cells := b.Rows[0].Cells
		for column, text := range map[int]string{3: want.bytes, 4: want.segments, 9: want.end} {
			if got := cells[column].Text; got != text {
				t.Errorf("%s: %s: %q, want %q", name, b.Columns[column].Name, got, text)
			}
		}
		if got := cells[6].Text; !strings.Contains(got, "µs") {
			t.Errorf("%s: RTT %q", name, got)
		}
		if !slices.Contains(b.Tiles, tile{Name: "payload", Value: want.payload, Unit: "B"}) {
			t.Errorf("%s: tiles %+v", name, b.Tiles)
		}
		var tabs []string
		for _, p := range b.script.Sets[0].Pics {
			tabs = append(tabs, p.Tab)
		}
		if all := []string{"ladder", "states", "sequence", "window", "rtt", "throughput"}; !slices.Equal(tabs, all) {
			t.Errorf("%s: pictures %v, want %v", name, tabs, all)
		}
	}
}

// Where no end's segments are in the trace, nothing is said of them.
func TestNoSegmentsAtAll(t *testing.T) {
	tr := conversation(2)
	var events []tracer.Event
	for _, e := range tr.Events {
		if x := e.Body.Type(); x == tracer.TypeState || x == tracer.TypeCall {
			events = append(events, e)
		}
	}
	b, err := newBook(view.New(header, events), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range []int{3, 4, 5, 6} {
		if got := b.Rows[0].Cells[column].Text; got != none {
			t.Errorf("%s: %q, want %q", b.Columns[column].Name, got, none)
		}
	}
	if got := fmt.Sprint(b.Tiles); slices.ContainsFunc(b.Tiles, func(x tile) bool { return x.Name == "segments" || x.Name == "payload" }) {
		t.Errorf("tiles: %s", got)
	}
}

// Segments that come after the end of their connection count in the table and the tiles.
func TestSegmentsAfterTheEnd(t *testing.T) {
	k := talk{words: "hello"}
	client, child := k.connect(k.listen())
	k.send(client, child, 2)
	k.reset(client, child, "connection reset by peer")
	k.segment(client, child, tracer.PSH|tracer.ACK, 1001, 1, 1000, "retransmission")
	k.segment(child, client, tracer.RST, 1, 0, 0)
	b, err := newBook(view.New(header, k.events), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for column, want := range map[int]string{3: "2,000 / 0", 4: "6 / 4", 5: "1"} {
		if got := b.Rows[0].Cells[column].Text; got != want {
			t.Errorf("%s: %q, want %q", b.Columns[column].Name, got, want)
		}
	}
	for _, want := range []tile{{Name: "segments", Value: "10"}, {Name: "retransmitted", Value: "1", Bad: true}} {
		if !slices.Contains(b.Tiles, want) {
			t.Errorf("tiles: %+v, want %+v", b.Tiles, want)
		}
	}
}
