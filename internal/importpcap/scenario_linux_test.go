package importpcap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"appliance/configs"
	"appliance/internal/importpcap"
	"appliance/internal/lab"
	"appliance/internal/scenario"
	"appliance/tracer"
	"appliance/tracer/sequence"
	"appliance/tracer/tracertest"
)

// story is what a connection's end, or a listener, went through.
type story map[string][]string

// storyOf gives the state changes of the ends that keep accepts, by the address of the end
// and that of the other.
func storyOf(events []tracer.Event, keep func(*tracer.Event) bool) story {
	s := story{}
	for i := range events {
		e := &events[i]
		c, ok := e.Body.(*tracer.StateChange)
		if !ok || !keep(e) {
			continue
		}
		key := fmt.Sprintf("%v-%v", e.Local, e.Remote)
		if !e.Remote.IsValid() { // one may listen on all addresses
			key = fmt.Sprintf("listener %d", e.Local.Port())
		}
		s[key] = append(s[key], fmt.Sprintf("%v → %v by %s", c.From, c.To, c.Cause.Kind))
	}
	return s
}

func everyEnd(*tracer.Event) bool { return true }

// difference is a change that only one of two accounts has.
type difference struct{ side, change, key string }

// compare returns how many of the traced changes were inferred as well, in the same order,
// and what differs: "missing" ones only the trace has, "extra" ones only the capture.
func compare(traced, inferred story) (same, total int, differ []difference) {
	keys := map[string]bool{}
	for k := range traced {
		keys[k] = true
	}
	for k := range inferred {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		a, b := traced[k], inferred[k]
		total += len(a)
		n := commonOf(a, b)
		i, j := 0, 0
		for i < len(a) || j < len(b) {
			switch {
			case i < len(a) && j < len(b) && a[i] == b[j]:
				same, i, j = same+1, i+1, j+1
			case j == len(b) || i < len(a) && n[i+1][j] >= n[i][j+1]:
				differ, i = append(differ, difference{"missing", a[i], k}), i+1
			default:
				differ, j = append(differ, difference{"extra", b[j], k}), j+1
			}
		}
	}
	return same, total, differ
}

// commonOf is, for each pair of ends of a and b, how much they have in common in order.
func commonOf(a, b []string) [][]int {
	n := make([][]int, len(a)+1)
	for i := range n {
		n[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if n[i][j] = max(n[i+1][j], n[i][j+1]); a[i] == b[j] {
				n[i][j] = n[i+1][j+1] + 1
			}
		}
	}
	return n
}

// exception is a line of testdata/exceptions.txt: a difference that has a reason.
type exception struct {
	name   string // of the result, with * and ?
	side   string
	change string
	reason string
	used   int
}

func readExceptions(t *testing.T) []*exception {
	t.Helper()
	data, err := os.ReadFile("testdata/exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*exception
	for i, line := range strings.Split(string(data), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		part := strings.Split(line, "|")
		if len(part) != 4 {
			t.Fatalf("testdata/exceptions.txt:%d: want RESULT | missing or extra | CHANGE | REASON", i+1)
		}
		for j := range part {
			part[j] = strings.TrimSpace(part[j])
		}
		all = append(all, &exception{name: part[0], side: part[1], change: part[2], reason: part[3]})
	}
	return all
}

func (x *exception) covers(name string, d difference) bool {
	ok, err := path.Match(x.name, name)
	return err == nil && ok && x.side == d.side && (x.change == d.change || x.change == "*")
}

// TestScenariosByTcpdump is point 4 of what import is for: for the traffic of the scenarios,
// captured by tcpdump on the Linux side of a veth pair, the states that are inferred of both
// ends equal those that were traced, each with the kind of its cause; the appliance's were read from its
// stack, Linux's are the kernel's. The share that does is printed. What differs has its
// reason in testdata/exceptions.txt.
func TestScenariosByTcpdump(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes: real links take real time")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: captures in another network namespace")
	}
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("needs tcpdump: ", err)
	}
	exceptions := readExceptions(t)
	dir, err := fs.Sub(configs.Sequences, "sequences")
	if err != nil {
		t.Fatal(err)
	}
	all, err := sequence.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &byTcpdump{t: t, exceptions: exceptions, shares: map[string]*share{}, keep: os.Getenv("KEEP_CAPTURES")}
	for _, o := range []scenario.Options{
		{Families: []int{4}},
		{Families: []int{6}, Names: []string{"handshake", "four-tuple", "refused", "data-lost", "half-close", "simultaneous-open", "simultaneous-close", "reset"}},
	} {
		o.Sequences, o.Links, o.Peers = all, []string{scenario.Veth}, []string{scenario.Linux, scenario.Script}
		o.Watch, o.Each, o.Log = r.watch, r.each, t.Logf
		_, err = scenario.Run(context.Background(), o)
		var missing *lab.PrivilegeError
		if errors.As(err, &missing) {
			t.Skipf("needs a lab: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r.tell()
}

// share is how many of the traced changes were inferred.
type share struct{ same, total, unknowable, extra int }

// line tells it: of all changes, and of those that have no reason to be missing.
func (s share) line(name string) string {
	return fmt.Sprintf("  %-22s %4d of %4d, %5.1f %%; of those that segments show %5.1f %%; claimed beyond: %d\n", name,
		s.same, s.total, percent(s.same, s.total), percent(s.same, s.total-s.unknowable), s.extra)
}

// byTcpdump is the test in progress.
type byTcpdump struct {
	t          *testing.T
	exceptions []*exception
	shares     map[string]*share // by sequence
	played     int
	capture    []byte // of the combination in progress
	keep       string // a directory that captures and traces are kept in; "" for none
}

func (r *byTcpdump) watch(ctx context.Context, l *lab.Lab) (func([]tracer.Event) error, error) {
	r.capture = nil
	d, err := startDump(ctx, l)
	if err != nil {
		return nil, err
	}
	return func(events []tracer.Event) error {
		var err error
		r.capture, err = d.stop(ctx, events)
		return err
	}, nil
}

func (r *byTcpdump) each(res *scenario.Result, _ tracer.Header, events []tracer.Event) {
	if res.Skipped != "" || res.Role == scenario.None { // with Linux at both ends nothing is traced
		return
	}
	r.played++
	if res.Error != "" {
		r.t.Errorf("%s: %s", res.Name(), res.Error)
		return
	}
	if r.keep != "" {
		if err := os.WriteFile(path.Join(r.keep, res.Name()+".pcap"), r.capture, 0o600); err != nil {
			r.t.Error(err)
		}
	}
	sink := &tracertest.Sink{}
	sum, err := importpcap.Import(bytes.NewReader(r.capture), sink, importpcap.Options{})
	if err != nil || len(sum.Skipped) > 0 {
		r.t.Errorf("%s: %v, %v", res.Name(), sum, err)
		return
	}
	// Of a scripted end, and of those that a flood pretends, nobody knows any states.
	traced, known := storyOf(events, everyEnd), map[netip.Addr]bool{}
	for i := range events {
		if events[i].Remote.IsValid() && events[i].Body.Type() == tracer.TypeState {
			known[events[i].Local.Addr()] = true
		}
	}
	inferred := storyOf(sink.Events(), func(e *tracer.Event) bool { return known[e.Local.Addr()] })
	same, total, differ := compare(traced, inferred)
	s := r.shares[res.Sequence]
	if s == nil {
		s = &share{}
		r.shares[res.Sequence] = s
	}
	s.same, s.total = s.same+same, s.total+total
	for _, d := range differ {
		i := slices.IndexFunc(r.exceptions, func(x *exception) bool { return x.covers(res.Name(), d) })
		if i < 0 {
			r.t.Errorf("%s: %s: %s, of %s\ntraced   %q\ninferred %q", res.Name(), d.side, d.change, d.key, traced[d.key], inferred[d.key])
			continue
		}
		r.exceptions[i].used++
		if d.side == "missing" {
			s.unknowable++
		} else {
			s.extra++
		}
	}
}

// tell prints the shares, and checks that what segments show was inferred, all of it.
func (r *byTcpdump) tell() {
	var all share
	text := "state changes that were traced, and inferred from tcpdump's capture as well:\n"
	for _, name := range slices.Sorted(maps.Keys(r.shares)) {
		s := r.shares[name]
		text += s.line(name)
		all.same, all.total, all.unknowable, all.extra = all.same+s.same, all.total+s.total, all.unknowable+s.unknowable, all.extra+s.extra
	}
	text += all.line("all")
	for _, x := range r.exceptions {
		text += fmt.Sprintf("  %4d %s: %s (%s): %s\n", x.used, x.side, x.change, x.name, x.reason)
	}
	r.t.Log(text)
	if r.played < 50 {
		r.t.Errorf("only %d combinations were played", r.played)
	}
	if p := percent(all.same, all.total); p < 85 {
		r.t.Errorf("%.1f %% of the traced changes were inferred: want 85", p)
	}
}

func percent(part, of int) float64 {
	if of == 0 {
		return 100
	}
	return 100 * float64(part) / float64(of)
}
