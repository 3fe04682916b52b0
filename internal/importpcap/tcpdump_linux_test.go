package importpcap_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"appliance/internal/lab"
	"appliance/tracer"
)

// dump is a tcpdump that runs.
type dump struct {
	cmd    *exec.Cmd
	out    growing // the capture
	stderr growing
	ended  chan struct{}
}

// growing is what a process writes; a test can wait for more.
type growing struct {
	mu   sync.Mutex
	buf  []byte
	more chan struct{}
}

// Write implements io.Writer.
func (g *growing) Write(b []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.buf = append(g.buf, b...)
	if g.more != nil {
		close(g.more)
		g.more = nil
	}
	return len(b), nil
}

func (g *growing) bytes() []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.buf)
}

// await waits until what was written is what is wanted.
func (g *growing) await(ctx context.Context, ended <-chan struct{}, what string, wanted func([]byte) bool) error {
	for {
		g.mu.Lock()
		ok := wanted(g.buf)
		if g.more == nil {
			g.more = make(chan struct{})
		}
		more := g.more
		g.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-more:
		case <-ended:
			return fmt.Errorf("tcpdump ended without %s", what)
		case <-ctx.Done():
			return fmt.Errorf("tcpdump: no %s: %w", what, context.Cause(ctx))
		}
	}
}

// startDump captures on the Linux side of a lab's link. It returns when tcpdump listens.
func startDump(ctx context.Context, l *lab.Lab) (*dump, error) {
	d := &dump{ended: make(chan struct{})}
	// -Z root: to keep the privilege of writing where the user may; -U: each packet at once.
	d.cmd = exec.CommandContext(ctx, "tcpdump", "-Z", "root", "--immediate-mode", "-U", "-n", "-i", l.HostInterface(), "-w", "-", "tcp")
	d.cmd.Stdout, d.cmd.Stderr = &d.out, &d.stderr
	if err := l.Do(d.cmd.Start); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait() // what it says is on its standard error
	}()
	return d, d.stderr.await(ctx, d.ended, "listening on", func(b []byte) bool { return bytes.Contains(b, []byte("listening on")) })
}

// stop ends the capture once it has as many packets as the trace says, and returns it.
func (d *dump) stop(ctx context.Context, events []tracer.Event) ([]byte, error) {
	want := 0
	for _, e := range events {
		if s, ok := e.Body.(*tracer.Segment); ok && passed(s) {
			want++
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, fmt.Errorf("it has fewer than the %d segments of the trace", want))
	defer cancel()
	err := d.out.await(ctx, d.ended, "packets", func(b []byte) bool { return packetsIn(b) >= want })
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return nil, err
	}
	<-d.ended
	if err == nil && !bytes.Contains(d.stderr.bytes(), []byte("\n0 packets dropped by kernel")) {
		err = errors.New("the capture is not whole")
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, d.stderr.bytes())
	}
	return d.out.bytes(), err
}

// passed tells whether a segment of the appliance's trace was on the link: what its own
// impairment discards on the way out never is, what it doubles on the way in is so once.
func passed(s *tracer.Segment) bool {
	if s.Dir == tracer.Out {
		return s.Dropped == ""
	}
	return !slices.Contains(s.Notes, "duplicate")
}

// packetsIn is how many packets a growing capture has.
func packetsIn(b []byte) (n int) {
	const header, each = 24, 16
	for at := header; at+each <= len(b); n++ {
		at += each + int(binary.NativeEndian.Uint32(b[at+8:]))
		if at > len(b) {
			return n
		}
	}
	return n
}
