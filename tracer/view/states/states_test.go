package states

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
	"appliance/tracer/view/draw/drawtest"
	"appliance/tracer/view/words"
)

var update = flag.Bool("update", false, "write what the views make into the golden files")

// traces is where the traces of the documented sequences are.
const traces = "../../sequence/testdata/match"

// load reads a trace of the documented sequences.
func load(t testing.TB, name string) *view.Trace {
	t.Helper()
	h, events := tracertest.Read(t, filepath.Join(traces, name))
	return view.New(h, events)
}

// options reads a golden file's first lines: "trace NAME", "conn 2,4", "stack server",
// "lang zh", "ascii".
func options(t *testing.T, comment string) (name string, o Options) {
	t.Helper()
	for line := range strings.Lines(comment) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "trace":
			name = value
		case "stack":
			o.Stacks = strings.Split(value, ",")
		case "lang":
			o.Lang = words.Lang(value)
		case "ascii":
			o.ASCII = true
		case "conn":
			for _, id := range strings.Split(value, ",") {
				n, err := strconv.ParseUint(id, 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				o.Conns = append(o.Conns, uint32(n))
			}
		case "", "#":
		default:
			t.Fatalf("golden file: %q is not known", line)
		}
	}
	return name, o
}

var colour = regexp.MustCompile(`#[0-9a-f]{6}\b`)

// TestGolden holds the text and the Mermaid to files: see the first lines of each.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, o := options(t, string(archive.Comment))
			d, err := New(load(t, name), o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range archive.Files {
				f := &archive.Files[i]
				var got bytes.Buffer
				write := map[string]func(io.Writer) error{"text": d.Text, "mermaid": d.Mermaid}[f.Name]
				if write == nil {
					t.Fatalf("golden file: what is %q?", f.Name)
				}
				if err := write(&got); err != nil {
					t.Fatal(err)
				}
				// Which colours the states have is the palette's own affair.
				text := colour.ReplaceAll(got.Bytes(), []byte("#rrggbb"))
				if *update {
					f.Data = text
				} else if diff := cmp.Diff(string(f.Data), string(text)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// svgOf draws and reads back.
func svgOf(t testing.TB, d *Diagram) *drawtest.Picture {
	t.Helper()
	var b bytes.Buffer
	if err := d.SVG(&b); err != nil {
		t.Fatal(err)
	}
	p, err := drawtest.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSVG holds of every sequence's trace that its picture is whole, with every step's
// number and every state.
func TestSVG(t *testing.T) {
	files, err := filepath.Glob(traces + "/*.jsonl")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		trace := load(t, name)
		for _, lang := range []words.Lang{words.English, words.Chinese} {
			d, err := New(trace, Options{Lang: lang})
			if err != nil {
				if len(trace.Pairs()) > 0 {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			p := svgOf(t, d)
			for _, problem := range p.Problems(nil) {
				t.Errorf("%s, %s: %s", name, lang, problem)
			}
			checkShown(t, name, d, p)
		}
	}
}

// checkShown holds that the picture has all states, all labels, and a number a step.
func checkShown(t *testing.T, name string, d *Diagram, p *drawtest.Picture) {
	t.Helper()
	texts := map[string]int{}
	numbers := 0
	for _, s := range p.Texts() {
		texts[s.Text]++
		if s.Has("arrow") && s.Has("bg") {
			t.Errorf("%s: number %q in the group of a line", name, s.Text)
		}
		if s.Has("bg") && !s.Has("step") {
			numbers += strings.Count(s.Text, ",") + 1
		}
	}
	for _, s := range allStates {
		if texts[s.String()] == 0 {
			t.Errorf("%s: no box for %v", name, s)
		}
	}
	for _, a := range figure {
		if texts[a.Event] == 0 && a.Note == 0 || a.Action != "" && texts[a.Action] == 0 {
			t.Errorf("%s: no label %s / %s", name, a.Event, a.Action)
		}
	}
	want := 0
	if !d.Many {
		want = len(d.Paths) // in the key
		for _, path := range d.Paths {
			want += len(path.Steps)
		}
		if len(d.Others) > 0 {
			want++ // in the key
		}
		if numbers != want {
			t.Errorf("%s: %d numbers in the picture, want %d", name, numbers, want)
		}
	}
}

// TestText holds of every sequence's trace that the text keeps to its columns, and in
// English to ASCII where that is asked for.
func TestText(t *testing.T) {
	files, err := filepath.Glob(traces + "/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		trace := load(t, filepath.Base(path))
		for _, o := range []Options{{}, {Lang: words.Chinese}, {ASCII: true}} {
			d, err := New(trace, o)
			if err != nil {
				continue
			}
			checkText(t, filepath.Base(path), d)
		}
	}
}

func checkText(t interface{ Errorf(string, ...any) }, name string, d *Diagram) {
	var b bytes.Buffer
	if err := d.Text(&b); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if words.Width(line) > 110 || strings.HasSuffix(line, " ") {
			t.Errorf("%s: %d columns, or blanks at the end: %q", name, words.Width(line), line)
		}
		if d.opts.ASCII && strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("%s: not ASCII: %q", name, line)
		}
	}
	for _, line := range strings.Split(d.drawing().String(), "\n") {
		if words.Width(line) > gridW {
			t.Errorf("%s: the drawing is %d columns wide", name, words.Width(line))
		}
	}
}

// mermaidLine is what a line of the state diagram may be (Mermaid's grammar of
// stateDiagram-v2, as far as it is used).
var mermaidLine = regexp.MustCompile(`^(stateDiagram-v2|---|title: ".*"|` +
	`    state "[^":;#]+" as [A-Z_0-9]+|    (\[\*\]|[A-Z_0-9]+) --> [A-Z_0-9]+( : [^:;#"]+)?|` +
	`    classDef [A-Za-z_0-9]+ [a-z-]+:[^;]+|    class [A-Z_0-9,]+ [A-Za-z_0-9]+|)$`)

func TestMermaid(t *testing.T) {
	files, err := filepath.Glob(traces + "/*.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		d, err := New(load(t, filepath.Base(path)), Options{})
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if err := d.Mermaid(&b); err != nil {
			t.Fatal(err)
		}
		arrows := 0
		for line := range strings.SplitSeq(b.String(), "\n") {
			if !mermaidLine.MatchString(line) {
				t.Errorf("%s: %q", filepath.Base(path), line)
			}
			arrows += strings.Count(line, "-->")
		}
		if want := 1 + len(figure) + len(d.Others); arrows != want {
			t.Errorf("%s: %d arrows, want %d", filepath.Base(path), arrows, want)
		}
	}
}

// TestChoice: which connections the options mean, and what they say where there is none.
func TestChoice(t *testing.T) {
	trace := load(t, "four-tuple-pipe-self-both-ipv4.jsonl")
	for _, c := range []struct {
		o     Options
		paths string // stacks and ids
		many  bool
		err   string
	}{
		{Options{}, "", true, ""},
		{Options{Conns: []uint32{trace.Pairs()[0].A.ID}}, names(trace.Pairs()[0]), false, ""},
		{Options{Conns: []uint32{trace.Pairs()[0].B.ID}}, names(trace.Pairs()[0]), false, ""},
		{Options{Conns: []uint32{trace.Pairs()[0].A.ID, trace.Pairs()[0].B.ID}}, names(trace.Pairs()[0]), false, ""},
		{Options{Conns: []uint32{trace.Pairs()[0].A.ID, trace.Pairs()[1].A.ID}}, "", true, ""},
		{Options{Conns: []uint32{trace.Pairs()[0].A.ID}, Stacks: []string{"server"}}, trace.Pairs()[0].B.Name(), false, ""},
		{Options{Conns: []uint32{1}}, "server.1", false, ""}, // the listener
		{Options{Conns: []uint32{99}}, "", false, "no connection 99"},
		{Options{Stacks: []string{"nobody"}}, "", false, "no connection of stack nobody"},
	} {
		d, err := New(trace, c.o)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v", c.o, err)
			}
			continue
		}
		if err != nil || d.Many != c.many {
			t.Errorf("%+v: %v, many %v", c.o, err, d != nil && d.Many)
			continue
		}
		var got []string
		for _, p := range d.Paths {
			got = append(got, p.Conn.Name())
		}
		if !c.many && strings.Join(got, " ") != c.paths {
			t.Errorf("%+v: %v, want %s", c.o, got, c.paths)
		}
	}
	if _, err := New(view.New(tracer.Header{}, nil), Options{}); err == nil {
		t.Error("an empty trace has a diagram")
	}
}

func names(p view.Pair) string { return p.A.Name() + " " + p.B.Name() }

// TestCoverage: the share and the rest make up the figure.
func TestCoverage(t *testing.T) {
	d, err := New(load(t, "close-four-segments-pipe-self-both-ipv4.jsonl"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	states, transitions := d.Coverage()
	never, untaken := d.Missed()
	if states != 10 || transitions != 12 || len(never) != 1 || never[0] != tracer.Closing || len(untaken) != 9 {
		t.Errorf("%d states, %d transitions; missed %v, %d", states, transitions, never, len(untaken))
	}
	if slices.ContainsFunc(untaken, func(a Arrow) bool { return a.From == tracer.LastAck }) {
		t.Errorf("LAST-ACK → CLOSED was taken, but is among %v", untaken)
	}
}

func ExampleDiagram_Coverage() {
	change := func(n uint64, from, to tracer.State, kind tracer.CauseKind) tracer.Event {
		return tracer.Event{N: n, Stack: "client", Conn: 1, Body: &tracer.StateChange{From: from, To: to, Cause: tracer.Cause{Kind: kind}}}
	}
	d, err := New(view.New(tracer.Header{}, []tracer.Event{
		change(1, tracer.Closed, tracer.SynSent, tracer.CauseCall),
		change(2, tracer.SynSent, tracer.Closed, tracer.CauseTimer),
	}), Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	states, transitions := d.Coverage()
	fmt.Println(states, "states,", transitions, "transition,", len(d.Others), "beside the figure")
	// Output: 2 states, 1 transition, 1 beside the figure
}
