package netstack_test

import (
	"errors"
	"os"
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

// After a loss Reno halves the window (RFC 5681, 3.1) and CUBIC takes 0.7 of it
// (RFC 9438, 4.6).
func TestOptionCongestion(t *testing.T) {
	for name, factor := range map[string]float64{"reno": 0.5, "cubic": 0.7} {
		t.Run(name, func(t *testing.T) {
			off := false // RACK's reordering timer would need the clock to move
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
			before, after := ssthreshAtLoss(t, l.events(ofConn(c), ofType(tracer.TypeTCB)))
			if got := float64(after) / float64(before); got < factor-0.1 || got > factor {
				t.Errorf("the window was %d at the loss, ssthresh then %d: %.2f of it, want %.2f, rounded down to segments", before, after, got, factor)
			}
		})
	}
}

// ssthreshAtLoss returns the window before the first loss was found and the
// slow-start threshold after it, bytes.
func ssthreshAtLoss(t *testing.T, events []tracer.Event) (cwnd, ssthresh int64) {
	t.Helper()
	for _, e := range events {
		was, lost := cwnd, false
		for _, v := range e.Body.(*tracer.TCB).Vars {
			switch v.Name {
			case "cwnd":
				cwnd = v.Value
			case "ssthresh":
				ssthresh = v.Value
			case "recovery":
				lost = v.Text == "fast"
			}
		}
		if lost {
			return was, ssthresh
		}
	}
	t.Fatal("no loss was found")
	return 0, 0
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
		lost := l.wait(on("client"), withData, dropped)
		l.advance(5*time.Millisecond, 5*time.Second, on("server"), seg(tracer.In, tracer.ACK), withData, after(lost.N))
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
		l.advance(time.Millisecond, time.Second, on("client"), seg(tracer.In, tracer.ACK), acks(4))
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
		if longest != own-options {
			t.Errorf("%s: the longest segment that came has %d bytes, want %d", stack, longest, own-options)
		}
	}
}

// fill writes until the connection takes no more and returns how many bytes it took.
// It needs the manual clock, by which each Write that blocks times out.
func (l *lab) fill(c *netstack.Conn, chunk int) int {
	l.t.Helper()
	total := 0
	for full := 0; full < 2; { // a Write that began with all at rest, and took nothing
		if err := c.SetWriteDeadline(l.clock.Now().Add(time.Second)); err != nil {
			l.t.Fatal(err)
		}
		before := len(l.rec.Events())
		filled := async(func() (int, error) {
			for took := 0; ; {
				n, err := c.Write(make([]byte, chunk))
				if took += n; err != nil {
					return took, err
				}
			}
		})
		l.wait(ofConn(c), called("send", tracer.PhaseEnter), after(uint64(before)))
		l.settle()
		l.clock.Advance(time.Second)
		n, err := await(l.t, "Write", filled)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			l.t.Fatalf("Write: %v, want a time-out", err)
		}
		if total += n; n == 0 {
			full++
		}
	}
	return total
}

// A Write blocks when the peer's window and the own send buffer are full; the window
// is half the receive buffer: gVisor keeps the other half for overhead.
func TestOptionBuffers(t *testing.T) {
	const chunk = 1000
	for _, size := range []struct{ send, recv int }{{16 << 10, 32 << 10}, {128 << 10, 32 << 10}, {16 << 10, 256 << 10}} {
		o := setup{
			manual: true,
			level:  tracer.LevelSegments,
			client: netstack.Options{TCP: netstack.TCPOptions{SendBuffer: size.send}},
			server: netstack.Options{TCP: netstack.TCPOptions{RecvBuffer: size.recv}},
		}
		l := newLab(t, o)
		if got := described(t, o.client.TCP).SendBuffer; got != size.send {
			t.Errorf("DescribeTCP says send buffer %d, want %d", got, size.send)
		}
		if got := described(t, o.server.TCP).RecvBuffer; got != size.recv {
			t.Errorf("DescribeTCP says receive buffer %d, want %d", got, size.recv)
		}
		c, _ := l.connect()
		took := l.fill(c, chunk)
		window := 0
		for _, s := range l.segments(on("server"), seg(tracer.Out, tracer.ACK)) {
			window = max(window, int(s.RelAck-1+s.Win))
		}
		if window > size.recv/2 || window < size.recv/2-size.recv/16 {
			t.Errorf("receive buffer %d: the largest window is %d, want about half", size.recv, window)
		}
		if took < max(size.send, window) || took > size.send+window+chunk {
			t.Errorf("send buffer %d, window %d: Write took %d bytes before it blocked", size.send, window, took)
		}
	}
}

// As in Linux, one more connection than the backlog completes unaccepted; the SYNs
// after it are not answered until the program accepts.
func TestOptionBacklog(t *testing.T) {
	const backlog = 3
	o := setup{manual: true, server: netstack.Options{TCP: netstack.TCPOptions{Backlog: backlog}}}
	l := newLab(t, o)
	if got := described(t, o.server.TCP).Backlog; got != backlog {
		t.Errorf("DescribeTCP says backlog %d", got)
	}
	ln := l.listen(serverPort)
	for range backlog + 1 {
		if _, err := await(t, "dial", l.dial(serverPort)); err != nil {
			t.Fatal(err)
		}
		l.settle()
	}
	late := l.dial(serverPort)
	syns := 0
	l.wait(on("server"), seg(tracer.In, tracer.SYN), func(tracer.Event) bool { syns++; return syns == backlog+2 })
	l.settle()
	if got := len(l.events(on("server"), enters(tracer.Established))); got != backlog+1 {
		t.Errorf("backlog %d: %d connections are established, want %d", backlog, got, backlog+1)
	}
	if got := len(l.segments(on("server"), seg(tracer.Out, tracer.SYN))); got != backlog+1 {
		t.Errorf("backlog %d: %d SYNs were answered, want %d", backlog, got, backlog+1)
	}
	if _, err := await(t, "accept", async(ln.AcceptTCP)); err != nil {
		t.Fatal(err)
	}
	l.advance(100*time.Millisecond, 5*time.Second, on("server"), enters(tracer.Established), func(e tracer.Event) bool { return e.T >= time.Second })
	if _, err := await(t, "dial", late); err != nil {
		t.Errorf("the connection that had to wait: %v", err)
	}
}
