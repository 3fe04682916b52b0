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
	// MinRTT and what is like it need none.
}

// Table writes connections as the rows of a table, and the totals as its last ones. Columns
// grow, and never shrink, where a value needs it.
type Table struct {
	w      io.Writer
	o      TextOptions
	widths [numColumns]int
	begun  bool
	states uint16 // that the legend has to explain
	err    error
}

// The table's columns.
const (
	colName = iota
	colEnds
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
var leftmost = [numColumns]bool{colName: true, colEnds: true, colStates: true, colHow: true}

// NewTable returns a Table that writes to w.
func NewTable(w io.Writer, o TextOptions) *Table {
	t := &Table{w: w, o: o}
	t.widths = [numColumns]int{8, 39, 14, 7, 8, 7, 7, 5, 5, 3, 6, 6, 6}
	return t
}

// codes are the states in two letters, which a legend explains.
var codes = [...]string{
	tracer.Closed: "--", tracer.Listen: "LI", tracer.SynSent: "SS", tracer.SynReceived: "SR", tracer.Established: "ES",
	tracer.FinWait1: "F1", tracer.FinWait2: "F2", tracer.CloseWait: "CW", tracer.Closing: "CG", tracer.LastAck: "LA", tracer.TimeWait: "TW",
}

// A cell is a column's text, and its SGR parameters where colour is on.
type cell struct{ text, style string }

const (
	dim   = "2"
	bold  = "1"
	amber = "33"
	red   = "31"
)

// head writes the columns' names.
func (t *Table) head() {
	t.begun = true
	l := t.o.Lang
	names := [numColumns]string{
		l.T("conn"), l.T("opened by → other end"), l.T("states"), l.T("ended"), l.T("lasted"),
		l.T("B out"), l.T("B in"), l.T("seg out"), l.T("seg in"), l.T("rtx"), l.T("RTT min"), l.T("median"), l.T("p99 ms"),
	}
	var cells [numColumns]cell
	for i, n := range names {
		cells[i] = cell{n, dim}
	}
	t.row(&cells)
}

// row writes one row.
func (t *Table) row(cells *[numColumns]cell) {
	var b strings.Builder
	for i, c := range cells {
		n := words.Width(c.text)
		t.widths[i] = max(t.widths[i], n)
		pad := strings.Repeat(" ", t.widths[i]-n)
		if !leftmost[i] {
			b.WriteString(pad)
		}
		if t.o.Color && c.style != "" && c.text != "" {
			b.WriteString("\x1b[" + c.style + "m" + c.text + "\x1b[0m")
		} else {
			b.WriteString(c.text)
		}
		if leftmost[i] {
			b.WriteString(pad)
		}
		b.WriteString("  ")
	}
	t.printf("%s\n", strings.TrimRight(b.String(), " "))
}

func (t *Table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

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
	if !t.begun {
		t.head()
	}
	from, to := c.Ends()
	ends := address(from) + " → " + address(to)
	if c.Role == "" {
		ends = address(from) + " – " + address(to)
	}
	how := cell{t.how(c.How), red}
	switch {
	case c.Open:
		how = cell{t.o.Lang.T("open|not ended"), amber}
	case c.How == tracer.HowFIN:
		how.style = ""
	}
	cells := [numColumns]cell{
		colName: {clean(c.Name()), bold}, colEnds: {ends, ""}, colStates: {t.codes(c.States), ""}, colHow: how,
		colDuration: {length(c.Duration), ""},
	}
	t.counts(&cells, c.BytesOut, c.BytesIn, c.SegmentsOut, c.SegmentsIn, c.Retransmits, c.RTT)
	t.row(&cells)
	return t.err
}

// counts fills the columns that connections and totals have in common.
func (t *Table) counts(cells *[numColumns]cell, bytesOut, bytesIn, segmentsOut, segmentsIn, again uint64, rtt *RTT) {
	cells[colBytesOut], cells[colBytesIn] = cell{size(bytesOut), ""}, cell{size(bytesIn), ""}
	cells[colSegmentsOut], cells[colSegmentsIn] = cell{size(segmentsOut), ""}, cell{size(segmentsIn), ""}
	cells[colRetransmits] = cell{size(again), amber}
	if again == 0 {
		cells[colRetransmits].style = ""
	}
	if rtt != nil {
		cells[colRTTMin], cells[colRTTMedian], cells[colRTTP99] = cell{millis(rtt.Min), ""}, cell{millis(rtt.Median), ""}, cell{millis(rtt.P99), ""}
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
	if !t.begun {
		t.head()
	}
	t.printf("\n")
	l := t.o.Lang
	for i := range all.Stacks {
		s := &all.Stacks[i]
		cells := [numColumns]cell{
			colName: {clean(s.Name), bold}, colEnds: {t.many(s), ""}, colStates: {t.codes(s.States), ""},
			colDuration: {length(all.Duration), ""},
		}
		if s.Open > 0 {
			cells[colHow] = cell{l.F("%d open", s.Open), amber}
		}
		t.counts(&cells, s.BytesOut, s.BytesIn, s.SegmentsOut, s.SegmentsIn, s.Retransmits, s.RTT)
		t.row(&cells)
	}
	for i := range all.Stacks {
		t.besides(&all.Stacks[i])
	}
	t.legend()
	return t.err
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
	var parts []string
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
	t.printf("%s: %s\n", clean(s.Name), strings.Join(parts, l.T(", |between items")))
}

// legend explains the codes that were used.
func (t *Table) legend() {
	var parts []string
	for s := tracer.Listen; s <= tracer.TimeWait; s++ {
		if t.states&(1<<s) != 0 {
			parts = append(parts, codes[s]+" "+s.String())
		}
	}
	if len(parts) > 0 {
		t.printf("%s\n", strings.Join(parts, "  "))
	}
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
