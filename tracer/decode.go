package tracer

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
)

// decoder turns lines into events. Its input has passed json.Valid: the walk over
// it trusts the grammar, and only looks at what it wants.
type decoder struct {
	fields []field
	names  map[string]string         // short strings seen, so that each is allocated once
	addrs  map[string]netip.AddrPort // likewise
	err    error                     // the first of the line
}

// maxSeen bounds each of decoder's maps.
const maxSeen = 4096

// field is one member of an object: its key, and its value as it stands in the line.
type field struct {
	key   string
	value []byte
}

// event decodes a line. known is false for a type that this version has not got.
func (d *decoder) event(line []byte) (e Event, known bool, err error) {
	d.err = nil
	if line = trimSpace(line); line[0] != '{' {
		return Event{}, false, fmt.Errorf("want an object, found %s", excerpt(line))
	}
	d.fields = d.object(line, d.fields[:0])
	var typ string
	for _, f := range d.fields {
		switch f.key {
		case "n":
			e.N = d.uint(f, 64)
		case "t_ns":
			e.T = d.duration(f)
		case "type":
			typ = d.text(f)
		case "stack":
			e.Stack = d.text(f)
		case "conn":
			e.Conn = uint32(d.uint(f, 32))
		case "parent":
			e.Parent = uint32(d.uint(f, 32))
		case "local":
			e.Local = d.addr(f)
		case "remote":
			e.Remote = d.addr(f)
		}
	}
	switch {
	case d.err != nil:
		return Event{}, false, d.err
	case typ == "":
		return Event{}, false, errors.New(`no "type"`)
	case typ == "trace":
		return Event{}, false, errors.New("a second header: two traces in one file: split them")
	}
	e.Body = d.body(Type(typ))
	if d.err != nil {
		return Event{}, false, fmt.Errorf("%s: %w", clip(typ), d.err)
	}
	return e, e.Body != nil, nil
}

// object appends the members of the object at the start of b, those that are null
// left out, to dst.
func (d *decoder) object(b []byte, dst []field) []field {
	b = trimSpace(b[1:])
	for b[0] != '}' {
		n := valueLen(b)
		key := d.unquote(b[:n])
		b = trimSpace(trimSpace(b[n:])[1:]) // the colon
		n = valueLen(b)
		if b[0] != 'n' {
			dst = append(dst, field{key, b[:n]})
		}
		if b = trimSpace(b[n:]); b[0] == ',' {
			b = trimSpace(b[1:])
		}
	}
	return dst
}

// array calls each with every element of the array in f.
func (d *decoder) array(f field, each func(field)) {
	b := f.value
	if b[0] != '[' {
		d.fail(f, "an array")
		return
	}
	b = trimSpace(b[1:])
	for b[0] != ']' {
		n := valueLen(b)
		each(field{f.key, b[:n]})
		if b = trimSpace(b[n:]); b[0] == ',' {
			b = trimSpace(b[1:])
		}
	}
}

// valueLen returns the length of the value at the start of b.
func valueLen(b []byte) int {
	switch b[0] {
	case '"':
		return stringLen(b)
	case '{', '[':
		depth := 0
		for i := 0; i < len(b); i++ {
			switch b[i] {
			case '"':
				i += stringLen(b[i:]) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return len(b)
	}
	for i, c := range b {
		switch c {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return i
		}
	}
	return len(b)
}

// stringLen returns the length of the string at the start of b, with its quotes.
func stringLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\r' || b[0] == '\n') {
		b = b[1:]
	}
	return b
}

// unquote returns the string that the quoted b stands for.
func (d *decoder) unquote(b []byte) string {
	raw := b[1 : len(b)-1]
	if s, ok := d.names[string(raw)]; ok {
		return s
	}
	s := ""
	if err := json.Unmarshal(b, &s); err != nil { // cannot be: the line is valid
		d.err = err
	}
	if len(raw) <= 32 {
		if d.names == nil || len(d.names) >= maxSeen {
			d.names = make(map[string]string)
		}
		d.names[string(raw)] = s
	}
	return s
}

// fail notes that f is not what was wanted.
func (d *decoder) fail(f field, want string) {
	if d.err == nil {
		d.err = fmt.Errorf("field %q: want %s, found %s", clip(f.key), want, excerpt(f.value))
	}
}

func (d *decoder) text(f field) string {
	if f.value[0] != '"' {
		d.fail(f, "a string")
		return ""
	}
	return d.unquote(f.value)
}

func (d *decoder) uint(f field, bits int) uint64 {
	v, err := strconv.ParseUint(string(f.value), 10, bits)
	if err != nil {
		d.fail(f, fmt.Sprintf("an unsigned integer of %d bits", bits))
	}
	return v
}

func (d *decoder) int(f field, bits int) int64 { //nolint:unparam // strconv.IntSize is 32 elsewhere
	v, err := strconv.ParseInt(string(f.value), 10, bits)
	if err != nil {
		d.fail(f, fmt.Sprintf("an integer of %d bits", bits))
	}
	return v
}

func (d *decoder) bool(f field) bool {
	if f.value[0] != 't' && f.value[0] != 'f' {
		d.fail(f, "true or false")
	}
	return f.value[0] == 't'
}

func (d *decoder) addr(f field) netip.AddrPort {
	if a, ok := d.addrs[string(f.value)]; ok {
		return a
	}
	a, err := netip.ParseAddrPort(d.text(f))
	if err != nil {
		d.fail(f, "an address and port such as 192.0.2.1:80")
		return netip.AddrPort{}
	}
	if len(f.value) <= 64 {
		if d.addrs == nil || len(d.addrs) >= maxSeen {
			d.addrs = make(map[string]netip.AddrPort)
		}
		d.addrs[string(f.value)] = a
	}
	return a
}

func (d *decoder) list(f field) []string {
	var list []string
	d.array(f, func(f field) { list = append(list, d.text(f)) })
	return list
}

// pair returns the two numbers of an array such as [1,2].
func (d *decoder) pair(f field) (a, b uint32) {
	n := 0
	d.array(f, func(f field) {
		a, b = b, uint32(d.uint(f, 32))
		n++
	})
	if n != 2 {
		d.fail(f, "two numbers")
	}
	return a, b
}
