package netstack

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/netstack/link"
	"appliance/tracer"
)

// segment is a TCP segment as it passed a hook.
type segment struct {
	ok       bool
	id       tuple // as the stack's own endpoint has it
	dir      tracer.Direction
	flags    tracer.Flags
	seq, ack uint32
	win      uint16
	len      int // payload
	opts     tracer.Options
	wire     int    // segments on the wire that it stands for; 0 for one
	dropped  string // why it was discarded
}

// end is the sequence number after the segment's last: SYN and FIN count one each.
func (s *segment) end() uint32 { return s.seq + s.size() }

// size is the segment's length in sequence numbers (RFC 9293, 3.4: SEG.LEN).
func (s *segment) size() uint32 {
	n := uint32(s.len) //nolint:gosec // a payload is below 64 KiB
	if s.flags.Has(tracer.SYN) {
		n++
	}
	if s.flags.Has(tracer.FIN) {
		n++
	}
	return n
}

// pureACK tells whether the segment is an ACK and nothing else.
func (s *segment) pureACK() bool {
	return s.len == 0 && s.flags&(tracer.SYN|tracer.FIN|tracer.RST|tracer.ACK) == tracer.ACK
}

// parseSegment reads a packet whose headers the stack has parsed (inbound) or
// written (outbound). ok is false where the TCP header does not hold together.
func parseSegment(pkt *stack.PacketBuffer, id tuple, dir tracer.Direction) segment {
	var s segment
	s.parse(pkt, pkt.TransportHeader().Slice(), id, dir)
	return s
}

// parse is parseSegment for a zero segment; h is the packet's transport header.
func (s *segment) parse(pkt *stack.PacketBuffer, h header.TCP, id tuple, dir tracer.Direction) {
	if len(h) < header.TCPMinimumSize || int(h.DataOffset()) < header.TCPMinimumSize || int(h.DataOffset()) > len(h) {
		return
	}
	s.ok, s.id, s.dir, s.flags = true, id, dir, tracer.Flags(h.Flags())
	s.seq, s.ack, s.win, s.len = h.SequenceNumber(), h.AckNumber(), h.WindowSize(), pkt.Data().Size()
	if opts := h[header.TCPMinimumSize:h.DataOffset()]; s.needsOptions(opts) {
		parseOptions(&s.opts, opts)
	}
	if n := link.WireSegments(pkt, s.len); n > 1 {
		s.wire = n
	}
}

// alone is how the timestamps option stands where it is the only one: behind two NOPs
// (RFC 7323, appendix A), so almost everywhere.
const alone = optNOP<<24 | optNOP<<16 | optTS<<8 | 10

// needsOptions tells whether the options are worth a parse, and reads the timestamps
// where there is nothing else.
func (s *segment) needsOptions(b []byte) bool {
	if len(b) == 12 && binary.BigEndian.Uint32(b) == alone {
		s.opts.HasTS, s.opts.TSVal, s.opts.TSEcr = true, binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
		return false
	}
	return len(b) > 0
}

// The kinds of options (IANA, TCP Parameters).
const (
	optEOL    = 0
	optNOP    = 1
	optMSS    = 2
	optWS     = 3
	optSACKOK = 4
	optSACK   = 5
	optTS     = 8
)

// parseOptions reads a header's options, up to the first that does not hold together.
func parseOptions(o *tracer.Options, b []byte) {
	for len(b) > 0 {
		kind := b[0]
		if kind == optEOL {
			return
		}
		if kind == optNOP {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return
		}
		parseOption(o, kind, b[2:b[1]])
		b = b[b[1]:]
	}
}

func parseOption(o *tracer.Options, kind byte, v []byte) {
	switch {
	case kind == optMSS && len(v) == 2:
		o.MSS = binary.BigEndian.Uint16(v)
	case kind == optWS && len(v) == 1:
		o.HasWS, o.WS = true, v[0]
	case kind == optSACKOK && len(v) == 0:
		o.SACKOK = true
	case kind == optTS && len(v) == 8:
		o.HasTS, o.TSVal, o.TSEcr = true, binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case kind == optSACK && len(v)%8 == 0:
		for ; len(v) > 0; v = v[8:] {
			o.SACK = append(o.SACK, tracer.SACKBlock{Left: binary.BigEndian.Uint32(v), Right: binary.BigEndian.Uint32(v[4:])})
		}
	default:
		o.NumOther++
	}
}

// checksumOf verifies the checksum of a segment that no endpoint is there to
// verify; "" when it holds.
func checksumOf(pkt *stack.PacketBuffer, id tuple) string {
	_, valid, ok := header.TCPValid(header.TCP(pkt.TransportHeader().Slice()),
		func() uint16 { return pkt.Data().Checksum() }, uint16(pkt.Data().Size()), //nolint:gosec // a packet is below 64 KiB
		id.RemoteAddress, id.LocalAddress, pkt.RXChecksumValidated)
	if !ok {
		return "malformed header"
	}
	if !valid {
		return "bad checksum"
	}
	return ""
}

func localOf(id tuple) netip.AddrPort {
	return netip.AddrPortFrom(toAddr(id.LocalAddress).Unmap(), id.LocalPort)
}

func remoteOf(id tuple) netip.AddrPort {
	return netip.AddrPortFrom(toAddr(id.RemoteAddress).Unmap(), id.RemotePort)
}

// describe fills in a zero body with the segment as the trace tells it, but for what only
// its connection knows.
func (s *segment) describe(body *tracer.Segment) {
	body.Dir, body.Flags, body.Seq, body.Ack, body.Len, body.Win = s.dir, s.flags, s.seq, s.ack, s.len, uint32(s.win)
	body.Opts, body.Dropped, body.WireSegments = s.opts, s.dropped, s.wire
}

// recordStray records a segment that belongs to no connection.
func (o *observer) recordStray(s *segment, v *verdict) {
	if o.level < tracer.LevelSegments {
		return
	}
	body := new(tracer.Segment)
	s.describe(body)
	v.annotate(body)
	o.rec.Record(tracer.Event{Stack: o.name, Local: localOf(s.id), Remote: remoteOf(s.id), Body: body})
}

// synRing remembers the SYNs that came last, by their connection: a child is born
// some time after its SYN, and a SYN may reach the listener by way of an endpoint
// that was about to die.
type synRing struct {
	byID map[tuple]arrival
	ring []tuple
	next int
}

const synRingSize = 4096

func newSYNRing() synRing {
	return synRing{byID: map[tuple]arrival{}, ring: make([]tuple, synRingSize)}
}

// add remembers a SYN and forgets the oldest.
func (r *synRing) add(a arrival) {
	id := *a.id
	a.id = &id // the SYN outlives the connection that may hold the other
	if _, known := r.byID[id]; !known {
		delete(r.byID, r.ring[r.next])
		r.ring[r.next] = id
		r.next = (r.next + 1) % len(r.ring)
	}
	r.byID[id] = a
}
