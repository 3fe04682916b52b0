package netstack

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// exactHook is the file that the scratch copy's package tcp gets: the log, and what
// it tells.
const exactHook = `package tcp

import "gvisor.dev/gvisor/pkg/tcpip/stack"

// LoggedSegment is a segment as it was taken from an endpoint's queue.
type LoggedSegment struct {
	OK       bool
	ID       stack.TransportEndpointID
	Seq, Ack uint32
	Flags    uint8
	Len      int
}

// Logged is one call of setEndpointState: Parent is the listener that spawned the
// endpoint, Last what the endpoint has taken from its queue last or, for one that
// has taken nothing yet, what its listener has; Timer is its timer that ran last.
type Logged struct {
	Endpoint, Parent *Endpoint
	From, To         EndpointState
	Last             LoggedSegment
	Timer            string
}

// StateLog is called, with the endpoint locked, by each setEndpointState.
var StateLog func(Logged)

// UnknownLog is called for each segment that there is no endpoint for.
var UnknownLog func(s *stack.Stack, seg LoggedSegment, valid bool)

func loggedSegment(s *segment) LoggedSegment {
	return LoggedSegment{true, s.id, uint32(s.sequenceNumber), uint32(s.ackNumber), uint8(s.flags), s.payloadSize()}
}

func (q *segmentQueue) lastTaken() LoggedSegment {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.last
}

func (e *Endpoint) logState(from, to EndpointState) {
	if StateLog == nil {
		return
	}
	last := e.segmentQueue.lastTaken()
	if !last.OK && e.loggedParent != nil {
		last = e.loggedParent.segmentQueue.lastTaken()
	}
	StateLog(Logged{e, e.loggedParent, from, to, last, e.loggedTimer})
}
`

// exactPatches are the places of gVisor's that call the log. Each text must be
// there exactly once: where it is not, the pinned version has changed.
var exactPatches = []struct{ file, after, insert string }{
	{"endpoint.go", "	oldstate := EndpointState(e.state.Swap(uint32(state)))\n", "	e.logState(oldstate, state)\n"},
	{"endpoint.go", "type Endpoint struct {\n", "	loggedParent *Endpoint `state:\"nosave\"`\n	loggedTimer string `state:\"nosave\"`\n"},
	{"segment_queue.go", "	ep   *Endpoint\n", "	last LoggedSegment `state:\"nosave\"`\n"},
	{"segment_queue.go", "		q.list.Remove(s)\n", "		q.last = loggedSegment(s)\n"},
	{"accept.go", "	n = newEndpoint(l.stack, l.protocol, netProto, queue)\n", "	n.loggedParent = l.listenEP\n"},
	{"connect.go", "func (h *handshake) retransmitHandlerLocked() tcpip.Error {\n", "	h.ep.loggedTimer = \"retransmit\"\n"},
	{"connect.go", "func (e *Endpoint) keepaliveTimerExpired() tcpip.Error {\n", "	e.loggedTimer = \"keepalive\"\n"},
	{"snd.go", "func (s *sender) retransmitTimerExpired() tcpip.Error {\n", "	s.ep.loggedTimer = \"retransmit\"\n"},
	{"snd.go", "func (s *sender) corkTimerExpired() tcpip.Error {\n", "	s.ep.loggedTimer = \"cork\"\n"},
	{"rack.go", "func (s *sender) probeTimerExpired() tcpip.Error {\n", "	s.ep.loggedTimer = \"tail-loss-probe\"\n"},
	{"rack.go", "func (rc *rackControl) reorderTimerExpired() tcpip.Error {\n", "	rc.snd.ep.loggedTimer = \"reorder\"\n"},
	{
		"protocol.go",
		"func (p *protocol) HandleUnknownDestinationPacket(id stack.TransportEndpointID, pkt *stack.PacketBuffer) stack.UnknownDestinationPacketDisposition {\n	s, err := newIncomingSegment(id, p.stack.Clock(), pkt)\n",
		"	if UnknownLog != nil && err == nil {\n		UnknownLog(p.stack, loggedSegment(s), s.csumValid)\n	}\n",
	},
}

// exactPatchAll makes the scratch copy log.
func exactPatchAll(t *testing.T, module string) {
	t.Helper()
	dir := filepath.Join(module, "pkg", "tcpip", "transport", "tcp")
	exactWrite(t, filepath.Join(dir, "exact_log.go"), []byte(exactHook))
	for _, p := range exactPatches {
		path := filepath.Join(dir, p.file)
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(body, []byte(p.after)); n != 1 {
			t.Fatalf("%s: want this text once, found it %d times: has the pinned gVisor changed?\n%s", p.file, n, p.after)
		}
		exactWrite(t, path, bytes.Replace(body, []byte(p.after), []byte(p.after+p.insert), 1))
	}
}
