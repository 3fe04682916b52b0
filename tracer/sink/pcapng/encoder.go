package pcapng

import (
	"io"
	"strconv"
	"strings"

	"appliance/tracer"
	"appliance/tracer/sink/text"
	"appliance/tracer/view/words"
)

// What marks ours.
const (
	// enterprise is the number under which our options and blocks go: the one that RFC 5612
	// keeps for documentation, as we have none. fieldEvent, which comes next, tells ours.
	enterprise = 32473
	// fieldEvent precedes an event's line of JSON, in an option, a journal entry or a block.
	fieldEvent = "APPLIANCE_EVENT="

	aboutTrace = `
Packets were rebuilt from what the stack's hooks saw: IP addresses and TCP, UDP and ICMP fields are the wire's; what the trace ` +
		`does not have is the payload (each packet is cut off behind its headers), TTL, DSCP and identification (64, 0, 0). A packet that ` +
		`two traced stacks saw stands here once, where it arrived. Each packet's and each journal entry's APPLIANCE_EVENT is the ` +
		`event itself; the next line is the trace's header.`
)

const (
	// maxMessage is how long a journal entry's message may be, in bytes.
	maxMessage = 4096
	// maxEntry is how long a journal entry may be: Wireshark takes no record above 256 KiB.
	maxEntry = 240 << 10
	// maxInterfaces bounds how many stacks have an interface of their own.
	maxInterfaces = 1024
	// maxName is how long an interface's name may be, in bytes.
	maxName = 255
)

// encoder makes blocks of events. prepare is called once for each, append once for each
// file that it goes to.
type encoder struct {
	story      *text.Sink
	scales     scales
	interfaces map[string]uint32 // by stack: those that the file has

	e        *tracer.Event
	p        *packet // nil where the event becomes no packet
	line     []byte  // of JSON
	message  []byte  // a journal entry's
	comments []byte  // a packet's, which end at …
	ends     []int
	frame    []byte
	length   int // the packet's, with what is not in frame
}

func newEncoder(lang words.Lang) encoder {
	return encoder{
		story:      text.New(io.Discard, text.Options{Conns: text.ConnsAlways, Width: 1 << 12, Lang: lang}),
		scales:     scales{recent[flowKey, [2]scale]{limit: maxFlows}},
		interfaces: make(map[string]uint32),
	}
}

// prepare makes what the oldest held event's blocks consist of.
func (c *encoder) prepare(h *hold) {
	w := h.at(h.first)
	c.e, c.p = &w.e, nil
	c.line = tracer.AppendJSON(c.line[:0], c.e)
	var window uint16
	switch b := c.e.Body.(type) {
	case *tracer.Segment:
		window = c.scales.window(c.e, b)
	case *tracer.End:
		c.scales.forget(c.e)
	default:
	}
	if !w.isPacket || 4+len(fieldEvent)+len(c.line) > maxOption {
		c.message = clampBytes(c.tell(c.message[:0], c.e), maxMessage)
		return
	}
	c.p = &w.p
	c.frame, c.length = appendFrame(c.frame[:0], c.e, c.p, window)
	c.comments, c.ends = c.comments[:0], c.ends[:0]
	for _, place := range w.effects {
		c.endComment(c.tell(c.comments, &h.at(place).e))
	}
	c.endComment(appendRemarks(c.comments, c.p))
}

// endComment ends the comment that dst has behind the ones before, where it has one.
func (c *encoder) endComment(dst []byte) {
	if len(dst) > len(c.comments) {
		c.comments = dst
		c.ends = append(c.ends, len(dst))
	}
}

// appendRemarks appends what else there is to say of a packet.
func appendRemarks(dst []byte, p *packet) []byte {
	begun := len(dst)
	add := func(words ...string) {
		if len(dst) > begun {
			dst = append(dst, ", "...)
		}
		for _, w := range words {
			dst = append(dst, w...)
		}
	}
	for _, n := range p.notes {
		add(n)
	}
	if p.wire > 1 {
		add(strconv.Itoa(p.wire), " segments on the wire")
	}
	if p.dropped != "" {
		add("dropped: ", p.dropped)
	}
	return dst
}

// tell appends an event's line of the story, with the stack and the connection that it is
// about.
func (c *encoder) tell(dst []byte, e *tracer.Event) []byte {
	if e.Stack != "" {
		dst = append(dst, plain(e.Stack)...)
		if e.Conn != 0 {
			dst = append(dst, '.')
			dst = strconv.AppendUint(dst, uint64(e.Conn), 10)
		}
		dst = append(dst, ' ')
	}
	if e.Body == nil {
		return dst
	}
	spaces := 0
	for _, b := range []byte(c.story.Story(e)) { // its columns are of no use here
		if b != ' ' {
			spaces = 0
		} else if spaces++; spaces > 2 {
			continue
		}
		dst = append(dst, b)
	}
	return dst
}

// plain returns a name without control characters.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '�'
		}
		return r
	}, name)
}

func clampBytes(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	return append(b[:0], clamp(string(b), n)...)
}

// append appends the prepared event's blocks.
func (c *encoder) append(dst []byte, link string, started int64) []byte {
	at := started + int64(c.e.T)
	if at < 0 {
		at = 0
	}
	switch {
	case c.p != nil:
		return c.appendPacket(dst, link, uint64(at))
	case len(c.line)+len(c.message) > maxEntry:
		return appendCustom(dst, c.line)
	default:
		return appendJournal(dst, at/1000, c.message, c.line)
	}
}

func (c *encoder) appendPacket(dst []byte, link string, at uint64) []byte {
	dst, id := c.interfaceOf(dst, link)
	dst, start := begin(dst, blockPacket)
	dst = le.AppendUint32(dst, id)
	dst = le.AppendUint32(dst, uint32(at>>32)) //nolint:gosec // its two halves
	dst = le.AppendUint32(dst, uint32(at))     //nolint:gosec // likewise
	dst = le.AppendUint32(dst, uint32(len(c.frame)))
	dst = le.AppendUint32(dst, uint32(c.length)) //nolint:gosec // an IP packet's
	dst = pad(append(dst, c.frame...), start)
	from := 0
	for _, to := range c.ends {
		dst = appendOption(dst, optComment, string(c.comments[from:to]))
		from = to
	}
	direction := uint32(1) // inbound: draft-ietf-opsawg-pcapng, 4.3.1
	if c.p.dir == tracer.Out {
		direction = 2
	}
	dst = appendOption32(dst, optFlags, direction)
	dst = appendOption64(dst, optPacketID, c.e.N)
	dst = le.AppendUint16(dst, optCustomText)
	dst = le.AppendUint16(dst, uint16(4+len(fieldEvent)+len(c.line))) //nolint:gosec // prepare has seen to it
	dst = le.AppendUint32(dst, enterprise)
	dst = append(dst, fieldEvent...)
	dst = pad(append(dst, c.line...), start)
	return finish(appendEnd(dst), start)
}

// interfaceOf returns the interface that stands for the event's stack, and appends it to dst
// where the file has not got it.
func (c *encoder) interfaceOf(dst []byte, link string) ([]byte, uint32) {
	stack := c.e.Stack
	id, ok := c.interfaces[stack]
	if ok {
		return dst, id
	}
	id = uint32(len(c.interfaces)) //nolint:gosec // bounded below
	description := "what the stack " + strconv.Quote(clamp(stack, maxName)) + " saw" + link
	if id >= maxInterfaces-1 {
		stack, description = "\x00others", "what further stacks saw"
		if id, ok = c.interfaces[stack]; ok {
			return dst, id
		}
		id = maxInterfaces - 1
	}
	c.interfaces[strings.Clone(stack)] = id
	return appendInterface(dst, clamp(plain(stack), maxName), description), id
}

// describeLink tells of the link in an interface's description.
func describeLink(l tracer.LinkInfo) string {
	if l.Kind == "" {
		return ""
	}
	text := " on " + strings.TrimSpace(l.Kind+" "+l.Name)
	if l.MTU != 0 {
		text += ", MTU " + strconv.FormatUint(uint64(l.MTU), 10)
	}
	if l.Impair != "" {
		text += ", impairment: " + l.Impair
	}
	return plain(text)
}

// appendMicros appends a number of microseconds.
func appendMicros(dst []byte, micros int64) []byte { return strconv.AppendInt(dst, micros, 10) }
