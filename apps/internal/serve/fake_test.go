package serve

import (
	"fmt"
	"net"
	"sync"
	"testing"
)

// fakeListener hands out what is sent to it: errors and connections.
type fakeListener struct {
	next   chan any
	closed chan struct{}
	once   sync.Once
}

func newFakeListener(steps ...any) *fakeListener {
	l := &fakeListener{next: make(chan any, 64), closed: make(chan struct{})}
	for _, s := range steps {
		l.next <- s
	}
	return l
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	case s := <-l.next:
		if err, ok := s.(error); ok {
			return nil, err
		}
		return s.(net.Conn), nil
	}
}

func (l *fakeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *fakeListener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }

// passingError is a net.Error of the kind that an accept may recover from.
type passingError struct{}

func (passingError) Error() string   { return "out of something for a while" }
func (passingError) Timeout() bool   { return false }
func (passingError) Temporary() bool { return true }

// pipe gives a server's end, which a fakeListener can hand out, and a client's.
func pipe(t *testing.T) (server, client net.Conn) {
	server, client = net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	return server, client
}

type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) log(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}
