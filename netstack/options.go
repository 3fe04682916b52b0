package netstack

import (
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"appliance/tracer"
)

// Options are a Stack's settings; the zero value gives a stack with no address.
type Options struct {
	// Name stands in the trace's events; "" means "appliance".
	Name string
	// Addresses are the stack's own, with their prefix lengths, IPv4 and IPv6.
	Addresses []netip.Prefix
	// Routes go to what is not on the link.
	Routes []Route
	TCP    TCPOptions
	// Recorder takes the events; nil means tracing is off.
	Recorder tracer.Recorder
	// Level is how much is recorded; LevelOff means off.
	Level tracer.Level
	// Clock drives every timer; nil means the machine's.
	Clock tcpip.Clock
}

// Route sends what goes to Destination by way of Gateway; a zero Gateway means
// that it is on the link.
type Route struct {
	Destination netip.Prefix
	Gateway     netip.Addr
}

// TCPOptions are TCP's settings. A zero field means gVisor's own default, unless
// said otherwise; Toggle fields are nil for the default.
type TCPOptions struct {
	Congestion string // "reno", the default, or "cubic"
	SACK       *bool  // RFC 2018
	RACK       *bool  // RFC 8985, with the tail loss probe; off unless set
	Nagle      *bool  // RFC 896
	MSS        int    // bytes, announced on our SYN
	SendBuffer int    // bytes; 0 is 1 MiB, which gVisor tunes up to 4
	RecvBuffer int    // bytes; 0 is 8 MiB, which gVisor tunes up to 32
	Backlog    int    // of Listen: how many wait to be accepted; 0 means 128
	MSL        time.Duration
	FinWait2   time.Duration // how long a closed end waits in FIN-WAIT-2
	Keepalive  Keepalive
	Retries    int           // of data, before the connection times out
	MinRTO     time.Duration // RFC 6298 (2.4)
}

// Keepalive is TCP's keep-alive (RFC 9293, 3.8.4), off unless Idle is set.
type Keepalive struct {
	Idle     time.Duration
	Interval time.Duration
	Count    int
}
