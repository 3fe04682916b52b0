package main

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"appliance/internal/bench/report"
)

// benchOnly is one case of each sort, with what they are compared with.
const benchOnly = "throughput/(in|out)/1/offload-off/appliance/veth/segments|(round-trip|connections)/offload-off/appliance/veth/off|idle/.*/segments"

// TestBench: for root and for somebody without privilege, the benchmark prints its report,
// writes it, draws it, and leaves nothing else. How fast it is does not matter here.
func TestBench(t *testing.T) {
	for _, who := range []func(*testing.T) *user{root, unprivileged} {
		u := who(t)
		t.Run(u.name, func(t *testing.T) {
			r := u.run(t, "bench", "--quick", "--time", "50ms", "--rounds", "2", "--idle", "100", "--only", benchOnly,
				"-w", "report.json", "--plot", "plot.svg")
			if r.code == exitPrivilege {
				t.Skip("needs network namespaces: ", r.stderr)
			}
			r.want(t, 0, "^Throughput, kernel → appliance, 1 stream, offload off$", "^appliance: 10 cases, each measured 2 times: about ")
			wantMatch(t, r.args, "standard output", r.stdout, "(?m)^  veth, tracing segments +[0-9.]+ ")
			wantMatch(t, r.args, "standard output", r.stdout, "(?m)^Targets: [0-9]+ met, [0-9]+ missed, [0-9]+ not measured$")
			rep := readReport(t, u.path("report.json"))
			if len(rep.Failed) > 0 || rep.Settings.Rounds != 2 || rep.Settings.Idle != 100 {
				t.Errorf("failed %+v, settings %+v", rep.Failed, rep.Settings)
			}
			judged := 0
			for _, target := range rep.Targets {
				if target.Verdict != report.NotMeasured {
					judged++
				}
			}
			if judged != 3 { // target 2 each way, and 5
				t.Errorf("%d targets are judged, want 3", judged)
			}
			svg, err := os.ReadFile(u.path("plot.svg"))
			if err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) || bytes.Count(svg, []byte(`class="spread"`)) != len(rep.Results) || len(rep.Results) < 9 {
				t.Errorf("the plot of %d results: %v\n%s", len(rep.Results), err, svg)
			}
			if files := names(t, u.dir); !slices.Equal(files, []string{"plot.svg", "report.json"}) {
				t.Errorf("left the files %q", files)
			}
		})
	}
}

func readReport(t *testing.T, path string) report.Report {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rep report.Report
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&rep); err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestBenchJSON: -o json prints what -w writes.
func TestBenchJSON(t *testing.T) {
	u := unprivileged(t)
	r := u.run(t, "bench", "--rounds", "1", "--time", "20ms", "--only", "round-trip/offload-off/kernel", "-o", "json", "-w", "report.json")
	if r.code == exitPrivilege {
		t.Skip("needs network namespaces: ", r.stderr)
	}
	r.want(t, 0, `"schema": "appliance-bench/1"`, "")
	if b, err := os.ReadFile(u.path("report.json")); err != nil || string(b) != r.stdout {
		t.Errorf("the file, %v:\n%s\nstandard output:\n%s", err, b, r.stdout)
	}
}

// TestBenchInterrupted: SIGINT ends it in order, with a report of what was measured.
func TestBenchInterrupted(t *testing.T) {
	u := unprivileged(t)
	p := u.start(t, "bench", "--time", "60s", "--only", "round-trip/offload-off/kernel", "-w", "report.json")
	p.awaitUntil(t, &p.stderr, "its first words, or an error", func(got string) bool { return strings.Contains(got, "\n") })
	p.signal(t, syscall.SIGINT)
	r := p.wait(t)
	if r.code == exitPrivilege {
		t.Skip("needs network namespaces: ", r.stderr)
	}
	r.want(t, exitRuntime, "^Interrupted: ", "^appliance: bench: interrupted: all is removed again$")
	if rep := readReport(t, u.path("report.json")); !rep.Interrupted || len(rep.Failed) > 0 {
		t.Errorf("interrupted %v, failed %+v", rep.Interrupted, rep.Failed)
	}
}

// TestBenchFiles: a file that cannot be made is said before anything is measured.
func TestBenchFiles(t *testing.T) {
	u := unprivileged(t)
	r := u.run(t, "bench", "--only", "round-trip/offload-off/kernel", "-w", "no/such/dir", "--plot", "plot.svg")
	if r.code == exitPrivilege && !strings.Contains(r.stderr, "--write") {
		t.Skip("needs network namespaces: ", r.stderr)
	}
	r.want(t, exitRuntime, "", "^appliance: bench: --write: open no/such/dir: no such file or directory: name a file in a directory that you can write to$")
	if files := names(t, u.dir); len(files) > 0 {
		t.Errorf("left the files %q", files)
	}
}
