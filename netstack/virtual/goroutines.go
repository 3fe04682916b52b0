package virtual

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// blockedStates are the states, as a goroutine's header in a stack trace names them, in
// which a goroutine can go on only when another one lets it, or when something comes from
// outside. Go 1.26 has them in runtime/runtime2.go (waitReasonStrings). What is not here is
// work: running, runnable, syscall, preempted, whatever the garbage collector makes a
// goroutine wait for, and states that a later Go may add.
var blockedStates = map[string]bool{
	"chan receive":            true,
	"chan receive (nil chan)": true,
	"chan send":               true,
	"chan send (nil chan)":    true,
	"select":                  true,
	"select (no cases)":       true,
	"sync.Cond.Wait":          true,
	"sync.Mutex.Lock":         true,
	"sync.RWMutex.Lock":       true,
	"sync.RWMutex.RLock":      true,
	"sync.WaitGroup.Wait":     true,
	"semacquire":              true, // but see goroutine.blocked
	"IO wait":                 true,
	"sleep":                   true,
	"coroutine":               true, // one side of iter.Pull: the other one runs, or waits itself
	"synctest.Run":            true,
	"synctest.Wait":           true,
	// The runtime's own, shown while they run a program's code or not at all.
	"finalizer wait":            true,
	"cleanup wait":              true,
	"force gc (idle)":           true,
	"GC worker (idle)":          true,
	"GOMAXPROCS updater (idle)": true,
	"trace reader (blocked)":    true,
}

// stateMarks follow a state's name and change nothing about it.
var stateMarks = []string{" (durable)", " (scan)", " (leaked)"}

// goroutine is one of a stack trace's.
type goroutine struct {
	state  string // of its header, "goroutine 7 [select, 2 minutes]:": "select"
	frames []byte // the rest: a line with a function and its arguments, one with its place, …
}

// headerStart begins a goroutine; in a trace an empty line stands before it.
const headerStart = "goroutine "

// goroutines calls yield with each goroutine of a trace as runtime.Stack writes it, until it
// says false. The first is the one that asked.
func goroutines(trace []byte, yield func(goroutine) bool) {
	for len(trace) > 0 {
		var one []byte
		if i := bytes.Index(trace, []byte("\n\n"+headerStart)); i >= 0 {
			one, trace = trace[:i+1], trace[i+2:]
		} else {
			one, trace = trace, nil
		}
		header, frames, _ := bytes.Cut(one, []byte("\n"))
		if !yield(goroutine{state: stateOf(string(header)), frames: frames}) {
			return
		}
	}
}

// stateOf takes the state out of a header; "" when that is not one.
func stateOf(header string) string {
	_, s, ok := strings.Cut(header, " [")
	if !ok || !strings.HasPrefix(header, headerStart) {
		return ""
	}
	s, _, _ = strings.Cut(s, " labels:{") // the program's words, which may hold anything
	if i := strings.IndexAny(s, ",]"); i >= 0 {
		s = s[:i]
	}
	for cut := true; cut; {
		cut = false
		for _, m := range stateMarks {
			if rest, ok := strings.CutSuffix(s, m); ok {
				s, cut = rest, true
			}
		}
	}
	return s
}

// blocked tells whether the goroutine waits for another one, or for the outside.
func (g goroutine) blocked() bool {
	switch g.state {
	case "syscall":
		// The runtime's own waits for signals and for profiles pass for system calls.
		return bytes.HasPrefix(g.frames, []byte("os/signal.signal_recv(")) ||
			bytes.HasPrefix(g.frames, []byte("runtime/pprof.readProfile("))
	case "semacquire":
		// The runtime waits so too, in functions that a trace leaves out: to begin a garbage
		// collection in the midst of an allocation, or to stop the world. What it waits for may
		// be the very one who asks here. Those of programs' locks and wait groups have a name
		// that begins so: sync.runtime_SemacquireWaitGroup, internal/poll.runtime_Semacquire.
		innermost, _, _ := bytes.Cut(g.frames, []byte("\n"))
		return bytes.Contains(innermost, []byte(".runtime_Semacquire"))
	default:
		return blockedStates[g.state]
	}
}

// where is the function that waits or runs: the innermost that is not a means of that. Of one
// whose frames cannot be told, because it runs, it is who started it.
func (g goroutine) where() string {
	var first string
	for line := range bytes.Lines(g.frames) {
		name := strings.TrimSuffix(string(line), "\n")
		if strings.HasPrefix(name, "\t") {
			continue
		}
		if by, ok := strings.CutPrefix(name, "created by "); ok {
			by, _, _ = strings.Cut(by, " in goroutine")
			first = cmp.Or(first, "one started by "+by)
			break
		}
		if i := strings.LastIndexByte(name, '('); i > 0 {
			name = name[:i]
		}
		if !meansOfWaiting(name) {
			return name
		}
		first = cmp.Or(first, name)
	}
	return cmp.Or(first, "an unknown place")
}

func meansOfWaiting(function string) bool {
	for _, pkg := range []string{
		"runtime.", "sync.", "sync/atomic.", "internal/", "syscall.", "os/signal.", "time.",
		"gvisor.dev/gvisor/pkg/sleep.", "gvisor.dev/gvisor/pkg/sync.",
	} {
		if strings.HasPrefix(function, pkg) {
			return true
		}
	}
	return false
}

// maxGroups is how many places an error names.
const maxGroups = 16

// summary tells in words how many goroutines are in which state, where: those of a trace
// but for the first, which asked, that pick says true of.
func summary(trace []byte, pick func(goroutine) bool) string {
	count, total, self := map[string]int{}, 0, true
	goroutines(trace, func(g goroutine) bool {
		if !self && pick(g) {
			total++
			count[fmt.Sprintf("%s in %s", g.state, g.where())]++
		}
		self = false
		return true
	})
	groups := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	more := ""
	if len(groups) > maxGroups {
		more = fmt.Sprintf("; and in %d more places", len(groups)-maxGroups)
		groups = groups[:maxGroups]
	}
	for i, g := range groups {
		groups[i] = fmt.Sprintf("%d× %s", count[g], g)
	}
	noun := "goroutines"
	if total == 1 {
		noun = "goroutine"
	}
	return fmt.Sprintf("%d %s: %s%s", total, noun, strings.Join(groups, "; "), more)
}
