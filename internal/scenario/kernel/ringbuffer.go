package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The ring buffer's pages, as trace_pipe_raw gives them: a header (described by
// events/header_page), then events, each behind a word of five bits of kind or length
// and 27 of time since the event before (events/header_event).
const (
	kindPadding    = 29
	kindTimeExtend = 30
	kindTimeStamp  = 31
	deltaBits      = 27

	// In the header's count of bytes: events were overwritten before they were read,
	// and (stored) how many stands behind the last event.
	lengthMask   = 1<<deltaBits - 1
	missedEvents = 1 << 31
)

// field is where a value stands, in bytes.
type field struct{ offset, size int }

// format is what a format file of tracefs says: the number of the event, and its fields.
type format struct {
	id     int
	fields map[string]field
}

// parseFormat reads a format file, or header_page, which is like one.
func parseFormat(text string) (format, error) {
	f := format{fields: map[string]field{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(line, "ID:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(id))
			if err != nil {
				return format{}, fmt.Errorf("line %q: %w", line, err)
			}
			f.id = n
		}
		decl, ok := strings.CutPrefix(line, "field:")
		if !ok {
			continue
		}
		parts := strings.Split(decl, ";")
		name := parts[0][strings.LastIndexAny(parts[0], " *\t")+1:]
		name, _, _ = strings.Cut(name, "[")
		var at field
		for _, p := range parts[1:] {
			key, value, _ := strings.Cut(strings.TrimSpace(p), ":")
			if key != "offset" && key != "size" {
				continue
			}
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 || n > 1<<20 {
				return format{}, fmt.Errorf("line %q: %q is no place in an event", line, p)
			}
			if key == "offset" {
				at.offset = n
			} else {
				at.size = n
			}
		}
		f.fields[name] = at
	}
	return f, nil
}

// need errs when a field is missing or has another size than one of these.
func (f format) need(name string, sizes ...int) error {
	at, ok := f.fields[name]
	if !ok {
		return fmt.Errorf("the format has no field %q", name)
	}
	for _, s := range sizes {
		if at.size == s {
			return nil
		}
	}
	return fmt.Errorf("the format's field %q has %d bytes, not %v", name, at.size, sizes)
}

// uint reads a field of an event; 0 where the event is too short for it.
func (f format) uint(event []byte, name string) uint64 {
	b := f.bytes(event, name)
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	default:
		return 0
	}
}

func (f format) bytes(event []byte, name string) []byte {
	at := f.fields[name]
	if at.offset+at.size > len(event) {
		return nil
	}
	return event[at.offset : at.offset+at.size]
}

// decoder turns pages into changes, by the formats of this kernel.
type decoder struct {
	page  format // header_page
	event format // inet_sock_set_state
}

func newDecoder(headerPage, eventFormat string) (*decoder, error) {
	page, err := parseFormat(headerPage)
	if err != nil {
		return nil, fmt.Errorf("header_page: %w", err)
	}
	event, err := parseFormat(eventFormat)
	if err != nil {
		return nil, fmt.Errorf("inet_sock_set_state/format: %w", err)
	}
	err = errors.Join(page.need("timestamp", 8), page.need("commit", 4, 8))
	if data := page.fields["data"]; data.size == 0 {
		err = errors.Join(err, errors.New("header_page has no field \"data\""))
	}
	for name, sizes := range map[string][]int{
		"common_type": {2}, "common_pid": {4}, "skaddr": {4, 8}, "oldstate": {4}, "newstate": {4}, "sport": {2}, "dport": {2},
		"family": {2}, "saddr": {4}, "daddr": {4}, "saddr_v6": {16}, "daddr_v6": {16},
	} {
		err = errors.Join(err, event.need(name, sizes...))
	}
	if err != nil {
		return nil, fmt.Errorf("this kernel's tracepoint is not as known: %w", err)
	}
	return &decoder{page: page, event: event}, nil
}

// pageSize is how long a page is, in bytes.
func (d *decoder) pageSize() int {
	data := d.page.fields["data"]
	return data.offset + data.size
}

// decode reads the changes of one page. missed says that the kernel had overwritten
// events before they were read.
func (d *decoder) decode(page []byte) (changes []Change, missed bool, err error) {
	start := d.page.fields["data"].offset
	if len(page) < start {
		return nil, false, fmt.Errorf("a page of %d bytes, its header has %d", len(page), start)
	}
	commit := d.page.uint(page, "commit")
	end := start + int(commit&lengthMask) //nolint:gosec // 27 bits
	if end > len(page) {
		return nil, false, fmt.Errorf("a page of %d bytes says that it holds %d", len(page), end)
	}
	now := d.page.uint(page, "timestamp")
	err = walk(page[start:end], now, func(at uint64, event []byte) {
		if c, ok := d.change(at, event); ok {
			changes = append(changes, c)
		}
	})
	return changes, commit&missedEvents != 0, err
}

// walk calls each with every event's time and bytes.
func walk(data []byte, now uint64, each func(uint64, []byte)) error {
	for len(data) >= 4 {
		kind, delta := splitWord(binary.NativeEndian.Uint32(data))
		data = data[4:]
		length := int(kind) * 4
		switch {
		case kind == kindPadding && delta == 0:
			return nil // the rest of the page
		case kind == kindPadding, kind == kindTimeExtend, kind == kindTimeStamp, kind == 0:
			if len(data) < 4 {
				return errors.New("a page ends in the middle of an event")
			}
			word := binary.NativeEndian.Uint32(data)
			switch kind {
			case kindTimeExtend:
				now += uint64(word)<<deltaBits + uint64(delta)
				data = data[4:]
				continue
			case kindTimeStamp:
				now = absolute(now, uint64(word)<<deltaBits+uint64(delta))
				data = data[4:]
				continue
			case 0:
				data = data[4:]
				length = int(word) - 4
			default:
				length = int(word)
			}
		}
		if length < 0 || length > len(data) {
			return fmt.Errorf("a page holds an event of %d bytes, %d are left", length, len(data))
		}
		now += uint64(delta)
		if kind != kindPadding {
			each(now, data[:length])
		}
		data = data[length:]
	}
	return nil
}

// absolute is a time stamp of 59 bits, with the upper ones of the time before.
func absolute(now, stamp uint64) uint64 {
	const low = 1<<59 - 1
	t := now&^low | stamp
	if t < now && now-t > 1<<58 {
		t += 1 << 59
	}
	return t
}

// splitWord takes an event's first word apart: C's bit fields lie the other way round on
// big-endian machines.
func splitWord(w uint32) (kind, delta uint32) {
	if littleEndian {
		return w & 31, w >> 5
	}
	return w >> deltaBits, w & (1<<deltaBits - 1)
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// The address families, as the kernel numbers them.
const (
	inet  = 2
	inet6 = 10
)

// change reads an event; ok is false when it is another one.
func (d *decoder) change(at uint64, event []byte) (c Change, ok bool) {
	f := d.event
	last := 0
	for _, at := range f.fields {
		last = max(last, at.offset+at.size)
	}
	if len(event) < last || f.uint(event, "common_type") != uint64(f.id) { //nolint:gosec // a number of the kernel's
		return Change{}, false
	}
	c = Change{
		Time: int64(at), SKAddr: f.uint(event, "skaddr"), //nolint:gosec // ns since the machine started
		Old: RawState(f.uint(event, "oldstate")), New: RawState(f.uint(event, "newstate")), //nolint:gosec // 1 to 12
		PID: int(int32(f.uint(event, "common_pid"))), //nolint:gosec // it is signed
	}
	source, destination := "saddr", "daddr"
	switch f.uint(event, "family") {
	case inet:
	case inet6:
		source, destination = "saddr_v6", "daddr_v6"
	default:
		return Change{}, false
	}
	c.Local = f.addrPort(event, source, "sport")
	c.Remote = f.addrPort(event, destination, "dport")
	return c, true
}

func (f format) addrPort(event []byte, addr, port string) netip.AddrPort {
	a, _ := netip.AddrFromSlice(f.bytes(event, addr))
	return netip.AddrPortFrom(a.Unmap(), uint16(f.uint(event, port))) //nolint:gosec // two bytes
}
