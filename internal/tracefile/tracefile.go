// Package tracefile opens the traces that the program writes, whatever their form.
//
// A trace is JSONL (package tracer) or pcapng (package tracer/sink/pcapng); its first bytes
// tell which. It is read event by event ([Open]) or whole ([Load]).
package tracefile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"appliance/tracer"
	"appliance/tracer/view"
)

// Format is the form of a trace.
type Format string

// The formats.
const (
	JSONL  Format = "jsonl"
	PCAPNG Format = "pcapng"
)

// Options are how a trace is opened; the zero value is ready.
type Options struct {
	// Stdin is read where the path is "-"; nil means os.Stdin.
	Stdin io.Reader
	// Wrap, where it is not nil, returns what is read in place of the file: it can count
	// the bytes, or wait for more of them at the file's end. Size is the file's, in bytes;
	// -1 where that is not known (a pipe).
	Wrap func(r io.Reader, size int64) io.Reader
}

// Reader gives a trace's events in order.
type Reader interface {
	Header() tracer.Header
	// Next returns the next event, and io.EOF at the end.
	Next() (tracer.Event, error)
}

// File is an open trace. It is for one goroutine.
type File struct {
	Format Format
	name   string // as errors have it
	in     Reader
	close  func() error
}

// Open opens the trace at path; "-" is standard input. It errs where that is no trace of
// ours, and says what it is and what to do.
func Open(path string, o Options) (*File, error) {
	name, in, size, closer, err := source(path, o)
	if err != nil {
		return nil, err
	}
	f := &File{name: name, close: closer}
	if o.Wrap != nil {
		in = o.Wrap(in, size)
	}
	// The reader of lines has a buffer of its own, which takes over from this one.
	buffered := bufio.NewReaderSize(in, 256<<10)
	if err := f.start(buffered); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), closer())
	}
	return f, nil
}

// source opens the file or standard input.
func source(path string, o Options) (name string, in io.Reader, size int64, closer func() error, err error) {
	if path == "-" {
		in = o.Stdin
		if in == nil {
			in = os.Stdin
		}
		return "standard input", in, -1, func() error { return nil }, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", nil, 0, nil, notThere(err)
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("read the trace: %s is a directory: name a file in it", path)
	}
	if err != nil {
		return "", nil, 0, nil, errors.Join(err, f.Close())
	}
	size = info.Size()
	if !info.Mode().IsRegular() {
		size = -1
	}
	return path, f, size, f.Close, nil
}

// notThere is err, which names the path, of a file that could not be found or opened.
func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the trace: %w: name a file that exists, or make one with: appliance demo -w x.jsonl", err)
	}
	return fmt.Errorf("read the trace: %w", err)
}

// Header returns the trace's header.
func (f *File) Header() tracer.Header { return f.in.Header() }

// Next returns the next event; io.EOF at the end. An error names the file, and the line or
// the offset. After one that is a [*tracer.LineError] it may be called for what is behind
// that line.
func (f *File) Next() (tracer.Event, error) {
	e, err := f.in.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%s: %w", f.name, err)
	}
	return e, err
}

// ErrStop ends [File.Each] early, without an error.
var ErrStop = errors.New("stop")

// maxDamaged is how many damaged lines Each passes over.
const maxDamaged = 8

// Each calls fn with every event to the end. Behind a damaged line it goes on with the
// next, and errs with all of them at the end; it gives up on a file with many. An error of
// fn's ends it.
func (f *File) Each(fn func(*tracer.Event) error) error {
	var damaged []error
	for {
		e, err := f.Next()
		switch {
		case err == nil:
			if err = fn(&e); errors.Is(err, ErrStop) {
				return errors.Join(damaged...)
			} else if err != nil {
				return errors.Join(append(damaged, err)...)
			}
		case errors.Is(err, io.EOF):
			return errors.Join(damaged...)
		case len(damaged) > 0 && err.Error() == damaged[len(damaged)-1].Error():
			return errors.Join(damaged...) // there is no going on
		default:
			damaged = append(damaged, err)
			if len(damaged) > maxDamaged {
				return errors.Join(append(damaged, fmt.Errorf("%s: too many damaged lines: given up", f.name))...)
			}
		}
	}
}

// Skipped returns how many events were passed over because a newer version wrote them.
func (f *File) Skipped() int {
	if s, ok := f.in.(interface{ Skipped() int }); ok {
		return s.Skipped()
	}
	return 0
}

// Close closes the file.
func (f *File) Close() error { return f.close() }

// Load reads a whole trace. Where it is cut off or damaged, Load returns what is whole,
// and the error; where it is no trace at all, nil and the error.
func Load(path string, o Options) (*view.Trace, error) {
	f, err := Open(path, o)
	if err != nil {
		return nil, err
	}
	var events []tracer.Event
	err = f.Each(func(e *tracer.Event) error {
		events = append(events, *e)
		return nil
	})
	return view.New(f.Header(), events), errors.Join(err, f.Close())
}

var pcapngMagic = []byte("\x0a\x0d\x0d\x0a")

// foreign are the first bytes of what is no trace of ours, and what to do with it.
var foreign = []struct{ magic, what string }{
	{"\xd4\xc3\xb2\xa1", pcapHint},
	{"\xa1\xb2\xc3\xd4", pcapHint},
	{"\x4d\x3c\xb2\xa1", pcapHint},
	{"\xa1\xb2\x3c\x4d", pcapHint},
	{"\x1f\x8b", "packed with gzip: unpack it first: gzip -dc FILE | appliance trace … -"},
	{"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first: zstd -dc FILE | appliance trace … -"},
	{"PAR1", "a Parquet file, which is for data tools: the views read the trace that it was made from"},
	{"\x1e", "a JSON text sequence such as qlog, which is for other tools: the views read the trace that it was made from"},
}

const pcapHint = "a pcap capture, not a trace of ours: make one of it: appliance trace import -w x.jsonl FILE"

// start tells the format and makes the reader.
func (f *File) start(in *bufio.Reader) (err error) {
	start, err := in.Peek(4)
	if len(start) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, m := range foreign {
		if bytes.HasPrefix(start, []byte(m.magic)) {
			return fmt.Errorf("it is %s", m.what)
		}
	}
	if bytes.HasPrefix(start, pcapngMagic) {
		f.Format = PCAPNG
		f.in, err = newPCAPNG(in)
		return err
	}
	f.Format = JSONL
	f.in, err = tracer.NewReader(in)
	return err
}
