package kernel

import (
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testDecoder(t testing.TB) *decoder {
	t.Helper()
	d, err := newDecoder(string(readFile(t, "header_page")), string(readFile(t, "format")))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// page.bin is a page of Linux 6.18's, amd64: a connection on the loopback, and a listener
// with an IPv6 address.
func TestDecodePage(t *testing.T) {
	if !littleEndian {
		t.Skip("the page is a little-endian machine's")
	}
	d := testDecoder(t)
	page := readFile(t, "page.bin")
	if d.pageSize() != len(page) {
		t.Errorf("a page has %d bytes, want %d", d.pageSize(), len(page))
	}
	changes, missed, err := d.decode(page)
	if err != nil || missed {
		t.Fatalf("missed %t, %v", missed, err)
	}
	var got []string
	for _, ch := range chains(changes) {
		got = append(got, ch.local.String()+" "+words(ch))
	}
	want := []string{
		"127.0.0.1:19598 CLOSE LISTEN CLOSE",
		"127.0.0.1:35490 CLOSE SYN_SENT ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE",
		"127.0.0.1:19598 LISTEN SYN_RECV ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE",
		"[::1]:19598 CLOSE LISTEN CLOSE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("decoded\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	first := changes[0]
	if first.Time != int64(binary.LittleEndian.Uint64(page)) || first.PID != 14799 || first.SKAddr != 0xffff888102dc1bc0 {
		t.Errorf("the first is %+v", first)
	}
	if !slices.IsSortedFunc(changes, func(a, b Change) int { return int(a.Time - b.Time) }) {
		t.Errorf("the times do not rise: %v", changes)
	}
}

// words are a chain's states: "CLOSE SYN_SENT ESTABLISHED".
func words(ch *chain) string {
	w := []string{ch.changes[0].Old.String()}
	for _, c := range ch.changes {
		w = append(w, c.New.String())
	}
	return strings.Join(w, " ")
}

// encoder writes a page as the kernel does.
type encoder struct {
	d    *decoder
	data []byte
	now  uint64
}

func (e *encoder) word(kind, delta uint32) {
	w := kind | delta<<5
	if !littleEndian {
		w = kind<<deltaBits | delta
	}
	e.data = binary.NativeEndian.AppendUint32(e.data, w)
}

// at makes the time pass, with a time extend where it is long.
func (e *encoder) at(t uint64) (delta uint32) {
	passed := t - e.now
	e.now = t
	if passed>>deltaBits != 0 {
		e.word(kindTimeExtend, uint32(passed&(1<<deltaBits-1)))
		e.data = binary.NativeEndian.AppendUint32(e.data, uint32(passed>>deltaBits))
		return 0
	}
	return uint32(passed)
}

// stamp says what time it is, whatever passed.
func (e *encoder) stamp(t uint64) {
	e.now = t
	e.word(kindTimeStamp, uint32(t&(1<<deltaBits-1)))
	e.data = binary.NativeEndian.AppendUint32(e.data, uint32(t>>deltaBits))
}

func (e *encoder) event(delta uint32, event []byte, long bool) {
	if long {
		e.word(0, delta)
		e.data = binary.NativeEndian.AppendUint32(e.data, uint32(len(event)+4))
	} else {
		e.word(uint32(len(event)/4), delta)
	}
	e.data = append(e.data, event...)
}

// discarded is an event that the kernel has given up: it stays as padding.
func (e *encoder) discarded(delta uint32, length int) {
	if delta == 0 { // that would be the end of the page
		delta = 1
		e.now++
	}
	e.word(kindPadding, delta)
	e.data = binary.NativeEndian.AppendUint32(e.data, uint32(length+4))
	e.data = append(e.data, make([]byte, length)...)
}

func (e *encoder) page(start uint64, flags uint64) []byte {
	b := make([]byte, e.d.pageSize())
	binary.NativeEndian.PutUint64(b, start)
	binary.NativeEndian.PutUint64(b[8:], uint64(len(e.data))|flags)
	copy(b[16:], e.data)
	return b
}

func (d *decoder) encode(c Change) []byte {
	b := make([]byte, 72)
	put := func(name string, v uint64) {
		at := d.event.fields[name]
		switch at.size {
		case 2:
			binary.NativeEndian.PutUint16(b[at.offset:], uint16(v))
		case 4:
			binary.NativeEndian.PutUint32(b[at.offset:], uint32(v))
		case 8:
			binary.NativeEndian.PutUint64(b[at.offset:], v)
		}
	}
	put("common_type", uint64(d.event.id))
	put("common_pid", uint64(c.PID))
	put("skaddr", c.SKAddr)
	put("oldstate", uint64(c.Old))
	put("newstate", uint64(c.New))
	put("sport", uint64(c.Local.Port()))
	put("dport", uint64(c.Remote.Port()))
	family, source, destination := uint64(inet), "saddr", "daddr"
	if c.Local.Addr().Is6() {
		family, source, destination = inet6, "saddr_v6", "daddr_v6"
	}
	put("family", family)
	copy(b[d.event.fields[source].offset:], c.Local.Addr().AsSlice())
	copy(b[d.event.fields[destination].offset:], c.Remote.Addr().AsSlice())
	return b
}

func drawChange(t *rapid.T) Change {
	addr := func(label string, four bool) netip.AddrPort {
		port := rapid.Uint16().Draw(t, label+" port")
		if four {
			b := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, label))
			return netip.AddrPortFrom(netip.AddrFrom4(b), port)
		}
		b := [16]byte(append([]byte{0xfd}, rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, label)...))
		return netip.AddrPortFrom(netip.AddrFrom16(b), port)
	}
	four := rapid.Bool().Draw(t, "ipv4")
	return Change{
		SKAddr: rapid.Uint64().Draw(t, "skaddr"), PID: int(rapid.Int32().Draw(t, "pid")),
		Old:   RawState(rapid.IntRange(1, int(numRaw)-1).Draw(t, "old")),
		New:   RawState(rapid.IntRange(1, int(numRaw)-1).Draw(t, "new")),
		Local: addr("local", four), Remote: addr("remote", four),
	}
}

// What the kernel writes, in all its forms, is what is read.
func TestDecodeWhatWasWritten(t *testing.T) {
	d := testDecoder(t)
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.Uint64Range(1<<40, 1<<59).Draw(t, "start")
		e := &encoder{d: d, now: start}
		var want []Change
		for range rapid.IntRange(0, 25).Draw(t, "events") {
			c := drawChange(t)
			when := e.now + rapid.Uint64Range(0, 1<<40).Draw(t, "later")
			if rapid.Bool().Draw(t, "soon") {
				when = e.now + rapid.Uint64Range(0, 1<<deltaBits-1).Draw(t, "soon after")
			}
			switch rapid.IntRange(0, 4).Draw(t, "form") {
			case 0:
				e.stamp(when)
				e.event(0, d.encode(c), false)
			case 1:
				e.discarded(e.at(when), 16)
				continue
			case 2:
				other := d.encode(c)
				other[0] ^= 1 // an event of another kind
				e.event(e.at(when), other, false)
				continue
			case 3:
				e.event(e.at(when), d.encode(c), true)
			default:
				e.event(e.at(when), d.encode(c), false)
			}
			c.Time = int64(e.now)
			want = append(want, c)
		}
		flags := uint64(0)
		if rapid.Bool().Draw(t, "missed") {
			flags = missedEvents
		}
		got, missed, err := d.decode(e.page(start, flags))
		if err != nil || missed != (flags != 0) || !slices.Equal(got, want) {
			t.Fatalf("decoded %v, missed %t, %v\nwant %v", got, missed, err, want)
		}
	})
}

func TestDecodeBadPages(t *testing.T) {
	d := testDecoder(t)
	good := &encoder{d: d}
	good.event(0, d.encode(Change{Old: 7, New: 2}), false)
	tests := map[string]struct {
		page []byte
		want string
	}{
		"no header":       {make([]byte, 8), "its header has 16"},
		"more than there": {good.page(0, 1<<20), "says that it holds"},
		"cut event":       {(&encoder{d: d, data: good.data[:20]}).page(0, 0), "an event of 72 bytes, 16 are left"},
		"cut length":      {(&encoder{d: d, data: make([]byte, 4)}).page(0, 0), "middle of an event"},
		"no length":       {(&encoder{d: d, data: make([]byte, 8)}).page(0, 0), "an event of -4 bytes"},
	}
	for name, tt := range tests {
		if _, _, err := d.decode(tt.page); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestBadFormats(t *testing.T) {
	header, event := string(readFile(t, "header_page")), string(readFile(t, "format"))
	tests := map[string]struct{ header, event, want string }{
		"nothing":         {"", "", `no field "commit"`},
		"a field is gone": {header, strings.Replace(event, "skaddr", "sock", 1), `no field "skaddr"`},
		"another size":    {header, strings.Replace(event, "offset:16;\tsize:4;", "offset:16;\tsize:3;", 1), `"oldstate" has 3 bytes`},
		"no number":       {header, strings.Replace(event, "ID: ", "ID: x", 1), "ID: x"},
		"no place":        {header, strings.Replace(event, "offset:16;", "offset:-1;", 1), "no place in an event"},
		"no data":         {strings.Replace(header, "char data", "char date", 1), event, `no field "data"`},
	}
	for name, tt := range tests {
		if _, err := newDecoder(tt.header, tt.event); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// The fields are where the format says, wherever that is.
func TestDecodeMovedFields(t *testing.T) {
	if !littleEndian {
		t.Skip("the page is a little-endian machine's")
	}
	moved := strings.Replace(string(readFile(t, "format")), "oldstate;\toffset:16;", "oldstate;\toffset:20;", 1)
	moved = strings.Replace(moved, "newstate;\toffset:20;", "newstate;\toffset:16;", 1)
	d, err := newDecoder(string(readFile(t, "header_page")), moved)
	if err != nil {
		t.Fatal(err)
	}
	changes, _, err := d.decode(readFile(t, "page.bin"))
	if err != nil || changes[0].Old != rawListen || changes[0].New != rawClose {
		t.Errorf("decoded %v, %v", changes, err)
	}
}

func FuzzDecode(f *testing.F) {
	d := testDecoder(f)
	f.Add(readFile(f, "page.bin"))
	e := &encoder{d: d}
	e.stamp(1 << 50)
	e.discarded(0, 8)
	e.event(1, d.encode(Change{Old: 7, New: 2}), true)
	f.Add(e.page(1, missedEvents))
	f.Fuzz(func(t *testing.T, page []byte) {
		changes, _, err := d.decode(page)
		if err == nil && len(changes)*d.event.fields["daddr_v6"].offset > len(page) {
			t.Errorf("%d changes in %d bytes", len(changes), len(page))
		}
	})
}
