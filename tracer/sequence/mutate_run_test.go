package sequence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMutants holds that no mutant of a good trace passes for one, but for those that change
// nothing of what the sequence says: each of these needs a reason, see exempt.
func TestMutants(t *testing.T) {
	total := tally{}
	var mu sync.Mutex
	t.Cleanup(func() { t.Log("mutants\n" + total.String()) })
	for _, g := range append(loadTraces(t), goodTrace{"told by hand", told(t, 2)}) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			count := func(kind, fate string) {
				mu.Lock()
				defer mu.Unlock()
				total.count(kind, fate)
			}
			m := Match(g.in)
			if m != nil {
				t.Fatalf("the good trace: %v", m)
			}
			x := newExemptions(&g.in)
			each := func(m mutant) {
				in := g.in
				in.Events = m.events
				if why := Match(in); why != nil {
					if why.Why == "" || why.Expected == "" || why.Seen == "" || why.At == "" {
						t.Errorf("%s %s of #%d: the mismatch says too little: %+v", m.kind, m.what, m.at+1, why)
					}
					count(m.kind, "caught")
					return
				}
				reason := x.exempt(&m)
				if reason == "" {
					t.Errorf("%s: %s %s of #%d %s: not caught", g.name, m.kind, m.what, m.at+1, x.j.eventWords(m.at))
					reason = "NOT CAUGHT"
				}
				count(m.kind, reason)
			}
			mutants(g.in.Events, each)
			x.pairMutants(each)
			x.timeMutants(each)
		})
	}
}

// tally counts mutants by kind and by what became of them.
type tally map[string]map[string]int

func (c tally) count(kind, fate string) {
	if c[kind] == nil {
		c[kind] = map[string]int{}
	}
	c[kind][fate]++
}

func (c tally) String() string {
	var b strings.Builder
	sum := map[string]int{}
	all := 0
	for _, kind := range slices.Sorted(maps.Keys(c)) {
		n := 0
		for fate, k := range c[kind] {
			n += k
			sum[fate] += k
		}
		all += n
		fmt.Fprintf(&b, "  %-12s %6d caught %6d\n", kind, n, c[kind]["caught"])
		for _, fate := range slices.Sorted(maps.Keys(c[kind])) {
			if fate != "caught" {
				fmt.Fprintf(&b, "  %36d %s\n", c[kind][fate], fate)
			}
		}
	}
	fmt.Fprintf(&b, "  %d in all, %d caught\n", all, sum["caught"])
	for _, fate := range slices.Sorted(maps.Keys(sum)) {
		if fate != "caught" {
			fmt.Fprintf(&b, "  %6d exempt: %s\n", sum[fate], fate)
		}
	}
	return b.String()
}
