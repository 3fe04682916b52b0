package scenario_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"appliance/internal/scenario"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// small are the sequences of testdata.
func small(t *testing.T) []*sequence.Sequence {
	t.Helper()
	all, err := sequence.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRun: what a result says, by what happens in the run.
func TestRun(t *testing.T) {
	permitted := []scenario.Skip{
		{Sequence: []string{"linux-*"}, Reason: "a test's"},
		{Peer: []string{scenario.Self}, Role: []string{scenario.Client, scenario.Server}, Reason: "both are"},
	}
	for _, c := range []struct {
		name     string
		options  scenario.Options
		ok       bool
		skipped  string
		forced   bool
		err      string
		mismatch string
	}{
		{name: "passes", ok: true},
		{name: "passes", ok: true, options: scenario.Options{Families: []int{6}}},
		{name: "mismatch", mismatch: "len is 20, not 21"},
		{name: "step-fails/bytes", err: "S step 3 `recv \"hullo\"`: got \"hello\", want \"hullo\"", mismatch: "*"},
		{name: "step-fails/should-fail", err: "C step 1 `connect`: did not fail, and should with \"connection refused\"", mismatch: "*"},
		{name: "stuck", err: "nothing more happens, and the run is not over: waiting: C step 2 `recv 1`", mismatch: "*"},
		{name: "linux-only", err: "not permitted to skip: the run is not for"},
		{name: "linux-only", options: scenario.Options{Skips: permitted}, skipped: "a test's"},
		{name: "passes", options: scenario.Options{Role: scenario.Server}, err: "not permitted to skip: with the peer self both ends are"},
		{name: "passes", options: scenario.Options{Role: scenario.Client, Skips: permitted}, skipped: "both are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := c.options
			o.Sequences, o.Names, o.Peers, o.Dir = small(t), []string{c.name}, []string{scenario.Self}, t.TempDir()
			if o.Families == nil {
				o.Families = []int{4}
			}
			if o.Skips == nil {
				o.Skips = []scenario.Skip{}
			}
			report, err := scenario.Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Results) != 1 {
				t.Fatalf("%d results: %+v", len(report.Results), report)
			}
			r := report.Results[0]
			if r.OK != c.ok || r.Skipped != c.skipped || r.Forced != c.forced {
				t.Errorf("ok %v, skipped %q, forced %v: want %v, %q, %v (%s, %v)", r.OK, r.Skipped, r.Forced, c.ok, c.skipped, c.forced, r.Error, r.Mismatch)
			}
			if c.err == "" && r.Error != "" || !strings.HasPrefix(r.Error, c.err) {
				t.Errorf("error %q, want %q", r.Error, c.err)
			}
			switch {
			case c.mismatch == "*":
			case c.mismatch == "" && r.Mismatch != nil, c.mismatch != "" && (r.Mismatch == nil || r.Mismatch.Why != c.mismatch):
				t.Errorf("mismatch %v, want %q", r.Mismatch, c.mismatch)
			}
			if want := c.skipped == "" && !strings.HasPrefix(c.err, "not permitted"); (r.Trace != "") != want {
				t.Errorf("trace %q", r.Trace)
			}
			if r.Trace != "" {
				checkTrace(t, r.Trace)
			}
		})
	}
}

// checkTrace reads a trace file: it is whole, and its numbers rise by one.
func checkTrace(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read from
	r, err := tracer.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); h.Link.Kind != "pipe" || h.TCP.MSL == 0 || h.Started.IsZero() {
		t.Errorf("header %+v", h)
	}
	n := uint64(0)
	for {
		e, err := r.Next()
		if err != nil {
			break
		}
		if n++; e.N != n {
			t.Fatalf("event %d bears the number %d", n, e.N)
		}
	}
	if n < 10 {
		t.Errorf("%d events", n)
	}
}

// TestForced: rules that make a form apply to the player that does not choose it, and the
// result says so.
func TestForced(t *testing.T) {
	report, err := scenario.Run(context.Background(), scenario.Options{
		Sequences: small(t), Names: []string{"forced"}, Families: []int{4},
		Skips: []scenario.Skip{{Peer: []string{scenario.Script}, Role: []string{scenario.Client}, Reason: "a test's"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 3 || report.Skipped != 1 {
		t.Fatalf("%+v", report)
	}
	for _, r := range report.Results {
		if r.Error != "" || r.Forced != (r.Peer == scenario.Self) {
			t.Errorf("%s: forced %v, error %q", r.Name(), r.Forced, r.Error)
		}
	}
}

// TestRealClock: the same on the machine's clock.
func TestRealClock(t *testing.T) {
	report, err := scenario.Run(context.Background(), scenario.Options{
		Sequences: small(t), Names: []string{"passes"}, Peers: []string{scenario.Self}, Clock: scenario.Real, Skips: []scenario.Skip{},
	})
	if err != nil || report.Passed != 2 {
		t.Fatalf("%v: %+v", err, report)
	}
	for _, r := range report.Results {
		if r.VirtualMS != 0 || r.MS < 200 {
			t.Errorf("%s: %v ms, virtual %v: TIME-WAIT lasts 200 ms", r.Name(), r.MS, r.VirtualMS)
		}
	}
}

// TestTimeout: a run on a real clock that does not end says, when its time is up, what it
// waits for.
func TestTimeout(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), 2*time.Second, errors.New("enough"))
	defer cancel()
	report, err := scenario.Run(ctx, scenario.Options{
		Sequences: small(t), Names: []string{"stuck"}, Peers: []string{scenario.Self}, Families: []int{4},
		Clock: scenario.Real, Skips: []scenario.Skip{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 1 || report.Results[0].Error != "enough: waiting: C step 2 `recv 1`" {
		t.Errorf("%+v", report)
	}
}

// TestInterrupted: what the caller ends is neither passed nor failed and is not judged, and
// the report says how many were not played.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	time.AfterFunc(time.Second, func() { cancel(errors.New("a signal")) })
	told := 0
	report, err := scenario.Run(ctx, scenario.Options{
		Sequences: small(t), Names: []string{"stuck"}, Peers: []string{scenario.Self},
		Clock: scenario.Real, Skips: []scenario.Skip{}, Each: func(*scenario.Result, tracer.Header, []tracer.Event) { told++ },
	})
	if err == nil || err.Error() != "stopped after 0 of 2: a signal" {
		t.Errorf("error %v", err)
	}
	if !report.Interrupted || report.Failed != 0 || report.Passed != 0 || report.NotPlayed != 2 || len(report.Results) != 1 || told != 1 {
		t.Fatalf("%+v, told of %d", report, told)
	}
	if r := report.Results[0]; !r.Interrupted || r.OK || r.Error != "" || r.Mismatch != nil {
		t.Errorf("%+v", r)
	}
}

// TestTraceNotWritten: where a trace cannot be written, what was played is reported all the
// same, and the rest is not played.
func TestTraceNotWritten(t *testing.T) {
	full := filepath.Join(t.TempDir(), "full.jsonl")
	if err := os.Symlink("/dev/full", full); err != nil {
		t.Fatal(err)
	}
	told := 0
	report, err := scenario.Run(t.Context(), scenario.Options{
		Sequences: small(t), Names: []string{"passes"}, Peers: []string{scenario.Self}, Families: []int{4},
		Skips: []scenario.Skip{}, File: full, Each: func(*scenario.Result, tracer.Header, []tracer.Event) { told++ },
	})
	if !errors.Is(err, syscall.ENOSPC) || report.Passed != 1 || told != 1 || report.Results[0].Trace != "" || report.Interrupted {
		t.Errorf("%v: told of %d in %+v", err, told, report)
	}
	if _, err := os.Lstat(full); err != nil {
		t.Error(err)
	}
}

// TestTraceDir: a directory that cannot be made is said with what to do.
func TestTraceDir(t *testing.T) {
	for dir, want := range map[string]string{
		"/dev/null":   `make the directory "/dev/null" for the traces: not a directory: /dev/null is there, and is no directory: choose another`,
		"/dev/null/x": "/dev/null is there, and is no directory",
		"/proc/x":     `make the directory "/proc/x" for the traces: no such file or directory: choose another directory`,
	} {
		_, err := scenario.Run(t.Context(), scenario.Options{Sequences: small(t), Names: []string{"passes"}, Skips: []scenario.Skip{}, Dir: dir})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestOptions: what has no meaning is refused before anything runs.
func TestOptions(t *testing.T) {
	for want, o := range map[string]scenario.Options{
		`link "serial": want one of pipe, veth, tap`:         {Links: []string{"serial"}},
		`peer "bsd": want one of self, linux, script`:        {Peers: []string{"bsd"}},
		`role "none": want one of client, server, both`:      {Role: "none"},
		`family 5: want 4 or 6`:                              {Families: []int{5}},
		`clock "sun": want one of real, virtual`:             {Clock: "sun"},
		"the virtual clock is for the pipe: a tap link":      {Clock: scenario.Virtual, Links: []string{"pipe", "tap"}},
		`no sequence "handshaek": there are forced, `:        {Names: []string{"handshaek"}},
		`no sequence "step-fails/x": it has the runs step-f`: {Names: []string{"step-fails/x"}},
	} {
		o.Sequences, o.Skips = small(t), []scenario.Skip{}
		_, err := scenario.Run(context.Background(), o)
		if !errors.Is(err, scenario.ErrOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestResultJSON: the fields of a result are a contract.
func TestResultJSON(t *testing.T) {
	b, err := json.Marshal(scenario.Result{Sequence: "s", Link: "pipe", Peer: "self", Role: "both", Family: 4, OK: true, MS: 1.5})
	want := `{"sequence":"s","link":"pipe","peer":"self","role":"both","family":4,"ok":true,"ms":1.5,"trace":"","mismatch":null}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v\nwant %s", b, err, want)
	}
	b, err = json.Marshal(scenario.Report{Results: []scenario.Result{}, Passed: 1, Interrupted: true, NotPlayed: 2})
	want = `{"results":[],"passed":1,"failed":0,"skipped":0,"interrupted":true,"not_played":2}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v\nwant %s", b, err, want)
	}
	r := scenario.Result{Sequence: "s", Run: "r", Link: "veth", Peer: "linux", Role: "client", Family: 6}
	if got := filepath.Base(r.Name()); got != "s-r-veth-linux-client-ipv6" {
		t.Error(got)
	}
}
