package kernel

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"appliance/tracer"
)

// StackName is the name under which the Linux end stands in a trace.
const StackName = "peer"

// RawState is a state by the kernel's own number (include/net/tcp_states.h).
type RawState uint8

// The kernel's states. The numbers are part of its interface (sock_diag, BPF).
const (
	rawEstablished RawState = iota + 1
	rawSynSent
	rawSynRecv
	rawFinWait1
	rawFinWait2
	rawTimeWait
	rawClose
	rawCloseWait
	rawLastAck
	rawListen
	rawClosing
	rawNewSynRecv // a request: half-open, and no socket yet
	numRaw
)

var rawNames = [numRaw]string{
	"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
	"LISTEN", "CLOSING", "NEW_SYN_RECV",
}

// String is the kernel's word: "FIN_WAIT2".
func (s RawState) String() string {
	if s > 0 && s < numRaw {
		return rawNames[s]
	}
	return fmt.Sprintf("RawState(%d)", uint8(s))
}

var rawRFC = [numRaw]tracer.State{
	rawEstablished: tracer.Established, rawSynSent: tracer.SynSent, rawSynRecv: tracer.SynReceived, rawFinWait1: tracer.FinWait1,
	rawFinWait2: tracer.FinWait2, rawTimeWait: tracer.TimeWait, rawClose: tracer.Closed, rawCloseWait: tracer.CloseWait,
	rawLastAck: tracer.LastAck, rawListen: tracer.Listen, rawClosing: tracer.Closing, rawNewSynRecv: tracer.SynReceived,
}

// RFC is the state by RFC 9293, 3.3.2. A number that the kernel does not have is CLOSED.
func (s RawState) RFC() tracer.State {
	if s < numRaw {
		return rawRFC[s]
	}
	return tracer.Closed
}

// Change is one event of the tracepoint: a socket of the kernel's changed its state.
type Change struct {
	Time   int64  // CLOCK_MONOTONIC, ns
	SKAddr uint64 // the socket, by its address in the kernel; used again after its end
	Old    RawState
	New    RawState
	// Local and Remote are as far as the kernel knew them: CLOSE → SYN_SENT has no
	// local port unless bound, a child's LISTEN → SYN_RECV nothing of the remote end.
	Local, Remote netip.AddrPort
	// PID is the thread, by the first PID namespace, on which it happened: the caller's
	// where a call caused it, any where a segment or a timer did.
	PID int
	// NetNS is the inode of that thread's network namespace, asked just after; 0 where a
	// call cannot have caused the change, the thread was gone, or cannot be asked.
	NetNS uint64
}

// String is the change as messages show it.
func (c Change) String() string {
	return fmt.Sprintf("%s → %s (%s ↔ %s, socket %#x, thread %d)", c.Old, c.New, c.Local, c.Remote, c.SKAddr, c.PID)
}

// byCall tells whether only a call can cause the change, on the caller's thread.
func (c Change) byCall() bool {
	switch c.New {
	case rawListen, rawSynSent, rawFinWait1, rawLastAck:
		return true
	default:
		return c.Old == rawListen && c.New == rawClose
	}
}

// OwnCall is a call that a [Host] made and that may change a socket's state.
type OwnCall struct {
	Conn   uint32 // in the trace
	N      uint64 // the enter's number; 0 where it was not recorded
	Name   string // listen, connect, shutdown, close
	Thread int    // the caller's, as [Change].PID
	// Enter and Return are by CLOCK_MONOTONIC, in ns, around the system call.
	Enter, Return int64
}

// during tells whether the change happened in the call, or in an interrupt on its thread.
func (k OwnCall) during(c Change) bool {
	return c.PID == k.Thread && c.Time >= k.Enter && c.Time <= k.Return
}

// made tells whether the call is what caused the change, which only a call can cause.
func (k OwnCall) made(c Change) bool {
	if !c.byCall() || !k.during(c) {
		return false
	}
	switch c.New {
	case rawListen:
		return k.Name == "listen"
	case rawSynSent:
		return k.Name == "connect"
	default:
		return k.Name == "shutdown" || k.Name == "close"
	}
}

// chain is the life of one socket, as the tracepoint told it.
type chain struct {
	changes       []Change
	local, remote netip.AddrPort // as far as any change says
}

// chains puts the changes of each socket together, each in order of time, the chains in
// the order of their beginnings.
func chains(raw []Change) []*chain {
	raw = slices.Clone(raw)
	slices.SortStableFunc(raw, func(a, b Change) int { return cmp.Compare(a.Time, b.Time) })
	open := map[uint64]*chain{}
	var all []*chain
	for _, c := range raw {
		ch := open[c.SKAddr]
		if ch == nil || ch.last().New == rawClose || ch.last().New != c.Old {
			ch = &chain{}
			open[c.SKAddr] = ch
			all = append(all, ch)
		}
		ch.add(c)
	}
	return all
}

func (ch *chain) last() Change { return ch.changes[len(ch.changes)-1] }

func (ch *chain) add(c Change) {
	ch.changes = append(ch.changes, c)
	if c.Local.Port() != 0 {
		ch.local = c.Local
	}
	if c.Remote.Port() != 0 {
		ch.remote = c.Remote
	}
}

// listener tells whether the chain is a listening socket's.
func (ch *chain) listener() bool { return ch.changes[0].New == rawListen }

// whole tells whether the account has the socket from its beginning on: the first change of
// one that is older than the account is another. All of a lab's are younger.
func (ch *chain) whole() bool {
	first := ch.changes[0]
	return first.Old == rawClose || first.Old == rawListen && first.New == rawSynRecv
}

// since is the time of a change by the trace's clock, offset being [Clock]'s.
func (c Change) since(offset time.Duration) time.Duration {
	return time.Duration(c.Time) - offset
}
