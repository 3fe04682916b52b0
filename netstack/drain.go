package netstack

import (
	"context"
	"slices"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"appliance/tracer"
)

// ends tells those who wait for it that a connection has entered TIME-WAIT or ended, traced
// or not. gVisor notifies a connection's queue of both, after the change. A connection that
// the program has not accepted yet has a queue that is nobody's: a goroutine waits for its
// end, and only while somebody drains the stack. It cannot come to TIME-WAIT before
// it is accepted, as nobody closes it.
type ends struct {
	watchers sync.WaitGroup // the goroutines, which end with their connections

	mu    sync.Mutex
	heard map[*tcp.Endpoint]bool // those whose end will be told
	next  chan struct{}          // closed at the next; nil when nobody waits
}

// hear has the end of a connection told whose queue the program owns.
func (e *ends) hear(ep *tcp.Endpoint, wq *waiter.Queue) {
	e.mu.Lock()
	if e.heard == nil {
		e.heard = map[*tcp.Endpoint]bool{}
	}
	e.heard[ep] = true
	e.mu.Unlock()
	entry := waiter.NewFunctionEntry(waiter.AllEvents, func(waiter.EventMask) {
		if st := ep.EndpointState(); isDead(st) || st == tcp.StateTimeWait {
			e.tell(ep)
		}
	})
	wq.EventRegister(&entry)
}

// tell wakes those who wait. The endpoint may be locked.
func (e *ends) tell(ep *tcp.Endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if isDead(ep.EndpointState()) {
		delete(e.heard, ep)
	}
	if e.next != nil {
		close(e.next)
		e.next = nil
	}
}

// told returns a channel that closes at the next end.
func (e *ends) told() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next == nil {
		e.next = make(chan struct{})
	}
	return e.next
}

// watch waits for the end of those that nobody would tell of.
func (e *ends) watch(eps []*tcp.Endpoint) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ep := range eps {
		if e.heard[ep] {
			continue
		}
		if e.heard == nil {
			e.heard = map[*tcp.Endpoint]bool{}
		}
		e.heard[ep] = true
		e.watchers.Go(func() {
			ep.Wait()
			e.mu.Lock()
			delete(e.heard, ep) // it was accepted meanwhile, or has ended
			e.mu.Unlock()
			e.tell(ep)
		})
	}
}

// await waits until every endpoint is in one of the states.
func (s *Stack) await(ctx context.Context, states ...tracer.State) error {
	for {
		told := s.ends.told() // before looking: what ends from now on is told
		left := s.others(states)
		if len(left) == 0 {
			return nil
		}
		s.ends.watch(left)
		select {
		case <-told:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// others are the endpoints that are in none of the states.
func (s *Stack) others(states []tracer.State) []*tcp.Endpoint {
	var left []*tcp.Endpoint
	for _, tep := range s.stack.RegisteredEndpoints() {
		if ep, ok := tep.(*tcp.Endpoint); ok && !slices.Contains(states, rfcState(ep.EndpointState())) {
			left = append(left, ep)
		}
	}
	return left
}
