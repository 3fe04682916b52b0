package tracertest

import (
	"errors"
	"io"
	"os"
	"testing"

	"appliance/tracer"
)

// Read reads the trace of lines at path, to its end.
func Read(tb testing.TB, path string) (tracer.Header, []tracer.Event) {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	r, err := tracer.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var events []tracer.Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return r.Header(), events
		}
		if err != nil {
			tb.Fatal(err)
		}
		events = append(events, e)
	}
}
