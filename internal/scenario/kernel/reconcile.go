package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"appliance/tracer"
)

// The hooks that a reconciled change can have been seen by (tracer.StateChange.Via).
const (
	ViaTracepoint = "tracepoint"
	ViaInferred   = "inferred"
)

// ReconcileOptions are what [Reconcile] needs besides the two accounts.
type ReconcileOptions struct {
	// Offset is [Clock]'s, measured with the recorder of the trace.
	Offset time.Duration
	// Calls are [Host.Calls]: they tell whose socket is whose, exactly.
	Calls []OwnCall
	// NetNS is [NetNS] of the lab: sockets that were opened in another one are not its.
	// 0 where it is not known: then addresses and times alone decide.
	NetNS uint64
	// Trace is the recorded trace: its calls' errors say why a connection ended that no
	// segment ended.
	Trace []tracer.Event
	// Until ends the account: what the kernel said later is passed over. 0 means never.
	Until time.Duration
	// NewConn gives an id to a socket of the lab's that no segment tells of (a listener
	// that nobody called). Nil means that those are left out.
	NewConn func() uint32
	// Stack stands in the events of such sockets; "" means [StackName].
	Stack string
}

// Contradiction is an error: the kernel and the segments tell different stories of a
// connection. What follows in the connection is as inferred.
type Contradiction struct {
	Conn          uint32
	Local, Remote netip.AddrPort
	At            time.Duration
	Inferred      *tracer.StateChange // nil: the segments tell of no change
	Raw           *Change             // nil: the kernel does not
}

// Error implements error.
func (c *Contradiction) Error() string {
	said, kernel := "of no further change", "of no further change"
	if c.Inferred != nil {
		said = fmt.Sprintf("of %s → %s by %s (event %d)", c.Inferred.From, c.Inferred.To, c.Inferred.Cause.What, c.Inferred.Cause.N)
	}
	if c.Raw != nil {
		kernel = "of " + c.Raw.String()
	}
	return fmt.Sprintf("connection %d, %s ↔ %s, at %v: the segments tell %s, the kernel %s", c.Conn, c.Local, c.Remote, c.At, said, kernel)
}

// Reconcile joins the states that were inferred of the Linux end (by package
// tracer/infer, each connection under one id) with what the tracepoint said of its
// sockets. It returns the changes in order of time, with causes as inferred:
//
//   - A change that the tracepoint showed bears its time and Via "tracepoint".
//   - One that it cannot show bears Via "inferred", and in StackState the kernel's word
//     at that moment: TIME-WAIT, where the tracepoint says CLOSE (at once, or already when
//     a closed socket entered FIN-WAIT-2), its end, and SYN-RECEIVED of a child, which is
//     NEW_SYN_RECV until the handshake is complete.
//   - A change that the tracepoint alone showed is added, where no segment need have
//     caused it: a time-out, or a call that was not recorded. So is a state that the
//     kernel passed through within one segment: FIN-WAIT-2 between FIN-WAIT-1 and
//     TIME-WAIT.
//
// Where the two contradict each other the error is of *[Contradiction]s, joined, and the
// changes are returned all the same.
func Reconcile(inferred []tracer.Event, raw []Change, o ReconcileOptions) ([]tracer.Event, error) {
	if o.Stack == "" {
		o.Stack = StackName
	}
	m := matcher{o: &o}
	lanes := lanesOf(inferred)
	m.match(lanes, chains(m.before(raw)))
	var out []tracer.Event
	var errs []error
	for _, l := range append(lanes, m.strangers()...) {
		w := walker{o: &o, lane: l}
		w.walk()
		out = append(out, w.out...)
		if w.err != nil {
			errs = append(errs, w.err)
		}
	}
	slices.SortStableFunc(out, func(a, b tracer.Event) int { return cmp.Compare(a.T, b.T) })
	return out, errors.Join(errs...)
}

// lane is what was inferred of one connection, or of a listener.
type lane struct {
	events []tracer.Event
	conn   uint32
	chain  *chain // nil for none
}

// lanesOf parts the changes by connection, in the order of their first ones.
func lanesOf(events []tracer.Event) []*lane {
	var all []*lane
	byConn := map[uint32]*lane{}
	for _, e := range events {
		if _, ok := e.Body.(*tracer.StateChange); !ok {
			continue
		}
		l := byConn[e.Conn]
		if l == nil {
			l = &lane{conn: e.Conn}
			byConn[e.Conn] = l
			all = append(all, l)
		}
		l.events = append(l.events, e)
	}
	return all
}

func (l *lane) change(i int) *tracer.StateChange {
	return l.events[i].Body.(*tracer.StateChange) //nolint:forcetypeassert // lanesOf saw to it
}

func (l *lane) listener() bool { return l.change(0).To == tracer.Listen }

// born is when the kernel made the socket's first change, as far as inferred. ok is false
// where there was no socket yet: a request that came to nothing.
func (l *lane) born() (t time.Duration, ok bool) {
	if l.change(0).From != tracer.Listen {
		return l.events[0].T, true
	}
	for i := range l.events {
		if to := l.change(i).To; to != tracer.SynReceived && to != tracer.Closed {
			return l.events[i].T, true
		}
	}
	return 0, false
}

// fits tells whether a chain can be the lane's, by its beginning and its ends.
func (l *lane) fits(ch *chain) bool {
	if !ch.whole() || l.listener() != ch.listener() {
		return false
	}
	last := l.events[len(l.events)-1]
	return sameEnd(ch.local, last.Local) && (l.listener() || sameEnd(ch.remote, last.Remote))
}

// sameEnd compares an end, as far as the kernel told it, with one of the trace's.
func sameEnd(kernel, ours netip.AddrPort) bool {
	if kernel.Port() != 0 && kernel.Port() != ours.Port() {
		return false
	}
	a, b := kernel.Addr().Unmap(), ours.Addr().Unmap()
	return a == b || !a.IsValid() || !b.IsValid() || a.IsUnspecified() || b.IsUnspecified()
}

// matcher finds whose chain is whose.
type matcher struct {
	o    *ReconcileOptions
	rest []*candidate
}

// candidate is a chain and what is known of where it comes from.
type candidate struct {
	*chain
	conn    uint32 // whose calls made its changes; 0 where none did
	ours    bool   // it was opened in the lab
	foreign bool   // it was not
}

// before leaves out what came after Until.
func (m *matcher) before(raw []Change) []Change {
	if m.o.Until == 0 {
		return raw
	}
	return slices.DeleteFunc(slices.Clone(raw), func(c Change) bool { return c.since(m.o.Offset) > m.o.Until })
}

func (m *matcher) match(lanes []*lane, all []*chain) {
	for _, ch := range all {
		m.rest = append(m.rest, m.classify(ch))
	}
	for _, l := range lanes {
		m.take(l, func(c *candidate) bool { return c.conn != 0 && c.conn == l.conn })
	}
	for _, l := range lanes {
		if _, ok := l.born(); ok && l.chain == nil {
			m.take(l, func(c *candidate) bool { return c.conn == 0 && !c.foreign && l.fits(c.chain) })
		}
	}
}

// classify tells where a chain comes from, by the changes that only calls can make.
func (m *matcher) classify(ch *chain) *candidate {
	c := &candidate{chain: ch}
	for _, change := range ch.changes {
		if !change.byCall() {
			continue
		}
		i := slices.IndexFunc(m.o.Calls, func(k OwnCall) bool { return k.made(change) })
		switch {
		case i >= 0:
			c.conn, c.ours = m.o.Calls[i].Conn, true
			return c
		case change.NetNS == 0 || m.o.NetNS == 0:
		case change.NetNS == m.o.NetNS:
			c.ours = true
		default:
			c.foreign = true
		}
	}
	return c
}

// take gives the lane the chain among those that ok accepts which begins closest to the
// lane, one that is known to be the lab's before any other.
func (m *matcher) take(l *lane, ok func(*candidate) bool) {
	born, _ := l.born()
	best := -1
	var lag time.Duration
	for i, c := range m.rest {
		if !ok(c) {
			continue
		}
		d := (c.changes[0].since(m.o.Offset) - born).Abs()
		if best < 0 || c.ours && !m.rest[best].ours || c.ours == m.rest[best].ours && d < lag {
			best, lag = i, d
		}
	}
	if best >= 0 {
		l.chain = m.rest[best].chain
		m.rest = slices.Delete(m.rest, best, best+1)
	}
}

// strangers are the lab's sockets that nothing was inferred of.
func (m *matcher) strangers() []*lane {
	var all []*lane
	for _, c := range m.rest {
		l := &lane{conn: c.conn, chain: c.chain}
		if l.conn == 0 && m.o.NewConn != nil && c.ours {
			l.conn = m.o.NewConn()
		}
		if c.ours && l.conn != 0 {
			all = append(all, l)
		}
	}
	return all
}
