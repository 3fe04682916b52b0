package tracer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// decoder turns lines into events. One walk over a line checks that it is JSON and finds
// its fields; what stands inside a field has been checked by then.
type decoder struct {
	fields []field
	inner  []field // of an object in the line
	err    error   // the first of the line
	seed   maphash.Seed
	texts  [512]string // short strings seen, each where its hash says: so that most are allocated once
	addrs  [1024]seenAddr
}

// seenAddr is an address that was seen, as it stood in the line.
type seenAddr struct {
	text string
	addr netip.AddrPort
}

// field is one member of an object: its key and its value as they stand in the line, the
// key without its quotes.
type field struct {
	key, value []byte
}

// errSyntax says that a line is not JSON: who wants to know why asks encoding/json.
var errSyntax = errors.New("not JSON")

// event decodes a line. known is false for a type that this version has not got.
func (d *decoder) event(line []byte) (e Event, known bool, err error) {
	d.err = nil
	line = line[skipSpace(line, 0):]
	if len(line) == 0 || line[0] != '{' {
		if n := scanValue(line, 0); n < 0 || skipSpace(line, n) != len(line) {
			return Event{}, false, errSyntax
		}
		return Event{}, false, fmt.Errorf("want an object, found %s", excerpt(line))
	}
	fields, n := d.object(line, d.fields[:0])
	d.fields = fields
	switch {
	case d.err != nil:
		return Event{}, false, d.err
	case n < 0 || skipSpace(line, n) != len(line):
		return Event{}, false, errSyntax
	}
	typ := ""
	for _, f := range d.fields {
		switch string(f.key) {
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

// object appends the members of the object at the start of b, those that are null left
// out, to dst, and returns how long the object is; -1 where it is not JSON.
func (d *decoder) object(b []byte, dst []field) ([]field, int) {
	i := skipSpace(b, 1)
	if i < len(b) && b[i] == '}' {
		return dst, i + 1
	}
	for {
		key := i
		if i = scanKey(b, i); i < 0 {
			return dst, -1
		}
		n := scanValue(b[i:], 1)
		if n < 0 {
			return dst, -1
		}
		if b[i] != 'n' {
			dst = append(dst, field{d.key(b[key:]), b[i : i+n]})
		}
		i = skipSpace(b, i+n)
		switch {
		case i < len(b) && b[i] == '}':
			return dst, i + 1
		case i >= len(b) || b[i] != ',':
			return dst, -1
		}
		i = skipSpace(b, i+1)
	}
}

// key returns the key at the start of b, without its quotes and what it escapes.
func (d *decoder) key(b []byte) []byte {
	i := 1
	for b[i] != '"' && b[i] != '\\' && b[i] < utf8.RuneSelf {
		i++
	}
	if b[i] == '"' {
		return b[1:i]
	}
	return []byte(d.unquote(b[:scanString(b)]))
}

// name returns a key that outlives the line.
func (d *decoder) name(f field) string {
	if bytes.IndexByte(f.key, '\\') >= 0 {
		return string(f.key) // kept, it would be taken for an escape
	}
	return d.kept(f.key)
}

// members returns the members of the object in f.
func (d *decoder) members(f field) []field {
	if f.value[0] != '{' {
		d.fail(f, "an object")
		return nil
	}
	d.inner, _ = d.object(f.value, d.inner[:0])
	return d.inner
}

// array calls each with every element of the array in f.
func (d *decoder) array(f field, each func(field)) {
	b := f.value
	if b[0] != '[' {
		d.fail(f, "an array")
		return
	}
	for i := skipSpace(b, 1); b[i] != ']'; {
		n := scanValue(b[i:], 1)
		each(field{f.key, b[i : i+n]})
		if i = skipSpace(b, i+n); b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
}

// unquote returns the string that the quoted b stands for.
func (d *decoder) unquote(b []byte) string {
	raw := b[1 : len(b)-1]
	if len(raw) <= maxKept {
		// What is kept has passed what follows.
		if seen := d.seen(raw); *seen == string(raw) {
			return *seen
		}
	}
	if bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		s := ""
		if err := json.Unmarshal(b, &s); err != nil && d.err == nil { // cannot be: the line is JSON
			d.err = err
		}
		return s
	}
	return d.kept(raw)
}

// kept returns b, which has no backslash and is UTF-8, as a string, the same one for the same bytes as a rule.
func (d *decoder) kept(b []byte) string {
	if len(b) > maxKept {
		return string(b)
	}
	seen := d.seen(b)
	if *seen != string(b) {
		*seen = string(b)
	}
	return *seen
}

// maxKept is how long a string may be, in bytes, to be kept.
const maxKept = 32

// seen returns the place of a string.
func (d *decoder) seen(b []byte) *string { return &d.texts[d.hash(b)%uint64(len(d.texts))] }

func (d *decoder) hash(b []byte) uint64 {
	if d.seed == (maphash.Seed{}) {
		d.seed = maphash.MakeSeed()
	}
	return maphash.Bytes(d.seed, b)
}

// fail notes that f is not what was wanted.
func (d *decoder) fail(f field, want string) {
	if d.err == nil {
		d.err = fmt.Errorf("field %q: want %s, found %s", clip(string(f.key)), want, excerpt(f.value))
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
	if v, ok := digits(f.value); ok && bits == 64 || ok && v>>bits == 0 {
		return v
	}
	v, err := strconv.ParseUint(string(f.value), 10, bits)
	if err != nil {
		d.fail(f, fmt.Sprintf("an unsigned integer of %d bits", bits))
	}
	return v
}

func (d *decoder) int(f field, bits int) int64 { //nolint:unparam // strconv.IntSize is 32 elsewhere
	if v, ok := digits(f.value); ok && v>>(bits-1) == 0 {
		return int64(v)
	}
	v, err := strconv.ParseInt(string(f.value), 10, bits)
	if err != nil {
		d.fail(f, fmt.Sprintf("an integer of %d bits", bits))
	}
	return v
}

// digits reads a number that has nothing but digits, and not too many.
func digits(b []byte) (v uint64, ok bool) {
	if len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

func (d *decoder) bool(f field) bool {
	if f.value[0] != 't' && f.value[0] != 'f' {
		d.fail(f, "true or false")
	}
	return f.value[0] == 't'
}

func (d *decoder) addr(f field) netip.AddrPort {
	seen := &d.addrs[d.hash(f.value)%uint64(len(d.addrs))]
	if seen.text == string(f.value) {
		return seen.addr
	}
	a, err := netip.ParseAddrPort(d.text(f))
	if err != nil {
		d.fail(f, "an address and port such as 192.0.2.1:80")
		return netip.AddrPort{}
	}
	if len(f.value) <= 64 {
		*seen = seenAddr{string(f.value), a}
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
