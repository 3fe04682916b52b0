package sequence

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"appliance/tracer"
)

// difference is the first thing in which an event and a row differ. The later ones mean that
// the two are closer: of several rows that might come next, a mismatch names the closest.
type difference uint8

const (
	otherKind difference = iota
	otherConn
	otherWay
	otherFlags
	otherName
	otherFrom
	otherTo
	otherSeq
	otherAck
	otherLen
	otherWin
	otherOpts
	otherNotes
	otherLost
	otherResult
	otherBytes
	otherCause
	otherTime
	otherEvent
	same
)

// leeway says which part of a time may be missing on a real clock: a timer is started a moment
// before what it is counted from bears its time, and a busy machine makes the moment long.
const leeway = 10

// compare compares an item of a track with what a leaf's node waits for. last is the event that
// the row before it took.
func (j *judge) compare(t *track, n *node, item, last int) difference {
	if m := n.leaf.must; m >= 0 && n.leaf.max == 1 && m != item {
		return otherEvent
	}
	switch row := n.leaf.row.Body.(type) {
	case CallRow:
		return j.compareCall(row, n, &j.calls[item])
	case StateRow:
		return j.compareState(row, item)
	case TimerRow:
		return j.compareTimer(row, item, last)
	case SegmentRow:
		return j.compareSegment(t, n.leaf, &row, item)
	case DatagramRow:
		return j.compareDatagram(n.leaf, row, item)
	default:
		return otherKind
	}
}

// isAt tells whether an event is of the connection that a row names.
func (j *judge) isAt(i int, conn string) bool {
	s := j.seen[i].slot
	return s >= 0 && !j.slots[s].listener && j.slots[s].isNamed(conn)
}

func (j *judge) compareSegment(t *track, l *rowLeaf, row *SegmentRow, i int) difference {
	g, ok := j.in.Events[i].Body.(*tracer.Segment)
	s := &j.seen[i]
	switch {
	case !ok:
		return otherKind
	case !j.isAt(i, l.at.Conn):
		return otherConn
	case g.Dir != l.dir:
		return otherWay
	case (g.Flags^row.Flags)&^tracer.PSH != 0 || row.Flags.Has(tracer.PSH) && !g.Flags.Has(tracer.PSH):
		return otherFlags
	case !row.Seq.Holds(s.seq.n):
		return otherSeq
	case row.Flags.Has(tracer.ACK) && !row.Ack.Holds(s.ack.n):
		return otherAck
	case !lenHolds(row.Len, g.Len):
		return otherLen
	case !row.Win.Holds(g.Win):
		return otherWin
	case row.Opts != nil && optsWhy(row.Opts, &g.Opts) != "":
		return otherOpts
	case notesWhy(row, l.dir, g.Notes) != "":
		return otherNotes
	case !j.lostHolds(t, l, row.Way, row.Lost, g.Dropped):
		return otherLost
	default:
		return same
	}
}

// lenHolds compares a payload's length: none is 0.
func lenHolds(c Number, n int) bool {
	if c.Op == Unset {
		return n == 0
	}
	return c.Holds(uint32(n)) //nolint:gosec // a payload is below 64 KiB
}

// lostHolds tells whether an event's fate is what the row says. Where both ends are in the trace,
// the link may drop a segment on its way in: then it is its arrival that says so.
func (j *judge) lostHolds(t *track, l *rowLeaf, way Ways, lost bool, dropped string) bool {
	if !lost {
		return dropped == ""
	}
	late := l.dir == tracer.Out && way == Both && j.ends[1-t.end].segments
	return dropped != "" || late
}

// optsWhy says in what a segment's options differ from what a row lists; "" where they do not.
func optsWhy(want *Opts, got *tracer.Options) string {
	for _, o := range []struct {
		name      string
		want, got bool
	}{
		{"mss", want.MSS, got.MSS != 0},
		{"ws", want.WS, got.HasWS},
		{"sack_ok", want.SACKOK, got.SACKOK},
		{"ts", want.TS, got.HasTS},
		{"sack", want.SACK, len(got.SACK) > 0},
	} {
		switch {
		case o.want && !o.got:
			return "the option " + o.name + " is missing"
		case !o.want && o.got:
			return "the option " + o.name + " is not expected"
		}
	}
	switch {
	case want.MSS && want.MSSValue != 0 && want.MSSValue != got.MSS:
		return "mss is " + number(got.MSS) + ", not " + number(want.MSSValue)
	case want.WS && want.WSValue >= 0 && want.WSValue != int(got.WS):
		return "ws is " + number(got.WS) + ", not " + number(want.WSValue)
	default:
		return ""
	}
}

// oneSided are the notes that only the sender's end can tell: its peer does not know what became
// of the segment's first copy. checkNotes judges them where a segment arrives.
var oneSided = []string{"retransmission", "fast-retransmit", "syn-cookie"}

// notesWhy says in what a segment's notes differ from a row's; "" where they do not.
func notesWhy(row *SegmentRow, dir tracer.Direction, got []string) string {
	for _, n := range got {
		if slices.Contains(SignificantNotes, n) && !slices.Contains(row.Notes, n) {
			return "it bears the note " + n + ", which the row does not list"
		}
	}
	for _, n := range row.Notes {
		if hasNote(got, n) || dir == tracer.In && row.Way == Both && slices.Contains(oneSided, n) {
			continue
		}
		return "it does not bear the note " + n
	}
	return ""
}

func hasNote(notes []string, note string) bool { return slices.Contains(notes, note) }

// significant returns those notes that change what a segment means.
func significant(notes []string) []string {
	var s []string
	for _, n := range notes {
		if slices.Contains(SignificantNotes, n) {
			s = append(s, n)
		}
	}
	return s
}

func (j *judge) compareDatagram(l *rowLeaf, row DatagramRow, i int) difference {
	d, ok := j.in.Events[i].Body.(*tracer.Datagram)
	switch {
	case !ok:
		return otherKind
	case !j.isAt(i, l.at.Conn):
		return otherConn
	case d.Dir != l.dir:
		return otherWay
	case !row.Len.Holds(uint32(d.Len)): //nolint:gosec // a datagram is below 64 KiB
		return otherLen
	case (d.Dropped != "") != row.Lost:
		return otherLost
	default:
		return same
	}
}

func (j *judge) compareTimer(row TimerRow, i, last int) difference {
	b, ok := j.in.Events[i].Body.(*tracer.Timer)
	switch {
	case !ok:
		return otherKind
	case !j.isAt(i, row.At.Conn):
		return otherConn
	case b.Name != row.Timer:
		return otherName
	case !j.timeHolds(j.after(row.After, row.MSLs), j.since(i, last)):
		return otherTime
	default:
		return same
	}
}

// since is how long after the event that the row before took an event is; after the trace's
// start where that was the first row.
func (j *judge) since(i, last int) time.Duration {
	if last < 0 {
		return j.in.Events[i].T
	}
	return j.in.Events[i].T - j.in.Events[last].T
}

// The MSL of runs that do not say: of the virtual clock (RFC 9293, 3.4.2) and of a real one.
const (
	virtualMSL = 2 * time.Minute
	realMSL    = 100 * time.Millisecond
)

// after is the time that a row says, which may be so many times the run's MSL.
func (j *judge) after(d time.Duration, msls int) time.Duration {
	msl := cmp.Or(j.in.Run.MSL, virtualMSL)
	if !j.in.Virtual {
		msl = cmp.Or(j.in.Run.RealMSL, realMSL)
	}
	return d + time.Duration(msls)*msl
}

// timeHolds compares a time with what a row says: 0 is any.
func (j *judge) timeHolds(want, got time.Duration) bool {
	switch {
	case want == 0:
		return true
	case j.in.Virtual:
		return got == want
	default:
		return got >= want-want/leeway
	}
}

func (j *judge) compareCall(row CallRow, n *node, c *callRecord) difference {
	switch {
	case c.name != row.Call:
		return otherKind
	case !j.callIsAt(row, c):
		return otherConn
	case c.ret < 0:
		return otherResult
	case row.Fails != "":
		if c.err == "" || !strings.Contains(c.err, row.Fails) {
			return otherResult
		}
		return same
	case c.err != "":
		return otherResult
	case !moves(c.name):
		return same
	case n.leaf.eof:
		if c.bytes != 0 {
			return otherBytes
		}
		return same
	case c.name == "recv" && c.bytes == 0 && n.leaf.sum != 0: // that is an end-of-file
		return otherBytes
	case n.leaf.sum >= 0 && n.taken+c.bytes > n.leaf.sum:
		return otherBytes
	default:
		return same
	}
}

// callIsAt tells whether a call is on the socket that a row means.
func (j *judge) callIsAt(row CallRow, c *callRecord) bool {
	if c.slot < 0 {
		return false
	}
	s := &j.slots[c.slot]
	switch {
	case row.Listener, row.Call == "listen":
		return s.listener
	case row.Call == "accept":
		if !s.listener || c.child < 0 {
			return s.listener
		}
		child := &j.slots[c.child]
		return child.isNamed(row.At.Conn) || row.At.Conn == "" && !j.isBound("")
	case row.Call == "socket", row.Call == "bind", row.Call == "setsockopt":
		return s.listener && row.At.Conn == "" || s.isNamed(row.At.Conn)
	default:
		return !s.listener && s.isNamed(row.At.Conn)
	}
}

// isBound tells whether a connection of TCP bears the name.
func (j *judge) isBound(name string) bool {
	return slices.ContainsFunc(j.slots, func(s slot) bool { return s.named && !s.udp && s.name == name })
}

func (j *judge) compareState(row StateRow, i int) difference {
	b, ok := j.in.Events[i].Body.(*tracer.StateChange)
	s := j.seen[i].slot
	if !ok || s < 0 {
		return otherKind
	}
	at := j.isAt(i, row.At.Conn)
	if ofListener(row.From, row.To) {
		at = j.slots[s].listener
	}
	switch {
	case !at:
		return otherConn
	case b.From != row.From:
		return otherFrom
	case b.To != row.To:
		return otherTo
	case b.Via == "filled", j.causeWhy(row, i) != "":
		return otherCause
	case !j.timeHolds(j.after(row.After, row.MSLs), b.Dwell):
		return otherTime
	default:
		return same
	}
}
