package kernel

import (
	"net/netip"
	"slices"
	"time"

	"appliance/tracer"
)

type reconcileTest struct {
	inferred []tracer.Event
	raw      []Change
	o        ReconcileOptions
	want     string
	contra   []string // what the errors say, in order
}

func cat[T any](parts ...[]T) []T { return slices.Concat(parts...) }

var reconcileTests = map[string]reconcileTest{
	"an opener that closes first": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment",
			"50 ESTABLISHED FIN-WAIT-1 call", "70 FIN-WAIT-1 FIN-WAIT-2 segment", "90 FIN-WAIT-2 TIME-WAIT segment", "900 TIME-WAIT CLOSED timer"),
		raw: account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED FIN_WAIT1", "73 FIN_WAIT1 FIN_WAIT2", "93 FIN_WAIT2 CLOSE"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		51 #1 ESTABLISHED → FIN-WAIT-1 by call 50, tracepoint FIN_WAIT1
		73 #1 FIN-WAIT-1 → FIN-WAIT-2 by segment 70, tracepoint FIN_WAIT2
		93 #1 FIN-WAIT-2 → TIME-WAIT by segment 90, inferred CLOSE
		900 #1 TIME-WAIT → CLOSED by timer 900, inferred
		`,
	},
	"a closed socket in FIN-WAIT-2": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment",
			"50 ESTABLISHED FIN-WAIT-1 call", "70 FIN-WAIT-1 FIN-WAIT-2 segment", "90 FIN-WAIT-2 TIME-WAIT segment"),
		raw: account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED FIN_WAIT1", "73 FIN_WAIT1 FIN_WAIT2", "74 FIN_WAIT2 CLOSE"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		51 #1 ESTABLISHED → FIN-WAIT-1 by call 50, tracepoint FIN_WAIT1
		73 #1 FIN-WAIT-1 → FIN-WAIT-2 by segment 70, tracepoint FIN_WAIT2
		90 #1 FIN-WAIT-2 → TIME-WAIT by segment 90, inferred CLOSE
		`,
	},
	"a closed socket that is still in FIN-WAIT-2": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment", "50 ESTABLISHED FIN-WAIT-1 call", "70 FIN-WAIT-1 FIN-WAIT-2 segment"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED FIN_WAIT1", "73 FIN_WAIT1 FIN_WAIT2", "74 FIN_WAIT2 CLOSE"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		51 #1 ESTABLISHED → FIN-WAIT-1 by call 50, tracepoint FIN_WAIT1
		73 #1 FIN-WAIT-1 → FIN-WAIT-2 by segment 70, tracepoint FIN_WAIT2
		`,
	},
	"FIN and ACK in one segment": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment", "50 ESTABLISHED FIN-WAIT-1 call", "70 FIN-WAIT-1 TIME-WAIT segment"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED FIN_WAIT1", "73 FIN_WAIT1 FIN_WAIT2", "74 FIN_WAIT2 CLOSE"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		51 #1 ESTABLISHED → FIN-WAIT-1 by call 50, tracepoint FIN_WAIT1
		73 #1 FIN-WAIT-1 → FIN-WAIT-2 by segment 70, tracepoint FIN_WAIT2
		74 #1 FIN-WAIT-2 → TIME-WAIT by segment 70, inferred CLOSE
		`,
	},
	"a server": {
		inferred: cat(inferredOf(1, serveAt, netip.AddrPort{}, "5 CLOSED LISTEN call", "90 LISTEN CLOSED call"),
			inferredOf(2, serveAt, callAt, "10 LISTEN SYN-RECEIVED segment", "30 SYN-RECEIVED ESTABLISHED segment",
				"50 ESTABLISHED CLOSE-WAIT segment", "60 CLOSE-WAIT LAST-ACK call", "70 LAST-ACK CLOSED segment")),
		raw: cat(account(1, serveAt, netip.AddrPort{}, "6 CLOSE LISTEN", "91 LISTEN CLOSE"),
			account(2, serveAt, callAt, "33 LISTEN SYN_RECV", "34 SYN_RECV ESTABLISHED", "52 ESTABLISHED CLOSE_WAIT", "61 CLOSE_WAIT LAST_ACK", "72 LAST_ACK CLOSE")),
		want: `
		6 #1 CLOSED → LISTEN by call 5, tracepoint
		10 #2 LISTEN → SYN-RECEIVED by segment 10, inferred NEW_SYN_RECV
		34 #2 SYN-RECEIVED → ESTABLISHED by segment 30, tracepoint
		52 #2 ESTABLISHED → CLOSE-WAIT by segment 50, tracepoint CLOSE_WAIT
		61 #2 CLOSE-WAIT → LAST-ACK by call 60, tracepoint LAST_ACK
		72 #2 LAST-ACK → CLOSED by segment 70, tracepoint CLOSE
		91 #1 LISTEN → CLOSED by call 90, tracepoint CLOSE
		`,
	},
	"a request that came to nothing": {
		inferred: inferredOf(2, serveAt, callAt, "10 LISTEN SYN-RECEIVED segment", "30 SYN-RECEIVED CLOSED segment"),
		want: `
		10 #2 LISTEN → SYN-RECEIVED by segment 10, inferred NEW_SYN_RECV
		30 #2 SYN-RECEIVED → CLOSED by segment 30, inferred
		`,
	},
	"the third segment bears a FIN": {
		inferred: inferredOf(2, serveAt, callAt, "10 LISTEN SYN-RECEIVED segment", "30 SYN-RECEIVED CLOSE-WAIT segment"),
		raw:      account(2, serveAt, callAt, "33 LISTEN SYN_RECV", "34 SYN_RECV ESTABLISHED", "35 ESTABLISHED CLOSE_WAIT"),
		want: `
		10 #2 LISTEN → SYN-RECEIVED by segment 10, inferred NEW_SYN_RECV
		34 #2 SYN-RECEIVED → ESTABLISHED by segment 30, tracepoint
		35 #2 ESTABLISHED → CLOSE-WAIT by segment 30, tracepoint CLOSE_WAIT
		`,
	},
	"a simultaneous open and close": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "20 SYN-SENT SYN-RECEIVED segment", "30 SYN-RECEIVED ESTABLISHED segment",
			"50 ESTABLISHED FIN-WAIT-1 call", "60 FIN-WAIT-1 CLOSING segment", "70 CLOSING TIME-WAIT segment"),
		raw: account(1, usAt, themAt, "11 CLOSE SYN_SENT", "21 SYN_SENT SYN_RECV", "31 SYN_RECV ESTABLISHED", "51 ESTABLISHED FIN_WAIT1", "61 FIN_WAIT1 CLOSING", "71 CLOSING CLOSE"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		21 #1 SYN-SENT → SYN-RECEIVED by segment 20, tracepoint SYN_RECV
		31 #1 SYN-RECEIVED → ESTABLISHED by segment 30, tracepoint
		51 #1 ESTABLISHED → FIN-WAIT-1 by call 50, tracepoint FIN_WAIT1
		61 #1 FIN-WAIT-1 → CLOSING by segment 60, tracepoint
		71 #1 CLOSING → TIME-WAIT by segment 70, inferred CLOSE
		`,
	},
	"given up: no segment shows it": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "99 SYN_SENT CLOSE"),
		o: ReconcileOptions{Trace: []tracer.Event{{Stack: StackName, Conn: 1, Body: &tracer.Call{
			Name: "connect", Phase: tracer.PhaseReturn, Error: "connection timed out",
		}}}},
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		99 #1 SYN-SENT → CLOSED by timer 0, tracepoint CLOSE
		`,
	},
	"unreachable: no segment shows it": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "99 SYN_SENT CLOSE"),
		o: ReconcileOptions{Trace: []tracer.Event{{Stack: StackName, Conn: 1, Body: &tracer.Call{
			Name: "connect", Phase: tracer.PhaseReturn, Error: "no route to host",
		}}}},
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		99 #1 SYN-SENT → CLOSED by icmp 0, tracepoint CLOSE
		`,
	},
	"a listener that nobody called, and one of another lab": {
		raw: cat(inNS(account(1, serveAt, netip.AddrPort{}, "6 CLOSE LISTEN", "91 LISTEN CLOSE"), 5),
			inNS(account(2, serveAt, netip.AddrPort{}, "7 CLOSE LISTEN", "92 LISTEN CLOSE"), 6)),
		o: ReconcileOptions{NetNS: 5, NewConn: func() uint32 { return 77 }},
		want: `
		6 #77 CLOSED → LISTEN by call 0, tracepoint
		91 #77 LISTEN → CLOSED by call 0, tracepoint CLOSE
		`,
	},
	"the same ends twice, in two labs": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment"),
		raw: cat(inNS(account(1, usAt, themAt, "10 CLOSE SYN_SENT", "30 SYN_SENT CLOSE"), 6),
			inNS(account(2, usAt, themAt, "12 CLOSE SYN_SENT", "34 SYN_SENT ESTABLISHED"), 5)),
		o: ReconcileOptions{NetNS: 5},
		want: `
		12 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		34 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		`,
	},
	"another lab's listener, older than the account, is closed meanwhile": {
		inferred: inferredOf(2, serveAt, callAt, "10 LISTEN SYN-RECEIVED segment", "30 SYN-RECEIVED ESTABLISHED segment"),
		raw: cat(account(9, serveAt, netip.AddrPort{}, "31 LISTEN CLOSE"),
			account(2, serveAt, callAt, "43 LISTEN SYN_RECV", "44 SYN_RECV ESTABLISHED")),
		o: ReconcileOptions{NetNS: 5},
		want: `
		10 #2 LISTEN → SYN-RECEIVED by segment 10, inferred NEW_SYN_RECV
		44 #2 SYN-RECEIVED → ESTABLISHED by segment 30, tracepoint
		`,
	},
	"by its calls, whatever else fits": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment"),
		raw: cat(account(1, usAt, themAt, "12 CLOSE SYN_SENT", "34 SYN_SENT ESTABLISHED"),
			account(2, usAt, themAt, "20 CLOSE SYN_SENT", "44 SYN_SENT ESTABLISHED")),
		o: ReconcileOptions{Calls: []OwnCall{{Conn: 1, Name: "connect", Thread: 7, Enter: int64(zero) + 19_000, Return: int64(zero) + 22_000}}},
		want: `
		20 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		44 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		`,
	},
	"the same ends again, one after the other; an address used again": {
		inferred: cat(inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT CLOSED segment"),
			inferredOf(2, usAt, themAt, "60 CLOSED SYN-SENT call", "80 SYN-SENT ESTABLISHED segment")),
		raw: account(1, usAt, themAt, "11 CLOSE SYN_SENT", "31 SYN_SENT CLOSE", "61 CLOSE SYN_SENT", "81 SYN_SENT ESTABLISHED"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		31 #1 SYN-SENT → CLOSED by segment 30, tracepoint CLOSE
		61 #2 CLOSED → SYN-SENT by call 60, tracepoint SYN_SENT
		81 #2 SYN-SENT → ESTABLISHED by segment 80, tracepoint
		`,
	},
	"what came after the end": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED CLOSE_WAIT"),
		o:        ReconcileOptions{Until: 50 * time.Microsecond},
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		`,
	},
	"contradiction: another state": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment", "50 ESTABLISHED FIN-WAIT-1 call", "60 FIN-WAIT-1 FIN-WAIT-2 segment"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED CLOSE_WAIT", "61 CLOSE_WAIT LAST_ACK"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		50 #1 ESTABLISHED → FIN-WAIT-1 by call 50, inferred
		60 #1 FIN-WAIT-1 → FIN-WAIT-2 by segment 60, inferred
		`,
		contra: []string{"connection 1, 192.168.12.1:40000 ↔ 192.168.12.53:9000, at 50µs: the segments tell of ESTABLISHED → FIN-WAIT-1 by it (event 50), the kernel of ESTABLISHED → CLOSE_WAIT ("},
	},
	"contradiction: the kernel is silent": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		30 #1 SYN-SENT → ESTABLISHED by segment 30, inferred
		`,
		contra: []string{"the segments tell of SYN-SENT → ESTABLISHED by it (event 30), the kernel of no further change"},
	},
	"contradiction: the segments are silent": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED"),
		want:     "11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT\n",
		contra:   []string{"at 33µs: the segments tell of no further change, the kernel of SYN_SENT → ESTABLISHED ("},
	},
	"contradiction: TIME-WAIT, while the kernel goes elsewhere": {
		inferred: inferredOf(1, usAt, themAt, "10 CLOSED SYN-SENT call", "30 SYN-SENT ESTABLISHED segment", "50 ESTABLISHED FIN-WAIT-1 call", "60 FIN-WAIT-1 TIME-WAIT segment"),
		raw:      account(1, usAt, themAt, "11 CLOSE SYN_SENT", "33 SYN_SENT ESTABLISHED", "51 ESTABLISHED FIN_WAIT1", "61 FIN_WAIT1 CLOSING"),
		want: `
		11 #1 CLOSED → SYN-SENT by call 10, tracepoint SYN_SENT
		33 #1 SYN-SENT → ESTABLISHED by segment 30, tracepoint
		51 #1 ESTABLISHED → FIN-WAIT-1 by call 50, tracepoint FIN_WAIT1
		60 #1 FIN-WAIT-1 → TIME-WAIT by segment 60, inferred
		`,
		contra: []string{"of FIN-WAIT-1 → TIME-WAIT by it (event 60), the kernel of FIN_WAIT1 → CLOSING ("},
	},
	"contradiction: a request that the kernel made a connection": {
		inferred: inferredOf(2, serveAt, callAt, "10 LISTEN SYN-RECEIVED segment", "30 SYN-RECEIVED CLOSED segment"),
		raw:      cat(inNS(account(2, serveAt, callAt, "33 LISTEN SYN_RECV", "34 SYN_RECV ESTABLISHED", "35 ESTABLISHED FIN_WAIT1"), 5)),
		o:        ReconcileOptions{NetNS: 5, NewConn: func() uint32 { return 77 }},
		want: `
		10 #2 LISTEN → SYN-RECEIVED by segment 10, inferred NEW_SYN_RECV
		30 #2 SYN-RECEIVED → CLOSED by segment 30, inferred
		`,
		contra: []string{"connection 77, 192.168.12.1:9000 ↔ 192.168.12.53:40001, at 33µs: the segments tell of no further change, the kernel of LISTEN → SYN_RECV ("},
	},
}
