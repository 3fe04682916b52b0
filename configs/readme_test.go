package configs_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReadmeTable holds the README's table of sequences to the files.
func TestReadmeTable(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(readme)) {
		if strings.Contains(line, "(configs/sequences/") && strings.HasPrefix(line, "| [") {
			rows++
		}
	}
	all := load(t)
	for _, s := range all {
		var sources []string
		for _, src := range s.Sources {
			sources = append(sources, src.Document)
		}
		row := fmt.Sprintf("| [`%s`](configs/sequences/%s.yaml) | %s | %s |\n", s.Name, s.Name, strings.Join(sources, " "), s.Shows)
		if !strings.Contains(string(readme), row) {
			t.Errorf("README.md has no row\n%s", row)
		}
	}
	if rows != len(all) {
		t.Errorf("README.md's table has %d rows, and there are %d sequences", rows, len(all))
	}
}
