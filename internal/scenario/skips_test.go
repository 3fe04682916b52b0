package scenario

import (
	"io/fs"
	"strings"
	"testing"

	"appliance/configs"
	"appliance/tracer/sequence"
)

// documented are the sequences that the program has.
func documented(t *testing.T) []*sequence.Sequence {
	t.Helper()
	files, err := fs.Sub(configs.Sequences, "sequences")
	if err != nil {
		t.Fatal(err)
	}
	all, err := sequence.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSkipsFile: of all combinations, on every link, by every clock, against every peer and in every
// role, each that cannot be played is permitted to be skipped; and each entry of the file permits one.
func TestSkipsFile(t *testing.T) {
	skips, err := Skips()
	if err != nil {
		t.Fatal(err)
	}
	var all []combination
	for _, clock := range []string{"", Real} {
		for _, role := range []string{Both, Client, Server} {
			o := Options{
				Sequences: documented(t), Skips: skips, Clock: clock, Role: role,
				Links: []string{Pipe, Veth, TAP}, Peers: []string{Self, Script, Linux},
			}
			if err := o.complete(); err != nil {
				t.Fatal(err)
			}
			some, err := combinations(&o)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, some...)
		}
	}
	used := make([]bool, len(skips))
	for i := range all {
		r := all[i].result()
		permitted := false
		why := all[i].unplayable()
		for k := range skips {
			if skips[k].Permits(&r) {
				permitted, used[k] = true, used[k] || why != ""
			}
		}
		if why != "" && !permitted && r.Family == 4 {
			t.Errorf("%s cannot be played, and no entry permits to skip it: %s", r.Name(), why)
		}
		if why == "" && permitted && r.Family == 4 {
			t.Errorf("%s can be played, and is skipped", r.Name())
		}
	}
	for k, s := range skips {
		if !used[k] {
			t.Errorf("line %d permits nothing that cannot be played: %s", s.Line, s.Reason)
		}
	}
}

func TestParseSkips(t *testing.T) {
	got, err := ParseSkips("skips.yaml", []byte("- {sequence: [a, 'b-*'], run: '', family: 6, reason: why}\n- {clock: real, reason: slow}\n"))
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	for _, c := range []struct {
		r    Result
		want bool
	}{
		{Result{Sequence: "a", Family: 6}, true},
		{Result{Sequence: "b-c", Family: 6, Link: Veth}, true},
		{Result{Sequence: "a", Family: 4}, false},
		{Result{Sequence: "a", Run: "x", Family: 6}, false},
		{Result{Sequence: "b", Family: 6}, false},
	} {
		if got[0].Permits(&c.r) != c.want {
			t.Errorf("%+v: permitted %v", c.r, !c.want)
		}
	}
	for clock, want := range map[string]bool{Real: true, Virtual: false} {
		if got[1].Permits(&Result{Clock: clock}) != want {
			t.Errorf("%s clock: permitted %v", clock, !want)
		}
	}
}

// TestParseSkipsRefuses: what has no meaning is an error that names the line.
func TestParseSkipsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"a: b\n":                             "f:1: want a list",
		"- a\n":                              "f:1: want the keys",
		"- {sequence: a}\n":                  "f:1: want a reason",
		"- {reason: a}\n- {reason: ''}\n":    "f:2: want a reason",
		"- {reason: a, links: pipe}\n":       `unknown key "links"`,
		"- {reason: a,\n  link: a, link: b}": "f:2: link is given twice",
		"- {reason: a, link: []}\n":          "not an empty one",
		"- {reason: a, link: {a: b}}\n":      "want a word",
		"- {reason: a, run: 'a['}\n":         "syntax error in pattern",
		"- {reason: a, family: 5}\n":         "want 4 or 6",
		"- [\n":                              "not YAML",
	} {
		if _, err := ParseSkips("f", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}
