package text

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

// The columns of an event, counted from where it begins.
const (
	flagsAt = 2
	seqAt   = 15
	byAt    = 33 // what caused it
)

const gap = "  "

// Sink writes the story. It implements [tracer.Sink].
type Sink struct {
	line
	w       io.Writer
	o       Options
	started time.Time
	lastT   time.Duration // of the event before
	lastN   uint64        // likewise
	named   bool          // the columns' names are written
	event0  int           // the column at which events begin
	conns   conns
	openers openers

	// The widths of the columns, which only grow.
	nWidth, timeWidth, labelWidth   int
	seqDigits, ackDigits, lenDigits int
}

var _ tracer.Sink = (*Sink)(nil)

// New returns a Sink that writes to w, with one Write for each run of events. It does
// not close w.
func New(w io.Writer, o Options) *Sink {
	if o.Width == 0 {
		o.Width = 100
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	s := &Sink{w: w, o: o, nWidth: 5, timeWidth: 9, labelWidth: 6, seqDigits: 5, ackDigits: 5, lenDigits: 4}
	switch o.Time {
	case TimeDelta:
		s.timeWidth = len("+00000.000")
	case TimeAbs:
		s.timeWidth = len("15:04:05.000000")
	case TimeRel:
	}
	s.color, s.ascii = o.Color, o.ASCII
	return s
}

// Start implements tracer.Sink.
func (s *Sink) Start(h tracer.Header) error {
	s.started = h.Started
	if s.o.Preamble {
		s.preamble(h)
	}
	return s.flush()
}

// Borrows implements tracer.Borrower.
func (*Sink) Borrows() bool { return true }

// Write implements tracer.Sink.
func (s *Sink) Write(events []tracer.Event) error {
	for i := range events {
		s.event(&events[i])
		if len(s.buf) >= 64<<10 {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}

// Pass takes note of an event that is not to be shown: it may tell what one that is shown
// needs, such as that a connection is a listener.
func (s *Sink) Pass(e *tracer.Event) {
	s.conns.listener(e)
	if g, ok := e.Body.(*tracer.Segment); ok && s.o.Numbers != nil {
		s.openers.see(e, g)
	}
}

// Close implements tracer.Sink.
func (s *Sink) Close() error { return nil }

func (s *Sink) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	if err != nil {
		return fmt.Errorf("write the trace as text: %w", err)
	}
	return nil
}

// preamble tells what the trace was made with.
func (s *Sink) preamble(h tracer.Header) {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, strings.TrimSpace(name+" "+value))
		}
	}
	add("appliance", h.Appliance)
	add("gVisor", shortVersion(h.GVisor))
	add("", h.Go)
	link := strings.TrimSpace(h.Link.Kind + " " + h.Link.Name)
	if h.Link.MTU != 0 {
		link += fmt.Sprintf(" mtu %d", h.Link.MTU)
	}
	add("", link)
	tcp := h.TCP.Congestion
	if h.TCP.SACK {
		tcp += " sack"
	}
	if h.TCP.RACK {
		tcp += " rack"
	}
	add("", strings.TrimSpace(tcp))
	add(s.o.Lang.T("impair"), h.Link.Impair)
	s.say(dim, strings.Join(parts, " · "))
	s.end()
}

// shortVersion makes a Go pseudo-version readable: "v0.0.0-20260905035102-160fafc42237"
// is "20260905-160fafc42237".
func shortVersion(v string) string {
	parts := strings.Split(v, "-")
	if len(parts) != 3 || len(parts[1]) != 14 || len(parts[2]) != 12 {
		return v
	}
	return parts[1][:8] + "-" + parts[2]
}

// event writes the line of one event, and before it what that line needs.
func (s *Sink) event(e *tracer.Event) {
	first := s.conns.see(e)
	label := clean(s.label(e), s.ascii)
	s.labelWidth = max(s.labelWidth, words.Width(label))
	if !s.named {
		s.names()
	}
	if first {
		s.introduce(e)
	}
	number := strconv.FormatUint(e.N, 10)
	s.nWidth = max(s.nWidth, len(number))
	s.right(number, s.nWidth)
	at := s.time(e.T)
	s.timeWidth = max(s.timeWidth, len(at))
	s.put(plain, gap)
	s.right(at, s.timeWidth)
	s.put(plain, gap)
	s.put(plain, label)
	s.to(s.nWidth+len(gap)+s.timeWidth+len(gap)+s.labelWidth+len(gap), 0)
	s.event0 = s.col
	s.body(e)
	s.end()
	s.lastT, s.lastN = e.T, e.N
	if e.Body != nil && e.Body.Type() == tracer.TypeEnd {
		s.conns.ended(e)
	}
}

// names writes the columns' names.
func (s *Sink) names() {
	s.named = true
	s.right("n", s.nWidth)
	s.put(plain, gap)
	s.right([...]string{"ms", "Δms", s.o.Lang.T("time")}[min(s.o.Time, TimeAbs)], s.timeWidth)
	s.put(plain, gap)
	s.put(dim, s.o.Lang.T("stack"))
	s.to(s.nWidth+len(gap)+s.timeWidth+len(gap)+s.labelWidth+len(gap), 0)
	s.put(dim, s.o.Lang.T("event"))
	s.end()
}

// label returns what stands in the stack column.
func (s *Sink) label(e *tracer.Event) string {
	if e.Conn == 0 || !s.labelled(e.Stack) {
		return e.Stack
	}
	return e.Stack + "." + strconv.FormatUint(uint64(e.Conn), 10)
}

func (s *Sink) labelled(stack string) bool {
	switch s.o.Conns {
	case ConnsAlways:
		return true
	case ConnsNever:
		return false
	default:
		return s.conns.going[stack] > 1
	}
}

func (s *Sink) time(t time.Duration) string {
	switch s.o.Time {
	case TimeDelta:
		return "+" + millis(t-s.lastT)
	case TimeAbs:
		return s.started.Add(t).In(s.o.Location).Format("15:04:05.000000")
	default:
		return millis(t)
	}
}

// introduce writes a line that tells a connection's ends, or a listener's one, on its
// first mention.
func (s *Sink) introduce(e *tracer.Event) {
	s.to(s.nWidth+len(gap)+s.timeWidth+len(gap), 0)
	s.say(dim, e.Stack)
	s.to(s.nWidth+len(gap)+s.timeWidth+len(gap)+s.labelWidth+len(gap), 0)
	id := strconv.FormatUint(uint64(e.Conn), 10)
	s.put(dim, "── ")
	switch {
	case s.conns.listeners[e.Conn]:
		s.put(plain, s.o.Lang.F("listener %s: ", id))
		s.say(plain, e.Local.String())
	case e.Parent != 0 || asked(e):
		s.put(plain, s.o.Lang.F("connection %s: ", id))
		s.say(plain, e.Remote.String()+" → "+e.Local.String())
	default:
		s.put(plain, s.o.Lang.F("connection %s: ", id))
		s.say(plain, e.Local.String()+" → "+e.Remote.String())
	}
	s.end()
}

// by goes on to the column of causes.
func (s *Sink) by() { s.to(s.event0+byAt, len(gap)) }
