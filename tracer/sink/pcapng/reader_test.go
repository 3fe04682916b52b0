package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"appliance/tracer"
)

// TestTruncated: of a file that was cut off anywhere, every whole block is read, and then
// comes the error.
func TestTruncated(t *testing.T) {
	events := load(t, "testdata/one-end.jsonl")
	all := write(t, tracer.Header{}, events, 10)
	for n := range all {
		whole, want := wholeBlocks(all[:n])
		_, got, err := read(iotest.OneByteReader(bytes.NewReader(all[:n])))
		if uint64(len(got)) != want {
			t.Fatalf("cut at %d: %d events, want %d", n, len(got), want)
		}
		switch n {
		case 0:
			if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "the input is empty") {
				t.Fatalf("nothing: %v", err)
			}
		case whole:
			if err != nil {
				t.Fatalf("cut at %d, between blocks: %v", n, err)
			}
		default:
			var at *OffsetError
			if !errors.Is(err, ErrTruncated) || !errors.Is(err, tracer.ErrTruncated) || !errors.As(err, &at) || at.Offset != int64(whole) {
				t.Fatalf("cut at %d: %v, want truncated at %d", n, err, whole)
			}
		}
	}
}

// TestBadInput: what is no trace, or a damaged one, is told with its place.
func TestBadInput(t *testing.T) {
	header := tracer.AppendHeader(nil, tracer.Header{})
	section := newSection("app", "os", "x\n"+string(header))
	with := func(blocks ...[]byte) []byte { return slices.Concat(append([][]byte{section}, blocks...)...) }
	raw := func(typ uint32, body string) []byte {
		b, start := begin(nil, typ)
		return finish(append(b, body...), start)
	}
	journal := func(line string) []byte { return appendJournal(nil, 0, []byte("m"), []byte(line)) }
	good := journal(`{"n":7,"t_ns":0,"type":"timer","timer":"tcp"}`)
	length := func(b []byte, n uint32) []byte {
		b = bytes.Clone(b)
		le.PutUint32(b[4:], n)
		return b
	}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"text":                     {[]byte(`{"type":"trace"}`), "offset 0: no pcapng: found 7b 22 74 79"},
		"pcap":                     {[]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00"), "offset 0: no pcapng"},
		"no section":               {good, "offset 0: no pcapng"},
		"another capture":          {newSection("dumpcap", "os", "a comment"), "offset 0: a capture, not a trace"},
		"another schema":           {newSection("app", "os", strings.Replace(string(header), "trace/1", "trace/9", 1)), `found schema "appliance-trace/9"`},
		"no byte order":            {raw(blockSection, "abcd1234567890"), "offset 0: a section header without a byte order"},
		"another version":          {raw(blockSection, "\x4d\x3c\x2b\x1a\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"), "pcapng version 2: want 1"},
		"short section":            {raw(blockSection, "\x4d\x3c\x2b\x1a"), "offset 0: a section header of 4 bytes"},
		"a huge block":             {with(length(good, 1<<30)), "a block of 1073741824 bytes: no trace has one above"},
		"a tiny block":             {with(length(good, 8)), "a block of 8 bytes: want a multiple of 4"},
		"an odd block":             {with(length(good, 1001)), "a block of 1001 bytes: want a multiple of 4"},
		"lengths differ":           {with(length(good, uint32(len(good)-4)), good), "two lengths differ"},
		"a second trace":           {with(newSection("app", "os", string(tracer.AppendHeader(nil, tracer.Header{Go: "other"})))), "a second header"},
		"a short packet":           {with(raw(blockPacket, "abcd")), "a packet block of 4 bytes"},
		"a packet beyond":          {with(raw(blockPacket, "abcdabcdabcd\xff\xff\xff\xff\xff\xff\xff\xff")), "a packet of 4294967295 bytes in a block"},
		"an option beyond":         {with(raw(blockPacket, "abcdabcdabcd\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\xff\x00abcd")), "an option of 255 bytes where 4 are left"},
		"no JSON":                  {with(journal("{")), "not JSON"},
		"an empty line":            {with(journal("")), ""},
		"a bad field":              {with(journal(`{"n":-1,"type":"timer"}`)), `field "n"`},
		"a bad line in a packet":   {with(packetWith("{}")), `no "type"`},
		"a bad line in own blocks": {with(appendCustom(nil, []byte("[]"))), "want an object"},
	} {
		_, got, err := read(bytes.NewReader(c.in))
		if c.want == "" {
			if err != nil || len(got) != 0 {
				t.Errorf("%s: %d events, %v", name, len(got), err)
			}
			continue
		}
		var at *OffsetError
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &at) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
	}
}

// packetWith is a packet block with that line in its option.
func packetWith(line string) []byte {
	b, start := begin(nil, blockPacket)
	b = append(b, make([]byte, 20)...)
	option := le.AppendUint32(nil, enterprise)
	b = appendOption(b, optCustomText, string(option)+fieldEvent+line)
	return finish(appendEnd(b), start)
}

// TestGoesOn: a block whose content is bad costs that block; one that is another program's
// costs nothing.
func TestGoesOn(t *testing.T) {
	section := newSection("app", "os", string(tracer.AppendHeader(nil, tracer.Header{})))
	line := func(n string) []byte { return []byte(`{"n":` + n + `,"t_ns":0,"type":"timer","timer":"tcp"}`) }
	in := slices.Concat(section,
		appendInterface(nil, "eth0", "another's"), appendJournal(nil, 0, nil, line("1")), appendJournal(nil, 0, nil, []byte("bad")),
		appendJournal(nil, 0, nil, []byte(`{"n":2,"t_ns":0,"type":"of the future"}`)), foreignPacket(), foreignJournal(),
		packetWith(string(line("3"))), appendCustom(nil, line("4")))
	r, err := NewReader(bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	var numbers []uint64
	bad := 0
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if bad++; bad > 1 {
				t.Fatal(err)
			}
			continue
		}
		numbers = append(numbers, e.N)
	}
	if !slices.Equal(numbers, []uint64{1, 3, 4}) || bad != 1 || r.Skipped() != 3 {
		t.Errorf("events %v, %d errors, %d skipped", numbers, bad, r.Skipped())
	}
}

func foreignPacket() []byte {
	b, start := begin(nil, blockPacket)
	return finish(append(b, make([]byte, 20)...), start)
}

func foreignJournal() []byte {
	b, start := begin(nil, blockJournal)
	return finish(append(b, "__REALTIME_TIMESTAMP=1\nMESSAGE=x\n"...), start)
}

// TestBigEndian: Wireshark writes a file in the byte order of its machine.
func TestBigEndian(t *testing.T) {
	events := load(t, "testdata/demo.jsonl")
	want := tracer.Header{Go: "go"}
	h, got, err := read(bytes.NewReader(swapped(t, write(t, want, events, 10))))
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, want, events, h, got)
}

// swapped is a file in the other byte order.
func swapped(t *testing.T, file []byte) []byte {
	t.Helper()
	var out []byte
	for in := (blockReader{in: bytes.NewReader(file)}); ; {
		b, err := in.next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		body := bytes.Clone(b.body)
		fixed := map[uint32][]int{blockSection: {4, 2, 2, 8}, blockInterface: {2, 2, 4}, blockPacket: {4, 4, 4, 4, 4}}[b.typ]
		at := 0
		for _, size := range fixed {
			slices.Reverse(body[at : at+size])
			at += size
		}
		if b.typ == blockPacket {
			at += (int(binary.BigEndian.Uint32(body[12:])) + 3) &^ 3
		}
		for b.typ != blockJournal && at < len(body) {
			n := int(le.Uint16(body[at+2:]))
			code := le.Uint16(body[at:])
			slices.Reverse(body[at : at+2])
			slices.Reverse(body[at+2 : at+4])
			if b.typ == blockPacket && code == optCustomText {
				slices.Reverse(body[at+4 : at+8])
			}
			at += 4 + (n+3)&^3
		}
		out = be.AppendUint32(out, b.typ)
		out = be.AppendUint32(out, uint32(len(body)+12))
		out = append(out, body...)
		out = be.AppendUint32(out, uint32(len(body)+12))
	}
}

// TestBoundedMemory: a length that promises much costs nothing.
func TestBoundedMemory(t *testing.T) {
	section := newSection("app", "os", string(tracer.AppendHeader(nil, tracer.Header{})))
	block := le.AppendUint32(le.AppendUint32(nil, blockJournal), maxBlock)
	in := append(section, block...)
	const times = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		r, err := NewReader(bytes.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if _, err = r.Next(); !errors.Is(err, ErrTruncated) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / times
	if allocated > 1<<20 {
		t.Errorf("%d bytes allocated for a block that is not there", allocated)
	}
}

// FuzzReader: whatever the input, an error has its offset, and nothing is read twice.
func FuzzReader(f *testing.F) {
	section := newSection("app", "os", string(tracer.AppendHeader(nil, tracer.Header{})))
	f.Add(section)
	f.Add(slices.Concat(section, packetWith(`{"n":1,"t_ns":0,"type":"timer","timer":"tcp"}`)))
	f.Add(slices.Concat(section, appendInterface(nil, "a", "b"), appendJournal(nil, 1, []byte("m"), []byte(`{"n":1,"t_ns":0,"type":"state","from":"CLOSED","to":"LISTEN"}`))))
	f.Add(slices.Concat(section, appendCustom(nil, []byte(`{"n":1,"type":"lost","missed":3}`)), section, foreignPacket()))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := NewReader(bytes.NewReader(in))
		if err != nil {
			return
		}
		blocks := len(in)/12 + 1
		for range blocks {
			e, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil {
				if e.Body == nil {
					t.Fatal("an event without a body")
				}
				continue
			}
			var at *OffsetError
			if !errors.As(err, &at) || at.Offset < 0 || at.Offset > int64(len(in)) {
				t.Fatalf("an error without its place: %v", err)
			}
			if errors.Is(err, ErrTruncated) {
				if _, again := r.Next(); !errors.Is(again, ErrTruncated) {
					t.Fatalf("went on behind the end: %v", again)
				}
				return
			}
		}
		if _, err := r.Next(); err == nil {
			t.Fatal("more events than blocks")
		}
	})
}
