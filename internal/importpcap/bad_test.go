package importpcap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"

	"appliance/internal/importpcap"
	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// TestBad: what is no capture, or a damaged one, is told with its place; what comes before
// is there.
func TestBad(t *testing.T) {
	good := pcapOf(layers.LinkTypeRaw, packets(wire{}, hello)...)
	ng := pcapngOf(layers.LinkTypeRaw, packets(wire{}, hello)...)
	second := 24 + 16 + len(wire{}.ip(hello[0]))
	with := func(b []byte, at int, v string) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	le := binary.LittleEndian
	section := le.AppendUint32([]byte("\x0a\x0d\x0d\x0a"), 28)
	section = append(section, "\x4d\x3c\x2b\x1a\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x1c\x00\x00\x00"...)
	block := func(kind uint32, body string) []byte {
		n := uint32(12 + len(body)) //nolint:gosec // small
		return le.AppendUint32(append(le.AppendUint32(le.AppendUint32(bytes.Clone(section), kind), n), body...), n)
	}
	for _, tt := range []struct {
		name, want string
		file       []byte
		events     bool
		cut        bool
	}{
		{"empty", "the input is empty", nil, false, false},
		{"text", `found "hell"; want a capture`, []byte("hello world"), false, false},
		{"a header cut", "the file's header: the file ends", good[:20], false, true},
		{"version", "version 3.4; want 2.4", with(good, 4, "\x03"), false, false},
		{"link", "links of type 105 are not read", pcapOf(layers.LinkTypeIEEE802_11), false, false},
		{"packet header cut", fmt.Sprintf("packet 2, at offset %d: the file ends in the middle", second), good[:second+7], true, true},
		{"packet cut", fmt.Sprintf("packet 2, at offset %d: the file ends in the middle", second), good[:second+20], true, true},
		{"long packet", fmt.Sprintf("packet 2, at offset %d: a packet of 4294967295 bytes", second), with(good, second+8, "\xff\xff\xff\xff"), true, false},
		{"gzip", "unpack", []byte("\x1f\x8bnonsense"), false, false},
		{"gzip cut", "the file ends in the middle", pack(good)[:len(pack(good))-12], true, true},
		{"section cut", "packet 1, at offset 0: the file ends", ng[:10], false, true},
		{"byte order", "byte-order magic", with(ng, 8, "zzzz"), false, false},
		{"section version", "a section of version 2", with(ng, 12, "\x02"), false, false},
		{"section length", "a section header of 8 bytes", with(ng, 4, "\x08\x00\x00\x00"), false, false},
		{"block length", "at offset 28: a block of 13 bytes", append(bytes.Clone(section), "\x01\x00\x00\x00\x0d\x00\x00\x00"...), false, false},
		{"long block", "at offset 28: a block of 4294967292 bytes", append(bytes.Clone(section), "\x01\x00\x00\x00\xfc\xff\xff\xff"...), false, false},
		{"long other block", "at offset 28: the file ends", append(bytes.Clone(section), "\x09\x00\x00\x00\xfc\xff\xff\xff"...), false, true},
		{"block's end", "ends as one of", with(block(1, "\x01\x00\x00\x00\x00\x00\x00\x00"), 28+16, "\x00"), false, false},
		{"short interface", "an interface description of 4 bytes", block(1, "\x01\x00\x00\x00"), false, false},
		{"resolution", "resolution 0x7f", block(1, "\x01\x00\x00\x00\x00\x00\x00\x00\x09\x00\x01\x00\x7f\x00\x00\x00"), false, false},
		{"no interface", "a packet of interface 1: the section describes 0", block(6, "\x01\x00\x00\x00"+strings.Repeat("\x00", 16)), false, false},
		{"short packet block", "a packet block of 4 bytes", block(6, "\x00\x00\x00\x00"), false, false},
		{"simple", "a simple packet block without an interface", block(3, "\x05\x00\x00\x00hello\x00\x00\x00"), false, false},
		{"only other links", "of types that are not read", pcapngOf(layers.LinkTypeIEEE802_11, []byte("radio")), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			events, _, _, err := read(tt.file)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "read capture: ") {
				t.Errorf("error %v; want %q", err, tt.want)
			}
			if (len(events) > 0) != tt.events {
				t.Errorf("%d events", len(events))
			}
			if errors.Is(err, io.ErrUnexpectedEOF) != tt.cut {
				t.Errorf("cut off: %v, want %v", !tt.cut, tt.cut)
			}
		})
	}
}

// TestSinkErrors: an error of the sink's ends the import.
func TestSinkErrors(t *testing.T) {
	full := errors.New("no space left on device")
	file := pcapOf(layers.LinkTypeRaw, packets(wire{}, hello)...)
	for name, sink := range map[string]*tracertest.Sink{"start": {StartErr: full}, "write": {WriteErr: full}} {
		if _, err := importpcap.Import(bytes.NewReader(file), sink, importpcap.Options{Window: 1}); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzImport: no file, however hostile, panics, or gives a trace that does not hold together.
func FuzzImport(f *testing.F) {
	f.Add(pcapOf(layers.LinkTypeRaw, packets(wire{}, hello[:2])...)) // short ones: what is found is made smaller, which takes long
	f.Add(pcapngOf(layers.LinkTypeEthernet, wrap(packets(wire{v6: true}, hello[:1]), func(ip []byte) []byte { return ether(ip, 3) })...))
	f.Add(pcapngOf(layers.LinkTypeLinuxSLL2, []byte("\x08\x00"+strings.Repeat("\x00", 60))))
	f.Add(snapped(44, layers.LinkTypeRaw, packets(wire{options: true}, hello[:2])...))
	f.Add(snapped(70, layers.LinkTypeRaw, extended(wire{v6: true, options: true}.ip(hello[0]), 0, hopByHop)))
	f.Add(pack(pcapOf(layers.LinkTypeNull, []byte("\x02\x00\x00\x00E"))))
	f.Fuzz(func(t *testing.T, file []byte) {
		sink := &tracertest.Sink{}
		sum, err := importpcap.Import(bytes.NewReader(file), sink, importpcap.Options{Window: 3})
		if err != nil && sum == nil {
			t.Error("no summary")
		}
		events := sink.Events()
		for i, e := range events {
			if e.N != uint64(i+1) || i > 0 && e.T < events[i-1].T {
				t.Fatalf("event %d of %d: %+v", i, len(events), e)
			}
			if c, ok := e.Body.(*tracer.StateChange); ok && c.Cause.N >= e.N {
				t.Fatalf("event %d is caused by %d", e.N, c.Cause.N)
			}
		}
		trace := append(tracer.AppendHeader(nil, sink.Header()), '\n')
		for i := range events {
			trace = append(tracer.AppendJSON(trace, &events[i]), '\n')
		}
		if starts, _, _ := sink.Calls(); starts == 0 {
			return
		}
		r, err := tracer.NewReader(bytes.NewReader(trace))
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			t.Fatalf("the trace cannot be read: %v", err)
		}
	})
}

// TestEnds: a connection that is over is told with its totals.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		packets []packet
		want    []string
	}{
		"closed": {hello, []string{"client active fin: in 5 bytes of 4 segments, out 6 of 5, 0 again"}},
		"refused": {[]packet{{"A", "S", 100, 0, 0}, {"A", "S", 100, 0, 0}, {"B", "RA", 0, 101, 0}}, []string{
			"client active refused: in 0 bytes of 1 segments, out 0 of 2, 1 again",
		}},
		"reset": {append(append([]packet{}, hello[:5]...), packet{"A", "RA", 107, 306, 0}), []string{
			"client active aborted: in 5 bytes of 2 segments, out 6 of 4, 0 again", "server passive reset: in 6 bytes of 4 segments, out 5 of 2, 0 again",
		}},
		"open before": {append(append([]packet{}, hello[3:5]...), packet{"B", "RA", 306, 107, 0}), []string{
			"server  aborted: in 6 bytes of 1 segments, out 5 of 2, 0 again", "client  reset: in 5 bytes of 2 segments, out 6 of 1, 0 again",
		}},
	} {
		events, _, _, err := read(pcapOf(layers.LinkTypeRaw, packets(wire{}, c.packets)...))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, e := range events {
			if e.N != uint64(i+1) {
				t.Fatalf("%s: event %d has the number %d", name, i+1, e.N)
			}
			if b, ok := e.Body.(*tracer.End); ok {
				got = append(got, fmt.Sprintf("%s %s %s: in %d bytes of %d segments, out %d of %d, %d again", e.Stack, b.Role, b.How,
					b.BytesIn, b.SegmentsIn, b.BytesOut, b.SegmentsOut, b.Retransmits))
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got\n%s", name, d)
		}
	}
}
