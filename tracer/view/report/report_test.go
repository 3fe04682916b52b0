package report

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
	"appliance/tracer/view"
	"appliance/tracer/view/words"
)

func render(t *testing.T, tr *view.Trace, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, tr, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// block returns the bytes of a packed block of the page.
func block(t *testing.T, page, id string) []byte {
	t.Helper()
	_, rest, ok := strings.Cut(page, `<script type="application/gzip" id="`+id+`">`)
	if !ok {
		t.Fatalf("no block %s", id)
	}
	packed, _, _ := strings.Cut(rest, "</script>")
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// handed returns what the script is handed.
func handed(t *testing.T, page string) script {
	t.Helper()
	_, rest, ok := strings.Cut(page, `<script type="application/json" id="page">`)
	if !ok {
		t.Fatal("nothing is handed to the script")
	}
	text, _, _ := strings.Cut(rest, "</script>")
	var s script
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// hostile is a text that would do harm where it is not escaped.
const hostile = `</script><script>document.title='owned'</script><img src=x onerror="document.title='owned'">'"&<!--{{.}}`

// attack is a trace whose every text is hostile.
func attack() *view.Trace {
	k := talk{words: hostile}
	client, child := k.connect(k.listen())
	k.send(client, child, 2)
	k.add(child, 10, &tracer.Call{Name: hostile, Phase: tracer.PhaseDone, Result: hostile, Error: hostile, Bytes: -1, Args: []tracer.Arg{{Name: hostile, Value: hostile}}})
	k.add(child, 10, &tracer.Timer{Name: hostile, What: hostile})
	k.add(child, 10, &tracer.TCB{Vars: []tracer.TCBVar{{Name: hostile, Text: hostile}}})
	k.add(child, 10, &tracer.ICMP{Dir: tracer.In, Name: hostile})
	k.segment(client, child, tracer.ACK, 1, 1, 0, hostile, "retransmission")
	k.reset(client, child, hostile)
	for i := range k.events {
		if k.events[i].Stack == "client" {
			k.events[i].Stack = hostile
		}
	}
	h := header
	h.Appliance, h.GVisor, h.Go = hostile, hostile, hostile
	h.Link.Kind, h.Link.Name, h.Link.Peer, h.Link.Impair, h.TCP.Congestion = hostile, hostile, hostile, hostile, hostile
	return view.New(h, k.events)
}

// Whatever the trace says, the page's elements are those of its template.
func TestHostileTraceStaysText(t *testing.T) {
	for _, lang := range []words.Lang{words.English, words.Chinese} {
		page := render(t, attack(), Options{Title: hostile, File: hostile, Lang: lang})
		tame := render(t, conversation(2), Options{Lang: lang})
		scripts := regexp.MustCompile(`(?i)<script[^>]*>`)
		if got, want := scripts.FindAllString(page, -1), scripts.FindAllString(tame, -1); !cmp.Equal(got, want) {
			t.Errorf("%s: script elements:\n%s\nwant\n%s", lang, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if got := strings.Count(page, "</script>"); got != len(scripts.FindAllString(page, -1)) {
			t.Errorf("%s: %d ends of script elements", lang, got)
		}
		for _, bad := range []string{"<img", "<!--", "owned'</script>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page holds %s", lang, bad)
			}
		}
		for id := range ids(page, "pic-") {
			picture := string(block(t, page, id))
			if strings.Contains(picture, "<script") || strings.Contains(picture, "<img") {
				t.Errorf("%s: picture %s holds an element of the trace's", lang, id)
			}
		}
	}
}

// ids are those of the packed blocks that begin so.
func ids(page, prefix string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`<script type="application/gzip" id="([^"]+)">`).FindAllStringSubmatch(page, -1) {
		if strings.HasPrefix(m[1], prefix) {
			found[m[1]] = true
		}
	}
	return found
}

// The page loads nothing, and its policy allows its own style and script alone.
func TestPageStandsAlone(t *testing.T) {
	page := render(t, conversation(3), Options{})
	for _, load := range []string{"<link", "<iframe", "<object", "<embed", "@import", "url(", " src=", "fetch(", "XMLHttpRequest", "import(", " style=", "eval("} {
		if strings.Contains(page, load) {
			t.Errorf("the page has %q", load)
		}
	}
	for _, address := range regexp.MustCompile(`https?://[^"'\s<]+`).FindAllString(page, -1) {
		if address != "http://www.w3.org/2000/svg" { // a name, never loaded
			t.Errorf("the page names %s", address)
		}
	}
	between := func(before, after string) string {
		_, rest, _ := strings.Cut(page, before)
		text, _, ok := strings.Cut(rest, after)
		if !ok {
			t.Fatalf("no %s … %s", before, after)
		}
		return text
	}
	got := between(`http-equiv="Content-Security-Policy" content="`, `"`)
	want := "default-src 'none'; script-src " + hash(between("<script>", "</script>")) + "; style-src " + hash(between("<style>", "</style>")) +
		"; base-uri 'none'; form-action 'none'"
	if got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
	if n := strings.Count(page, "<style"); n != 1 {
		t.Errorf("%d style elements, want 1", n)
	}
	if n := strings.Count(page, "<script>"); n != 1 {
		t.Errorf("%d scripts, want 1", n)
	}
}

// The trace within the page is the trace.
func TestTraceIsWhole(t *testing.T) {
	tr := conversation(50)
	page := render(t, tr, Options{})
	r, err := tracer.NewReader(bytes.NewReader(block(t, page, linesID)))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(tr.Header, r.Header()); d != "" {
		t.Errorf("header (-want +got):\n%s", d)
	}
	for i := range tr.Events {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(tracer.AppendJSON(nil, &e), tracer.AppendJSON(nil, &tr.Events[i])) {
			t.Fatalf("event %d is another", tr.Events[i].N)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last event: %v, want the end", err)
	}
	var columns map[string][]int64
	if err := json.Unmarshal(block(t, page, columnsID), &columns); err != nil {
		t.Fatal(err)
	}
	stories := strings.Split(strings.TrimSuffix(string(block(t, page, storiesID)), "\n"), "\n")
	if len(stories) != len(tr.Events) {
		t.Errorf("%d stories of %d events", len(stories), len(tr.Events))
	}
	var n, at int64
	for i := range tr.Events {
		e := &tr.Events[i]
		n, at = n+columns["n"][i], at+columns["t"][i]
		if uint64(n) != e.N || at != int64(e.T) || columns["conn"][i] != int64(e.Conn) || types[columns["type"][i]] != e.Body.Type() {
			t.Fatalf("columns of event %d are not its own", e.N)
		}
		if s, ok := e.Body.(*tracer.StateChange); ok && uint64(columns["cause"][i]) != s.Cause.N {
			t.Errorf("event %d: cause %d, want %d", e.N, columns["cause"][i], s.Cause.N)
		}
	}
}

func TestOnlySomeConnections(t *testing.T) {
	tr := crowd(5)
	page := render(t, tr, Options{Conns: []uint32{5}})
	r, err := tracer.NewReader(bytes.NewReader(block(t, page, linesID)))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]int{}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Conn]++
	}
	// 4 and 5 are the two ends.
	if seen[4] == 0 || seen[5] == 0 || seen[2]+seen[3]+seen[6]+seen[7] > 0 {
		t.Errorf("events by connection: %v, want those of 4 and 5", seen)
	}
	err = Write(io.Discard, tr, Options{Conns: []uint32{99}})
	if err == nil || !strings.Contains(err.Error(), "connection 99 is not in the trace") {
		t.Errorf("an unknown connection: %v", err)
	}
}

func TestPicturesAreLimited(t *testing.T) {
	tr := crowd(30)
	count := func(o Options) int {
		n := 0
		for id := range ids(render(t, tr, o), "pic-") {
			if strings.HasSuffix(id, "-"+tabStates) {
				n++
			}
		}
		return n
	}
	// One more than connections: that of all.
	for _, c := range []struct{ pictures, want int }{{0, 21}, {3, 4}, {100, 31}, {-1, 1}} {
		if got := count(Options{Pictures: c.pictures}); got != c.want {
			t.Errorf("Pictures %d: %d state diagrams, want %d", c.pictures, got, c.want)
		}
	}
	page := render(t, tr, Options{Pictures: 3})
	if !strings.Contains(page, "Pictures are of the first 3 of 30 connections") || !strings.Contains(page, "--conn") {
		t.Error("the page does not say which connections have pictures")
	}
	for row, set := range handed(t, page).Sets {
		for _, p := range set.Pics {
			if !strings.Contains(page, `id="`+p.ID+`"`) {
				t.Errorf("row %d: no block %s", row, p.ID)
			}
		}
	}
}

func TestEmptyTrace(t *testing.T) {
	page := render(t, view.New(tracer.Header{}, nil), Options{})
	if !strings.Contains(page, "A trace without connections") {
		t.Error("no title")
	}
}

func TestTooLarge(t *testing.T) {
	events := make([]tracer.Event, MaxEvents+1)
	for i := range events {
		events[i] = tracer.Event{N: uint64(i + 1), Body: &tracer.Timer{Name: "tcp"}}
	}
	err := Write(io.Discard, view.New(header, events), Options{})
	if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "--conn") {
		t.Errorf("got %v, want ErrTooLarge and what to do", err)
	}
}

// failing errs after some bytes.
type failing struct{ room int }

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return f.room, errors.New("disk full")
	}
	f.room -= len(p)
	return len(p), nil
}

func TestWriteErrs(t *testing.T) {
	tr := conversation(3)
	whole := len(render(t, tr, Options{}))
	for _, room := range []int{0, 100, whole / 2, whole - 1} {
		if err := Write(&failing{room}, tr, Options{}); err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("room for %d of %d bytes: %v", room, whole, err)
		}
	}
}

// FuzzText holds the page to its own elements whatever a text of the trace is.
func FuzzText(f *testing.F) {
	f.Add(hostile)
	f.Add("</SCRIPT\n><svg onload=1>")
	f.Add("\x00\x1b[31m\u2028]]>")
	f.Fuzz(func(t *testing.T, text string) {
		k := talk{words: text}
		client, child := k.connect(k.listen())
		k.send(client, child, 1)
		k.reset(client, child, text)
		client.stack = text
		k.add(client, 1, &tracer.Timer{Name: text, What: text})
		page := render(t, view.New(header, k.events), Options{Title: text})
		tags := regexp.MustCompile(`(?i)</?(script|style|title|textarea|template|img|svg|iframe)\b`)
		want := len(tags.FindAllString(render(t, view.New(header, k.events), Options{Title: "x"}), -1))
		if got := len(tags.FindAllString(page, -1)); got != want {
			t.Errorf("%d tags, want %d", got, want)
		}
		lines := strings.Count(string(block(t, page, storiesID)), "\n")
		if lines != len(k.events) {
			t.Errorf("%d stories of %d events", lines, len(k.events))
		}
	})
}
