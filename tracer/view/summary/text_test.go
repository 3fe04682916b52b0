package summary

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

var update = flag.Bool("update", false, "write the golden files")

// table writes a table of connections of all sorts.
func table(t *testing.T, o TextOptions, conns []*Conn) string {
	t.Helper()
	var b bytes.Buffer
	w := NewTable(&b, o)
	for _, c := range conns {
		if err := w.Conn(c); err != nil {
			t.Fatal(err)
		}
	}
	rtt := &RTT{Samples: 9999, Min: 31_000, Median: 1_230_000, P99: 45_600_000, Max: 99_000_000, Approximate: true}
	all := Totals{Duration: 83 * time.Second, Stacks: []Stack{
		{
			Name: "appliance", Events: 1234, Listeners: 2, Connections: 12, Passive: 12, Open: 1, How: map[string]uint64{"fin": 10, "reset": 1},
			States: []string{"SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK"}, BytesOut: 123456789, BytesIn: 4321, SegmentsOut: 99999, SegmentsIn: 54321, Retransmits: 77, RTT: rtt,
		},
		{Name: "client", Events: 7, Connections: 1, Active: 1, Open: 1, How: map[string]uint64{}, States: []string{"SYN-SENT"}, SegmentsOut: 1, Datagrams: 3, Lost: 5},
	}}
	if err := w.Totals(all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func someConns() []*Conn {
	four := netip.MustParseAddrPort
	return []*Conn{
		{
			ID: 9, Stack: "appliance", Local: four("192.168.12.53:9000"), Remote: four("192.168.12.1:60296"), Role: tracer.Passive,
			States: []string{"SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"}, BytesOut: 6, BytesIn: 5, SegmentsOut: 6, SegmentsIn: 7,
			RTT: &RTT{Samples: 3, Min: 41_000, Median: 98_500, P99: 100_000_000, Max: 100_000_000}, Duration: 24 * time.Millisecond, How: tracer.HowFIN,
		},
		{
			ID: 10, Stack: "client", Local: four("10.0.0.1:4000"), Remote: four("10.0.0.2:80"), Role: tracer.Active,
			States: []string{"SYN-SENT"}, SegmentsOut: 1, Duration: 3 * time.Second, Open: true,
		},
		{
			ID: 11, Stack: "appliance", Local: four("[fd00:12::53]:9000"), Remote: four("[2001:db8:1111:2222:3333:4444:5555:6666]:60296"),
			States: []string{}, BytesOut: 123456789, SegmentsOut: 99999, SegmentsIn: 54321, Retransmits: 77, Duration: 14 * time.Minute, How: tracer.HowReset,
			RTT: &RTT{Samples: 9999, Min: 31_000, Median: 1_230_000, P99: 45_600_000, Max: 99_000_000, Approximate: true},
		},
	}
}

// TestTable holds the table to golden files, at several widths.
func TestTable(t *testing.T) {
	for name, o := range map[string]TextOptions{
		"60": {Width: 60}, "100": {Width: 100}, "140": {Width: 140}, "any": {}, "100-zh": {Width: 100, Lang: words.Chinese},
	} {
		got := table(t, o, someConns())
		path := filepath.Join("testdata", "table-"+name+".txt")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestTableFits: at any width no line is longer, but for what is itself too long; and none
// has spaces at its end.
func TestTableFits(t *testing.T) {
	longest := len("→ [2001:db8:1111:2222:3333:4444:5555:6666]:60296")
	for _, lang := range []words.Lang{words.English, words.Chinese} {
		for width := longest + 4; width <= 200; width++ {
			for _, line := range strings.Split(table(t, TextOptions{Width: width, Lang: lang}, someConns()), "\n") {
				if words.Width(line) > width || strings.HasSuffix(line, " ") {
					t.Errorf("%d: %d columns: %q", width, words.Width(line), line)
				}
			}
		}
	}
}

// TestTableStandsStraight: each number stands at the edge of its heading, the nearest above
// it, however wide the rows become.
func TestTableStandsStraight(t *testing.T) {
	c := *someConns()[0]
	var conns []*Conn
	for i := range 5 * maxRows {
		d := c
		d.ID = uint32(8 + i)
		if i == 4*maxRows {
			d.Stack = strings.Repeat("long", 5)
		}
		conns = append(conns, &d)
	}
	heads, edge, rows := 0, 0, 0
	for _, line := range strings.Split(table(t, TextOptions{}, conns), "\n") {
		if at := strings.Index(line, "seg out"); at >= 0 {
			heads++
			edge = len([]rune(line[:at])) + len("seg out")
			continue
		}
		if !strings.Contains(line, " → ") {
			continue
		}
		rows++
		if r := []rune(line); string(r[edge-3:edge+2]) != fmt.Sprintf("%3d  ", c.SegmentsOut) {
			t.Errorf("seg out is not at %d: %s", edge, line)
		}
	}
	// At first, for four digits of an id, for the long name, and for the totals.
	if rows != len(conns) || heads != 4 {
		t.Errorf("%d rows, %d headings", rows, heads)
	}
}
