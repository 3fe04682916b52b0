package runner

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"appliance/internal/config"
	"appliance/tracer"
	"appliance/tracer/sink/file"
	"appliance/tracer/sink/jsonl"
	"appliance/tracer/sink/pcapng"
	"appliance/tracer/sink/text"
	"appliance/tracer/view/words"
)

// screen is standard output, which the trace and the programs share: each write is
// whole lines.
type screen struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// lines gathers what a program prints into whole lines, each after the events that
// led to it.
type lines struct {
	mu   sync.Mutex
	buf  []byte
	sync func()
	to   io.Writer
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	end := bytes.LastIndexByte(l.buf, '\n') + 1
	if end == 0 {
		return len(b), nil
	}
	l.sync()
	_, err := l.to.Write(l.buf[:end])
	l.buf = append(l.buf[:0], l.buf[end:]...)
	return len(b), err
}

// openSinks makes the sinks that the trace goes to. made are the files that were not
// there before: what an appliance that does not start may remove again. On an error
// it has done so itself.
func openSinks(ctx context.Context, t config.Trace, out io.Writer, opts Options) (sinks []tracer.Sink, made []string, err error) {
	if t.Level == config.LevelOff {
		return nil, nil, nil
	}
	switch t.Screen {
	case config.ScreenText:
		o, err := textOptions(t, opts.Color, opts.Lang)
		if err != nil {
			return nil, nil, err
		}
		sinks = append(sinks, &kept{Sink: text.New(out, o), keep: opts.Keep})
	case config.ScreenJSONL:
		sinks = append(sinks, jsonl.New(out))
	case config.ScreenPCAPNG:
		sinks = append(sinks, pcapng.To(file.New(out), pcapng.Options{Lang: opts.Lang}))
	case config.ScreenOff:
	}
	for _, path := range t.Files {
		_, missing := os.Lstat(path)
		s, err := openFile(ctx, path, t, opts)
		if err != nil {
			return nil, nil, errors.Join(err, closeFiles(sinks), removeFiles(made))
		}
		sinks = append(sinks, s)
		if errors.Is(missing, os.ErrNotExist) {
			made = append(made, path)
		}
	}
	return sinks, made, nil
}

// closeFiles closes the sinks that no Bus got, and with them their files.
func closeFiles(sinks []tracer.Sink) error {
	var err error
	for _, s := range sinks {
		err = errors.Join(err, s.Close())
	}
	return err
}

// removeFiles removes the traces of an appliance that never ran.
func removeFiles(paths []string) error {
	var err error
	for _, p := range paths {
		if e := os.Remove(p); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// kept is a sink that gets only some of the events.
type kept struct {
	tracer.Sink
	keep func(*tracer.Event) bool
	buf  []tracer.Event
}

// Borrows implements tracer.Borrower.
func (k *kept) Borrows() bool { return tracer.Borrows(k.Sink) }

// Write implements tracer.Sink.
func (k *kept) Write(events []tracer.Event) error {
	if k.keep == nil {
		return k.Sink.Write(events)
	}
	k.buf = k.buf[:0]
	for i := range events {
		if k.keep(&events[i]) {
			k.buf = append(k.buf, events[i])
		}
	}
	return k.Sink.Write(k.buf)
}

func textOptions(t config.Trace, color bool, lang words.Lang) (text.Options, error) {
	when, err := text.ParseTime(string(t.Time))
	return text.Options{Color: color, Time: when, Lang: lang}, err
}

// openFile makes a trace file, in the form that its name's ending tells. A FIFO's reader is
// waited for until ctx ends.
func openFile(ctx context.Context, path string, t config.Trace, opts Options) (tracer.Sink, error) {
	form, err := config.TraceFormat(path)
	if err != nil {
		return nil, err
	}
	o, err := textOptions(t, false, opts.Lang)
	if err != nil {
		return nil, err
	}
	out, err := file.Create(path, file.Options{
		Size: int64(t.RotateSize), Count: t.RotateCount, Context: ctx,
		Waiting: func() { opts.log("%s: waiting for its reader, such as wireshark -k -i %s", path, path) },
	})
	if err != nil {
		return nil, err
	}
	switch form {
	case config.ScreenJSONL:
		return jsonl.To(out), nil
	case config.ScreenPCAPNG:
		return pcapng.To(out, pcapng.Options{Lang: opts.Lang}), nil
	default:
		return &textFile{Sink: text.New(out.Writer(), o), f: out}, nil
	}
}

func (o *Options) log(format string, args ...any) {
	if o.Log != nil {
		o.Log(format, args...)
	}
}

// textFile is the text form in a file.
type textFile struct {
	*text.Sink
	f *file.File
}

// Close implements tracer.Sink. A second Close does nothing.
func (t *textFile) Close() error { return errors.Join(t.Sink.Close(), t.f.Close()) }
