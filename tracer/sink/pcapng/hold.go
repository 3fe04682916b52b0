package pcapng

import (
	"time"

	"appliance/tracer"
)

// How long events are held back, so that a packet's comments can tell the state changes
// that it caused: they come after it. Events come out in their order, so that those behind
// a packet wait with it.
const (
	// holdEvents is how many wait, at most.
	holdEvents = 256
	// holdTime is how long one waits, by the trace's time while events come, else by the
	// machine's. A change stands some microseconds behind its cause.
	holdTime = 20 * time.Millisecond
)

// held is an event that waits.
type held struct {
	e        tracer.Event
	p        packet
	isPacket bool
	effects  []uint64 // the places of the state changes that it caused
}

// hold is the queue of held events. A place is the number of an event in the queue's order.
type hold struct {
	ring        [holdEvents]held
	first, next uint64 // the places of the oldest, and of the one to come
	twins       twins
}

func (h *hold) at(place uint64) *held { return &h.ring[place%holdEvents] }

func (h *hold) isEmpty() bool { return h.first == h.next }

func (h *hold) isFull() bool { return h.next-h.first == holdEvents }

// put appends an event; there is room.
func (h *hold) put(e *tracer.Event) {
	place := h.next
	h.next++
	w := h.at(place)
	w.e, w.effects, w.isPacket = *e, w.effects[:0], false
	if s, ok := e.Body.(*tracer.StateChange); ok {
		h.blame(s, place)
		return
	}
	if w.p, w.isPacket = packetOf(e); !w.isPacket {
		return
	}
	v, twin := h.twins.judge(e, &w.p, place, func(p uint64) bool { return p < h.first })
	switch v {
	case isRow:
		w.isPacket = false
	case isTwin:
		h.at(twin).isPacket = false
	case isPacket, maybeFirst:
	}
}

// blame puts a state change among the effects of the packet that caused it, if that is held.
func (h *hold) blame(s *tracer.StateChange, place uint64) {
	if s.Cause.N == 0 || s.Cause.Kind != tracer.CauseSegment && s.Cause.Kind != tracer.CauseICMP {
		return
	}
	low, high := h.first, place
	for low < high { // n rises
		mid := low + (high-low)/2
		if h.at(mid).e.N < s.Cause.N {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if w := h.at(low); low < place && w.e.N == s.Cause.N && w.isPacket {
		w.effects = append(w.effects, place)
	}
}

// drop forgets the oldest.
func (h *hold) drop() {
	h.at(h.first).e = tracer.Event{}
	h.first++
}
