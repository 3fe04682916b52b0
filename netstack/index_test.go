package netstack

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// TestIndexIsAMap holds the index to what a map does, with hashes that meet.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spread := rapid.Uint64Range(1, 300).Draw(t, "spread")
		ix := newIndex(func(k uint64) uint64 { return k % spread })
		want := map[uint64]*tracked{}
		key := rapid.Uint64Range(0, 400)
		for range rapid.IntRange(0, 500).Draw(t, "steps") {
			switch k := key.Draw(t, "key"); rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				ix.remove(k)
				delete(want, k)
			default:
				c := &tracked{}
				ix.put(k, c)
				want[k] = c
			}
		}
		for k := range uint64(401) {
			if ix.get(k) != want[k] {
				t.Fatalf("get(%d) = %p, want %p", k, ix.get(k), want[k])
			}
		}
		if all := ix.all(); len(all) != len(want) {
			t.Fatalf("all: %d records, want %d", len(all), len(want))
		}
		for _, c := range ix.all() {
			if !slices.Contains(slices.Collect(maps.Values(want)), c) {
				t.Fatal("all has a record that is not there")
			}
		}
	})
}

// TestIndexReadersSeeWhatStays: whatever others do, a key that stays is found.
func TestIndexReadersSeeWhatStays(t *testing.T) {
	ix := newIndex(func(k int) uint64 { return uint64(k % 7) }) //nolint:gosec // small
	stays := &tracked{}
	ix.put(-7, stays)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if ix.get(-7) != stays {
					t.Error("lost")
					return
				}
			}
		})
	}
	for i := range 20000 {
		ix.put(i%500, &tracked{})
		ix.remove((i + 250) % 500)
	}
	close(stop)
	readers.Wait()
}
