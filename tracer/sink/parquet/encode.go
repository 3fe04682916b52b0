package parquet

import (
	"math"
	"net/netip"
	"time"
	"unicode/utf8"

	"appliance/tracer"
)

// encoder makes rows of events.
type encoder struct{ started time.Time }

// The times that a TIMESTAMP(NANOS) can tell.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

// utf8Text is s with each byte that is no UTF-8 as U+FFFD.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

func text(s string) *string {
	s = utf8Text(s)
	return &s
}

func texts(list []string) []string {
	for i, s := range list {
		if !utf8.ValidString(s) {
			clean := make([]string, len(list))
			copy(clean, list[:i])
			for j := i; j < len(list); j++ {
				clean[j] = utf8Text(list[j])
			}
			return clean
		}
	}
	return list
}

func ptr[T any](v T) *T { return &v }

// row makes the row of an event: what it points to may be the event's own.
func (c *encoder) row(e *tracer.Event) row {
	r := row{
		N: e.N, TNs: int64(e.T), Stack: utf8Text(e.Stack), Conn: e.Conn, Parent: e.Parent,
		Local: endOf(e.Local), Remote: endOf(e.Remote), Time: c.time(e.T),
	}
	if e.Body == nil {
		return r
	}
	r.Type = string(e.Body.Type())
	switch b := e.Body.(type) {
	case *tracer.Call:
		r.call(b)
	case *tracer.Segment:
		r.segment(b)
	case *tracer.Datagram:
		r.Dir, r.Len, r.Notes, r.Dropped = text(string(b.Dir)), ptr(int64(b.Len)), texts(b.Notes), utf8Text(b.Dropped)
	case *tracer.ICMP:
		r.Dir, r.Name, r.ICMPType, r.Code, r.Len = text(string(b.Dir)), utf8Text(b.Name), &b.Kind, &b.Code, ptr(int64(b.Len))
	case *tracer.StateChange:
		r.state(b)
	case *tracer.Timer:
		r.Timer, r.What, r.RTONs = text(b.Name), utf8Text(b.What), int64(b.RTO)
	case *tracer.TCB:
		r.TCB = tcbOf(b)
	case *tracer.End:
		r.Role, r.How = utf8Text(string(b.Role)), utf8Text(string(b.How))
		r.OpenedNs, r.DurationNs = (*int64)(&b.Opened), (*int64)(&b.Duration)
		r.BytesIn, r.BytesOut, r.SegmentsIn, r.SegmentsOut, r.Retransmits = &b.BytesIn, &b.BytesOut, &b.SegmentsIn, &b.SegmentsOut, &b.Retransmits
	case *tracer.Lost:
		r.Missed, r.LostOf = &b.Missed, utf8Text(string(b.Of))
	}
	return r
}

// time is when the event was; nil where the column cannot tell.
func (c *encoder) time(t time.Duration) *int64 {
	at := c.started.Add(t)
	if at.Before(firstTime) || at.After(lastTime) || at.Before(c.started) != (t < 0) {
		return nil
	}
	return ptr(at.UnixNano())
}

func endOf(a netip.AddrPort) *end {
	if !a.IsValid() {
		return nil
	}
	return &end{Addr: utf8Text(a.Addr().String()), Port: a.Port()}
}

func (r *row) call(c *tracer.Call) {
	r.Call, r.Phase, r.Of = text(c.Name), text(string(c.Phase)), c.Of
	r.Result, r.ResultConn, r.Error = utf8Text(c.Result), c.Conn, utf8Text(c.Error)
	for _, a := range c.Args {
		r.Args = append(r.Args, argOf(a))
	}
	if c.Phase == tracer.PhaseEnter {
		return
	}
	if r.TookNs = (*int64)(&c.Took); c.Bytes >= 0 {
		r.Bytes = ptr(int64(c.Bytes))
	}
}

func argOf(a tracer.Arg) arg {
	out := arg{Name: utf8Text(a.Name)}
	switch v := a.Value.(type) {
	case string:
		out.Text = text(v)
	case bool:
		out.Flag = &v
	case int64:
		out.Number = &v
	case int:
		out.Number = ptr(int64(v))
	}
	return out
}

func (r *row) segment(s *tracer.Segment) {
	r.Dir, r.Flags, r.Seq, r.Len, r.Win = text(string(s.Dir)), flagNames[s.Flags], &s.Seq, ptr(int64(s.Len)), &s.Win
	if s.Flags.Has(tracer.ACK) || s.Ack != 0 {
		r.Ack = &s.Ack
	}
	if s.HasRel {
		r.RelSeq = &s.RelSeq
	}
	if s.HasRelAck {
		r.RelAck = &s.RelAck
	}
	r.Opts = optionsOf(&s.Opts)
	r.Notes, r.Dropped, r.WireSegments = texts(s.Notes), utf8Text(s.Dropped), int64(s.WireSegments)
}

// flagNames are every set's.
var flagNames = func() (names [256][]string) {
	for set := range names {
		names[set] = tracer.Flags(set).Names() //nolint:gosec // below 256
	}
	return names
}()

func optionsOf(o *tracer.Options) *options {
	if o.MSS == 0 && !o.HasWS && !o.SACKOK && !o.HasTS && len(o.SACK) == 0 && o.NumOther == 0 {
		return nil
	}
	out := &options{MSS: o.MSS, SACKOK: o.SACKOK, Other: int64(o.NumOther)}
	if o.HasWS {
		out.WS = &o.WS
	}
	if o.HasTS {
		out.TS = &ts{o.TSVal, o.TSEcr}
	}
	for _, b := range o.SACK {
		out.SACK = append(out.SACK, sack(b))
	}
	return out
}

func (r *row) state(s *tracer.StateChange) {
	r.From, r.To, r.DwellNs = text(s.From.String()), text(s.To.String()), (*int64)(&s.Dwell)
	r.Via, r.RFC, r.StackState, r.Error = utf8Text(s.Via), utf8Text(s.RFC), utf8Text(s.StackState), utf8Text(s.Error)
	if s.Cause != (tracer.Cause{}) {
		r.Cause = &cause{Kind: utf8Text(string(s.Cause.Kind)), N: s.Cause.N, What: utf8Text(s.Cause.What)}
	}
}

// tcbOf sorts the variables into their columns; what has none, or stands there twice, is
// among the others.
func tcbOf(b *tracer.TCB) *tcb {
	out := &tcb{After: b.After}
	for i := range b.Vars {
		v := &b.Vars[i]
		c := columnOf[v.Name]
		switch {
		case c != nil && c.number != nil && v.Text == "" && *c.number(out) == nil:
			*c.number(out) = &v.Value
		case c != nil && c.text != nil && v.Text != "" && *c.text(out) == nil:
			*c.text(out) = text(v.Text)
		case v.Text != "":
			out.Other = append(out.Other, tcbVr{Name: utf8Text(v.Name), Text: text(v.Text)})
		default:
			out.Other = append(out.Other, tcbVr{Name: utf8Text(v.Name), Number: &v.Value})
		}
	}
	return out
}
