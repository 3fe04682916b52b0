package infer_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/infer"
)

// parseSegment reads "SYN,ACK seq=300 ack=101 len=5".
func parseSegment(t testing.TB, text string) *tracer.Segment {
	t.Helper()
	s := &tracer.Segment{Win: 1000}
	for i, f := range strings.Fields(text) {
		if i == 0 {
			for _, name := range strings.Split(f, ",") {
				flag, err := tracer.ParseFlag(name)
				if err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				s.Flags |= flag
			}
			continue
		}
		key, value, _ := strings.Cut(f, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		switch key {
		case "seq":
			s.Seq = uint32(n)
		case "ack":
			s.Ack = uint32(n)
		case "len":
			s.Len = int(n)
		case "win":
			s.Win = uint32(n)
		default:
			t.Fatalf("%s: what is %s?", text, key)
		}
	}
	return s
}

func changesInWords(changes []infer.Change) string {
	var words []string
	for _, c := range changes {
		by := fmt.Sprintf("%s %d", c.Cause.Kind, c.Cause.N)
		words = append(words, fmt.Sprintf("%s → %s by %s %s", c.From, c.To, by, c.Cause.What))
	}
	return strings.Join(words, "; ")
}

// machineTest is a table of steps: "> SEGMENT" is sent, "< SEGMENT" received, "call
// NAME" a call, each with the changes that follow, "" for none. The step's place in
// the table, from 1, is its number.
type machineTest struct {
	name  string
	opts  infer.MachineOptions
	steps [][2]string
}

var listening = infer.MachineOptions{Listening: true}

// opened is an active open with ISS 100 and IRS 300, which takes steps 1 to 3.
func opened(steps ...[2]string) [][2]string {
	return append([][2]string{
		{"> SYN seq=100", "CLOSED → SYN-SENT by call 0 connect"},
		{"< SYN,ACK seq=300 ack=101", "SYN-SENT → ESTABLISHED by segment 2 SYN ACK"},
		{"> ACK seq=101 ack=301", ""},
	}, steps...)
}

func runMachine(t *testing.T, tests []machineTest) {
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := infer.NewMachine(tt.opts)
			for i, step := range tt.steps {
				n := uint64(i + 1)
				var got []infer.Change
				switch what := step[0]; {
				case strings.HasPrefix(what, "> "):
					got = m.Sent(parseSegment(t, what[2:]))
				case strings.HasPrefix(what, "< "):
					got = m.Received(n, parseSegment(t, what[2:]))
				case strings.HasPrefix(what, "call "):
					m.Called(n, what[5:])
				default:
					t.Fatalf("what is %q?", what)
				}
				if words := changesInWords(got); words != step[1] {
					t.Fatalf("step %d, %s:\ngot  %s\nwant %s", n, step[0], words, step[1])
				}
			}
		})
	}
}

// TestFigures has RFC 9293's figures, each end by itself.
func TestFigures(t *testing.T) {
	runMachine(t, []machineTest{
		{"6, A", infer.MachineOptions{}, opened([2]string{"> ACK seq=101 ack=301 len=5", ""})},
		{"6, B", listening, [][2]string{
			{"< SYN seq=100", "LISTEN → SYN-RECEIVED by segment 1 SYN"},
			{"> SYN,ACK seq=300 ack=101", ""},
			{"< ACK seq=101 ack=301", "SYN-RECEIVED → ESTABLISHED by segment 3 ACK of our SYN"},
			{"< ACK seq=101 ack=301 len=5", ""},
		}},
		{"7, A", infer.MachineOptions{}, [][2]string{
			{"> SYN seq=100", "CLOSED → SYN-SENT by call 0 connect"},
			{"< SYN seq=300", "SYN-SENT → SYN-RECEIVED by segment 2 SYN"},
			{"> SYN,ACK seq=100 ack=301", ""},
			{"< SYN,ACK seq=300 ack=101", "SYN-RECEIVED → ESTABLISHED by segment 4 ACK of our SYN"},
		}},
		{"7, A opens on ACK", infer.MachineOptions{OpensOnACK: true}, [][2]string{
			{"> SYN seq=100", "CLOSED → SYN-SENT by call 0 connect"},
			{"< SYN seq=300", "SYN-SENT → SYN-RECEIVED by segment 2 SYN"},
			{"> SYN,ACK seq=100 ack=301", ""},
			{"< SYN,ACK seq=300 ack=101", ""},
			{"> ACK seq=101 ack=301", ""},
			{"< ACK seq=301 ack=101", "SYN-RECEIVED → ESTABLISHED by segment 6 ACK of our SYN"},
		}},
		{"8, A", infer.MachineOptions{}, [][2]string{
			{"> SYN seq=100", "CLOSED → SYN-SENT by call 0 connect"},
			{"< SYN,ACK seq=300 ack=91", ""},
			{"> RST seq=91", ""},
			{"< SYN,ACK seq=400 ack=101", "SYN-SENT → ESTABLISHED by segment 4 SYN ACK"},
			{"> ACK seq=101 ack=401", ""},
		}},
		{"8, B's first child", listening, [][2]string{
			{"< SYN seq=90", "LISTEN → SYN-RECEIVED by segment 1 SYN"},
			{"> SYN,ACK seq=300 ack=91", ""},
			{"< RST seq=91", "SYN-RECEIVED → CLOSED by segment 3 RST"},
		}},
		{"9, A", infer.MachineOptions{}, [][2]string{
			{"> SYN seq=400", "CLOSED → SYN-SENT by call 0 connect"},
			{"< ACK seq=300 ack=100", ""},
			{"> RST seq=100", ""},
			{"> SYN seq=400", ""},
		}},
		{"9, B", infer.MachineOptions{}, opened(
			[2]string{"< SYN seq=400", ""},
			[2]string{"> ACK seq=101 ack=301", ""},
			[2]string{"< RST seq=301", "ESTABLISHED → CLOSED by segment 6 RST"},
			[2]string{"< SYN seq=400", ""},
		)},
		{"10, B", infer.MachineOptions{}, opened(
			[2]string{"> ACK seq=101 ack=301 len=10", ""},
			[2]string{"< RST seq=301", "ESTABLISHED → CLOSED by segment 5 RST"},
		)},
		{"12, A", infer.MachineOptions{}, opened(
			[2]string{"call close", ""},
			[2]string{"> FIN,ACK seq=101 ack=301", "ESTABLISHED → FIN-WAIT-1 by call 4 close"},
			[2]string{"< ACK seq=301 ack=102", "FIN-WAIT-1 → FIN-WAIT-2 by segment 6 ACK of our FIN"},
			[2]string{"< FIN,ACK seq=301 ack=102", "FIN-WAIT-2 → TIME-WAIT by segment 7 FIN"},
			[2]string{"> ACK seq=102 ack=302", ""},
			[2]string{"< FIN,ACK seq=301 ack=102", ""},
			[2]string{"> ACK seq=102 ack=302", ""},
			[2]string{"< RST seq=302", ""},
		)},
		{"12, B", infer.MachineOptions{}, opened(
			[2]string{"< FIN,ACK seq=301 ack=101", "ESTABLISHED → CLOSE-WAIT by segment 4 FIN"},
			[2]string{"> ACK seq=101 ack=302", ""},
			[2]string{"> FIN,ACK seq=101 ack=302", "CLOSE-WAIT → LAST-ACK by call 0 close or shutdown"},
			[2]string{"< ACK seq=302 ack=102", "LAST-ACK → CLOSED by segment 7 ACK of our FIN"},
		)},
		{"13, A", infer.MachineOptions{}, opened(
			[2]string{"> FIN,ACK seq=101 ack=301", "ESTABLISHED → FIN-WAIT-1 by call 0 close or shutdown"},
			[2]string{"< FIN,ACK seq=301 ack=101", "FIN-WAIT-1 → CLOSING by segment 5 FIN"},
			[2]string{"> ACK seq=102 ack=302", ""},
			[2]string{"< ACK seq=302 ack=102", "CLOSING → TIME-WAIT by segment 7 ACK of our FIN"},
		)},
	})
}

// wire is a trace of both ends of a connection, as one who stands on the wire
// writes it down: each segment as sent and as received.
type wire struct {
	t      testing.TB
	events []tracer.Event
}

var (
	endA = netip.MustParseAddrPort("192.168.12.1:40000")
	endB = netip.MustParseAddrPort("192.168.12.53:9000")
)

func (w *wire) add(stack string, dir tracer.Direction, s tracer.Segment) {
	n := len(w.events) + 1
	e := tracer.Event{N: uint64(n), T: time.Duration(n), Stack: stack, Local: endA, Remote: endB, Conn: 1}
	if stack == "B" {
		e.Local, e.Remote, e.Conn, e.Parent = endB, endA, 3, 2
		if s.Flags&(tracer.SYN|tracer.ACK) == tracer.SYN && dir == tracer.In {
			e.Conn, e.Parent = 2, 0
		}
	}
	s.Dir = dir
	e.Body = &s
	w.events = append(w.events, e)
}

// line takes "A SYN seq=100": A sends it, and B gets it.
func (w *wire) line(text string) {
	w.t.Helper()
	from, segment, _ := strings.Cut(text, " ")
	s := *parseSegment(w.t, segment)
	w.add(from, tracer.Out, s)
	w.add(map[string]string{"A": "B", "B": "A"}[from], tracer.In, s)
}

func onWire(t testing.TB, lines ...string) []tracer.Event {
	w := &wire{t: t}
	for _, l := range lines {
		w.line(l)
	}
	return w.events
}

// told gives the changes of a trace in words: the conn, the change, and the
// number of the line of the table that caused it.
func told(events []tracer.Event) []string {
	var words []string
	for _, e := range events {
		c, ok := e.Body.(*tracer.StateChange)
		if !ok {
			continue
		}
		by := string(c.Cause.Kind)
		if c.Cause.N > 0 {
			by = fmt.Sprintf("line %d", (c.Cause.N+1)/2)
		}
		words = append(words, fmt.Sprintf("%s%d %s → %s by %s", e.Stack, e.Conn, c.From, c.To, by))
	}
	return words
}

var handshake = []string{"A SYN seq=100", "B SYN,ACK seq=300 ack=101", "A ACK seq=101 ack=301"}

var handshakeTold = []string{
	"A1 CLOSED → SYN-SENT by call", "B2 CLOSED → LISTEN by call", "B3 LISTEN → SYN-RECEIVED by line 1", "A1 SYN-SENT → ESTABLISHED by line 2",
	"B3 SYN-RECEIVED → ESTABLISHED by line 3",
}

// TestOnWire has what crosses, is lost, or comes again, seen by a tap that cannot
// tell when a segment arrives.
func TestOnWire(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  []string
	}{
		{"figure 12: close", []string{
			"A FIN,ACK seq=101 ack=301", "B ACK seq=301 ack=102", "B FIN,ACK seq=301 ack=102", "A ACK seq=102 ack=302",
		}, []string{
			"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → CLOSE-WAIT by line 4", "A1 FIN-WAIT-1 → FIN-WAIT-2 by line 5",
			"B3 CLOSE-WAIT → LAST-ACK by call", "A1 FIN-WAIT-2 → TIME-WAIT by line 6", "B3 LAST-ACK → CLOSED by line 7",
		}},
		{"figure 13: both FINs on their way", []string{
			"A FIN,ACK seq=101 ack=301", "B FIN,ACK seq=301 ack=101", "A ACK seq=102 ack=302", "B ACK seq=302 ack=102",
		}, []string{
			"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → FIN-WAIT-1 by call", "B3 FIN-WAIT-1 → CLOSING by line 4",
			"A1 FIN-WAIT-1 → CLOSING by line 5", "B3 CLOSING → TIME-WAIT by line 6", "A1 CLOSING → TIME-WAIT by line 7",
		}},
		{"three segments", []string{
			"A FIN,ACK seq=101 ack=301", "B FIN,ACK seq=301 ack=102", "A ACK seq=102 ack=302",
		}, []string{
			"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → CLOSE-WAIT by line 4", "B3 CLOSE-WAIT → LAST-ACK by call",
			"A1 FIN-WAIT-1 → TIME-WAIT by line 5", "B3 LAST-ACK → CLOSED by line 6",
		}},
		{"a FIN that nobody shows to have got", []string{"A FIN,ACK seq=101 ack=301"}, []string{"A1 ESTABLISHED → FIN-WAIT-1 by call"}},
		{"a FIN that waits for what is before it", []string{
			"A FIN,ACK seq=106 ack=301 len=5", "B ACK seq=301 ack=101", "A ACK seq=101 ack=301 len=5", "B ACK seq=301 ack=112",
		}, []string{
			"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → CLOSE-WAIT by line 6", "A1 FIN-WAIT-1 → FIN-WAIT-2 by line 7",
		}},
		{"FIN and ACK again and again", []string{
			"A FIN,ACK seq=101 ack=301", "A FIN,ACK seq=101 ack=301", "B ACK seq=301 ack=102", "B ACK seq=301 ack=102",
			"A FIN,ACK seq=101 ack=301", "B ACK seq=301 ack=102", "B FIN,ACK seq=301 ack=102", "B FIN,ACK seq=301 ack=102",
			"A ACK seq=102 ack=302", "A ACK seq=102 ack=302",
		}, []string{
			"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → CLOSE-WAIT by line 4", "A1 FIN-WAIT-1 → FIN-WAIT-2 by line 6",
			"B3 CLOSE-WAIT → LAST-ACK by call", "A1 FIN-WAIT-2 → TIME-WAIT by line 10", "B3 LAST-ACK → CLOSED by line 12",
		}},
		{"figure 9: half open", []string{
			"A SYN seq=700", "B ACK seq=301 ack=101", "A RST seq=101", "A SYN seq=700", "B SYN,ACK seq=900 ack=701", "A ACK seq=701 ack=901",
		}, []string{
			"A1 CLOSED → SYN-SENT by call", "B3 ESTABLISHED → CLOSED by line 6", "B3 LISTEN → SYN-RECEIVED by line 7",
			"A1 SYN-SENT → ESTABLISHED by line 8", "B3 SYN-RECEIVED → ESTABLISHED by line 9",
		}},
		{"RST beside the mark", []string{"A RST seq=99", "A RST seq=102", "A RST seq=101"}, []string{
			"A1 ESTABLISHED → CLOSED by call", "B3 ESTABLISHED → CLOSED by line 6",
		}},
		{"reset by A", []string{"A RST,ACK seq=101 ack=301"}, []string{"A1 ESTABLISHED → CLOSED by call", "B3 ESTABLISHED → CLOSED by line 4"}},
		{"FIN, then reset by B without the FIN's ACK", []string{
			"A FIN,ACK seq=101 ack=301", "B RST,ACK seq=301 ack=101",
		}, []string{"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → CLOSED by call", "A1 FIN-WAIT-1 → CLOSED by line 5"}},
		{"data after close", []string{
			"A FIN,ACK seq=101 ack=301", "B ACK seq=301 ack=102 len=5", "A RST seq=102",
		}, []string{
			"A1 ESTABLISHED → FIN-WAIT-1 by call", "B3 ESTABLISHED → CLOSE-WAIT by line 4", "A1 FIN-WAIT-1 → FIN-WAIT-2 by line 5",
			"A1 FIN-WAIT-2 → CLOSED by line 5", "B3 CLOSE-WAIT → CLOSED by line 6",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events := onWire(t, append(append([]string(nil), handshake...), tt.lines...)...)
			got := told(infer.Infer(events, infer.Options{}))
			if d := cmp.Diff(append(append([]string(nil), handshakeTold...), tt.want...), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}
