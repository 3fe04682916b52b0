package netstack

import (
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// rfcState is RFC 9293's name of one of gVisor's states. Those that the RFC has no
// name for are CLOSED: there is no connection, or none any more.
func rfcState(st tcp.EndpointState) tracer.State {
	switch st {
	case tcp.StateListen:
		return tracer.Listen
	case tcp.StateSynSent:
		return tracer.SynSent
	case tcp.StateSynRecv:
		return tracer.SynReceived
	case tcp.StateEstablished:
		return tracer.Established
	case tcp.StateFinWait1:
		return tracer.FinWait1
	case tcp.StateFinWait2:
		return tracer.FinWait2
	case tcp.StateCloseWait:
		return tracer.CloseWait
	case tcp.StateClosing:
		return tracer.Closing
	case tcp.StateLastAck:
		return tracer.LastAck
	case tcp.StateTimeWait:
		return tracer.TimeWait
	case tcp.StateInitial, tcp.StateBound, tcp.StateConnecting, tcp.StateError, tcp.StateClose:
		return tracer.Closed
	default:
		return tracer.Closed
	}
}

// isDead tells whether an endpoint's life is over.
func isDead(st tcp.EndpointState) bool { return st == tcp.StateClose || st == tcp.StateError }

// stackState is gVisor's own name of a state, where it differs from the RFC's.
func stackState(st tcp.EndpointState) string {
	if name := st.String(); name != rfcState(st).String() {
		return name
	}
	return ""
}

// nextStates holds the changes that gVisor makes, for the one purpose of naming
// what lies between two looks that are more than one change apart.
var nextStates = map[tracer.State][]tracer.State{
	tracer.Closed:      {tracer.SynSent, tracer.Listen},
	tracer.Listen:      {tracer.SynReceived, tracer.Established, tracer.Closed},
	tracer.SynSent:     {tracer.Established, tracer.SynReceived, tracer.Closed},
	tracer.SynReceived: {tracer.Established, tracer.Closed},
	tracer.Established: {tracer.FinWait1, tracer.CloseWait, tracer.Closed},
	tracer.FinWait1:    {tracer.FinWait2, tracer.Closing, tracer.TimeWait, tracer.Closed},
	tracer.FinWait2:    {tracer.TimeWait, tracer.Closed},
	tracer.CloseWait:   {tracer.LastAck, tracer.Closed},
	tracer.Closing:     {tracer.TimeWait, tracer.Closed},
	tracer.LastAck:     {tracer.Closed},
	tracer.TimeWait:    {tracer.Closed},
}

// between returns the states that lie on the shortest way from one state to
// another: none when the change is one that gVisor makes.
func between(from, to tracer.State) []tracer.State {
	if slices.Contains(nextStates[from], to) {
		return nil
	}
	type step struct {
		at   tracer.State
		path []tracer.State
	}
	seen := map[tracer.State]bool{from: true}
	for queue := []step{{at: from}}; len(queue) > 0; queue = queue[1:] {
		for _, next := range nextStates[queue[0].at] {
			if next == to {
				return queue[0].path
			}
			if !seen[next] {
				seen[next] = true
				path := append(append([]tracer.State(nil), queue[0].path...), next)
				queue = append(queue, step{next, path})
			}
		}
	}
	return nil
}
