package netstack_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// both gives both stacks the same TCP options.
func both(o netstack.TCPOptions) setup {
	return setup{client: netstack.Options{TCP: o}, server: netstack.Options{TCP: o}}
}

// described returns the settings in force, for the trace's header.
func described(t *testing.T, o netstack.TCPOptions) tracer.TCPInfo {
	t.Helper()
	info, err := netstack.DescribeTCP(o)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// After a loss in congestion avoidance's sense, Reno halves what is in flight (RFC
// 5681) and CUBIC takes 0.7 of the window (RFC 9438).
func TestOptionCongestion(t *testing.T) {
	for _, name := range []string{"reno", "cubic"} {
		t.Run(name, func(t *testing.T) {
			off := false
			o := both(netstack.TCPOptions{Congestion: name, RACK: &off})
			o.manual, o.rules = true, []string{"drop out payload>1000 nth=12"}
			l := newLab(t, o)
			if got := described(t, o.client.TCP).Congestion; got != name {
				t.Errorf("DescribeTCP says %q", got)
			}
			c, s := l.connect()
			l.send(c, strings.Repeat("x", 200_000))
			l.recv(s, 200_000)
			l.settle()
			l.wait(on("client"), noted("fast-retransmit"))
			for _, e := range l.events(on("client"), ofType(tracer.TypeTCB)) {
				t.Log(e.N, e.Body.(*tracer.TCB).Vars)
			}
		})
	}
}

func TestOptionSACK(t *testing.T) {
	for _, on := range []bool{true, false} {
		o := both(netstack.TCPOptions{SACK: &on})
		o.rules = []string{"drop out payload>1000 nth=3"}
		l := newLab(t, o)
		if got := described(t, o.client.TCP).SACK; got != on {
			t.Errorf("SACK %t: DescribeTCP says %t", on, got)
		}
		c, s := l.connect()
		l.send(c, strings.Repeat("x", 20_000))
		l.recv(s, 20_000)
		for _, syn := range l.segments(seg(tracer.Out, tracer.SYN)) {
			if syn.Opts.SACKOK != on {
				t.Errorf("SACK %t: sack_ok %t on a %s", on, syn.Opts.SACKOK, syn.Flags)
			}
		}
		blocks := 0
		for _, ack := range l.segments(seg(tracer.In, tracer.ACK)) {
			blocks += len(ack.Opts.SACK)
		}
		if blocks > 0 != on {
			t.Errorf("SACK %t: %d blocks after a loss", on, blocks)
		}
	}
}

// With RACK a lost tail is probed for (RFC 8985, 7) before the retransmission
// time-out; without, only that sends it again.
func TestOptionRACK(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		o := both(netstack.TCPOptions{RACK: &enabled})
		o.manual, o.rules = true, []string{"drop out payload>0 nth=2"}
		l := newLab(t, o)
		if got := described(t, o.client.TCP).RACK; got != enabled {
			t.Errorf("RACK %t: DescribeTCP says %t", enabled, got)
		}
		c, s := l.connect()
		l.send(c, "hello")
		l.recv(s, 5)
		l.settle()
		l.send(c, "again")
		l.advance(5*time.Millisecond, 5*time.Second, on("server"), seg(tracer.In, tracer.ACK), withData, after(l.wait(on("client"), withData, func(e tracer.Event) bool { return segmentOf(e).Dropped != "" }).N))
		probes, timeouts := l.events(on("client"), fired("tail-loss-probe")), l.events(on("client"), fired("retransmit"))
		if len(probes) > 0 != enabled || len(timeouts) > 0 == enabled {
			t.Errorf("RACK %t: %d tail loss probes, %d time-outs", enabled, len(probes), len(timeouts))
		}
		if notes := l.events(on("client"), noted("tail-loss-probe")); len(notes) > 0 != enabled {
			t.Errorf("RACK %t: %d segments noted as tail loss probe", enabled, len(notes))
		}
	}
}

// Nagle's algorithm (RFC 896) holds small writes back while something is not
// acknowledged: they go together.
func TestOptionNagle(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		o := both(netstack.TCPOptions{Nagle: &enabled})
		o.manual, o.rules = true, []string{"delay in ACK 10ms state=ESTABLISHED"}
		l := newLab(t, o)
		c, s := l.connect()
		for _, b := range []string{"a", "b", "c"} {
			l.send(c, b)
		}
		l.advance(time.Millisecond, time.Second, on("client"), seg(tracer.In, tracer.ACK), func(e tracer.Event) bool { return segmentOf(e).RelAck == 4 })
		if got := l.recv(s, 3); got != "abc" {
			t.Errorf("the server got %q", got)
		}
		var sizes []int
		for _, e := range l.segments(on("client"), seg(tracer.Out, tracer.ACK), withData) {
			sizes = append(sizes, e.Len)
		}
		want := 3
		if enabled {
			want = 2 // the first at once, the others together
		}
		if len(sizes) != want {
			t.Errorf("Nagle %t: segments of %v bytes, want %d", enabled, sizes, want)
		}
	}
}

func TestOptionMSS(t *testing.T) {
	const tsOption = 12
	l := newLab(t, setup{
		client: netstack.Options{TCP: netstack.TCPOptions{MSS: 500}},
		server: netstack.Options{TCP: netstack.TCPOptions{MSS: 700}},
	})
	c, s := l.connect()
	l.send(c, strings.Repeat("x", 5000))
	l.recv(s, 5000)
	l.send(s, strings.Repeat("x", 5000))
	l.recv(c, 5000)
	for stack, own := range map[string]int{"client": 500, "server": 700} {
		syn := l.segments(on(stack), seg(tracer.Out, tracer.SYN))[0]
		if int(syn.Opts.MSS) != own {
			t.Errorf("%s: MSS %d on the SYN, want %d", stack, syn.Opts.MSS, own)
		}
		longest := 0
		for _, in := range l.segments(on(stack), seg(tracer.In, tracer.ACK)) {
			longest = max(longest, in.Len)
		}
		if longest != own-tsOption {
			t.Errorf("%s: the longest segment that came has %d bytes, want %d", stack, longest, own-tsOption)
		}
	}
}

// fill writes until the connection takes no more and returns how many bytes it took.
func (l *lab) fill(c *netstack.Conn) int {
	l.t.Helper()
	if err := c.SetWriteDeadline(l.clock.Now().Add(time.Minute)); err != nil {
		l.t.Fatal(err)
	}
	filled := async(func() (int, error) {
		for total := 0; ; {
			n, err := c.Write(make([]byte, 1000))
			if total += n; err != nil {
				return total, err
			}
		}
	})
	l.wait(ofConn(c), noted("zero-window"))
	l.settle()
	l.clock.Advance(time.Minute)
	n, err := await(l.t, "Write", filled)
	if ne, ok := err.(interface{ Timeout() bool }); !ok || !ne.Timeout() {
		l.t.Fatalf("Write: %v, want a time-out", err)
	}
	return n
}

func TestOptionBuffers(t *testing.T) {
	for _, size := range []struct{ send, recv int }{{16 << 10, 32 << 10}, {128 << 10, 32 << 10}, {16 << 10, 256 << 10}} {
		l := newLab(t, setup{
			manual: true,
			client: netstack.Options{TCP: netstack.TCPOptions{SendBuffer: size.send}},
			server: netstack.Options{TCP: netstack.TCPOptions{RecvBuffer: size.recv}},
		})
		c, _ := l.connect()
		n := l.fill(c)
		var window uint32
		for _, s := range l.segments(on("server"), seg(tracer.Out, tracer.ACK)) {
			window = max(window, s.Win)
		}
		t.Log(size, n, window)
	}
}

func TestOptionBacklog(t *testing.T) {
	l := newLab(t, setup{manual: true, server: netstack.Options{TCP: netstack.TCPOptions{Backlog: 3}}})
	l.listen(serverPort)
	for range 6 {
		l.dial(serverPort)
		l.settle()
	}
	_ = netip.Addr{}
	t.Log(l.rec)
}
