package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

// version is set by the release build: -ldflags "-X main.version=v1.2.3".
var version string

const gvisorModule = "gvisor.dev/gvisor"

// versions are of what a trace was made with; its header has them too.
type versions struct {
	Appliance string `json:"appliance"`
	GVisor    string `json:"gvisor"`
	Go        string `json:"go"`
	OS        string `json:"os"`
	Arch      string `json:"arch"`
}

// readVersions returns the versions that this program was built from.
func readVersions() versions {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionsOf(info)
}

func versionsOf(info *debug.BuildInfo) versions {
	v := versions{
		Appliance: version, GVisor: "unknown",
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
	}
	if v.Appliance == "" {
		v.Appliance = buildVersion(info)
	}
	for _, m := range info.Deps {
		if m.Path != gvisorModule {
			continue
		}
		if m.Replace != nil {
			m = m.Replace
		}
		v.GVisor = m.Version
		if v.GVisor == "" {
			v.GVisor = m.Path // replaced by a directory, which has no version
		}
	}
	return v
}

// buildVersion is what the go command knows: a module's version, else the commit.
func buildVersion(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, modified := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			if s.Value == "true" {
				modified = "+changes"
			}
		}
	}
	if revision == "" {
		return "unknown"
	}
	return revision + modified
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the versions of the appliance, gVisor and Go",
		Flags: []cli.Flag{outputFlag("text", "json")},
		Action: func(c *cli.Context) error {
			if _, err := arguments(c); err != nil {
				return err
			}
			return printVersions(c)
		},
	}
}

// printVersions writes them as -o asks.
func printVersions(c *cli.Context) error {
	v := readVersions()
	out := errWriter{w: c.App.Writer}
	if c.String("output") == "json" {
		return printJSON(&out, v)
	}
	out.printf("appliance  %s\ngvisor     %s\ngo         %s %s/%s\n", v.Appliance, v.GVisor, v.Go, v.OS, v.Arch)
	return out.done()
}

// printJSON writes v, indented.
func printJSON(out *errWriter, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	out.printf("%s\n", b)
	return out.done()
}
