package netstack

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// TestProbeOfTheDead: the last probe of a connection that has died finds, by its ends, the
// listener, which may be closing; what the connection's segment did is not told of it.
func TestProbeOfTheDead(t *testing.T) {
	_, accepted := connected(t, tracer.LevelStates)
	listener := accepted.rec.parent
	listening := listener.ep.EndpointState()
	listener.ep.Close()
	if st := listener.ep.EndpointState(); listening != tcp.StateListen || !isDead(st) {
		t.Fatalf("the listener was in %v and is in %v", listening, st)
	}
	listener.mu.Lock()
	defer listener.mu.Unlock()
	if listener.isShownBy(&tcp.TCPEndpointState{}) {
		t.Error("the probe is taken for the listener's")
	}
}
