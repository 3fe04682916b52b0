package sequence

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"
)

var updateParse = flag.Bool("update-parse", false, "write what comes out into testdata/lines.txtar and testdata/bad.txtar")

// ignoreLines compares what is read without where it was read.
var ignoreLines = cmp.Options{
	cmpopts.IgnoreFields(Row{}, "Line"), cmpopts.IgnoreFields(Step{}, "Line"), cmpopts.IgnoreFields(Frame{}, "Line"),
}

// grammars are the grammars of single lines.
var grammars = map[string]func(string) (fmt.Stringer, error){
	"steps":  func(s string) (fmt.Stringer, error) { return ParseStep(s) },
	"frames": func(s string) (fmt.Stringer, error) { return ParseFrame(s) },
	"rules":  func(s string) (fmt.Stringer, error) { return ParseLinkRule(s) },
	"rows":   func(s string) (fmt.Stringer, error) { return ParseRow(s) },
}

// TestLines: each line of testdata/lines.txtar is read and written in the form behind it, or
// refused with the words behind it. A line of its own, indented, is what comes out; where the
// line comes out as it is, there is none. "! " stands before an error.
func TestLines(t *testing.T) {
	const path = "testdata/lines.txtar"
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Files {
		f := &a.Files[i]
		read := grammars[f.Name]
		if read == nil {
			t.Fatalf("%s: no such grammar", f.Name)
		}
		var got strings.Builder
		for _, in := range strings.Split(strings.TrimSuffix(string(f.Data), "\n"), "\n") {
			if !strings.HasPrefix(in, "\t") {
				got.WriteString(in + "\n" + outcome(t, in, read))
			}
		}
		if *updateParse {
			f.Data = []byte(got.String())
		}
		if diff := cmp.Diff(string(f.Data), got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", f.Name, diff)
		}
	}
	if *updateParse {
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome returns what becomes of a line. A line that is read must be read again as the same
// from what is written.
func outcome(t *testing.T, in string, read func(string) (fmt.Stringer, error)) string {
	t.Helper()
	v, err := read(in)
	if err != nil {
		return "\t! " + strings.ReplaceAll(err.Error(), "\n", "\n\t! ") + "\n"
	}
	again, err := read(v.String())
	if err != nil {
		t.Errorf("%q is written as %q, which is refused: %v", in, v, err)
	} else if diff := cmp.Diff(v, again, ignoreLines); diff != "" {
		t.Errorf("%q is written as %q, which is read as another:\n%s", in, v, diff)
	}
	if v.String() == in {
		return ""
	}
	return "\t" + v.String() + "\n"
}
