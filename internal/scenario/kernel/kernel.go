package kernel

import (
	"net/netip"

	"appliance/tracer"
)

// Options are a [Host]'s settings.
type Options struct {
	// Recorder takes the calls; nil means that they are not recorded.
	Recorder tracer.Recorder
	// Stack stands in the calls' events; "" means [StackName].
	Stack string
	// Local4 and Local6 are the addresses to listen on. With one of them, sockets that
	// listen are of its family; with both or none, they take any address of both.
	Local4, Local6 netip.Addr
}

// ProcessOptions are a [Process]'s settings.
type ProcessOptions struct {
	// Python is the interpreter; "" means python3, looked up in PATH.
	Python string
	// Local4 and Local6 are as in [Options].
	Local4, Local6 netip.Addr
}

// StatesOptions are what [States] collects.
type StatesOptions struct {
	// Ports are those of interest, at either end of a socket.
	Ports []uint16
}

// Socket is a socket as sock_diag tells of it.
type Socket struct {
	Local, Remote netip.AddrPort
	// State is the kernel's word: "SYN_RECV" for a half-open connection, and TIME-WAIT
	// is "TIME_WAIT", or "FIN_WAIT2" where it stands for that.
	State RawState
}
