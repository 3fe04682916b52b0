package sequence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzParse: whatever the file, Parse returns a valid sequence, whose rows and steps read back
// from what is written of them, or an error that says where.
func FuzzParse(f *testing.F) {
	good, err := filepath.Glob("../../configs/sequences/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(good, "testdata/every-key.yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	bad, err := txtar.ParseFile("testdata/bad.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range bad.Files {
		if name, ok := strings.CutSuffix(file.Name, ".yaml"); ok {
			f.Add(file.Data)
			f.Add([]byte(strings.ReplaceAll(head, "NAME", name) + string(file.Data)))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("fuzz", data)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without words")
			}
			return
		}
		if err := s.Validate(); err != nil {
			t.Errorf("parsed, and not valid: %v", err)
		}
		for i := range s.Runs {
			readBack(t, s.Runs[i].Expect, ParseRow)
			for _, steps := range s.Runs[i].Programs {
				readBack(t, steps, ParseStep)
			}
			for _, frames := range s.Runs[i].Scripts {
				readBack(t, frames, ParseFrame)
			}
			readBack(t, s.Runs[i].Link, ParseLinkRule)
		}
	})
}

func readBack[T interface{ String() string }](t *testing.T, all []T, read func(string) (T, error)) {
	t.Helper()
	for _, v := range all {
		got, err := read(v.String())
		if err != nil {
			t.Errorf("%q is refused: %v", v.String(), err)
		} else if diff := cmp.Diff(v, got, ignoreLines); diff != "" {
			t.Errorf("%q (-want +got):\n%s", v.String(), diff)
		}
	}
}

// FuzzLines: no line of any grammar makes them panic, and what is read reads back.
func FuzzLines(f *testing.F) {
	a, err := txtar.ParseFile("testdata/lines.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range a.Files {
		for line := range strings.SplitSeq(string(file.Data), "\n") {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, read := range grammars {
			if v, err := read(line); err == nil {
				outcome(t, v.String(), read)
			}
		}
	})
}
