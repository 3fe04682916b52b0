package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// The ports of a [Server].
const (
	sinkPort    = 5001 // reads all that comes
	sourcePort  = 5002 // writes until the other end has enough
	echoPort    = 5003 // sends back what comes
	idlePort    = 5004 // holds the connection and does nothing
	connectPort = 5010 // and those after it: closes when the other end does
)

// connectPorts is how many ports take part in opening and closing connections. A
// closed connection keeps its four-tuple for a minute (TIME-WAIT) at the client,
// whose ports alone would be used up within seconds.
const connectPorts = 16

// blockSize is how much is written and read at once, in bytes.
const blockSize = 128 << 10

// Server is the end that is connected to.
type Server struct {
	bytes     atomic.Uint64
	listeners []net.Listener
	handlers  sync.WaitGroup

	mu     sync.Mutex
	change *sync.Cond
	conns  map[net.Conn]struct{}
	closed bool
}

// Serve starts a Server; it listens when Serve returns. Close it.
func Serve(ctx context.Context, n Network) (*Server, error) {
	s := &Server{conns: map[net.Conn]struct{}{}}
	s.change = sync.NewCond(&s.mu)
	services := map[uint16]func(net.Conn){
		sinkPort: s.sink, sourcePort: s.source, echoPort: s.echo, idlePort: nil,
	}
	for i := range uint16(connectPorts) {
		services[connectPort+i] = s.await
	}
	for port, handle := range services {
		l, err := n.Listen(ctx, port)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("load: listen on port %d: %w", port, err), s.Close())
		}
		s.listeners = append(s.listeners, l)
		s.handlers.Go(func() { s.accept(l, handle) })
	}
	return s, nil
}

// accept hands each connection to handle, on a goroutine of its own; with no handle
// it only keeps it.
func (s *Server) accept(l net.Listener, handle func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed; what else may go wrong here, the other end sees
		}
		if !s.add(c) {
			_ = c.Close() // it was not used
			return
		}
		if handle == nil {
			continue
		}
		s.handlers.Go(func() {
			handle(c)
			_ = c.Close() // the other end has what it wanted
			s.remove(c)
		})
	}
}

func (s *Server) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	s.change.Broadcast()
	return true
}

func (s *Server) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

func (s *Server) sink(c net.Conn) {
	buf := make([]byte, blockSize)
	for {
		n, err := c.Read(buf)
		s.bytes.Add(uint64(n)) //nolint:gosec // never negative
		if err != nil {
			return
		}
	}
}

func (s *Server) source(c net.Conn) {
	buf := make([]byte, blockSize)
	for {
		n, err := c.Write(buf)
		s.bytes.Add(uint64(n)) //nolint:gosec // never negative
		if err != nil {
			return
		}
	}
}

func (s *Server) echo(c net.Conn) {
	buf := make([]byte, blockSize)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (s *Server) await(c net.Conn) {
	_, _ = io.Copy(io.Discard, c) // until the other end closes, in whatever way
}

// Count tells how many bytes the Server has moved, either way.
func (s *Server) Count() (Count, error) { return countNow(s.bytes.Load()) }

// AwaitOpen waits until n connections at least are open.
func (s *Server) AwaitOpen(ctx context.Context, n int) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.change.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.conns) < n {
		if s.closed {
			return fmt.Errorf("load: wait for %d connections: %w", n, net.ErrClosed)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("load: wait for %d connections, of which %d came: %w", n, len(s.conns), context.Cause(ctx))
		}
		s.change.Wait()
	}
	return nil
}

// Close ends the Server and every connection, and waits for its goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.change.Broadcast()
	conns := s.conns
	s.conns = map[net.Conn]struct{}{}
	s.mu.Unlock()
	var err error
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	s.listeners = nil
	for c := range conns {
		_ = c.Close() // its goroutine may have done so
	}
	s.handlers.Wait()
	return err
}
