package ladder

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/tracertest"
	"appliance/tracer/view"
	"appliance/tracer/view/draw/drawtest"
	"appliance/tracer/view/words"
)

// anyOptions are any settings of a ladder.
func anyOptions(t *rapid.T) Options {
	o := Options{Raw: rapid.Bool().Draw(t, "raw")}
	o.Lang = rapid.SampledFrom([]words.Lang{words.English, words.Chinese}).Draw(t, "lang")
	if rapid.Bool().Draw(t, "numbers") {
		o.Numbers = &Numbers{Client: 1000, Server: rapid.Uint32().Draw(t, "server")}
	}
	return o
}

// anyTrace draws a trace of two ends that are both traced, of events that need not make
// sense, or of any events, with texts that a terminal, a page or Mermaid would act on.
func anyTrace(t *rapid.T) *view.Trace {
	if rapid.Bool().Draw(t, "any") {
		return view.New(tracer.Header{}, tracertest.DrawTrace(t))
	}
	base := Talk(rapid.IntRange(1, 25).Draw(t, "segments"), func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") })
	hostile := rapid.SampledFrom([]string{"a;b#c", "<b>&\"x\"", "\x1b[31m", "end", "汉字与标点，很长很长很长很长很长很长很长", "a\nb", "\u202eabc", strings.Repeat("long", 40)})
	for i := range base {
		e := &base[i]
		e.T += time.Duration(i) * time.Duration(rapid.SampledFrom([]int{0, 1000, 1e6, 3e8}).Draw(t, "dt"))
		switch b := e.Body.(type) {
		case *tracer.Segment:
			if rapid.IntRange(0, 4).Draw(t, "noted") == 0 {
				b.Notes = append(b.Notes, hostile.Draw(t, "note"))
			}
			if rapid.IntRange(0, 6).Draw(t, "dropped") == 0 {
				b.Dropped = hostile.Draw(t, "why")
			}
		case *tracer.Call:
			b.Args = append(b.Args, tracer.Arg{Name: "data", Value: hostile.Draw(t, "data")})
		case *tracer.Timer:
			b.Name = hostile.Draw(t, "timer")
		case *tracer.StateChange:
			if rapid.IntRange(0, 3).Draw(t, "errs") == 0 {
				b.Error = hostile.Draw(t, "error")
			}
		default:
		}
	}
	sortTimes(base)
	return view.New(tracer.Header{}, base)
}

// sortTimes makes times rise with the numbers.
func sortTimes(events []tracer.Event) {
	for i := 1; i < len(events); i++ {
		events[i].T = max(events[i].T, events[i-1].T)
	}
}

// TestEverySegmentOnce: each packet of a pair's story is one end of exactly one arrow, the
// rows have each arrow's ends once, and the picture has every packet's number.
func TestEverySegmentOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		for _, p := range All(tr) {
			items := tr.Story(p)
			if p.A.Listener {
				items = tr.Whole(p.A)
			}
			l := New(tr, p, Options{})
			shown := map[uint64]int{}
			for _, a := range l.Arrows {
				for _, e := range []*tracer.Event{a.Sent, a.Received} {
					if e != nil {
						shown[e.N]++
					}
				}
			}
			rows := map[*Arrow]int{}
			for _, r := range l.Rows {
				if r.Arrow != nil {
					rows[r.Arrow]++
				}
			}
			svg := svgOf(t, l)
			for _, it := range items {
				e := &tr.Events[it.Index]
				if _, packet := direction(e.Body); !packet {
					continue
				}
				if shown[e.N] != 1 {
					t.Fatalf("#%d is in %d arrows", e.N, shown[e.N])
				}
				if !strings.Contains(svg, `data-n="`+strconv.FormatUint(e.N, 10)+`"`) {
					t.Fatalf("#%d is not in the picture", e.N)
				}
			}
			for _, a := range l.Arrows {
				want := 1
				if a.Sent != nil && a.Received != nil {
					want = 2
				}
				if rows[a] != want {
					t.Fatalf("the arrow of #%d is in %d rows, want %d", a.N(), rows[a], want)
				}
			}
		}
	})
}

func svgOf(t *rapid.T, l *Ladder) string {
	var b bytes.Buffer
	if err := l.SVG(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestPicture: no two texts may overlap, in any font, and nothing lies outside. A label that
// an arrow runs through has a ground.
func TestPicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		o := anyOptions(t)
		for _, p := range All(tr) {
			l := New(tr, p, o)
			drawn := l.picture()
			for i := range l.Rows {
				if a := l.Rows[i].Arrow; drawn.begins(&l.Rows[i]) {
					crossed := drawn.lines.meeting(drawn.labelBox(a, drawn.places[a]), drawn.course(i).quad()) > 0
					if crossed != drawn.places[a].ground {
						t.Fatalf("the label of #%d: %+v, crossed: %v", a.N(), drawn.places[a], crossed)
					}
				}
			}
			pic, err := drawtest.Parse([]byte(svgOf(t, l)))
			if err != nil {
				t.Fatal(err)
			}
			if problems := pic.Problems(nil); len(problems) > 0 {
				t.Fatal(strings.Join(problems, "\n"))
			}
		}
	})
}

// TestTextKeepsItsWidth: no line is wider than asked for, and none has a character that a
// terminal acts on.
func TestTextKeepsItsWidth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		o := anyOptions(t)
		to := TextOptions{Width: rapid.IntRange(LeastWidth, 140).Draw(t, "width"), ASCII: rapid.Bool().Draw(t, "ascii")}
		if to.ASCII {
			o.Lang = words.English
		}
		for _, l := range ladders(tr, o) {
			var b bytes.Buffer
			if err := l.Text(&b, to); err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(b.String(), "\n") {
				if words.Width(line) > to.Width {
					t.Fatalf("%d columns: %q", words.Width(line), line)
				}
				for _, r := range line {
					if !unicode.IsPrint(r) || to.ASCII && r > unicode.MaxASCII {
						t.Fatalf("%q has %q", line, r)
					}
				}
			}
		}
	})
}

// mermaidLine is what a line may be. A text has no character of Mermaid's own but in an
// entity, which is a number.
var mermaidLine = regexp.MustCompile(`^(sequenceDiagram|` +
	`    participant [AB] as T(<br/>T)*|` +
	`    Note (left of A|right of B|over A,B): T(<br/>T)*|` +
	`    [AB](->>|-->>|-x|-\))[AB]: T)$`)

var entity = regexp.MustCompile(`#\d+;`)

func TestMermaidSyntax(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr := anyTrace(t)
		o := anyOptions(t)
		for _, l := range ladders(tr, o) {
			var b bytes.Buffer
			if err := l.Mermaid(&b); err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\n"), "\n") {
				if !mermaidLine.MatchString(shape(line)) {
					t.Fatalf("%q (%q)", line, shape(line))
				}
			}
		}
	})
}

// shape is a line with T for each text.
func shape(line string) string {
	head, text, found := strings.Cut(line, ": ")
	sep := ": "
	if !found {
		if head, text, found = strings.Cut(line, " as "); !found {
			return line
		}
		sep = " as "
	}
	parts := strings.Split(text, "<br/>")
	for i, p := range parts {
		if strings.ContainsAny(entity.ReplaceAllString(p, ""), "#;<>") || p == "" {
			return line
		}
		parts[i] = "T"
	}
	return head + sep + strings.Join(parts, "<br/>")
}
