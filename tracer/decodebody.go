package tracer

import (
	"strconv"
	"time"
)

func (d *decoder) duration(f field) time.Duration { return time.Duration(d.int(f, 64)) }

// body decodes the fields of d's line by its type; nil for a type that is unknown.
func (d *decoder) body(t Type) Body {
	switch t {
	case TypeCall:
		return d.call()
	case TypeSegment:
		return d.segment()
	case TypeDatagram:
		return d.datagram()
	case TypeICMP:
		return d.icmp()
	case TypeState:
		return d.state()
	case TypeTimer:
		return d.timer()
	case TypeTCB:
		return d.tcb()
	case TypeEnd:
		return d.end()
	case TypeLost:
		l := &Lost{}
		for _, f := range d.fields {
			switch string(f.key) {
			case "missed":
				l.Missed = d.uint(f, 64)
			case "of":
				l.Of = Type(d.text(f))
			}
		}
		return l
	default:
		return nil
	}
}

func (d *decoder) call() *Call {
	c := &Call{Bytes: -1}
	for _, f := range d.fields {
		switch string(f.key) {
		case "call":
			c.Name = d.text(f)
		case "phase":
			c.Phase = Phase(d.text(f))
		case "args":
			c.Args = d.args(f)
		case "of":
			c.Of = d.uint(f, 64)
		case "bytes":
			c.Bytes = int(d.int(f, strconv.IntSize))
		case "result":
			c.Result = d.text(f)
		case "result_conn":
			c.Conn = uint32(d.uint(f, 32))
		case "error":
			c.Error = d.text(f)
		case "took_ns":
			c.Took = d.duration(f)
		}
	}
	return c
}

// args decodes a call's arguments, in their order. A value of a kind that no writer
// here has is kept as it stands in the line.
func (d *decoder) args(f field) []Arg {
	var args []Arg
	for _, f := range d.members(f) {
		a := Arg{Name: d.name(f)}
		switch f.value[0] {
		case '"':
			a.Value = d.unquote(f.value)
		case 't', 'f':
			a.Value = d.bool(f)
		default:
			if v, err := strconv.ParseInt(string(f.value), 10, 64); err == nil {
				a.Value = v
			} else {
				a.Value = string(f.value)
			}
		}
		args = append(args, a)
	}
	return args
}

func (d *decoder) segment() *Segment {
	s := &Segment{}
	for _, f := range d.fields {
		switch string(f.key) {
		case "dir":
			s.Dir = Direction(d.text(f))
		case "flags":
			d.array(f, func(f field) {
				s.Flags |= d.flag(f)
			})
		case "seq":
			s.Seq = uint32(d.uint(f, 32))
		case "ack":
			s.Ack = uint32(d.uint(f, 32))
		case "rel_seq":
			s.RelSeq, s.HasRel = uint32(d.uint(f, 32)), true
		case "rel_ack":
			s.RelAck, s.HasRelAck = uint32(d.uint(f, 32)), true
		case "len":
			s.Len = int(d.int(f, strconv.IntSize))
		case "win":
			s.Win = uint32(d.uint(f, 32))
		case "opts":
			s.Opts = d.options(f)
		case "notes":
			s.Notes = d.list(f)
		case "dropped":
			s.Dropped = d.text(f)
		case "wire_segments":
			s.WireSegments = int(d.int(f, strconv.IntSize))
		}
	}
	return s
}

// flag decodes one of a segment's flags.
func (d *decoder) flag(f field) Flags {
	name := f.value
	if n := len(name); n > 2 && name[0] == '"' {
		name = name[1 : n-1]
	}
	for i, n := range flagNames {
		if n == string(name) {
			return 1 << i
		}
	}
	flag, err := ParseFlag(d.text(f))
	if err != nil {
		d.fail(f, "a TCP flag")
	}
	return flag
}

func (d *decoder) options(f field) (o Options) {
	for _, f := range d.members(f) {
		switch string(f.key) {
		case "mss":
			o.MSS = uint16(d.uint(f, 16))
		case "ws":
			o.WS, o.HasWS = uint8(d.uint(f, 8)), true
		case "sack_ok":
			o.SACKOK = d.bool(f)
		case "ts":
			o.TSVal, o.TSEcr = d.pair(f)
			o.HasTS = true
		case "sack":
			d.array(f, func(f field) {
				left, right := d.pair(f)
				o.SACK = append(o.SACK, SACKBlock{left, right})
			})
		case "other":
			o.NumOther = int(d.int(f, strconv.IntSize))
		}
	}
	return o
}

func (d *decoder) datagram() *Datagram {
	g := &Datagram{}
	for _, f := range d.fields {
		switch string(f.key) {
		case "dir":
			g.Dir = Direction(d.text(f))
		case "len":
			g.Len = int(d.int(f, strconv.IntSize))
		case "notes":
			g.Notes = d.list(f)
		case "dropped":
			g.Dropped = d.text(f)
		}
	}
	return g
}

func (d *decoder) icmp() *ICMP {
	m := &ICMP{}
	for _, f := range d.fields {
		switch string(f.key) {
		case "dir":
			m.Dir = Direction(d.text(f))
		case "name":
			m.Name = d.text(f)
		case "icmp_type":
			m.Kind = uint8(d.uint(f, 8))
		case "code":
			m.Code = uint8(d.uint(f, 8))
		case "len":
			m.Len = int(d.int(f, strconv.IntSize))
		}
	}
	return m
}

func (d *decoder) state() *StateChange {
	s := &StateChange{}
	s.From, s.To = numStates, numStates
	for _, f := range d.fields {
		switch string(f.key) {
		case "from":
			s.From = d.stateName(f)
		case "to":
			s.To = d.stateName(f)
		case "cause":
			s.Cause = d.cause(f)
		case "via":
			s.Via = d.text(f)
		case "dwell_ns":
			s.Dwell = d.duration(f)
		case "rfc":
			s.RFC = d.text(f)
		case "stack_state":
			s.StackState = d.text(f)
		case "error":
			s.Error = d.text(f)
		}
	}
	// CLOSED must not come from a field that is not there.
	if s.From == numStates || s.To == numStates {
		d.fail(field{[]byte("from, to"), []byte("nothing")}, "two states")
	}
	return s
}

func (d *decoder) stateName(f field) State {
	s, err := ParseState(d.text(f))
	if err != nil {
		d.fail(f, "a state of RFC 9293")
	}
	return s
}

func (d *decoder) cause(f field) (c Cause) {
	for _, f := range d.members(f) {
		switch string(f.key) {
		case "kind":
			c.Kind = CauseKind(d.text(f))
		case "n":
			c.N = d.uint(f, 64)
		case "what":
			c.What = d.text(f)
		}
	}
	return c
}

func (d *decoder) timer() *Timer {
	t := &Timer{}
	for _, f := range d.fields {
		switch string(f.key) {
		case "timer":
			t.Name = d.text(f)
		case "what":
			t.What = d.text(f)
		case "rto_ns":
			t.RTO = d.duration(f)
		}
	}
	return t
}

// tcb decodes the variables, in their order: what is a number or a word and not a
// field that every event has.
func (d *decoder) tcb() *TCB {
	t := &TCB{}
	for _, f := range d.fields {
		switch {
		case string(f.key) == "after":
			t.After = d.uint(f, 64)
		case reserved(string(f.key)):
		case f.value[0] == '"':
			t.Vars = append(t.Vars, TCBVar{Name: d.name(f), Text: d.unquote(f.value)})
		default:
			if v, err := strconv.ParseInt(string(f.value), 10, 64); err == nil {
				t.Vars = append(t.Vars, TCBVar{Name: d.name(f), Value: v})
			}
		}
	}
	return t
}

func (d *decoder) end() *End {
	e := &End{}
	for _, f := range d.fields {
		switch string(f.key) {
		case "role":
			e.Role = Role(d.text(f))
		case "opened_ns":
			e.Opened = d.duration(f)
		case "duration_ns":
			e.Duration = d.duration(f)
		case "bytes_in":
			e.BytesIn = d.uint(f, 64)
		case "bytes_out":
			e.BytesOut = d.uint(f, 64)
		case "segments_in":
			e.SegmentsIn = d.uint(f, 64)
		case "segments_out":
			e.SegmentsOut = d.uint(f, 64)
		case "retransmits":
			e.Retransmits = d.uint(f, 64)
		case "how":
			e.How = How(d.text(f))
		}
	}
	return e
}
