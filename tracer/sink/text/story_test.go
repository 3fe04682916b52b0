package text

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A story is its event's line without the columns before it.
func TestStory(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		ar, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, events := read(t, ar.Files[0].Data)
		o := Options{Width: 1000, Conns: ConnsAlways}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
		var lines []string
		for line := range strings.Lines(render(t, h, events, o)) {
			if !strings.Contains(line, " ── ") && !strings.HasPrefix(strings.TrimSpace(line), "n ") {
				lines = append(lines, squeeze(line))
			}
		}
		if len(lines) != len(events) {
			t.Fatalf("%s: %d lines of %d events", file, len(lines), len(events))
		}
		s := New(nil, o)
		for i := range events {
			story := s.Story(&events[i])
			if strings.ContainsAny(story, "\n\x1b") || !strings.HasSuffix(lines[i], squeeze(story)) || squeeze(story) == "" {
				t.Errorf("%s: story %q, and the line is %q", file, story, lines[i])
			}
		}
	}
}
