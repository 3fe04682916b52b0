package tracertest

import (
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
)

// Text draws a string of UTF-8, with what JSON must escape well represented.
func Text() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("ab\"\\/\n\r\t\x00\x1f\x7f\u2028\u2029\ufffd€漢😀<>&"))))
}

// Duration draws a duration, of any sign.
func Duration() *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64(), func(v int64) time.Duration { return time.Duration(v) })
}

func addr(t *rapid.T, label string) netip.AddrPort {
	port := rapid.Uint16().Draw(t, label+" port")
	switch rapid.IntRange(0, 4).Draw(t, label+" kind") {
	case 0:
		return netip.AddrPort{}
	case 1:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(bytesOf(t, label, 4))), port)
	case 2:
		zone := rapid.StringMatching(`[a-z0-9"\\é%\n]{1,8}`).Draw(t, label+" zone")
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(bytesOf(t, label, 16))).WithZone(zone), port)
	default:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(bytesOf(t, label, 16))), port)
	}
}

func bytesOf(t *rapid.T, label string, n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, label)
}

// DrawEvent draws an event as the recorders make them, of any type: what is not known is
// zero. Values are of the whole range of their types, so that a form that loses any of
// it is found out.
func DrawEvent(t *rapid.T) tracer.Event {
	return tracer.Event{
		N:      rapid.Uint64().Draw(t, "n"),
		T:      Duration().Draw(t, "t"),
		Stack:  Text().Draw(t, "stack"),
		Conn:   rapid.Uint32().Draw(t, "conn"),
		Parent: rapid.Uint32().Draw(t, "parent"),
		Local:  addr(t, "local"),
		Remote: addr(t, "remote"),
		Body:   rapid.SampledFrom(bodies).Draw(t, "body")(t),
	}
}

// bodies draw one of each type.
var bodies = []func(*rapid.T) tracer.Body{
	call, segment, datagram, icmp, stateChange, timer, tcb, end, lost,
}

func call(t *rapid.T) tracer.Body {
	c := &tracer.Call{
		Name:   Text().Draw(t, "call"),
		Phase:  rapid.SampledFrom([]tracer.Phase{tracer.PhaseEnter, tracer.PhaseReturn, tracer.PhaseDone}).Draw(t, "phase"),
		Of:     rapid.Uint64().Draw(t, "of"),
		Bytes:  -1,
		Result: Text().Draw(t, "result"),
		Conn:   rapid.Uint32().Draw(t, "result conn"),
		Error:  Text().Draw(t, "error"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "args") {
		v := rapid.OneOf(rapid.Map(Text(), func(s string) any { return s }), rapid.Map(rapid.Int64(), func(i int64) any { return i }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b })).Draw(t, "value")
		c.Args = append(c.Args, tracer.Arg{Name: Text().Draw(t, "name"), Value: v})
	}
	if c.Phase != tracer.PhaseEnter {
		c.Bytes = rapid.IntMin(-1).Draw(t, "bytes")
		c.Took = Duration().Draw(t, "took")
	}
	return c
}

func segment(t *rapid.T) tracer.Body {
	s := &tracer.Segment{
		Dir:          rapid.SampledFrom([]tracer.Direction{tracer.In, tracer.Out}).Draw(t, "dir"),
		Flags:        tracer.Flags(rapid.Uint8().Draw(t, "flags")),
		Seq:          rapid.Uint32().Draw(t, "seq"),
		Ack:          rapid.Uint32().Draw(t, "ack"),
		HasRel:       rapid.Bool().Draw(t, "rel"),
		HasRelAck:    rapid.Bool().Draw(t, "rel ack"),
		Len:          rapid.Int().Draw(t, "len"),
		Win:          rapid.Uint32().Draw(t, "win"),
		Notes:        texts(t, "notes"),
		Dropped:      Text().Draw(t, "dropped"),
		WireSegments: rapid.Int().Draw(t, "wire"),
	}
	if s.HasRel {
		s.RelSeq = rapid.Uint32().Draw(t, "rel seq")
	}
	if s.HasRelAck {
		s.RelAck = rapid.Uint32().Draw(t, "rel ack")
	}
	o := &s.Opts
	o.MSS = rapid.Uint16().Draw(t, "mss")
	if o.HasWS = rapid.Bool().Draw(t, "ws"); o.HasWS {
		o.WS = rapid.Uint8().Draw(t, "ws")
	}
	o.SACKOK = rapid.Bool().Draw(t, "sack ok")
	if o.HasTS = rapid.Bool().Draw(t, "ts"); o.HasTS {
		o.TSVal, o.TSEcr = rapid.Uint32().Draw(t, "val"), rapid.Uint32().Draw(t, "ecr")
	}
	for range rapid.IntRange(0, 4).Draw(t, "sack") {
		o.SACK = append(o.SACK, tracer.SACKBlock{Left: rapid.Uint32().Draw(t, "left"), Right: rapid.Uint32().Draw(t, "right")})
	}
	o.NumOther = rapid.IntRange(0, 40).Draw(t, "other")
	return s
}

// texts draws a list; an empty one is nil.
func texts(t *rapid.T, label string) []string {
	if list := rapid.SliceOfN(Text(), 0, 3).Draw(t, label); len(list) > 0 {
		return list
	}
	return nil
}

func datagram(t *rapid.T) tracer.Body {
	return &tracer.Datagram{Dir: tracer.In, Len: rapid.Int().Draw(t, "len"), Notes: texts(t, "notes"), Dropped: Text().Draw(t, "dropped")}
}

func icmp(t *rapid.T) tracer.Body {
	return &tracer.ICMP{
		Dir: tracer.Out, Name: Text().Draw(t, "name"), Kind: rapid.Uint8().Draw(t, "kind"),
		Code: rapid.Uint8().Draw(t, "code"), Len: rapid.Int().Draw(t, "len"),
	}
}

func stateChange(t *rapid.T) tracer.Body {
	state := rapid.Map(rapid.IntRange(int(tracer.Closed), int(tracer.TimeWait)), func(i int) tracer.State { return tracer.State(i) })
	s := &tracer.StateChange{
		From: state.Draw(t, "from"), To: state.Draw(t, "to"), Via: Text().Draw(t, "via"),
		Dwell: Duration().Draw(t, "dwell"), RFC: Text().Draw(t, "rfc"),
		StackState: Text().Draw(t, "stack state"), Error: Text().Draw(t, "error"),
	}
	if rapid.Bool().Draw(t, "cause") {
		s.Cause = tracer.Cause{
			Kind: rapid.SampledFrom([]tracer.CauseKind{tracer.CauseSegment, tracer.CauseStack}).Draw(t, "kind"),
			N:    rapid.Uint64().Draw(t, "cause n"), What: Text().Draw(t, "what"),
		}
	}
	return s
}

func timer(t *rapid.T) tracer.Body {
	return &tracer.Timer{Name: Text().Draw(t, "name"), What: Text().Draw(t, "what"), RTO: Duration().Draw(t, "rto")}
}

func tcb(t *rapid.T) tracer.Body {
	b := &tracer.TCB{After: rapid.Uint64().Draw(t, "after")}
	for range rapid.IntRange(0, 5).Draw(t, "vars") {
		v := tracer.TCBVar{Name: rapid.StringMatching(`v[a-z_]{0,12}(_ns)?`).Draw(t, "name")}
		if rapid.Bool().Draw(t, "number") {
			v.Value = rapid.Int64().Draw(t, "value")
		} else {
			v.Text = rapid.StringN(1, 10, -1).Draw(t, "word")
		}
		b.Vars = append(b.Vars, v)
	}
	return b
}

func end(t *rapid.T) tracer.Body {
	return &tracer.End{
		Role: tracer.Passive, Opened: Duration().Draw(t, "opened"), Duration: Duration().Draw(t, "duration"),
		BytesIn: rapid.Uint64().Draw(t, "in"), BytesOut: rapid.Uint64().Draw(t, "out"),
		SegmentsIn: rapid.Uint64().Draw(t, "sin"), SegmentsOut: rapid.Uint64().Draw(t, "sout"),
		Retransmits: rapid.Uint64().Draw(t, "again"), How: tracer.How(Text().Draw(t, "how")),
	}
}

func lost(t *rapid.T) tracer.Body {
	return &tracer.Lost{Missed: rapid.Uint64().Draw(t, "missed"), Of: rapid.SampledFrom([]tracer.Type{"", tracer.TypeSegment}).Draw(t, "of")}
}

// DrawHeader draws a trace's header.
func DrawHeader(t *rapid.T) tracer.Header {
	return tracer.Header{
		Started:   time.Unix(0, rapid.Int64().Draw(t, "started")).UTC(),
		Appliance: Text().Draw(t, "appliance"), GVisor: Text().Draw(t, "gvisor"), Go: Text().Draw(t, "go"),
		Link: tracer.LinkInfo{Kind: Text().Draw(t, "kind"), MTU: rapid.Uint32().Draw(t, "mtu"), Impair: Text().Draw(t, "impair")},
		TCP:  tracer.TCPInfo{Congestion: "reno", RACK: true, MSL: Duration().Draw(t, "msl"), Backlog: rapid.Int().Draw(t, "backlog")},
	}
}
