package netstack_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/netstack"
	"appliance/netstack/link"
)

// How long one measurement warms up and takes. A round has one of the kernel and
// one of the stack, next to each other in time: a ratio of the two says more than
// either figure.
const (
	warmUp  = 250 * time.Millisecond
	measure = 500 * time.Millisecond
)

// chunk is what a program reads and writes at a time.
const chunk = 128 << 10

// peerEnv asks the test's binary to be the Linux side: "netns address".
const peerEnv = "APPLIANCE_TEST_PEER"

// BenchmarkKernel measures TCP between Linux and the stack, and between Linux and
// Linux beside it, one connection at a time, with Linux in a process of its own. An
// operation is a round: use -benchtime=5x. It reports medians: Gb/s of both, their
// ratio, and what a gigabyte costs this process, its kernel's part included.
func BenchmarkKernel(b *testing.B) {
	for _, level := range levels {
		for _, kind := range []string{"veth-on", "tap-on", "veth-off", "tap-off", "fdbased-tap"} {
			b.Run(kind+"/"+level.String(), func(b *testing.B) {
				w := newBenchWorld(b, kind != "veth-off" && kind != "tap-off")
				s, addr := w.stack(b, kind, netstack.Options{Recorder: discard{newRecorder(nil)}, Level: level})
				peer := addr.Masked().Addr().Next()
				w.servePeer(b, peer)
				for _, d := range []struct {
					name string
					send bool
					port uint16
				}{{"in", false, 7002}, {"out", true, 7001}} {
					b.Run(d.name, func(b *testing.B) {
						w.compare(b, d.send, d.port, func() (net.Conn, error) {
							return s.DialTCP(context.Background(), netip.AddrPort{}, netip.AddrPortFrom(peer, d.port))
						})
					})
				}
			})
		}
	}
}

// compare takes b.N rounds.
func (w *benchWorld) compare(b *testing.B, send bool, port uint16, dial func() (net.Conn, error)) {
	var kernel, stacks, ratios, costs []float64
	for range b.N {
		var base net.Conn
		err := inNamespace(w.app, func() (err error) {
			base, err = dialCubic(netip.AddrPortFrom(benchBase.Addr().Next(), port))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		k, _ := rate(base, send)
		c, err := dial()
		if err != nil {
			b.Fatal(err)
		}
		s, cost := rate(c, send)
		kernel, stacks, costs = append(kernel, k), append(stacks, s), append(costs, cost)
		ratios = append(ratios, s/k)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(kernel), "kernel-Gb/s")
	b.ReportMetric(median(stacks), "stack-Gb/s")
	b.ReportMetric(median(ratios), "of-kernel")
	b.ReportMetric(median(costs), "cpu-s/GB")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// rate measures a connection in Gb/s, and the processor's seconds that a gigabyte
// took, and closes it.
func rate(c net.Conn, send bool) (gbps, cost float64) {
	var moved atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, chunk)
		move := c.Read
		if send {
			move = c.Write
		}
		for {
			n, err := move(buf)
			moved.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	<-time.After(warmUp)
	before, used, start := moved.Load(), processorTime(), time.Now()
	<-time.After(measure)
	gb, took := float64(moved.Load()-before)/1e9, time.Since(start)
	cost = (processorTime() - used).Seconds() / max(gb, 1e-9)
	_ = c.Close() // which ends the mover
	<-done
	return gb * 8 / took.Seconds(), cost
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// stack makes the appliance of a benchmark and returns it with its address.
func (w *benchWorld) stack(b *testing.B, kind string, o netstack.Options) (*netstack.Stack, netip.Prefix) {
	b.Helper()
	end, addr, err := w.open(kind)
	if err != nil {
		b.Fatal(err)
	}
	o.Addresses = []netip.Prefix{addr}
	s, err := netstack.New(end, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s, addr
}

// open opens the link of one kind.
func (w *benchWorld) open(kind string) (stack.LinkEndpoint, netip.Prefix, error) {
	host := []netip.Prefix{benchTAP}
	tap := netip.PrefixFrom(benchTAP.Addr().Next(), benchTAP.Bits())
	veth := netip.PrefixFrom(benchVeth.Addr().Next(), benchVeth.Bits())
	switch kind {
	case "veth-on", "veth-off":
		v, err := link.OpenVeth(link.VethOptions{Interface: "app0", NetNS: w.app, Offload: kind[5:]})
		return v, veth, err
	case "tap-on", "tap-off":
		t, err := link.OpenTAP(link.TAPOptions{NetNS: w.host, Offload: kind[4:], HostAddresses: host})
		return t, tap, err
	}
	var fd int
	err := inNamespace(w.host, func() (err error) {
		fd, _, err = link.OpenTAPDevice(link.TAPOptions{HostAddresses: host})
		return err
	})
	if err != nil {
		return nil, tap, err
	}
	e, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: 1500, EthernetHeader: true, Address: tcpip.LinkAddress(offloadMAC),
		ClosedFunc: func(tcpip.Error) { _ = unix.Close(fd) },
	})
	return fdbasedLink{e}, tap, err
}

// fdbasedLink is gVisor's own link: its loop ends when it is detached, not closed.
type fdbasedLink struct{ stack.LinkEndpoint }

func (l fdbasedLink) Close() {
	l.Attach(nil)
	l.LinkEndpoint.Close()
}

// servePeer starts the Linux side: a process in the host's namespace that discards at
// port 7001 and sends at port 7002 of both addresses, until it is told to end.
func (w *benchWorld) servePeer(b *testing.B, peer netip.Addr) {
	b.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestPeerProcess$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", peerEnv, w.host, peer, benchBase.Addr().Next()))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		b.Fatalf("the Linux side did not start: %v", err)
	}
}

// TestPeerProcess is the Linux side of a benchmark, when it is asked to be.
func TestPeerProcess(t *testing.T) {
	var ns, one, two string
	if n, _ := fmt.Sscan(os.Getenv(peerEnv), &ns, &one, &two); n != 3 {
		t.Skip("a part of BenchmarkKernel")
	}
	for _, host := range []string{one, two} {
		for port, send := range map[uint16]bool{7001: false, 7002: true} {
			var l net.Listener
			err := inNamespace(ns, func() (err error) {
				lc := net.ListenConfig{Control: cubic}
				l, err = lc.Listen(context.Background(), "tcp", netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go peerServe(l, send)
		}
	}
	fmt.Print("r")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func peerServe(l net.Listener, send bool) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, chunk)
			move := c.Read
			if send {
				move = c.Write
			}
			for {
				if _, err := move(buf); err != nil {
					return
				}
			}
		}()
	}
}

// cubic sets the congestion control that both sides are compared with: a new
// namespace has the host's.
func cubic(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	}); e != nil {
		return e
	}
	return err
}

func dialCubic(to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, Control: cubic}
	return d.Dial("tcp", to.String())
}
