package iperf

import (
	"time"
)

// maxKept bounds how many flows of intervals a report keeps in memory; a day of many
// streams has more. The ones after it are printed and forgotten.
const maxKept = 100_000

// A meter keeps a test's books. One goroutine uses it.
type meter struct {
	t      *transfer
	client bool
	out    *printer
	keep   bool // the intervals, for the report

	start, last time.Time // of the counting, and of the interval under way
	omitting    bool
	report      Report
	kept        int

	cpuStart          time.Time
	cpuUser, cpuSys   time.Duration
	progress          int64 // what had moved when progressAt was set
	progressAt        time.Time
	user, system, all float64 // per cent, once finished
}

// begin starts the clock.
func (m *meter) begin(now time.Time, omitting bool) {
	m.start, m.last, m.progressAt, m.cpuStart, m.omitting = now, now, now, now, omitting
	m.cpuUser, m.cpuSys = cpuTimes()
	for _, s := range m.t.streams {
		s.baseRtx = s.rtxNow()
		s.seenRtx = s.baseRtx
	}
}

// idle is how long nothing has moved.
func (m *meter) idle(now time.Time) time.Duration {
	if n := m.t.moved(); n != m.progress {
		m.progress, m.progressAt = n, now
	}
	return now.Sub(m.progressAt)
}

// sample ends an interval and begins the next.
func (m *meter) sample(now time.Time) {
	from, to := m.last.Sub(m.start).Seconds(), now.Sub(m.start).Seconds()
	m.last = now
	var i Interval
	var sent, got []Flow
	for _, s := range m.t.streams {
		moved, rtx := s.moved.Load(), s.rtxNow()
		delta := int64(unknown)
		if rtx >= 0 && s.seenRtx >= 0 {
			delta = rtx - s.seenRtx
		}
		f := flow(s.id, from, to, moved-s.seen, delta, s.sends)
		f.Omitted = m.omitting
		s.seen, s.seenRtx = moved, rtx
		i.Streams = append(i.Streams, f)
		if s.sends {
			sent = append(sent, f)
		} else {
			got = append(got, f)
		}
	}
	i.Sum, i.SumReverse = bothWays(sent, got)
	m.out.interval(i)
	if m.keep && m.kept+len(i.Streams) <= maxKept {
		m.kept += len(i.Streams)
		m.report.Intervals = append(m.report.Intervals, i)
	}
}

// bothWays sums up what was sent and, besides, what was received; or the only one of
// the two that there is.
func bothWays(sent, got []Flow) (Flow, *Flow) {
	s, g := sum(sent), sum(got)
	switch {
	case s != nil:
		return *s, g
	case g != nil:
		return *g, nil
	}
	return Flow{}, nil
}

// count begins the counting anew: what came before is omitted.
func (m *meter) count(now time.Time) {
	if now.Sub(m.last) >= minInterval {
		m.sample(now)
	}
	m.start, m.last, m.omitting = now, now, false
	m.t.omitting.Store(false)
	for _, s := range m.t.streams {
		s.base = s.moved.Load()
		s.seen = s.base
		s.baseRtx = s.rtxNow()
		s.seenRtx = s.baseRtx
	}
}

// finish closes the books, once the senders have stopped.
func (m *meter) finish(now time.Time) {
	if now.Sub(m.last) >= minInterval || m.last.Equal(m.start) {
		m.sample(now)
	}
	for _, s := range m.t.streams {
		s.bytes = s.moved.Load() - s.base
		s.rtx = unknown
		if rtx := s.rtxNow(); rtx >= 0 && s.baseRtx >= 0 {
			s.rtx = rtx - s.baseRtx
		}
		s.seconds = now.Sub(m.start).Seconds()
	}
	user, system := cpuTimes()
	if wall := now.Sub(m.cpuStart).Seconds(); wall > 0 {
		m.user = 100 * (user - m.cpuUser).Seconds() / wall
		m.system = 100 * (system - m.cpuSys).Seconds() / wall
		m.all = m.user + m.system
	}
}

// results are what the other side is told.
func (m *meter) results(congestion string) *results {
	r := &results{CPUTotal: m.all, CPUUser: m.user, CPUSystem: m.system, HasRetransmits: unknown, Congestion: congestion}
	for _, s := range m.t.streams {
		if s.sends && r.HasRetransmits < 0 {
			r.HasRetransmits = 1
		}
		if s.sends && s.rtx < 0 {
			r.HasRetransmits = 0
		}
		r.Streams = append(r.Streams, streamResult{ID: count(s.id), Bytes: count(s.bytes), Retransmits: count(s.rtx), End: s.seconds})
	}
	return r
}

// conclude puts both sides' results into the report.
func (m *meter) conclude(mine, theirs *results) {
	end := &m.report.End
	var ways [2]struct{ sent, got []Flow } // what this side sent, and what it received
	for _, s := range m.t.streams {
		peer := theirs.of(s.id)
		own := flow(s.id, 0, s.seconds, s.bytes, s.rtx, s.sends)
		other := flow(s.id, 0, peer.End-peer.Start, int64(peer.Bytes), unknown, s.sends)
		e, way := StreamEnd{Sender: own, Receiver: other}, &ways[0]
		if !s.sends {
			if theirs.HasRetransmits > 0 && peer.Retransmits >= 0 {
				rtx := int64(peer.Retransmits)
				other.Retransmits = &rtx
			}
			e, way = StreamEnd{Sender: other, Receiver: own}, &ways[1]
		}
		end.Streams = append(end.Streams, e)
		way.sent, way.got = append(way.sent, e.Sender), append(way.got, e.Receiver)
	}
	end.SumSent, end.SumSentReverse = bothWays(ways[0].sent, ways[1].sent)
	end.SumReceived, end.SumReceivedReverse = bothWays(ways[0].got, ways[1].got)
	end.CPU = CPU{m.all, m.user, m.system, theirs.CPUTotal, theirs.CPUUser, theirs.CPUSystem}
	end.SenderCongestion, end.ReceiverCongestion = mine.Congestion, theirs.Congestion
	if len(ways[0].sent) == 0 {
		end.SenderCongestion, end.ReceiverCongestion = theirs.Congestion, mine.Congestion
	}
}
