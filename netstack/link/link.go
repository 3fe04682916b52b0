// Package link is the Ethernet that the appliance's stack stands on: one end of a
// veth pair or any Ethernet interface (AF_PACKET), a TAP device, or a pipe between
// two stacks in one process; and an impairment that wraps any of them.
//
// A link claims no checksum offload, so the stack verifies every checksum. No
// frame, however malformed, ends a link's loop. Close stops the loop, Wait waits
// for it.
package link

import (
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// Link is a link endpoint that also tells what it is and when it is gone.
type Link interface {
	stack.LinkEndpoint
	// Info tells what the link is, for the trace's header.
	Info() tracer.LinkInfo
	// Done is closed when the link carries no more: after Close, or when its
	// device is gone.
	Done() <-chan struct{}
	// Err tells why Done was closed: nil after Close.
	Err() error
}
