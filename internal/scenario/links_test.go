package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/internal/lab"
	"appliance/internal/scenario"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// inUserNS marks a test's process in a user namespace.
const inUserNS = "SCENARIO_TEST_IN_USERNS"

// wherePermitted runs a test where a lab can be made: as root, if this process is, and in a
// user namespace.
func wherePermitted(t *testing.T, test func(*testing.T)) {
	t.Helper()
	if lab.Privileged() || os.Getenv(inUserNS) != "" {
		t.Run("here", func(t *testing.T) {
			needLab(t)
			test(t)
		})
	}
	if os.Getenv(inUserNS) != "" {
		return
	}
	t.Run("user namespace", func(t *testing.T) {
		name, _, _ := strings.Cut(t.Name(), "/")
		code, err := lab.ReexecInUserNS(t.Context(),
			[]string{"-test.run=^" + name + "$", fmt.Sprintf("-test.short=%v", testing.Short()), "-test.timeout=5m"},
			append(os.Environ(), inUserNS+"=1"))
		if denied := new(lab.PrivilegeError); errors.As(err, &denied) {
			t.Skipf("needs user namespaces: %v", err)
		}
		if code != 0 || err != nil {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
}

// holds plays what the options ask for, and wants all of it to hold.
func holds(t *testing.T, o scenario.Options) *scenario.Report {
	t.Helper()
	start := time.Now()
	o.Log = t.Logf
	next := o.Each
	o.Each = func(r *scenario.Result, h tracer.Header, events []tracer.Event) {
		if !r.OK && r.Skipped == "" {
			t.Errorf("%s (%.0f ms): error %q, mismatch %v\n%s", r.Name(), r.MS, r.Error, r.Mismatch, tail(events, 80))
		}
		if next != nil {
			next(r, h, events)
		}
	}
	report, err := scenario.Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d passed, %d failed, %d skipped in %v", report.Passed, report.Failed, report.Skipped, time.Since(start))
	return report
}

// TestPythonAgainstPython: the two programs of document 003, Python's at both ends, match
// the sequence by what a capture shows.
func TestPythonAgainstPython(t *testing.T) {
	wherePermitted(t, func(t *testing.T) {
		played := 0
		report := holds(t, scenario.Options{
			Sequences: documented(t), Names: []string{"socket-hello"}, Links: []string{scenario.Veth}, Dir: t.TempDir(),
			Each: func(r *scenario.Result, h tracer.Header, events []tracer.Event) {
				if r.Role == scenario.None {
					played++
					checkCaptured(t, r, h, events)
				}
			},
		})
		if played != 4 || report.Skipped != 0 {
			t.Errorf("%d of 2 runs in 2 families were played, %d skipped", played, report.Skipped)
		}
	})
}

// checkCaptured: the trace is of segments and states of both ends, each seen twice, and of
// nothing that only a stack knows.
func checkCaptured(t *testing.T, r *scenario.Result, h tracer.Header, events []tracer.Event) {
	t.Helper()
	if h.Link.Kind != scenario.Veth || h.Link.Peer == "" || r.Trace == "" || r.Clock != scenario.Real {
		t.Errorf("%s: link %+v, trace %q, %s clock", r.Name(), h.Link, r.Trace, r.Clock)
	}
	seen := map[string]int{}
	for i := range events {
		switch b := events[i].Body.(type) {
		case *tracer.Segment:
			seen[events[i].Stack+" "+string(b.Dir)]++
		case *tracer.StateChange:
			seen[events[i].Stack+" "+b.To.String()]++
		default:
			t.Errorf("%s: event %d is a %s", r.Name(), events[i].N, events[i].Body.Type())
		}
	}
	if seen["client out"] == 0 || seen["client out"] != seen["server in"] || seen["server out"] != seen["client in"] {
		t.Errorf("%s: segments %v", r.Name(), seen)
	}
	for _, want := range []string{"server LISTEN", "client ESTABLISHED", "server ESTABLISHED"} {
		if seen[want] != 1 {
			t.Errorf("%s: %d times %s", r.Name(), seen[want], want)
		}
	}
}

// TestPythonSaysOtherwise: between two Linux hosts, too, a program that prints what it should
// not, or fails, fails the run; and the trace has what there was.
func TestPythonSaysOtherwise(t *testing.T) {
	needLab(t)
	for _, c := range []struct {
		name   string
		change func(*sequence.Run)
		want   string
	}{
		{"client prints", func(r *sequence.Run) { r.Programs["C@linux"][0].Prints = "b'hullo'" }, "C step 1"},
		{"server prints", func(r *sequence.Run) { r.Programs["S@linux"][0].Prints = "b'bye'" }, "S step 1"},
		{"client fails", func(r *sequence.Run) { r.Programs["C@linux"][0].Args = []string{"{host}", "1"} }, "exit code 1"},
		{"server fails", func(r *sequence.Run) { r.Programs["S@linux"][0].Args = []string{"{host}", "x"} }, "exit code 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := documented(t)
			i := slices.IndexFunc(all, func(s *sequence.Sequence) bool { return s.Name == "socket-hello" })
			s := all[i]
			s.Runs = s.Runs[:1]
			c.change(&s.Runs[0])
			s.Runs[0].Players = []sequence.Players{{sequence.Client: sequence.Linux, sequence.Server: sequence.Linux}}
			report, err := scenario.Run(context.Background(), scenario.Options{
				Sequences: []*sequence.Sequence{s}, Links: []string{scenario.Veth}, Families: []int{4},
				Skips: []scenario.Skip{{Role: []string{"client", "server"}, Reason: "not these"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			r := report.Results[len(report.Results)-1]
			if r.OK || r.Role != scenario.None || !strings.Contains(r.Error, c.want) || r.MS > 15000 {
				t.Errorf("%s: ok %v, error %q after %.0f ms", r.Name(), r.OK, r.Error, r.MS)
			}
		})
	}
}

// TestScriptsOnLinks plays every sequence that has a script, on real links: as root and in a
// user namespace.
func TestScriptsOnLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: real links take real time")
	}
	wherePermitted(t, func(t *testing.T) {
		links := []string{scenario.Veth}
		if lab.Privileged() { // a user may lack the permission to open the TUN driver's device
			links = append(links, scenario.TAP)
		}
		for _, link := range links {
			t.Run(link, func(t *testing.T) {
				report := holds(t, scenario.Options{Sequences: documented(t), Links: []string{link}, Peers: []string{scenario.Script}})
				if report.Passed < 50 {
					t.Errorf("%d were played", report.Passed)
				}
			})
		}
	})
}

// TestAllOnRealClock plays on the pipe what TestAllOnPipe does, on the machine's clock.
func TestAllOnRealClock(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: so long do the time-outs last")
	}
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprintf("IPv%d", family), func(t *testing.T) {
			report := holds(t, scenario.Options{
				Sequences: documented(t), Families: []int{family}, Clock: scenario.Real,
				Each: func(r *scenario.Result, _ tracer.Header, _ []tracer.Event) {
					if r.Clock != scenario.Real || r.VirtualMS != 0 {
						t.Errorf("%s: %s clock, %v ms virtual", r.Name(), r.Clock, r.VirtualMS)
					}
				},
			})
			if report.Passed < 60 {
				t.Errorf("%d were played", report.Passed)
			}
		})
	}
}
