package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the messages that come out into testdata/bad")

// TestBad compares the messages for each file of testdata/bad's archives with those
// that stand behind it: all of them, in order.
func TestBad(t *testing.T) {
	archives, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("testdata/bad: %d archives, %v", len(archives), err)
	}
	for _, path := range archives {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			rewrite(t, path, a)
		}
		want := make(map[string]string)
		for _, f := range a.Files {
			if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
				want[name+".yaml"] = string(f.Data)
			}
		}
		for _, f := range a.Files {
			if !strings.HasSuffix(f.Name, ".yaml") {
				continue
			}
			t.Run(filepath.Base(path)+"/"+f.Name, func(t *testing.T) {
				if want[f.Name] == "" {
					t.Fatal("the archive has no messages for it")
				}
				if diff := cmp.Diff(want[f.Name], messages(t, f)); diff != "" {
					t.Errorf("messages (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// messages returns what Parse says to a bad file.
func messages(t *testing.T, f txtar.File) string {
	t.Helper()
	_, err := Parse(f.Name, f.Data)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("Parse = %v, want an *Error", err)
	}
	return e.Error() + "\n"
}

// rewrite puts each file's messages behind it.
func rewrite(t *testing.T, path string, a *txtar.Archive) {
	t.Helper()
	files := a.Files
	a.Files = nil
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".yaml") {
			want := strings.TrimSuffix(f.Name, ".yaml") + ".want"
			a.Files = append(a.Files, f, txtar.File{Name: want, Data: []byte(messages(t, f))})
		}
	}
	if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
