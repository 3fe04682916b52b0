package summary

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

// TextOptions are a Table's settings; the zero value is ready.
type TextOptions struct {
	Lang  words.Lang
	Color bool // the terminal's own colours
	// Width is how many columns a line may have; what does not fit follows on further
	// lines. 0 means any number.
	Width int
}

// Table writes connections as the rows of a table, and the totals as its last ones. It
// gathers rows before it writes them, so that they stand under each other: see grid.
type Table struct {
	g      grid
	o      TextOptions
	states uint16 // that the legend has to explain
	rough  bool   // a time was approximate
}

// The table's columns.
const (
	colName = iota
	colOpener
	colOther
	colStates
	colHow
	colDuration
	colBytesOut
	colBytesIn
	colSegmentsOut
	colSegmentsIn
	colRetransmits
	colRTTMin
	colRTTMedian
	colRTTP99
	numColumns
)

// leftmost tells which columns stand at their left edge; numbers stand at the right one.
var leftmost = [numColumns]bool{colName: true, colOpener: true, colOther: true, colStates: true, colHow: true}

// NewTable returns a Table that writes to w.
func NewTable(w io.Writer, o TextOptions) *Table {
	l := o.Lang
	var head row
	for i, name := range [numColumns]string{
		l.T("conn"), l.T("opened by"), l.T("→ other end"), l.T("states"), l.T("ended"), l.T("lasted"),
		l.T("B out"), l.T("B in"), l.T("seg out"), l.T("seg in"), l.T("rtx"), l.T("RTT min"), l.T("median"), l.T("p99 ms"),
	} {
		head[i] = cell{name, dim}
	}
	return &Table{g: grid{w: w, color: o.Color, width: o.Width, head: head}, o: o}
}

// codes are the states in two letters, which a legend explains.
var codes = [...]string{
	tracer.Closed: "--", tracer.Listen: "LI", tracer.SynSent: "SS", tracer.SynReceived: "SR", tracer.Established: "ES",
	tracer.FinWait1: "F1", tracer.FinWait2: "F2", tracer.CloseWait: "CW", tracer.Closing: "CG", tracer.LastAck: "LA", tracer.TimeWait: "TW",
}

const (
	dim   = "2"
	bold  = "1"
	amber = "33"
	red   = "31"
)

var howWords = map[tracer.How]string{
	tracer.HowFIN:         words.Key("fin|how it ended"),
	tracer.HowReset:       words.Key("reset|how it ended"),
	tracer.HowAborted:     words.Key("aborted|how it ended"),
	tracer.HowTimeout:     words.Key("timeout|how it ended"),
	tracer.HowRefused:     words.Key("refused|how it ended"),
	tracer.HowUnreachable: words.Key("unreachable|how it ended"),
}

// how is a way to end in the language.
func (t *Table) how(h tracer.How) string {
	if w, ok := howWords[h]; ok {
		return t.o.Lang.T(w)
	}
	return clean(string(h))
}

// Conn writes a connection's row.
func (t *Table) Conn(c *Conn) error {
	from, to := c.Ends()
	arrow := "→ "
	if c.Role == "" {
		arrow = "– "
	}
	how := cell{t.how(c.How), red}
	switch {
	case c.Open:
		how = cell{t.o.Lang.T("open|not ended"), amber}
	case c.How == tracer.HowFIN:
		how.style = ""
	}
	cells := row{
		colName: {clean(c.Name()), bold}, colOpener: {address(from), ""}, colOther: {arrow + address(to), ""},
		colStates: {t.codes(c.States), ""}, colHow: how, colDuration: {length(c.Duration), ""},
	}
	t.counts(&cells, c.BytesOut, c.BytesIn, c.SegmentsOut, c.SegmentsIn, c.Retransmits, c.RTT)
	t.g.add(&cells)
	return t.g.err
}

// counts fills the columns that connections and totals have in common.
func (t *Table) counts(cells *row, bytesOut, bytesIn, segmentsOut, segmentsIn, again uint64, rtt *RTT) {
	cells[colBytesOut], cells[colBytesIn] = cell{size(bytesOut), ""}, cell{size(bytesIn), ""}
	cells[colSegmentsOut], cells[colSegmentsIn] = cell{size(segmentsOut), ""}, cell{size(segmentsIn), ""}
	cells[colRetransmits] = cell{size(again), amber}
	if again == 0 {
		cells[colRetransmits].style = ""
	}
	if rtt != nil {
		about := ""
		if rtt.Approximate {
			about, t.rough = "~", true
		}
		cells[colRTTMin] = cell{millis(rtt.Min), ""}
		cells[colRTTMedian], cells[colRTTP99] = cell{about + millis(rtt.Median), ""}, cell{about + millis(rtt.P99), ""}
	}
}

// codes returns the states' codes, and sees to it that the legend has them. That a
// connection was CLOSED in the end goes without saying.
func (t *Table) codes(states []string) string {
	var list []string
	for _, name := range states {
		s, err := tracer.ParseState(name)
		if err != nil || s == tracer.Closed {
			continue
		}
		t.states |= 1 << s
		list = append(list, codes[s])
	}
	return strings.Join(list, " ")
}

// Totals writes the last rows: a stack each, what they had besides, and the legend.
func (t *Table) Totals(all Totals) error {
	l := t.o.Lang
	t.g.gap()
	for i := range all.Stacks {
		s := &all.Stacks[i]
		cells := row{
			colName: {clean(s.Name), bold}, colStates: {t.codes(s.States), ""}, colDuration: {length(all.Duration), ""},
		}
		if s.Open > 0 {
			cells[colHow] = cell{l.F("%d open", s.Open), amber}
		}
		t.counts(&cells, s.BytesOut, s.BytesIn, s.SegmentsOut, s.SegmentsIn, s.Retransmits, s.RTT)
		t.g.add(&cells)
	}
	t.g.flush()
	for i := range all.Stacks {
		t.besides(&all.Stacks[i])
	}
	t.legend()
	return t.g.err
}

// many says how many connections a stack had.
func (t *Table) many(s *Stack) string {
	l := t.o.Lang
	if s.Connections == 1 {
		return l.F("%d connection (%d active, %d passive)", s.Connections, s.Active, s.Passive)
	}
	return l.F("%d connections (%d active, %d passive)", s.Connections, s.Active, s.Passive)
}

// besides tells of a stack what has no column.
func (t *Table) besides(s *Stack) {
	l := t.o.Lang
	parts := []string{t.many(s)}
	add := func(n uint64, format string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, n))
		}
	}
	add(s.Events, l.T("%d events"))
	add(s.Listeners, l.T("%d listening"))
	add(s.Datagrams, l.T("%d UDP datagrams"))
	add(s.ICMP, l.T("%d ICMP messages"))
	for _, how := range s.HowNames() {
		parts = append(parts, l.F("%d ended: %s", s.How[how], t.how(tracer.How(how))))
	}
	add(s.Lost, l.T("%d events lost by the trace's writer"))
	if s.Retransmits > 0 && s.SegmentsOut > 0 {
		parts = append(parts, l.F("%.2f %% retransmitted", 100*float64(s.Retransmits)/float64(s.SegmentsOut)))
	}
	t.g.list(clean(s.Name)+": ", parts, l.T(", |between items"))
}

// legend explains the codes that were used, and the sign of what is approximate.
func (t *Table) legend() {
	var parts []string
	for s := tracer.Listen; s <= tracer.TimeWait; s++ {
		if t.states&(1<<s) != 0 {
			parts = append(parts, codes[s]+" "+s.String())
		}
	}
	if t.rough {
		parts = append(parts, t.o.Lang.T("~ within 1.6 %"))
	}
	t.g.list("", parts, "  ")
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return "?"
	}
	return clean(a.String())
}

// clean keeps what comes out of a trace from acting on the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// size returns a count in at most seven columns: "1234567", "12.3M".
func size(n uint64) string {
	if n < 1e7 {
		return strconv.FormatUint(n, 10)
	}
	f := float64(n)
	for _, unit := range []string{"k", "M", "G", "T", "P"} {
		if f /= 1000; f < 1000 || unit == "P" {
			if unit == "k" {
				continue
			}
			return digits(f) + unit
		}
	}
	return strconv.FormatUint(n, 10)
}

// digits returns three digits of a number.
func digits(f float64) string {
	decimals := 2
	if f >= 10 {
		decimals = 1
	}
	if f >= 100 {
		decimals = 0
	}
	return strconv.FormatFloat(f, 'f', decimals, 64)
}

// millis returns a time in milliseconds with three digits, and not below a microsecond.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 1 {
		return strconv.FormatFloat(ms, 'f', 3, 64)
	}
	return digits(ms)
}

// length returns how long something lasted: "0.412 ms", "1.50 s", "240 s", "14m7s".
func length(d time.Duration) string {
	switch {
	case d < time.Second:
		return millis(d) + " ms"
	case d < 10*time.Minute:
		return digits(d.Seconds()) + " s"
	case d < math.MaxInt64:
		return d.Round(time.Second).String()
	default:
		return "?"
	}
}
