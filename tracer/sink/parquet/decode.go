package parquet

import (
	"fmt"
	"net/netip"
	"time"

	"appliance/tracer"
)

// get is what p points to, zero for nil.
func get[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// event makes an event of a row.
func (r *row) event() (tracer.Event, error) {
	e := tracer.Event{N: r.N, T: time.Duration(r.TNs), Stack: r.Stack, Conn: r.Conn, Parent: r.Parent}
	var err error
	if e.Local, err = addrPort(r.Local); err != nil {
		return e, err
	}
	if e.Remote, err = addrPort(r.Remote); err != nil {
		return e, err
	}
	e.Body, err = r.body()
	return e, err
}

func addrPort(p *end) (netip.AddrPort, error) {
	if p == nil {
		return netip.AddrPort{}, nil
	}
	a, err := netip.ParseAddr(p.Addr)
	return netip.AddrPortFrom(a, p.Port), err
}

func (r *row) body() (tracer.Body, error) {
	dir := tracer.Direction(get(r.Dir))
	switch tracer.Type(r.Type) {
	case tracer.TypeCall:
		return r.callBody(), nil
	case tracer.TypeSegment:
		return r.segmentBody()
	case tracer.TypeDatagram:
		return &tracer.Datagram{Dir: dir, Len: int(get(r.Len)), Notes: list(r.Notes), Dropped: r.Dropped}, nil
	case tracer.TypeICMP:
		return &tracer.ICMP{Dir: dir, Name: r.Name, Kind: get(r.ICMPType), Code: get(r.Code), Len: int(get(r.Len))}, nil
	case tracer.TypeState:
		return r.stateBody()
	case tracer.TypeTimer:
		return &tracer.Timer{Name: get(r.Timer), What: r.What, RTO: time.Duration(r.RTONs)}, nil
	case tracer.TypeTCB:
		return r.tcbBody(), nil
	case tracer.TypeEnd:
		return &tracer.End{
			Role: tracer.Role(r.Role), How: tracer.How(r.How),
			Opened: time.Duration(get(r.OpenedNs)), Duration: time.Duration(get(r.DurationNs)),
			BytesIn: get(r.BytesIn), BytesOut: get(r.BytesOut),
			SegmentsIn: get(r.SegmentsIn), SegmentsOut: get(r.SegmentsOut), Retransmits: get(r.Retransmits),
		}, nil
	case tracer.TypeLost:
		return &tracer.Lost{Missed: get(r.Missed), Of: tracer.Type(r.LostOf)}, nil
	case "":
		return nil, nil //nolint:nilnil // an event without a body
	default:
		return nil, fmt.Errorf("unknown type %q", r.Type)
	}
}

// list is nil for an empty one, as everywhere in a trace.
func list(l []string) []string {
	if len(l) == 0 {
		return nil
	}
	return l
}

func (r *row) callBody() *tracer.Call {
	c := &tracer.Call{
		Name: get(r.Call), Phase: tracer.Phase(get(r.Phase)), Of: r.Of, Bytes: -1,
		Result: r.Result, Conn: r.ResultConn, Error: r.Error, Took: time.Duration(get(r.TookNs)),
	}
	if r.Bytes != nil {
		c.Bytes = int(*r.Bytes)
	}
	for _, a := range r.Args {
		v := tracer.Arg{Name: a.Name}
		switch {
		case a.Number != nil:
			v.Value = *a.Number
		case a.Flag != nil:
			v.Value = *a.Flag
		default:
			v.Value = get(a.Text)
		}
		c.Args = append(c.Args, v)
	}
	return c
}

func (r *row) segmentBody() (*tracer.Segment, error) {
	s := &tracer.Segment{
		Dir: tracer.Direction(get(r.Dir)), Seq: get(r.Seq), Ack: get(r.Ack),
		HasRel: r.RelSeq != nil, HasRelAck: r.RelAck != nil, RelSeq: get(r.RelSeq), RelAck: get(r.RelAck),
		Len: int(get(r.Len)), Win: get(r.Win), Notes: list(r.Notes), Dropped: r.Dropped, WireSegments: int(r.WireSegments),
	}
	for _, name := range r.Flags {
		f, err := tracer.ParseFlag(name)
		if err != nil {
			return nil, err
		}
		s.Flags |= f
	}
	o := r.Opts
	if o == nil {
		return s, nil
	}
	s.Opts = tracer.Options{
		MSS: o.MSS, HasWS: o.WS != nil, WS: get(o.WS), SACKOK: o.SACKOK,
		HasTS: o.TS != nil, TSVal: get(o.TS).Val, TSEcr: get(o.TS).Ecr, NumOther: int(o.Other),
	}
	for _, b := range o.SACK {
		s.Opts.SACK = append(s.Opts.SACK, tracer.SACKBlock(b))
	}
	return s, nil
}

func (r *row) stateBody() (*tracer.StateChange, error) {
	s := &tracer.StateChange{
		Via: r.Via, Dwell: time.Duration(get(r.DwellNs)), RFC: r.RFC, StackState: r.StackState, Error: r.Error,
	}
	var err error
	if s.From, err = tracer.ParseState(get(r.From)); err != nil {
		return nil, err
	}
	if s.To, err = tracer.ParseState(get(r.To)); err != nil {
		return nil, err
	}
	if c := r.Cause; c != nil {
		s.Cause = tracer.Cause{Kind: tracer.CauseKind(c.Kind), N: c.N, What: c.What}
	}
	return s, nil
}

// tcbBody has the variables in the order of [Variables], the others behind.
func (r *row) tcbBody() *tracer.TCB {
	t := r.TCB
	if t == nil {
		return &tracer.TCB{}
	}
	out := &tracer.TCB{After: t.After}
	for i := range tcbColumns {
		c := &tcbColumns[i]
		if c.number != nil {
			if v := *c.number(t); v != nil {
				out.Vars = append(out.Vars, tracer.TCBVar{Name: c.name, Value: *v})
			}
		} else if v := *c.text(t); v != nil {
			out.Vars = append(out.Vars, tracer.TCBVar{Name: c.name, Text: *v})
		}
	}
	for _, v := range t.Other {
		out.Vars = append(out.Vars, tracer.TCBVar{Name: v.Name, Value: get(v.Number), Text: get(v.Text)})
	}
	return out
}
