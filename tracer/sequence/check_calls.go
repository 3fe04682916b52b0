package sequence

import (
	"slices"
	"strings"

	"appliance/tracer"
)

// checkNumbers holds that the trace is whole and in order: numbers rise by one from 1, times
// never fall, and nothing was lost.
func checkNumbers(j *judge) *Mismatch {
	for i := range j.in.Events {
		e := &j.in.Events[i]
		switch {
		case e.Body == nil:
			return &Mismatch{At: "trace", Expected: "event #" + number(i+1), Seen: "an event that says nothing", N: e.N, Why: "it has no body"}
		case e.N != uint64(i)+1:
			return &Mismatch{At: "trace", Expected: "event #" + number(i+1), Seen: j.plainWords(i), N: e.N, Why: "numbers must rise by one, from 1"}
		case i > 0 && e.T < j.in.Events[i-1].T:
			return j.amiss(i, "times that never fall", "it is earlier than the event before it")
		}
		if _, lost := e.Body.(*tracer.Lost); lost {
			return j.amiss(i, "a whole trace", "events are missing, so that nothing can be said of it")
		}
	}
	return nil
}

// checkCalls holds that each return belongs to one enter before it, and that what a call says it
// moved is possible.
func checkCalls(j *judge) *Mismatch {
	for i := range j.in.Events {
		c, ok := j.in.Events[i].Body.(*tracer.Call)
		if !ok || j.seen[i].end == noEnd {
			continue
		}
		if c.Phase == tracer.PhaseReturn {
			k := j.byN(c.Of)
			if j.seen[i].call < 0 {
				return j.amiss(i, "a return for each enter", "it is the return of #"+number(c.Of)+", which is no call that is still going")
			}
			r := &j.calls[j.seen[i].call]
			if r.name != c.Name || r.end != j.seen[i].end || r.slot != j.seen[i].slot {
				return j.amiss(i, "a return for each enter", "it is the return of #"+number(c.Of)+", which is "+j.plainWords(k)+" of another socket or call")
			}
		}
		if c.Phase != tracer.PhaseEnter {
			if why := movedWhy(c, j.enterOf(i), j.ends[j.seen[i].end].own); why != "" {
				return j.amiss(i, "bytes that the call can have moved", why)
			}
		}
		if c.Phase != tracer.PhaseReturn && c.Of != 0 {
			return j.amiss(i, "an enter that is of no other call", "it says that it is of #"+number(c.Of)+", as returns do")
		}
		if c.Phase == tracer.PhaseEnter && (c.Error != "" || c.Bytes != -1) {
			return j.amiss(i, "an enter without a result", "the call has not returned yet")
		}
	}
	return checkSockets(j)
}

// enterOf returns the call's event that has its arguments.
func (j *judge) enterOf(i int) *tracer.Call {
	return j.in.Events[j.calls[j.seen[i].call].enter].Body.(*tracer.Call)
}

// movedWhy says why a call cannot have moved the bytes that it says; "" where it can.
func movedWhy(c, enter *tracer.Call, own bool) string {
	asked, known := intArg(enter, map[string]string{"send": "bytes", "recv": "bufsize"}[c.Name])
	switch {
	case !moves(c.Name) && c.Bytes != -1:
		return c.Name + " moves none, and says " + number(c.Bytes)
	case !moves(c.Name):
	case c.Bytes < -1 || c.Bytes < 0 && c.Error == "":
		return "it says " + number(c.Bytes)
	case known && int64(c.Bytes) > asked:
		return "it says " + number(c.Bytes) + ", and was asked for " + number(int(asked))
	case c.Name == "send" && own && known && c.Error == "" && int64(c.Bytes) != asked:
		return "it says " + number(c.Bytes) + ", and a send of the appliance's succeeds once it has taken all " + number(int(asked))
	case c.Name == "recv" && c.Error != "" && c.Bytes > 0:
		return "it failed, and says " + number(c.Bytes)
	}
	return ""
}

func intArg(c *tracer.Call, name string) (int64, bool) {
	for _, a := range c.Args {
		if n, ok := a.Value.(int64); ok && a.Name == name {
			return n, true
		}
	}
	return 0, false
}

func textArg(c *tracer.Call, name string) string {
	for _, a := range c.Args {
		if s, ok := a.Value.(string); ok && a.Name == name {
			return s
		}
	}
	return ""
}

// socketUse is what has been done with a socket.
type socketUse struct{ made, bound, used bool }

// checkSockets holds that a socket is made, bound and put to use in that order, each once: the
// rows "listen" and "connect" stand for all three.
func checkSockets(j *judge) *Mismatch {
	sockets := map[socketID]*socketUse{}
	for _, c := range j.calls {
		e := &j.in.Events[c.enter]
		if e.Conn == 0 || !j.ends[c.end].calls || c.err != "" && c.name != "connect" {
			continue
		}
		id := socketID{e.Stack, e.Conn}
		if sockets[id] == nil {
			sockets[id] = &socketUse{}
		}
		udp := c.slot >= 0 && j.slots[c.slot].udp
		if udp && c.name == "connect" && j.slots[c.slot].anyName {
			return j.amiss(c.enter, "a socket that is connected to somebody", "the trace never has its peer")
		}
		if why := sockets[id].why(c.name, udp); why != "" {
			return j.amiss(c.enter, "socket, bind, listen or connect, each once and in this order", why)
		}
	}
	return nil
}

// why says why a call does not follow on those before it; "" where it does.
func (u *socketUse) why(name string, udp bool) string {
	switch name {
	case "socket":
		if u.made || u.bound || u.used {
			return "this socket has been made before"
		}
		u.made = true
	case "bind":
		if u.bound || u.used {
			return "this socket has been bound or used before"
		}
		u.bound = true
	case "listen", "connect":
		if u.used {
			return "this socket listens or is connected already"
		}
		if name == "listen" && !u.bound {
			return "this socket was not bound before"
		}
		u.used = true
	default:
		if udp && !u.bound && !u.used && moves(name) {
			return "this socket was neither bound nor connected before"
		}
		return ""
	}
	if !u.made && name != "socket" {
		return "this socket was not made before"
	}
	return ""
}

// senseCalls holds that a call returns after what it reports: listen after the state LISTEN,
// connect after ESTABLISHED or its failure, accept after the child's ESTABLISHED and each child
// once, recv's reset after the RST.
func senseCalls(j *judge) *Mismatch {
	accepted := map[int]bool{}
	for k := range j.calls {
		c := &j.calls[k]
		if c.ret < 0 || c.slot < 0 {
			continue
		}
		switch {
		case c.err != "":
			if why := j.failedWhy(c); why != "" {
				return j.amiss(c.ret, "a call fails after what it reports", why)
			}
		case c.name == "listen" && !j.reached(c.end, c.slot, c.ret, tracer.Listen):
			return j.amiss(c.ret, "listen returns after LISTEN", "the listener is not in LISTEN yet")
		case c.name == "connect" && !j.slots[c.slot].udp && !j.reached(c.end, c.slot, c.ret, tracer.Established):
			return j.amiss(c.ret, "connect succeeds after ESTABLISHED", "this end is not in ESTABLISHED yet")
		case c.name == "accept":
			if m := j.acceptSense(c, accepted); m != nil {
				return m
			}
		}
	}
	return nil
}

// senseUse holds that a connection is used only once the call that made it, connect or accept,
// has returned.
func senseUse(j *judge) *Mismatch {
	made := map[socketID]int{} // the return
	for k := range j.calls {
		c := &j.calls[k]
		if c.err != "" || c.ret < 0 {
			continue
		}
		e := &j.in.Events[c.enter]
		switch c.name {
		case "connect":
			made[socketID{e.Stack, e.Conn}] = c.ret
		case "accept":
			made[socketID{e.Stack, j.in.Events[c.ret].Body.(*tracer.Call).Conn}] = c.ret
		}
	}
	for k := range j.calls {
		c := &j.calls[k]
		e := &j.in.Events[c.enter]
		if ret, known := made[socketID{e.Stack, e.Conn}]; known && c.enter < ret && (moves(c.name) || c.name == "shutdown" || c.name == "close") {
			return j.amiss(c.enter, "a connection is used once it is there", "connect or accept has not returned it yet")
		}
	}
	return nil
}

// acceptSense is senseCalls for one accept that succeeded.
func (j *judge) acceptSense(c *callRecord, accepted map[int]bool) *Mismatch {
	ret := j.in.Events[c.ret].Body.(*tracer.Call)
	switch {
	case c.child < 0:
		return j.amiss(c.ret, "accept returns a connection", "it returned connection "+number(ret.Conn)+", of which the trace has nothing")
	case accepted[c.child]:
		return j.amiss(c.ret, "accept returns each connection once", "this one was returned before")
	case !j.reached(c.end, c.child, c.ret, tracer.Established):
		return j.amiss(c.ret, "accept returns after ESTABLISHED", "the connection is not in ESTABLISHED yet")
	}
	accepted[c.child] = true
	return nil
}

// failedWhy says why a call fails too early; "" where it does not.
func (j *judge) failedWhy(c *callRecord) string {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(c.err, w) })
	}
	switch {
	case c.name == "connect" && has("refused", "connection timed out", "reset", "unreachable", "no route"):
		if j.reached(c.end, c.slot, c.ret, tracer.SynSent) && !j.reached(c.end, c.slot, c.ret, tracer.Closed) {
			return "the attempt is not over: this end is not in CLOSED yet"
		}
	case c.name == "recv" && has("reset by peer"):
		for i := c.ret - 1; i >= 0; i-- {
			if g, ok := j.in.Events[i].Body.(*tracer.Segment); ok && j.seen[i].slot == c.slot &&
				j.seen[i].end == c.end && g.Dir == tracer.In && g.Flags.Has(tracer.RST) {
				return ""
			}
		}
		if j.ends[c.end].segments {
			return "no RST has come yet"
		}
	}
	return ""
}

// reached tells whether an end of a connection has been in a state before an event. Where its
// states were inferred, their place among the calls is none to judge by.
func (j *judge) reached(end, s, before int, state tracer.State) bool {
	for i := range j.in.Events {
		b, ok := j.in.Events[i].Body.(*tracer.StateChange)
		if !ok || j.seen[i].end != end || j.seen[i].slot != s || b.To != state {
			continue
		}
		if i < before || b.Via == viaInferred {
			return true
		}
	}
	return !j.ends[end].states
}

// viaInferred marks a state that was not read from the end itself.
const viaInferred = "inferred"
