package configs_test

import (
	"io/fs"
	"testing"

	"appliance/configs"
	"appliance/internal/config"
)

// TestExamples: every example is valid as it stands and is on the lab's link.
func TestExamples(t *testing.T) {
	names, err := fs.Glob(configs.FS, "*.yaml")
	if err != nil || len(names) < 3 {
		t.Fatalf("examples: %v, %v", names, err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(configs.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := config.Parse(name, data)
		if err != nil {
			t.Error(err)
			continue
		}
		if c.Link.Lab != config.DefaultLab {
			t.Errorf("%s: the link's lab is %q, want %q", name, c.Link.Lab, config.DefaultLab)
		}
		if len(c.Apps) == 0 || c.Trace.Level == config.LevelOff {
			t.Errorf("%s: runs nothing, or traces nothing", name)
		}
	}
}
