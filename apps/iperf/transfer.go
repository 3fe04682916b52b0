package iperf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"appliance/apps/internal/serve"
)

// A stream is a connection that data goes over, one way.
type stream struct {
	id     int // 1, 3, 4, 5 …
	order  uint64
	conn   net.Conn
	sends  bool
	local  net.Addr
	remote net.Addr
	moved  atomic.Int64
	// retransmits is what a sender's connection had at its end, plus one; 0 while it goes on.
	retransmits atomic.Int64
	done        chan struct{} // closed when its goroutine has ended

	// The books of who measures.
	base, seen       int64 // of moved: where counting began, and at the last sample
	baseRtx, seenRtx int64 // the same of retransmissions
	bytes            int64 // the result
	rtx              int64
	seconds          float64
}

func newStream(conn net.Conn, order uint64) *stream {
	return &stream{conn: conn, order: order, local: conn.LocalAddr(), remote: conn.RemoteAddr(), done: make(chan struct{})}
}

// streamID is the number of the i-th stream, which iperf3 counts in a way of its own.
func streamID(i int) int {
	if i == 0 {
		return 1
	}
	return i + 2
}

// rtxNow is how many segments the connection has retransmitted; unknown where nobody
// can tell.
func (s *stream) rtxNow() int64 {
	if !s.sends {
		return unknown
	}
	if n := s.retransmits.Load(); n != 0 {
		return n - 1
	}
	return retransmits(s.conn)
}

// A transfer moves the data of a test. Each stream has a goroutine in work.
type transfer struct {
	streams []*stream
	payload []byte // what senders send, again and again
	length  int    // of a receiver's buffer
	rate    int64  // bits a second and stream; 0 is no limit
	limit   int64  // bytes one way that end the test; 0 is none

	begin    chan struct{} // closed when data may go
	quit     chan struct{} // closed when senders are to stop
	full     chan struct{} // closed when limit is reached
	failed   chan error    // gets the first stream's error
	omitting atomic.Bool
	stopping atomic.Bool

	beginOnce, quitOnce, fullOnce sync.Once
	reserved, sent, got           atomic.Int64 // of limit
}

// maxReceive bounds a receiver's buffer; more makes nothing faster.
const maxReceive = 256 << 10

func newTransfer(p *params, limit int64, sends bool) *transfer {
	t := &transfer{
		length: min(int(p.Length), maxReceive), rate: p.rate(), limit: limit,
		begin: make(chan struct{}), quit: make(chan struct{}), full: make(chan struct{}), failed: make(chan error, 1),
	}
	t.omitting.Store(p.Omit > 0)
	if sends {
		t.payload = payload(int(p.Length), p.RepeatingPayload > 0)
	}
	return t
}

// payload is digits, or bytes that no link can compress.
func payload(n int, repeating bool) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) //nolint:gosec // it need not be secret
	for i := range b {
		if b[i] = '0' + byte(i%10); !repeating {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

// work moves one stream's data, until a sender is told to stop, or the connection ends.
func (t *transfer) work(s *stream) {
	defer close(s.done)
	select {
	case <-t.begin:
	case <-t.quit:
		return
	}
	move := t.receive
	if s.sends {
		move = t.send
	}
	err := move(s)
	if s.sends {
		s.retransmits.Store(retransmits(s.conn) + 1)
	}
	if err != nil && !t.stopping.Load() {
		select {
		case t.failed <- fmt.Errorf("stream %d: %w", s.id, err):
		default: // one is enough
		}
	}
}

func (t *transfer) send(s *stream) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	start := time.Now()
	for total := int64(0); !t.stopping.Load() && t.reserve(); {
		n, err := s.conn.Write(t.payload)
		s.moved.Add(int64(n))
		t.counted(&t.sent, n)
		if err != nil {
			return err
		}
		total += int64(n)
		if t.rate > 0 && !t.pace(timer, start, total) {
			return nil
		}
	}
	return nil
}

// pace waits until the bytes sent since start are due. It reports false when the
// sender is to stop.
func (t *transfer) pace(timer *time.Timer, start time.Time, bytes int64) bool {
	wait := time.Until(start.Add(time.Duration(float64(bytes) * 8 / float64(t.rate) * float64(time.Second))))
	if wait <= 0 {
		return true
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return true
	case <-t.quit:
		return false
	}
}

func (t *transfer) receive(s *stream) error {
	buf := make([]byte, t.length)
	for {
		n, err := s.conn.Read(buf)
		s.moved.Add(int64(n))
		t.counted(&t.got, n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reserve takes one block of the limit; false when none is left.
func (t *transfer) reserve() bool {
	if t.limit == 0 || t.omitting.Load() {
		return true
	}
	n := int64(len(t.payload))
	return t.reserved.Add(n)-n < t.limit
}

// counted notes that n bytes went one way, for the limit.
func (t *transfer) counted(way *atomic.Int64, n int) {
	if t.limit > 0 && !t.omitting.Load() && way.Add(int64(n)) >= t.limit {
		t.fullOnce.Do(func() { close(t.full) })
	}
}

// start lets the data go.
func (t *transfer) start() { t.beginOnce.Do(func() { close(t.begin) }) }

// stop stops the senders, and waits for them. Receivers go on, so that their peers are
// not held up, but their errors mean nothing any more.
func (t *transfer) stop() {
	t.stopping.Store(true)
	t.quitOnce.Do(func() { close(t.quit) })
	for _, s := range t.streams {
		if s.sends {
			serve.Interrupt(s.conn)
			<-s.done
		}
	}
}

// abort stops everything, and waits for it.
func (t *transfer) abort() {
	t.stopping.Store(true)
	t.quitOnce.Do(func() { close(t.quit) })
	for _, s := range t.streams {
		serve.Interrupt(s.conn)
	}
	for _, s := range t.streams {
		<-s.done
	}
}

// drained waits until every receiver has met the end of its stream, or ctx ends.
func (t *transfer) drained(ctx context.Context) {
	for _, s := range t.streams {
		select {
		case <-s.done:
		case <-ctx.Done():
			return
		}
	}
}

// moved is what all streams have moved.
func (t *transfer) moved() int64 {
	n := int64(0)
	for _, s := range t.streams {
		n += s.moved.Load()
	}
	return n
}

// info is what some connections tell besides being a net.Conn: the appliance's do. The
// kernel is asked by system calls.
type info interface {
	// Retransmits is how many segments the connection has sent again.
	Retransmits() uint64
	// Congestion names the congestion control in use.
	Congestion() string
}

func retransmits(conn net.Conn) int64 {
	if i, ok := conn.(info); ok {
		return int64(i.Retransmits()) //nolint:gosec // far from overflowing
	}
	return kernelRetransmits(conn)
}

func congestion(conn net.Conn) string {
	if i, ok := conn.(info); ok {
		return i.Congestion()
	}
	return kernelCongestion(conn)
}

// setSocket gives a stream's connection the options that the parameters ask for.
func (p *params) setSocket(conn net.Conn) error {
	if p.NoDelay {
		if c, ok := conn.(interface{ SetNoDelay(noDelay bool) error }); ok {
			if err := c.SetNoDelay(true); err != nil {
				return &Refusal{Code: codeSetNoDelay, Errno: unsupported, Detail: err.Error()}
			}
		}
	}
	if p.Window == 0 {
		return nil
	}
	c, ok := conn.(interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	})
	if !ok {
		return &Refusal{Code: codeSetBuffer, Errno: unsupported, Detail: fmt.Sprintf("window: a %T has no socket buffers to set", conn)}
	}
	if err := errors.Join(c.SetReadBuffer(int(p.Window)), c.SetWriteBuffer(int(p.Window))); err != nil {
		return &Refusal{Code: codeSetBuffer, Errno: unsupported, Detail: err.Error()}
	}
	return nil
}
