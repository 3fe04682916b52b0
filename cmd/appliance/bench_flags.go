package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"appliance/internal/bench"
)

// The short rounds of --quick.
const (
	quickRounds = 3
	quickTime   = 150 * time.Millisecond
	quickIdle   = 2000
)

// benchOptions are what the flags say.
func benchOptions(c *cli.Context) (bench.Options, error) {
	v := readVersions()
	o := bench.Options{Sink: c.String("sink"), Appliance: v.Appliance, GVisor: v.GVisor}
	if c.Bool("quick") {
		o.Brief, o.Rounds, o.Time, o.Idle = true, quickRounds, quickTime, quickIdle
	}
	for flag, to := range map[string]*int{"rounds": &o.Rounds, "idle": &o.Idle} {
		if !c.IsSet(flag) {
			continue
		}
		if *to = c.Int(flag); *to < 1 {
			return o, usageErr("bench: --%s %d: want 1 or more", flag, *to)
		}
	}
	if c.IsSet("time") {
		d, err := time.ParseDuration(c.String("time"))
		if err != nil || d < time.Millisecond || d > time.Hour {
			return o, usageErr("bench: --time %s: want a time of 1ms to 1h, such as 500ms or 2s", c.String("time"))
		}
		o.Time = d
	}
	if c.IsSet("only") {
		var err error
		if o.Only, err = regexp.Compile(c.String("only")); err != nil {
			return o, usageErr("bench: --only %s: want a regular expression: %v", c.String("only"), err)
		}
	}
	if l := c.String("link"); l != "" {
		o.Links = []string{l}
	}
	return o, nil
}

// benchIdle are the flags that say nothing along with another.
var benchIdle = []struct {
	with, why string
	flags     []string
}{
	{"read", "-r measures nothing", []string{"quick", "rounds", "time", "idle", "link", "sink"}},
	{"list", "--list prints names only", []string{"output", "write", "plot"}},
}

// checkBenchFlags errs where a flag would be ignored, or a file not be what its name says.
func checkBenchFlags(c *cli.Context) error {
	for _, one := range benchIdle {
		for _, flag := range one.flags {
			if c.IsSet(one.with) && c.IsSet(flag) {
				return usageErr("bench: --%s: %s: leave out one of them", flag, one.why)
			}
		}
	}
	if err := checkBenchStdout(c); err != nil {
		return err
	}
	return checkPicture(c.String("plot"))
}

// checkBenchStdout errs where several forms are to go to standard output.
func checkBenchStdout(c *cli.Context) error {
	write, plot := c.String("write") == "-", c.String("plot") == "-"
	switch {
	case write && plot:
		return usageErr("bench: -w - and --plot - are both standard output: name a file with one of them")
	case write && c.IsSet("output") && c.String("output") != "json":
		return usageErr("bench: -w - writes JSON to standard output, not -o %s: leave out one of them", c.String("output"))
	case plot && c.IsSet("output"):
		return usageErr("bench: --plot - draws to standard output, and -o %s prints there: leave out one of them", c.String("output"))
	}
	return nil
}

// checkPicture errs where the name says that the picture is in another form. What is there
// and no regular file, such as a pipe, needs no ending.
func checkPicture(path string) error {
	if path == "" || path == "-" || strings.EqualFold(filepath.Ext(path), ".svg") {
		return nil
	}
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return nil
	}
	return usageErr("bench: --plot %s: the picture is SVG: want a name that ends in .svg", path)
}
