package strictyaml

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDuration: what Duration writes is read as the same, and is no longer than Go's own form.
func TestDuration(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
		d := time.Duration(rapid.Int64Range(0, 10_000).Draw(t, "n")) * unit
		s := Duration(d)
		if got, err := ParseDuration(s); err != nil || got != d || len(s) > len(d.String()) {
			t.Errorf("%v is written as %q and read as %v, %v", d, s, got, err)
		}
	})
	for s, want := range map[string]string{"5": "has no unit", "-1s": "is negative", "soon": "is not a duration", "": "is not a duration"} {
		if _, err := ParseDuration(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDuration(%q) = %v, want %q", s, err, want)
		}
	}
}

// TestDocument: one document, none, or words that say what is wrong and where.
func TestDocument(t *testing.T) {
	for data, want := range map[string]string{
		"a: b":            "",
		"":                "",
		"# nothing":       "",
		"a: b\n---\nc: d": "x:2:1: a second document starts here: want one thing a file",
		"a: 'b":           "x:1:6: not YAML: found unexpected end of stream (while scanning a quoted scalar)",
		"a: [\n\n":        "x:3:1: not YAML: did not find expected node content (while parsing a flow node)",
		"a: b\n--- [":     "x:3:1: not YAML: did not find expected node content (while parsing a flow node)",
	} {
		n, problem := Document([]byte(data), "thing")
		got := ""
		if problem != nil {
			got = NewError("x", []Problem{*problem}).Error()
		}
		if got != want || (n != nil) != (data == "a: b") {
			t.Errorf("Document(%q) = %v, %q; want %q", data, n, got, want)
		}
	}
}

// TestNewError: the problems stand in the order of the file.
func TestNewError(t *testing.T) {
	err := NewError("f", []Problem{{Line: 2, Column: 1, Message: "c"}, {Line: 1, Column: 9, Path: "k", Message: "b"}, {Message: "a"}})
	if got, want := err.Error(), "f: a\nf:1:9: k: b\nf:2:1: c"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
