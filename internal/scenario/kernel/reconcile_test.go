package kernel

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"appliance/tracer"
)

var (
	usAt    = netip.MustParseAddrPort("192.168.12.1:40000")
	serveAt = netip.MustParseAddrPort("192.168.12.1:9000")
	themAt  = netip.MustParseAddrPort("192.168.12.53:9000")
	callAt  = netip.MustParseAddrPort("192.168.12.53:40001")
)

// zero is the trace's beginning by CLOCK_MONOTONIC.
const zero = 1000 * time.Second

var rawByName = func() map[string]RawState {
	m := map[string]RawState{}
	for s := rawEstablished; s < numRaw; s++ {
		m[s.String()] = s
	}
	return m
}()

// account writes changes down: "10 CLOSE SYN_SENT" is one 10 µs after the trace's beginning.
func account(sk uint64, local, remote netip.AddrPort, lines ...string) []Change {
	var all []Change
	for _, line := range lines {
		var at int64
		var from, to string
		if n, err := fmt.Sscan(line, &at, &from, &to); n != 3 {
			panic(err)
		}
		c := Change{
			Time: int64(zero) + at*1000, SKAddr: sk, Old: rawByName[from], New: rawByName[to], Local: local, Remote: remote, PID: 7,
		}
		if c.New == rawSynSent {
			c.Local = netip.AddrPortFrom(local.Addr(), 0)
		}
		all = append(all, c)
	}
	return all
}

// inferredOf writes inferred changes down: "10 CLOSED SYN-SENT call" is one at 10 µs by a call; the
// cause's number is the time.
func inferredOf(conn uint32, local, remote netip.AddrPort, lines ...string) []tracer.Event {
	var all []tracer.Event
	for _, line := range lines {
		var at int64
		var from, to, kind string
		if n, err := fmt.Sscan(line, &at, &from, &to, &kind); n != 4 {
			panic(err)
		}
		f, err := tracer.ParseState(from)
		if err != nil {
			panic(err)
		}
		s, err := tracer.ParseState(to)
		if err != nil {
			panic(err)
		}
		all = append(all, tracer.Event{
			T: time.Duration(at) * time.Microsecond, Stack: StackName, Conn: conn, Local: local, Remote: remote,
			Body: &tracer.StateChange{
				From: f, To: s, Via: ViaInferred, Cause: tracer.Cause{Kind: tracer.CauseKind(kind), N: uint64(at), What: "it"},
			},
		})
	}
	return all
}

// joint is what came out: "10 CLOSED SYN-SENT by call 10 tracepoint SYN_SENT".
func joint(events []tracer.Event) string {
	var b strings.Builder
	for _, e := range events {
		s := e.Body.(*tracer.StateChange)
		fmt.Fprintf(&b, "%d #%d %s → %s by %s %d, %s %s\n", e.T.Microseconds(), e.Conn, s.From, s.To, s.Cause.Kind, s.Cause.N, s.Via, s.StackState)
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// inNS gives the changes the namespace of their thread, as States does.
func inNS(all []Change, ns uint64) []Change {
	for i := range all {
		if all[i].byCall() {
			all[i].NetNS = ns
		}
	}
	return all
}

func TestReconcile(t *testing.T) {
	for name, tt := range reconcileTests {
		t.Run(name, func(t *testing.T) {
			tt.o.Offset = zero
			got, err := Reconcile(tt.inferred, tt.raw, tt.o)
			want := strings.ReplaceAll(strings.TrimPrefix(tt.want, "\n"), "\t", "")
			if j := joint(got); j != want {
				t.Errorf("joined\n%swant\n%s", j, want)
			}
			var contras []error
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				contras = joined.Unwrap()
			}
			if len(contras) != len(tt.contra) {
				t.Fatalf("contradictions: %v, want %q", err, tt.contra)
			}
			for i, c := range contras {
				if !errors.As(c, new(*Contradiction)) || !strings.Contains(c.Error(), tt.contra[i]) {
					t.Errorf("contradiction %q, want %q", c, tt.contra[i])
				}
			}
		})
	}
}

// Dwell is the time in the state left, by the times that the changes have now.
func TestReconcileDwell(t *testing.T) {
	tt := reconcileTests["an opener that closes first"]
	got, err := Reconcile(tt.inferred, tt.raw, ReconcileOptions{Offset: zero})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range got[1:] {
		if d := e.Body.(*tracer.StateChange).Dwell; d != e.T-got[i].T {
			t.Errorf("change %d: dwelt %v, want %v", i+2, d, e.T-got[i].T)
		}
	}
	if s := tt.inferred[0].Body.(*tracer.StateChange); s.Via != ViaInferred || s.StackState != "" {
		t.Errorf("the inferred events were changed: %+v", s)
	}
}

// Every change of the kernel's that is left out or made another is noticed; but for the
// birth of a child's socket, which is no change of the connection's.
func TestReconcileMutations(t *testing.T) {
	for _, name := range []string{"an opener that closes first", "a server", "a simultaneous open and close"} {
		tt := reconcileTests[name]
		for i := range tt.raw {
			if tt.raw[i].Old == rawListen && tt.raw[i].New == rawSynRecv {
				continue
			}
			mutations := map[string][]Change{"left out": slices.Delete(slices.Clone(tt.raw), i, i+1)}
			for s := rawEstablished; s < numRaw; s++ {
				if s.RFC() != tt.raw[i].New.RFC() {
					other := slices.Clone(tt.raw)
					other[i].New = s
					mutations["to "+s.String()] = other
				}
			}
			for how, raw := range mutations {
				if got, err := Reconcile(tt.inferred, raw, ReconcileOptions{Offset: zero}); err == nil {
					t.Errorf("%s, %s %s: no contradiction, and\n%s", name, tt.raw[i], how, joint(got))
				}
			}
		}
	}
}

func TestRawStates(t *testing.T) {
	for s := rawEstablished; s < numRaw; s++ {
		if name := strings.ReplaceAll(s.String(), "_", "-"); s != rawClose && s != rawNewSynRecv && s != rawSynRecv &&
			strings.ReplaceAll(s.RFC().String(), "-", "") != strings.ReplaceAll(name, "-", "") {
			t.Errorf("%s is %s", s, s.RFC())
		}
	}
	if s := RawState(13); s.String() != "RawState(13)" || s.RFC() != tracer.Closed {
		t.Errorf("13 is %s, %s", s, s.RFC())
	}
}
