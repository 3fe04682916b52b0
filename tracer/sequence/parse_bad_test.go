package sequence

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestBad: each file of testdata/bad.txtar is refused with the messages behind it, all of them,
// in order.
func TestBad(t *testing.T) {
	const path = "testdata/bad.txtar"
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *updateParse {
		var files []txtar.File
		for _, f := range a.Files {
			if name, ok := strings.CutSuffix(f.Name, ".yaml"); ok {
				files = append(files, f, txtar.File{Name: name + ".want", Data: []byte(refusal(t, f))})
			}
		}
		a.Files = files
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i+1 < len(a.Files); i += 2 {
		f, want := a.Files[i], a.Files[i+1]
		t.Run(f.Name, func(t *testing.T) {
			if want.Name != strings.TrimSuffix(f.Name, ".yaml")+".want" {
				t.Fatalf("no messages behind it, but %s", want.Name)
			}
			if diff := cmp.Diff(string(want.Data), refusal(t, f)); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// head stands in front of a file that has only runs.
const head = "sequence: NAME\ntitle: T\nshows: S\nsource: [{document: '001', passage: p}]\nruns:\n"

// refusal returns what Parse says to a bad file.
func refusal(t *testing.T, f txtar.File) string {
	t.Helper()
	data := string(f.Data)
	if strings.HasPrefix(data, "- ") {
		data = strings.ReplaceAll(head, "NAME", strings.TrimSuffix(f.Name, ".yaml")) + data
	}
	_, err := Parse(f.Name, []byte(data))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: Parse = %v, want an *Error", f.Name, err)
	}
	for _, p := range e.Problems {
		if p.File == "" || p.Line == 0 || p.Column == 0 {
			t.Errorf("%s: no file, line or column: %+v", f.Name, p)
		}
	}
	return e.Error() + "\n"
}
