package link

import (
	"fmt"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// Verdict is what the impairment decided for one packet.
type Verdict struct {
	// Drop is why the packet is discarded: "impairment: loss", `impairment: rule
	// "…"` or "impairment: queue full"; "" when it is not.
	Drop string
	// Delay is how long it is held, the wait for the line and for what is ahead of
	// it included; for a reordered packet without the wait for others to pass it.
	Delay time.Duration
	// Copies is how many extra copies follow it at once.
	Copies int
	// Copy numbers the copies that Watcher.DeliverIn gets: 1, 2, …; 0 is the
	// packet itself.
	Copy int
	// Corrupt tells that one bit of its transport header or payload is flipped, so
	// that the checksum is wrong. Its copies have the same wrong bit.
	Corrupt bool
	// Reorder tells that later packets of its flow are let past it.
	Reorder bool
	// Rule names the rules that acted, with "; " between; "" when none did.
	Rule string

	named    string              // the names of those of them that have one and changed something
	exempt   bool                // not subject to impairment; overtakes what is held
	planned  bool                // due holds
	due      tcpip.MonotonicTime // when it may go
	flow     flow                // for reordering
	by       int                 // reordered: how many pass it; 0 means 1
	hold     time.Duration       // reordered: the longest wait; 0 means the default
	flipAt   int                 // corrupt: the byte, counted from the network header
	flipMask byte                // corrupt: the bit; 0 means none chosen
}

// Zero tells whether nothing is done to the packet.
func (v Verdict) Zero() bool {
	return v.Drop == "" && v.Delay == 0 && v.Copies == 0 && v.Copy == 0 && !v.Corrupt && !v.Reorder
}

// Notes returns what is done, for the trace: "delayed 20ms", "duplicated",
// "duplicate" (for a copy), "reordered", "corrupted", and the rules that were given a
// name: `rule "late"`. It is nil for a packet that is discarded: Drop tells that.
func (v Verdict) Notes() []string {
	if v.Drop != "" {
		return nil
	}
	var notes []string
	if v.Delay > 0 {
		d := v.Delay
		if d >= time.Microsecond {
			d = d.Round(time.Microsecond)
		}
		notes = append(notes, "delayed "+words(d))
	}
	switch {
	case v.Copy > 0:
		notes = append(notes, "duplicate")
	case v.Copies == 1:
		notes = append(notes, "duplicated")
	case v.Copies > 1:
		notes = append(notes, fmt.Sprintf("duplicated %d times", v.Copies))
	}
	if v.Reorder {
		notes = append(notes, "reordered")
	}
	if v.Corrupt {
		notes = append(notes, "corrupted")
	}
	if v.named != "" && len(notes) > 0 { // what a rule asked for may have had no room
		notes = append(notes, `rule "`+v.named+`"`)
	}
	return notes
}

// Watcher is told what an Impair does. DroppedIn, DeliverIn and the deliveries to
// the dispatcher never overlap. StateOf may be called from any goroutine, at any
// time. An Impair holds none of its locks while it calls.
type Watcher interface {
	// StateOf returns the state of the endpoint that the segment belongs to, for
	// rules with states; false when there is none, and then such a rule does not
	// match.
	StateOf(local, remote netip.AddrPort) (tracer.State, bool)
	// DroppedIn is told of an inbound packet that the impairment discarded, when
	// it discards it. The packet is the Impair's: DroppedIn must not keep it.
	DroppedIn(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, v Verdict)
	// DeliverIn gets each inbound packet that something was done to, and each
	// copy, instead of the dispatcher's DeliverNetworkPacket; it delivers it. As
	// there, the packet's reference remains the caller's.
	DeliverIn(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer, v Verdict)
}
