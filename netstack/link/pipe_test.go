package link

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func TestPipeCarriesPingAndTCP(t *testing.T) {
	verifyNoLeak(t)
	a, b := NewPipe(PipeOptions{})
	sa := newTestStack(t, a, "10.0.0.1/24", "fd00::1/64")
	sb := newTestStack(t, b, "10.0.0.2/24", "fd00::2/64")
	for _, to := range []string{"10.0.0.2", "fd00::2"} {
		stackPing(t, sa, to)
	}
	stackPing(t, sb, "10.0.0.1")
	for _, addr := range []string{"10.0.0.2:80", "[fd00::2]:80"} {
		l := stackListen(t, sb, addr)
		transfer(t, l, func() net.Conn { return stackDial(t, sa, addr) }, 1<<20)
	}
	if n := sb.Stats().TCP.ChecksumErrors.Value(); n != 0 {
		t.Errorf("%d checksum errors", n)
	}
}

// A pipe whose MTU is small makes TCP segment accordingly.
func TestPipeMTU(t *testing.T) {
	verifyNoLeak(t)
	a, b := NewPipe(PipeOptions{MTU: 600})
	sa := newTestStack(t, a, "10.0.0.1/24")
	sb := newTestStack(t, b, "10.0.0.2/24")
	if got := sa.NICInfo()[1].MTU; got != 600 {
		t.Fatalf("the stack's MTU is %d, want 600", got)
	}
	l := stackListen(t, sb, "10.0.0.2:80")
	transfer(t, l, func() net.Conn { return stackDial(t, sa, "10.0.0.2:80") }, 100<<10)
	c := a.Counters()
	if least := uint64(100<<10) / 560; c.FramesOut < least {
		t.Errorf("%d frames out, fewer than %d: some were longer than the MTU", c.FramesOut, least)
	}
	if c.TxErrors != 0 {
		t.Errorf("%d frames were too long", c.TxErrors)
	}
	if _, err := writeRaw(t, a, frameTo(b.LinkAddress(), string(make([]byte, 601)))); err != nil {
		t.Fatal(err)
	}
	if got := a.Counters().TxErrors; got != 1 {
		t.Errorf("a frame longer than the MTU: TxErrors %d, want 1", got)
	}
}

func TestPipeFilters(t *testing.T) {
	verifyNoLeak(t)
	a, b := NewPipe(PipeOptions{})
	got := newCollector()
	b.Attach(got)
	vlan := frameTo(b.LinkAddress(), "tagged")
	vlan[12], vlan[13] = 0x81, 0x00
	_, err := writeRaw(t, a,
		frameTo("\x02\x00\x00\x00\x00\x01", "other"),
		vlan,
		[]byte("runt"),
		frameTo(header.EthernetBroadcastAddress, "broadcast"),
		frameTo("\x33\x33\x00\x00\x00\x01", "multicast"),
		frameTo(b.LinkAddress(), "ours"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"broadcast", "multicast", "ours"} {
		if f := got.next(t); !bytes.HasSuffix(f, []byte(want)) {
			t.Errorf("delivered %q, want %q", f, want)
		}
	}
	b.Close()
	b.Wait()
	c := b.Counters()
	if c.OtherHost != 1 || c.VLAN != 1 || c.Runts != 1 || c.FramesIn != 3 {
		t.Errorf("counters %+v", c)
	}
	a.Close()
	a.Wait()
}

// Frames arrive in the order of sending, never on the sender's goroutine, and the
// pipe is idle only when the last has been delivered.
func TestPipeOrderAndIdle(t *testing.T) {
	verifyNoLeak(t)
	a, b := NewPipe(PipeOptions{})
	got := newCollector()
	got.hold = make(chan struct{})
	b.Attach(got)
	if !a.Idle() || !b.Idle() {
		t.Error("a new pipe is not idle")
	}
	const n = 100
	for i := range n {
		// The receiver does not return from its first delivery: a write that
		// delivered itself would never return.
		if _, err := writeRaw(t, a, frameTo(b.LinkAddress(), fmt.Sprint("frame ", i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if f, want := got.next(t), fmt.Sprint("frame ", i); !bytes.HasSuffix(f, []byte(want)) {
			t.Fatalf("frame %d is %q", i, f)
		}
		if a.Idle() || b.Idle() {
			t.Fatalf("idle while frame %d is being delivered", i)
		}
		got.hold <- struct{}{}
	}
	eventually(t, "idle after the last delivery", a.Idle)
	for _, p := range []*Pipe{a, b} {
		p.Close()
		p.Close()
		p.Wait()
	}
}

func TestPipeClose(t *testing.T) {
	verifyNoLeak(t)
	a, b := NewPipe(PipeOptions{Names: [2]string{"left", "right"}})
	b.Attach(newCollector())
	b.Close()
	waitDone(t, b)
	b.Wait()
	if err := b.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
	if _, err := writeRaw(t, b, frameTo(a.LinkAddress(), "late")); err == nil {
		t.Error("a closed end still sends")
	}
	if n, err := writeRaw(t, a, frameTo(b.LinkAddress(), "to nobody")); n != 1 || err != nil {
		t.Errorf("write to a closed end: %d, %v; want it lost in silence", n, err)
	}
	if !a.Idle() {
		t.Error("a lost frame keeps the pipe busy")
	}
	select {
	case <-a.Done():
		t.Error("one end's Close ended the other")
	default:
	}
	a.Close() // Never attached.
	waitDone(t, a)
	if info := a.Info(); info.Kind != "pipe" || info.Name != "left" || info.Peer != "right" || info.MTU != 1500 {
		t.Errorf("Info %+v", info)
	}
}

// Close in the middle of traffic loses frames but no count of them.
func TestPipeCloseWhileBusy(t *testing.T) {
	verifyNoLeak(t)
	a, b := NewPipe(PipeOptions{MACs: [2]net.HardwareAddr{nil, {2, 0, 0, 0, 0, 7}}})
	if b.LinkAddress() != tcpip.LinkAddress("\x02\x00\x00\x00\x00\x07") {
		t.Fatalf("MAC %s", b.LinkAddress())
	}
	got := newCollector()
	got.hold = make(chan struct{})
	b.Attach(got)
	for range 50 {
		if _, err := writeRaw(t, a, frameTo(b.LinkAddress(), "x")); err != nil {
			t.Fatal(err)
		}
	}
	got.next(t)
	b.Close()
	close(got.hold)
	waitDone(t, b)
	b.Wait()
	if !a.Idle() {
		t.Error("the frames that Close dropped keep the pipe busy")
	}
	a.Close()
}
