package scenario

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"appliance/tracer"
)

// TestNothingWritten: where nothing could be written no file is left, but for one that was
// there before.
func TestNothingWritten(t *testing.T) {
	tooLong := tracer.Header{Appliance: strings.Repeat("x", 1<<16)} // for a comment of pcapng's
	events := []tracer.Event{{N: 1, Stack: "client", Body: &tracer.Timer{Name: "retransmit", What: "fired"}}}
	path := filepath.Join(t.TempDir(), "x.pcapng")
	if err := writeTrace(path, tooLong, events); err == nil {
		t.Fatal("it was written")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("left a file: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeTrace(path, tooLong, events); err == nil {
		t.Fatal("it was written")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}
