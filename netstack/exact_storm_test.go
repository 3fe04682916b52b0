//go:build exactness

package netstack

import (
	"maps"
	"slices"
	"testing"
	"time"

	"appliance/netstack/link"
	"appliance/tracer"
)

// exactWeather is what the links do in the storms, each way.
var exactWeather = link.Impairment{
	Loss: 0.05, Duplicate: 0.05, Reorder: 0.05, ReorderBy: 2, ReorderHold: 3 * time.Millisecond, Corrupt: 0.01,
	Delay: time.Millisecond, Jitter: 500 * time.Microsecond,
}

// logKinds tells what the comparison met, so that a run shows what it held.
func (c *exactTally) logKinds(t *testing.T) {
	t.Helper()
	for what, counts := range map[string]map[string]int{"cause": c.kinds, "death in": c.ends} {
		for _, k := range slices.Sorted(maps.Keys(counts)) {
			t.Logf("%6d × %s %s", counts[k], what, k)
		}
	}
}

// TestExactStorm compares over more than 2,000 connections that end in every way.
func TestExactStorm(t *testing.T) { overWires(t, exactStorm) }

func exactStorm(t *testing.T, o exactOptions) {
	const connections = 2000
	o.level, o.impair = tracer.LevelFull, link.ImpairOptions{Seed: 1, In: exactWeather, Out: exactWeather}
	w := newExactWorld(t, o)
	w.work(exactScenarios(), 1300, 64, 1)
	w.drain()
	w.close()
	tally := w.finish()
	tally.logKinds(t)
	if tally.conns < connections {
		t.Errorf("%d connections ended, want %d", tally.conns, connections)
	}
	for _, want := range exactEnds {
		if tally.ends[want] == 0 {
			t.Errorf("no connection ended in %s", want)
		}
	}
}

// exactEnds are ways to end that every storm must have.
var exactEnds = []string{
	"LAST-ACK by segment", "TIME-WAIT by timer time-wait", "TIME-WAIT by segment", "FIN-WAIT-2 by timer fin-wait-2",
	"ESTABLISHED by segment", "ESTABLISHED by call close", "ESTABLISHED by timer retransmit", "ESTABLISHED by timer keepalive",
	"ESTABLISHED by call close of the listener", "SYN-RECEIVED by call close of the listener", "SYN-RECEIVED by segment",
	"SYN-RECEIVED by icmp", "SYN-SENT by segment", "SYN-SENT by call close", "SYN-SENT by icmp", "SYN-SENT by stack neighbour",
	"CLOSE-WAIT by segment", "CLOSE-WAIT by call close", "FIN-WAIT-1 by segment", "FIN-WAIT-1 by timer retransmit",
}

// TestExactClean is the storm's scenarios on a link that loses nothing: other
// interleavings.
func TestExactClean(t *testing.T) { overWires(t, exactClean) }

func exactClean(t *testing.T, o exactOptions) {
	o.level = tracer.LevelSegments
	w := newExactWorld(t, o)
	w.work(exactScenarios(), 500, 32, 2)
	w.drain()
	w.close()
	w.finish()
	if w.wire.supers == nil {
		return
	}
	if n := w.wire.supers(); n == 0 {
		t.Error("no super-segment came: the offloads were not on")
	}
}

// TestExactStates compares at the level where no segment is recorded.
func TestExactStates(t *testing.T) { overWires(t, exactStates) }

func exactStates(t *testing.T, o exactOptions) {
	o.level, o.impair = tracer.LevelStates, link.ImpairOptions{Seed: 3, In: exactWeather, Out: exactWeather}
	w := newExactWorld(t, o)
	w.work(exactScenarios(), 300, 48, 3)
	w.drain()
	w.close()
	w.finish()
}
