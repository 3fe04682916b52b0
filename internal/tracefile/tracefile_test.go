package tracefile

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/sink/pcapng"
)

var header = tracer.Header{Started: time.Unix(1_000_000_000, 0).UTC(), Appliance: "test"}

// events returns the events 1 to n.
func events(n int) []tracer.Event {
	var list []tracer.Event
	for i := 1; i <= n; i++ {
		list = append(list, tracer.Event{
			N: uint64(i), T: time.Duration(i) * time.Millisecond, Stack: "server", Conn: 1,
			Local: netip.MustParseAddrPort("192.0.2.1:80"), Body: &tracer.Timer{Name: "keepalive", What: "fired"},
		})
	}
	return list
}

// line returns an event's line.
func line(e tracer.Event) string { return string(tracer.AppendJSON(nil, &e)) + "\n" }

// lines returns a trace of n events.
func lines(n int) string {
	text := string(tracer.AppendHeader(nil, header)) + "\n"
	for _, e := range events(n) {
		text += line(e)
	}
	return text
}

func pcapngTrace(t *testing.T, n int) string {
	t.Helper()
	var b bytes.Buffer
	s := pcapng.New(&b)
	if err := errors.Join(s.Start(header), s.Write(events(n)), s.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "trace")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// TestOpen: the first bytes tell the form, whatever the name, of a file as of a pipe.
func TestOpen(t *testing.T) {
	for _, c := range []struct {
		format Format
		text   string
	}{{JSONL, lines(3)}, {PCAPNG, pcapngTrace(t, 3)}} {
		for _, path := range []string{write(t, c.text), "-"} {
			o := Options{Stdin: iotest.OneByteReader(strings.NewReader(c.text))}
			trace, err := Load(path, o)
			if err != nil {
				t.Fatalf("%s: %v", c.format, err)
			}
			if diff := cmp.Diff(events(3), trace.Events, sameAddr); diff != "" || !trace.Header.Started.Equal(header.Started) {
				t.Errorf("%s of %s: %v (-want +got):\n%s", c.format, path, trace.Header, diff)
			}
			f, err := Open(path, Options{Stdin: strings.NewReader(c.text)})
			if err != nil || f.Format != c.format || f.Skipped() != 0 || f.Close() != nil {
				t.Errorf("%s of %s: %+v, %v", c.format, path, f, err)
			}
		}
	}
}

// TestOpenErrors: what is no trace of ours is named, with what to do.
func TestOpenErrors(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":    {"", "the input is empty"},
		"short":    {"{\"", "ends in the middle of a line"},
		"text":     {"hello, world\n", `found "hello, world"`},
		"pcap":     {"\xd4\xc3\xb2\xa1\x02\x00\x04\x00", "appliance trace import"},
		"pcap ns":  {"\x4d\x3c\xb2\xa1\x02\x00\x04\x00", "appliance trace import"},
		"gzip":     {"\x1f\x8b\x08\x00\x00\x00", "gzip -dc"},
		"zstd":     {"\x28\xb5\x2f\xfd\x00\x00", "zstd -dc"},
		"parquet":  {"PAR1\x00\x00", "Parquet"},
		"qlog":     {"\x1e{\"qlog_version\":\"0.3\"}", "qlog"},
		"pcapng":   {"\x0a\x0d\x0d\x0a\x1c\x00", "offset"},
		"schema 2": {`{"type":"trace","schema":"appliance-trace/2"}` + "\n", "line 1: "},
	} {
		path := write(t, c.text)
		f, err := Open(path, Options{})
		if f != nil || err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
		if trace, again := Load(path, Options{}); trace != nil || again == nil || again.Error() != err.Error() {
			t.Errorf("%s: Load: %v", name, again)
		}
	}
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
	for name, open := range map[string]func(string) (*File, error){
		"open":   func(path string) (*File, error) { return Open(path, Options{}) },
		"follow": func(path string) (*File, error) { return Follow(t.Context(), path, Options{}) },
	} {
		_, err := open(filepath.Join(t.TempDir(), "none"))
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make one with: appliance demo -w") {
			t.Errorf("%s: no file: %v", name, err)
		}
	}
	broken := errors.New("broken")
	if _, err := Open("-", Options{Stdin: iotest.ErrReader(broken)}); !errors.Is(err, broken) {
		t.Errorf("a broken pipe: %v", err)
	}
}

// TestDamaged: what is whole is read, and the error names the line.
func TestDamaged(t *testing.T) {
	e := events(2)
	damage := "{\"n\":7,\"type\":\n"
	many := strings.Repeat(damage, maxDamaged+5)
	for name, c := range map[string]struct {
		text string
		want []string
		n    int
	}{
		"one line":  {lines(1) + damage + line(e[1]), []string{"line 3: not JSON"}, 2},
		"two lines": {lines(1) + damage + line(e[1]) + "[1]\n", []string{"line 3: not JSON", "line 5: want an object"}, 2},
		"cut off":   {lines(2)[:len(lines(2))-10], []string{"line 3: the trace ends in the middle of a line"}, 1},
		"many":      {lines(2) + many + line(e[0]), []string{"line 4", "line 12", "too many damaged lines"}, 2},
	} {
		trace, err := Load(write(t, c.text), Options{})
		if err == nil || trace == nil || len(trace.Events) != c.n {
			t.Errorf("%s: %v, %v", name, trace, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want …%s…", name, err, w)
			}
		}
		if strings.Count(err.Error(), "ends in the middle") > 1 {
			t.Errorf("%s: told twice: %v", name, err)
		}
	}
	whole := pcapngTrace(t, 50)
	trace, err := Load(write(t, whole[:len(whole)-3]), Options{})
	if err == nil || trace == nil || len(trace.Events) == 0 || !strings.Contains(err.Error(), "offset") {
		t.Errorf("pcapng, cut off: %v", err)
	}
}

// TestEachStops: fn ends the reading.
func TestEachStops(t *testing.T) {
	broken := errors.New("broken")
	for _, want := range []error{ErrStop, broken} {
		f, err := Open("-", Options{Stdin: strings.NewReader(lines(5))})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		err = f.Each(func(*tracer.Event) error {
			if n++; n == 2 {
				return want
			}
			return nil
		})
		if n != 2 || errors.Is(want, broken) != errors.Is(err, broken) || errors.Is(err, ErrStop) {
			t.Errorf("%v: %d events, %v", want, n, err)
		}
	}
}

// TestWrap: who wraps what is read sees every byte, and the size of a file.
func TestWrap(t *testing.T) {
	text := lines(100)
	for path, size := range map[string]int64{write(t, text): int64(len(text)), "-": -1} {
		var read bytes.Buffer
		o := Options{Stdin: strings.NewReader(text), Wrap: func(r io.Reader, n int64) io.Reader {
			if n != size {
				t.Errorf("%s: size %d, want %d", path, n, size)
			}
			return io.TeeReader(r, &read)
		}}
		if _, err := Load(path, o); err != nil || read.String() != text {
			t.Errorf("%s: %d bytes, %v", path, read.Len(), err)
		}
	}
}
