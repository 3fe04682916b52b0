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
	r.want(t, exitRuntime, "^0 of 5 rounds of 1m0s each .*, interrupted in round 1 after ", "^appliance: bench: interrupted: all is removed again$")
	wantMatch(t, r.args, "standard output", r.stdout, "(?m)^Interrupted: ")
	wantLines(t, r, 2)
	if rep := readReport(t, u.path("report.json")); !rep.Interrupted || rep.InterruptedIn != 1 || len(rep.Failed) > 0 {
		t.Errorf("interrupted %v in %d, failed %+v", rep.Interrupted, rep.InterruptedIn, rep.Failed)
	}
}

// wantLines checks how many lines of messages there are.
func wantLines(t *testing.T, r result, n int) {
	t.Helper()
	if got := strings.Count(r.stderr, "\n"); got != n {
		t.Errorf("%q: %d lines of messages, want %d:\n%s", r.args, got, n, r.stderr)
	}
}

// TestBenchKilled: SIGKILL leaves no trace and no half-made report; that of before stays.
// (The user checks that no temporary file is left.)
func TestBenchKilled(t *testing.T) {
	u := unprivileged(t)
	if err := os.WriteFile(u.path("report.json"), []byte("of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u.cred != nil {
		if err := os.Chown(u.path("report.json"), int(u.cred.Uid), int(u.cred.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p := u.start(t, "bench", "--time", "60s", "--only", "^trace/jsonl$", "-w", "report.json", "--plot", "plot.svg")
	p.awaitUntil(t, &p.stderr, "its first words, or an error", func(got string) bool { return strings.Contains(got, "\n") })
	if got, _ := p.stderr.text(); !strings.Contains(got, "measured 5 times") {
		t.Skip("needs user namespaces: ", got)
	}
	p.signal(t, syscall.SIGKILL)
	p.wait(t)
	if files := names(t, u.dir); !slices.Equal(files, []string{"report.json"}) {
		t.Errorf("left the files %q", files)
	}
	if b, err := os.ReadFile(u.path("report.json")); string(b) != "of before" {
		t.Errorf("the report of before: %q, %v", b, err)
	}
}

// TestBenchDenied: what is not permitted is said once, with all that it holds for.
func TestBenchDenied(t *testing.T) {
	u := unprivileged(t)
	r := u.run(t, "bench", "--rounds", "1", "--time", "20ms", "--link", "tap", "--only", "in/1/offload-off/(fdbased|appliance/tap/off)")
	if !strings.Contains(r.stdout, "/dev/net/tun") {
		t.Skip("needs network namespaces, and a /dev/net/tun that is closed to this user: ", r.stderr)
	}
	r.want(t, exitPrivilege, `(?m)^  (fdbased/tap, appliance/tap|appliance/tap, fdbased/tap): .*/dev/net/tun`,
		"^appliance: 3 cases, each measured once: (about [0-9]+s|less than a second)\nappliance: bench: nothing of the appliance was measured: the report says why$")
	if n := strings.Count(r.stdout+r.stderr, "/dev/net/tun"); n != 1 {
		t.Errorf("it is said %d times:\n%s%s", n, r.stdout, r.stderr)
	}
}

// TestBenchFullDisk: a report that does not fit is said once; nothing of it is left, what
// was there before stays, and the figures are printed.
func TestBenchFullDisk(t *testing.T) {
	u := root(t)
	mountSmall(t, u.path("disk"), "4k")
	if err := os.WriteFile(u.path("disk/old.json"), []byte("of before"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"disk/new.json", "disk/old.json"} {
		r := u.run(t, "bench", "--rounds", "1", "--time", "20ms", "--only", "^trace/jsonl$", "-w", file)
		r.want(t, exitRuntime, "(?m)^  as many as one processor can +[0-9]+ ",
			"^appliance: 1 case, measured once: less than a second\nappliance: bench: write "+file+": no space left on device: free some space, or name a file on another file system$")
		wantLines(t, r, 2)
	}
	if b, err := os.ReadFile(u.path("disk/old.json")); string(b) != "of before" {
		t.Errorf("the report of before: %q, %v", b, err)
	}
	if files := names(t, u.path("disk")); !slices.Equal(files, []string{"old.json"}) {
		t.Errorf("left the files %q", files)
	}
}

// TestBenchFiles: a file that cannot be made is said before anything is measured.
func TestBenchFiles(t *testing.T) {
	u := unprivileged(t)
	r := u.run(t, "bench", "--only", "round-trip/offload-off/kernel", "-w", "no/such/dir", "--plot", "plot.svg")
	if r.code == exitPrivilege && !strings.Contains(r.stderr, "no/such/dir") {
		t.Skip("needs network namespaces: ", r.stderr)
	}
	r.want(t, exitRuntime, "", "^appliance: bench: write no/such/dir: no such file or directory: name a file in a directory that you can write to$")
	if files := names(t, u.dir); len(files) > 0 {
		t.Errorf("left the files %q", files)
	}
}
