package pcapng

import (
	"time"

	"appliance/tracer"
)

// transfer is what a bulk transfer gives: data one way, ACKs the other.
func transfer(n int) []tracer.Event {
	list := make([]tracer.Event, n)
	for i := range list {
		seq := uint32(i) * 1448 //nolint:gosec // modulo 2^32
		body := &tracer.Segment{
			Flags: tracer.ACK, Seq: 3127364000 + seq, Ack: 812374655, HasRel: true, HasRelAck: true, RelSeq: seq, RelAck: 1,
			Len: 1448, Win: 64256, Opts: tracer.Options{HasTS: true, TSVal: 31876400 + seq>>16, TSEcr: 287641000},
		}
		dir := tracer.In
		if i%2 == 1 {
			dir, body.Len = tracer.Out, 0
		}
		list[i] = packetEvent(uint64(i)+1, "appliance", dir, body)
		list[i].T = time.Duration(i) * 5 * time.Microsecond
	}
	return list
}

// changes is what short connections give: half of the events are no packets.
func changes(n int) []tracer.Event {
	list := transfer(n)
	for i := range list {
		if i%2 == 1 {
			list[i] = change(uint64(i)+1, uint64(i), "appliance", tracer.CauseSegment, tracer.Established, tracer.CloseWait)
			list[i].T = time.Duration(i) * 5 * time.Microsecond
		}
	}
	return list
}
