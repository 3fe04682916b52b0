package virtual

import (
	"strings"
	"testing"
)

func TestStateOf(t *testing.T) {
	for header, want := range map[string]string{
		"goroutine 7 [select]:":                                                "select",
		"goroutine 7 [select, 2 minutes]:":                                     "select",
		"goroutine 7 [chan receive (nil chan), locked to thread]:":             "chan receive (nil chan)",
		"goroutine 7 [chan receive (durable), synctest bubble 3]:":             "chan receive",
		"goroutine 7 [chan send (leaked) (scan)]:":                             "chan send",
		"goroutine 7 [sync.Mutex.Lock (scan) (durable), 5 minutes]:":           "sync.Mutex.Lock",
		"goroutine 7 [running]:":                                               "running",
		"goroutine 7 [syscall, locked to thread]:":                             "syscall",
		`goroutine 7 [select labels:{"a]: [running": "x, y"}]:`:                "select",
		`goroutine 7 [sleep, 3 minutes, synctest bubble 1 labels:{"a": "b"}]:`: "sleep",
		"goroutine 7 []:":             "",
		"main.main()":                 "",
		"created by main [select]: x": "",
	} {
		if got := stateOf(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
}

// trace is what runtime.Stack writes, with goroutines of every kind.
const trace = `goroutine 1 [running]:
main.main()
	/x/main.go:12 +0x1d

goroutine 5 [syscall, 3 minutes]:
os/signal.signal_recv()
	/go/src/runtime/sigqueue.go:152 +0x98
os/signal.loop()
	/go/src/os/signal/signal_unix.go:23 +0x13
created by os/signal.Notify.func1.1 in goroutine 1
	/go/src/os/signal/signal.go:151 +0x1f

goroutine 6 [semacquire]:
internal/poll.runtime_Semacquire(0xc0000a4000?)
	/go/src/runtime/sema.go:71 +0x25
main.f(0x1, {0x2, 0x3})
	/x/main.go:20 +0x1d

goroutine 7 [semacquire]:
runtime.GC()
	/go/src/runtime/mgc.go:1 +0x1d
main.collect(...)
	/x/main.go:30
`

func TestBlocked(t *testing.T) {
	for _, tt := range []struct {
		name, goroutine string
		want            bool
	}{
		{"waits", "goroutine 8 [select]:\nmain.f()", true},
		{"may run", "goroutine 8 [runnable]:\nmain.f()", false},
		{"runs", "goroutine 8 [running]:\n\tgoroutine running on other thread; stack unavailable", false},
		{"is preempted", "goroutine 8 [preempted]:\nmain.f()", false},
		{"is in a system call", "goroutine 8 [syscall]:\nsyscall.Syscall(0x1)", false},
		{"speaks of signals", "goroutine 8 [syscall]:\nsyscall.Syscall(0x1)\n\tos/signal.signal_recv(", false},
		{"helps the collector", "goroutine 8 [GC assist wait]:\nmain.f()", false},
		{"waits for the collector", "goroutine 8 [wait for GC cycle]:\nruntime.GC()", false},
		{"is in a state of a later Go", "goroutine 8 [dreaming]:\nmain.f()", false},
		{"has no state", "goroutine 8 []:\nmain.f()", false},
		{"begins a garbage collection", "goroutine 8 [semacquire]:\ngvisor.dev/gvisor/pkg/tcpip/transport/tcp.newEndpoint(0x1)", false},
		{"begins one in a map", "goroutine 8 [semacquire]:\ninternal/runtime/maps.NewEmptyMap(...)", false},
		{"waits for a file", "goroutine 8 [semacquire]:\ninternal/poll.runtime_Semacquire(0x1)", true},
		{"waits for a wait group", "goroutine 8 [semacquire]:\nsync.runtime_SemacquireWaitGroup(0x1)", true},
		{"waits for a lock of the runtime's", "goroutine 8 [semacquire]:\nruntime/metrics.runtime_readMetrics(0x1)", false},
		{"profiles", "goroutine 8 [syscall]:\nruntime/pprof.readProfile()", true},
	} {
		n, got := 0, []bool{}
		goroutines([]byte(trace+"\n"+tt.goroutine), func(g goroutine) bool {
			n++
			got = append(got, g.blocked())
			return true
		})
		want := []bool{false, true, true, false, tt.want}
		for i := range want {
			if n != len(want) || got[i] != want[i] {
				t.Errorf("one that %s: %v, want %v", tt.name, got, want)
				break
			}
		}
	}
}

func TestSummary(t *testing.T) {
	got := summary([]byte(trace+"\ngoroutine 9 [semacquire]:\ninternal/poll.runtime_Semacquire(0x1)\n\tx\nmain.f(0x2)\n"),
		func(goroutine) bool { return true })
	const want = "4 goroutines: 2× semacquire in main.f; 1× semacquire in main.collect; 1× syscall in os/signal.signal_recv"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = summary([]byte("goroutine 1 [running]:\nmain.main()\n\ngoroutine 2 [running]:\n"+
		"\tgoroutine running on other thread; stack unavailable\ncreated by main.start in goroutine 1\n\tx\n"),
		func(g goroutine) bool { return !g.blocked() })
	if want := "1 goroutine: 1× running in one started by main.start"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var many strings.Builder
	many.WriteString("goroutine 1 [running]:\nmain.main()\n")
	for i := range maxGroups + 3 {
		many.WriteString("\ngoroutine 2 [select]:\nmain.f" + strings.Repeat("x", i) + "()\n")
	}
	if got := summary([]byte(many.String()), goroutine.blocked); !strings.HasSuffix(got, "; and in 3 more places") {
		t.Errorf("a summary of many places: %s", got)
	}
}
