package kernel

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// States collects the state changes of the kernel's TCP sockets, of all network
// namespaces, on some ports. Its methods may be called concurrently.
type States struct {
	fs       *tracefs
	instance *instance
	decoder  *decoder
	askNS    bool
	wake     int // an eventfd: stops the reader
	done     chan struct{}

	mu      sync.Mutex
	page    []byte
	changes []Change
	grown   chan struct{} // closed at the next change; nil when nobody waits
	err     error
	closed  bool

	close sync.Once
}

// OpenStates begins to collect. It needs root of the host (tracefs); where it errs, the
// states are to be had from the segments alone. What a killed process of ours has left
// in tracefs it removes. ctx bounds the opening only.
func OpenStates(ctx context.Context, o StatesOptions) (*States, error) {
	s, err := openStates(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's state changes: %w", err)
	}
	return s, nil
}

func openStates(ctx context.Context, o StatesOptions) (_ *States, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(o.Ports) == 0 {
		return nil, errors.New("no port is given whose sockets to watch")
	}
	s := &States{askNS: firstPIDNamespace(), wake: -1, done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.takeDown())
		}
	}()
	if s.fs, err = openTracefs(); err != nil {
		return nil, err
	}
	s.fs.removeStale()
	if s.instance, err = s.fs.newInstance(); err != nil {
		return nil, err
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	if s.decoder, err = s.instance.start(filter(o.Ports)); err != nil {
		return nil, err
	}
	s.page = make([]byte, s.decoder.pageSize())
	go s.read()
	return s, nil
}

// filter is the tracepoint's: TCP, and one of the ports at either end.
func filter(ports []uint16) string {
	terms := make([]string, 0, 2*len(ports))
	for _, p := range ports {
		terms = append(terms, fmt.Sprintf("sport==%d||dport==%d", p, p))
	}
	return fmt.Sprintf("protocol==%d&&(%s)", unix.IPPROTO_TCP, strings.Join(terms, "||"))
}

// read takes events as they come, until Close.
func (s *States) read() {
	defer close(s.done)
	fds := []unix.PollFd{{Fd: int32(s.wake), Events: unix.POLLIN}} //nolint:gosec // a descriptor
	for _, p := range s.instance.pipes {
		fds = append(fds, unix.PollFd{Fd: int32(p), Events: unix.POLLIN}) //nolint:gosec // a descriptor
	}
	for {
		_, err := unix.Poll(fds, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			s.mu.Lock()
			s.fail(os.NewSyscallError("poll", err))
			s.mu.Unlock()
			return
		}
		if fds[0].Revents != 0 {
			return
		}
		s.mu.Lock()
		s.drain()
		failed := s.err != nil
		s.mu.Unlock()
		if failed {
			return
		}
	}
}

// drain reads what there is. mu is held.
func (s *States) drain() {
	before := len(s.changes)
	err := s.instance.drain(s.page, func(page []byte) error {
		changes, missed, err := s.decoder.decode(page)
		s.changes = append(s.changes, changes...)
		if missed {
			err = errors.Join(err, errors.New("the ring buffer was full: changes are lost"))
		}
		return err
	})
	for i := before; i < len(s.changes) && s.askNS; i++ {
		if c := &s.changes[i]; c.byCall() {
			c.NetNS = netNS(c.PID)
		}
	}
	if err != nil {
		s.fail(err)
	}
	if len(s.changes) > before {
		s.tell()
	}
}

// fail keeps the first error and wakes who waits. mu is held.
func (s *States) fail(err error) {
	if s.err == nil {
		s.err = fmt.Errorf("read the kernel's state changes: %w", err)
	}
	s.tell()
}

func (s *States) tell() {
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
}

// WaitFor returns the first change, from the beginning, that match accepts, waiting for
// it until ctx ends. match may be called more than once for a change.
func (s *States) WaitFor(ctx context.Context, match func(Change) bool) (Change, error) {
	for seen := 0; ; {
		s.mu.Lock()
		fresh := slices.Clone(s.changes[seen:])
		if s.grown == nil {
			s.grown = make(chan struct{})
		}
		grown, err, closed := s.grown, s.err, s.closed
		s.mu.Unlock()
		seen += len(fresh)
		if i := slices.IndexFunc(fresh, match); i >= 0 {
			return fresh[i], nil
		}
		switch {
		case err != nil:
			return Change{}, err
		case closed:
			return Change{}, fmt.Errorf("wait for a state change of the kernel's: %w", os.ErrClosed)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return Change{}, fmt.Errorf("wait for a state change of the kernel's, %d others came: %w", seen, context.Cause(ctx))
		}
	}
}

// Flush returns, in order of time, every change so far: one that a call made which has
// returned is among them. The error is that of reading; what was read comes with it.
func (s *States) Flush() ([]Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.err == nil {
		s.drain()
	}
	all := slices.Clone(s.changes)
	// Each CPU has a buffer of its own; the clock is one.
	slices.SortStableFunc(all, func(a, b Change) int { return cmp.Compare(a.Time, b.Time) })
	return all, s.err
}

// Close stops, removes what it made in tracefs, and returns what Flush would.
func (s *States) Close() ([]Change, error) {
	s.close.Do(func() {
		off := s.instance.write(stateEvent+"/enable", "0")
		_, _ = s.Flush() // keeps what it reads, and its error
		_, err := unix.Write(s.wake, binary.NativeEndian.AppendUint64(nil, 1))
		if err == nil {
			<-s.done
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = true
		s.tell()
		if err = errors.Join(off, os.NewSyscallError("write eventfd", err), s.takeDown()); err != nil && s.err == nil {
			s.err = fmt.Errorf("stop reading the kernel's state changes: %w", err)
		}
	})
	return s.Flush()
}

// takeDown undoes what openStates did, as far as it came.
func (s *States) takeDown() error {
	var err error
	if s.instance != nil {
		err = s.instance.remove()
	}
	if s.wake >= 0 {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(s.wake)))
	}
	if s.fs != nil {
		err = errors.Join(err, s.fs.close())
	}
	return err
}
