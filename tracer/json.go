package tracer

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// AppendJSON appends e as one line of the schema, without a newline, and returns
// the longer slice. It allocates nothing but what dst needs to grow.
//
// What is not known is left out: a zero address, connection or parent, an empty
// string, Bytes of -1. A body field that is left out reads back as that value.
// Bytes that are no UTF-8 are written as U+FFFD.
func AppendJSON(dst []byte, e *Event) []byte {
	dst = append(dst, `{"n":`...)
	dst = strconv.AppendUint(dst, e.N, 10)
	dst = appendInt(dst, "t_ns", int64(e.T))
	if e.Body != nil {
		dst = appendWord(dst, "type", string(e.Body.Type()))
	}
	dst = appendText(dst, "stack", e.Stack)
	dst = appendCount(dst, "conn", uint64(e.Conn))
	dst = appendCount(dst, "parent", uint64(e.Parent))
	dst = appendAddr(dst, "local", e.Local)
	dst = appendAddr(dst, "remote", e.Remote)
	switch b := e.Body.(type) {
	case *Call:
		dst = appendCall(dst, b)
	case *Segment:
		dst = appendSegment(dst, b)
	case *Datagram:
		dst = appendDirection(dst, b.Dir)
		dst = appendInt(dst, "len", int64(b.Len))
		dst = appendList(dst, "notes", b.Notes)
		dst = appendText(dst, "dropped", b.Dropped)
	case *ICMP:
		dst = appendDirection(dst, b.Dir)
		dst = appendText(dst, "name", b.Name)
		dst = appendUint(dst, "icmp_type", uint64(b.Kind))
		dst = appendUint(dst, "code", uint64(b.Code))
		dst = appendInt(dst, "len", int64(b.Len))
	case *StateChange:
		dst = appendState(dst, b)
	case *Timer:
		dst = appendString(dst, "timer", b.Name)
		dst = appendText(dst, "what", b.What)
		if b.RTO != 0 {
			dst = appendInt(dst, "rto_ns", int64(b.RTO))
		}
	case *TCB:
		dst = appendTCB(dst, b)
	case *End:
		dst = appendEnd(dst, b)
	case *Lost:
		dst = appendUint(dst, "missed", b.Missed)
		dst = appendText(dst, "of", string(b.Of))
	}
	return append(dst, '}')
}

func appendCall(dst []byte, c *Call) []byte {
	dst = appendString(dst, "call", c.Name)
	dst = appendString(dst, "phase", string(c.Phase))
	if len(c.Args) > 0 {
		dst = appendKey(dst, "args")
		dst = append(dst, '{')
		for i := range c.Args {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendQuoted(dst, c.Args[i].Name)
			dst = append(dst, ':')
			dst = appendValue(dst, c.Args[i].Value)
		}
		dst = append(dst, '}')
	}
	dst = appendCount(dst, "of", c.Of)
	if c.Bytes >= 0 && c.Phase != PhaseEnter {
		dst = appendInt(dst, "bytes", int64(c.Bytes))
	}
	dst = appendText(dst, "result", c.Result)
	dst = appendCount(dst, "result_conn", uint64(c.Conn))
	dst = appendText(dst, "error", c.Error)
	if c.Phase != PhaseEnter {
		dst = appendInt(dst, "took_ns", int64(c.Took))
	}
	return dst
}

// appendValue writes an argument. Only the three types that Arg allows are free of
// allocation; any other is written as its words.
func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendQuoted(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	default:
		return appendQuoted(dst, fmt.Sprint(v))
	}
}

// flagLists are the flags of a segment, every set of them, as its line has them.
var flagLists = func() (lists [256]string) {
	for set := range lists {
		names := Flags(set).Names() //nolint:gosec // below 256
		for i, n := range names {
			names[i] = `"` + n + `"`
		}
		lists[set] = `,"flags":[` + strings.Join(names, ",") + "]"
	}
	return lists
}()

func appendDirection(dst []byte, d Direction) []byte {
	switch d {
	case In:
		return append(dst, `,"dir":"in"`...)
	case Out:
		return append(dst, `,"dir":"out"`...)
	default:
		return appendString(dst, "dir", string(d))
	}
}

func appendSegment(dst []byte, s *Segment) []byte {
	dst = appendDirection(dst, s.Dir)
	dst = append(dst, flagLists[s.Flags]...)
	dst = appendUint(dst, "seq", uint64(s.Seq))
	if s.Flags.Has(ACK) || s.Ack != 0 {
		dst = appendUint(dst, "ack", uint64(s.Ack))
	}
	if s.HasRel {
		dst = appendUint(dst, "rel_seq", uint64(s.RelSeq))
	}
	if s.HasRelAck {
		dst = appendUint(dst, "rel_ack", uint64(s.RelAck))
	}
	dst = appendInt(dst, "len", int64(s.Len))
	dst = appendUint(dst, "win", uint64(s.Win))
	dst = appendOptions(dst, &s.Opts)
	dst = appendList(dst, "notes", s.Notes)
	dst = appendText(dst, "dropped", s.Dropped)
	if s.WireSegments != 0 {
		dst = appendInt(dst, "wire_segments", int64(s.WireSegments))
	}
	return dst
}

// appendOptions writes opts, or nothing where the segment bears no option.
func appendOptions(dst []byte, o *Options) []byte {
	if o.MSS == 0 && !o.HasWS && !o.SACKOK && !o.HasTS && len(o.SACK) == 0 && o.NumOther == 0 {
		return dst
	}
	dst = appendKey(dst, "opts")
	open := len(dst)
	if o.MSS != 0 {
		dst = appendUint(dst, "mss", uint64(o.MSS))
	}
	if o.HasWS {
		dst = appendUint(dst, "ws", uint64(o.WS))
	}
	if o.SACKOK {
		dst = append(dst, `,"sack_ok":true`...)
	}
	if o.HasTS {
		dst = appendKey(dst, "ts")
		dst = appendPair(dst, o.TSVal, o.TSEcr)
	}
	if len(o.SACK) > 0 {
		dst = appendKey(dst, "sack")
		for i, b := range o.SACK {
			dst = append(dst, "[,"[min(i, 1)])
			dst = appendPair(dst, b.Left, b.Right)
		}
		dst = append(dst, ']')
	}
	if o.NumOther != 0 {
		dst = appendInt(dst, "other", int64(o.NumOther))
	}
	dst[open] = '{' // where the first key put its comma
	return append(dst, '}')
}

func appendState(dst []byte, s *StateChange) []byte {
	dst = appendString(dst, "from", s.From.String())
	dst = appendString(dst, "to", s.To.String())
	if s.Cause != (Cause{}) {
		dst = append(dst, `,"cause":{"kind":`...)
		dst = appendQuoted(dst, string(s.Cause.Kind))
		dst = appendCount(dst, "n", s.Cause.N)
		dst = appendText(dst, "what", s.Cause.What)
		dst = append(dst, '}')
	}
	dst = appendText(dst, "via", s.Via)
	dst = appendInt(dst, "dwell_ns", int64(s.Dwell))
	dst = appendText(dst, "rfc", s.RFC)
	dst = appendText(dst, "stack_state", s.StackState)
	return appendText(dst, "error", s.Error)
}

func appendTCB(dst []byte, t *TCB) []byte {
	dst = appendCount(dst, "after", t.After)
	for i := range t.Vars {
		v := &t.Vars[i]
		if reserved(v.Name) {
			continue
		}
		dst = append(dst, ',')
		dst = appendQuoted(dst, v.Name)
		dst = append(dst, ':')
		if v.Text != "" {
			dst = appendQuoted(dst, v.Text)
		} else {
			dst = strconv.AppendInt(dst, v.Value, 10)
		}
	}
	return dst
}

// reserved tells whether a tcb event has a field of this name that is no variable.
func reserved(name string) bool {
	switch name {
	case "n", "t_ns", "type", "stack", "conn", "parent", "local", "remote", "after":
		return true
	}
	return false
}

func appendEnd(dst []byte, e *End) []byte {
	dst = appendText(dst, "role", string(e.Role))
	dst = appendInt(dst, "opened_ns", int64(e.Opened))
	dst = appendInt(dst, "duration_ns", int64(e.Duration))
	dst = appendUint(dst, "bytes_in", e.BytesIn)
	dst = appendUint(dst, "bytes_out", e.BytesOut)
	dst = appendUint(dst, "segments_in", e.SegmentsIn)
	dst = appendUint(dst, "segments_out", e.SegmentsOut)
	dst = appendUint(dst, "retransmits", e.Retransmits)
	return appendText(dst, "how", string(e.How))
}

// appendKey writes a comma, the key and a colon: every object here is begun by
// something else than appendKey, or mends the first comma. The key needs no escape.
func appendKey(dst []byte, key string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, key...)
	return append(dst, '"', ':')
}

// appendWord is appendString for a word that needs no escape.
func appendWord(dst []byte, key, word string) []byte {
	dst = append(appendKey(dst, key), '"')
	dst = append(dst, word...)
	return append(dst, '"')
}

func appendInt(dst []byte, key string, v int64) []byte {
	return strconv.AppendInt(appendKey(dst, key), v, 10)
}

func appendUint(dst []byte, key string, v uint64) []byte {
	return strconv.AppendUint(appendKey(dst, key), v, 10)
}

// appendCount is appendUint for a number that is left out when 0.
func appendCount(dst []byte, key string, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return appendUint(dst, key, v)
}

func appendString(dst []byte, key, v string) []byte {
	return appendQuoted(appendKey(dst, key), v)
}

// appendText is appendString for a string that is left out when empty.
func appendText(dst []byte, key, v string) []byte {
	if v == "" {
		return dst
	}
	return appendString(dst, key, v)
}

func appendList(dst []byte, key string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = appendKey(dst, key)
	for i, s := range list {
		dst = append(dst, "[,"[min(i, 1)])
		dst = appendQuoted(dst, s)
	}
	return append(dst, ']')
}

func appendPair(dst []byte, a, b uint32) []byte {
	dst = append(dst, '[')
	dst = strconv.AppendUint(dst, uint64(a), 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, uint64(b), 10)
	return append(dst, ']')
}

func appendAddr(dst []byte, key string, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	dst = appendKey(dst, key)
	if a.Addr().Zone() != "" { // a zone may hold any byte
		return appendQuoted(dst, a.String())
	}
	dst = append(dst, '"')
	dst = a.AppendTo(dst)
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// appendQuoted writes s as a JSON string (RFC 8259, 7). U+2028 and U+2029 are
// escaped too, for readers that take the line for JavaScript.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && size == 1
		if bad || r == '\u2028' || r == '\u2029' {
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\u`...)
			for shift := 12; shift >= 0; shift -= 4 {
				dst = append(dst, hexDigits[r>>shift&0xf])
			}
			start = i + size
		}
		i += size
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendEscape writes an ASCII byte that may not stand in a string as it is.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
