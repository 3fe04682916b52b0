package netstack_test

import (
	"strings"
	"testing"

	"appliance/netstack"
	"appliance/tracer"
)

// TestSocketOptions: what net.TCPConn can set, and what a load tool wants to know; the
// settings are calls in the trace.
func TestSocketOptions(t *testing.T) {
	l := newLab(t, setup{server: netstack.Options{TCP: netstack.TCPOptions{Congestion: "cubic"}}})
	c, s := l.connect()
	for what, err := range map[string]error{
		"SetNoDelay(true)": c.SetNoDelay(true), "SetNoDelay(false)": c.SetNoDelay(false),
		"SetReadBuffer": c.SetReadBuffer(1), "SetWriteBuffer": c.SetWriteBuffer(1),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := [2]string{c.Congestion(), s.Congestion()}; got != [2]string{"reno", "cubic"} {
		t.Errorf("congestion control %q", got)
	}
	set := map[string]int{}
	for _, e := range l.events(on("client"), ofConn(c), ofType(tracer.TypeCall)) {
		if call := e.Body.(*tracer.Call); call.Name == "setsockopt" && call.Phase != tracer.PhaseReturn {
			set[call.Args[0].Value.(string)]++
		}
	}
	for option, n := range map[string]int{"TCP_NODELAY": 2, "SO_RCVBUF": 1, "SO_SNDBUF": 1} {
		if set[option] != n {
			t.Errorf("%s is in the trace %d times, want %d", option, set[option], n)
		}
	}
	// Buffers of less than 4 KiB would hold nothing: the least is what is set.
	data := strings.Repeat("0123456789", 2000)
	sent := async(func() (int, error) { return c.Write([]byte(data)) })
	if got := l.recv(s, len(data)); got != data {
		t.Errorf("other bytes came")
	}
	if n, err := await(t, "Write", sent); n != len(data) || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	l.close(c, s)
}

func TestRetransmits(t *testing.T) {
	l := newLab(t, setup{rules: []string{"drop out payload>0 nth=1"}})
	c, s := l.connect()
	if n := c.Retransmits(); n != 0 {
		t.Errorf("%d retransmissions before anything was sent", n)
	}
	l.send(c, "hello")
	l.recv(s, 5)
	if n, other := c.Retransmits(), s.Retransmits(); n != 1 || other != 0 {
		t.Errorf("retransmissions: %d and %d, want 1 and 0", n, other)
	}
	l.close(c, s)
}
