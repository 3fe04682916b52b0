package why

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

var update = flag.Bool("update", false, "write what the view writes into testdata")

// load returns a JSONL trace.
func load(t *testing.T, trace []byte) *view.Trace {
	t.Helper()
	r, err := tracer.NewReader(bytes.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	var events []tracer.Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return view.New(r.Header(), events)
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// TestGolden: each file has a trace and answers about it, "N" with words for the options.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			trace := load(t, ar.Files[0].Data)
			for i, f := range ar.Files[1:] {
				got := answer(t, trace, f.Name)
				if diff := cmp.Diff(string(f.Data), got); diff != "" && !*update {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
				ar.Files[i+1].Data = []byte(got)
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// answer writes the answer that a golden file's name asks for.
func answer(t *testing.T, trace *view.Trace, name string) string {
	t.Helper()
	parts := strings.Fields(name)
	n, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var o Options
	var text TextOptions
	form := "text"
	for _, p := range parts[1:] {
		switch p {
		case "zh":
			text.Lang = words.Chinese
		case "color":
			text.Color = true
		case "limit1":
			o.Limit = 1
		case "json":
			form = p
		default:
			t.Fatalf("unknown option %q", p)
		}
	}
	a, err := New(trace).Explain(n, o)
	if err != nil {
		return err.Error() + "\n"
	}
	var b bytes.Buffer
	if form == "json" {
		err = a.WriteJSON(&b)
	} else {
		err = a.WriteText(&b, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(b.String(), "\x1b", "␛")
}

// walk calls each with every effect and the event that caused it.
func walk(cause uint64, list []*Effect, each func(cause uint64, e *Effect)) {
	for _, e := range list {
		each(cause, e)
		walk(e.Event.N, e.Effects, each)
	}
}

// TestChains: a chain rises to the event from one that has no cause, and every event that
// is told as an effect has the chain that leads to it.
func TestChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := tracertest.DrawTrace(t)
		if rapid.IntRange(0, 4).Draw(t, "wild") == 0 {
			events = rapid.SliceOfN(rapid.Custom(tracertest.DrawEvent), 1, 10).Draw(t, "events")
		}
		trace := view.New(tracer.Header{}, events)
		links := New(trace)
		for i := range trace.Events {
			n := trace.Events[i].N
			a, err := links.Explain(n, Options{Limit: -1})
			if err != nil {
				t.Fatal(err)
			}
			checkChain(t, links, a, n)
			walk(n, a.Effects, func(cause uint64, e *Effect) {
				b, err := links.Explain(e.Event.N, Options{})
				if err != nil || len(b.Chain) < 2 {
					t.Fatalf("#%d caused #%d, which has the chain %v, %v", cause, e.Event.N, b, err)
				}
				if up := b.Chain[len(b.Chain)-2].Event.N; up != cause {
					t.Fatalf("#%d is told under #%d, but #%d caused it", e.Event.N, cause, up)
				}
			})
			if err := errors.Join(a.WriteText(io.Discard, TextOptions{}), validJSON(a)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func checkChain(t *rapid.T, links *Links, a *Answer, n uint64) {
	for i, s := range a.Chain {
		switch {
		case i == 0 && s.Link != "", i > 0 && s.Link == "":
			t.Fatalf("step %d of #%d's chain has the link %q", i, n, s.Link)
		case i > 0 && s.Event.N <= a.Chain[i-1].Event.N:
			t.Fatalf("#%d comes of #%d", s.Event.N, a.Chain[i-1].Event.N)
		}
	}
	if last := a.Chain[len(a.Chain)-1].Event.N; last != n {
		t.Fatalf("#%d's chain ends at #%d", n, last)
	}
	root, err := links.Explain(a.Chain[0].Event.N, Options{})
	if err != nil || len(root.Chain) != 1 {
		t.Fatalf("#%d's chain begins at #%d, which has a cause: %v", n, a.Chain[0].Event.N, err)
	}
}

func validJSON(a *Answer) error {
	var b bytes.Buffer
	if err := a.WriteJSON(&b); err != nil {
		return err
	}
	var v struct {
		N     uint64
		Chain []struct{ Event struct{ N uint64 } }
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		return err
	}
	if v.Chain[len(v.Chain)-1].Event.N != v.N {
		return errors.New("the chain's last event is not the one asked for")
	}
	return nil
}

// TestDeepIsBounded: a hostile trace, each event of which is caused by the one before, is
// told to a depth and no further.
func TestDeepIsBounded(t *testing.T) {
	var events []tracer.Event
	for n := uint64(1); n <= 20_000; n++ {
		events = append(events, tracer.Event{N: n, Conn: 1, Body: &tracer.TCB{After: n - 1}})
	}
	a, err := New(view.New(tracer.Header{}, events)).Explain(1, Options{})
	if err != nil {
		t.Fatal(err)
	}
	depth, more := 0, 0
	walk(1, a.Effects, func(_ uint64, e *Effect) { depth, more = depth+1, more+e.More })
	if depth != maxDepth || more != 1 {
		t.Errorf("%d deep, %d more", depth, more)
	}
}
