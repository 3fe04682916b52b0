package sequence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/tracer"
	"appliance/tracer/tracertest"
)

// goodTraces are traces that true runs made, each with the sequence that it was judged by, as
// "appliance scenario run -w" names them: <sequence>[-<run>]-<link>-<peer>-<role>-ipv<N>.jsonl.
const goodTraces = "testdata/match"

// goodTrace is one of them.
type goodTrace struct {
	name string
	in   MatchInput
}

// loadTraces reads all good traces.
func loadTraces(tb testing.TB) []goodTrace {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(goodTraces, "*.jsonl"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no traces in %s: %v", goodTraces, err)
	}
	all := make([]goodTrace, 0, len(files))
	for _, f := range files {
		all = append(all, loadTrace(tb, f))
	}
	return all
}

func loadTrace(tb testing.TB, file string) goodTrace {
	tb.Helper()
	name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
	parts := strings.Split(name, "-")
	if len(parts) < 5 {
		tb.Fatalf("%s: not a trace's name", file)
	}
	link, peer, role := parts[len(parts)-4], parts[len(parts)-3], parts[len(parts)-2]
	run := findRun(tb, filepath.Dir(file), strings.Join(parts[:len(parts)-4], "-"))
	in := MatchInput{
		Run: run, Virtual: link == "pipe", Events: readEvents(tb, file),
		Players: Players{Client: Stack, Server: Stack}, Stacks: map[End]string{Client: "client", Server: "server"},
		Segments: map[End]bool{Client: true, Server: true}, Calls: map[End]bool{Client: true, Server: true},
	}
	other := Server
	if role == "server" {
		other = Client
	}
	switch peer {
	case "script":
		in.Players[other] = Script
		delete(in.Stacks, other)
		delete(in.Segments, other)
		delete(in.Calls, other)
	case "linux":
		in.Players[other], in.Stacks[other], in.Segments[other] = Linux, "peer", false
		in.Calls[other] = true
		steps, _, _ := run.Program(other, Linux)
		for _, s := range steps {
			in.Calls[other] = in.Calls[other] && s.Do != Exit && s.Do != Kill && s.Do != Python
		}
	}
	return goodTrace{name, in}
}

// findRun finds a trace's sequence, the file whose name begins the trace's, and its run.
func findRun(tb testing.TB, dir, name string) *Run {
	tb.Helper()
	for id := name; ; {
		data, err := os.ReadFile(filepath.Join(dir, id+".yaml"))
		if err == nil {
			s, err := Parse(id+".yaml", data)
			if err != nil {
				tb.Fatal(err)
			}
			for i := range s.Runs {
				if s.Runs[i].Name == strings.TrimPrefix(strings.TrimPrefix(name, id), "-") {
					return &s.Runs[i]
				}
			}
			tb.Fatalf("%s.yaml has no run for %s", id, name)
		}
		cut := strings.LastIndex(id, "-")
		if cut < 0 {
			tb.Fatalf("no sequence for %s in %s", name, dir)
		}
		id = id[:cut]
	}
}

func readEvents(tb testing.TB, file string) []tracer.Event {
	tb.Helper()
	_, events := tracertest.Read(tb, file)
	return events
}

// TestGoodTraces holds that what true runs recorded matches what they were judged by.
func TestGoodTraces(t *testing.T) {
	for _, g := range loadTraces(t) {
		if m := Match(g.in); m != nil {
			t.Errorf("%s: %v", g.name, m)
		}
	}
}
