package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"appliance/internal/scenario/host"
	"appliance/tracer/sequence"
)

// clientPort is the sequence's own port at C.
const clientPort = 40000

// process is a host whose programs run in a process of their own, which can end without
// closing anything.
type process interface {
	// Exit ends it of itself, Kill by SIGKILL. Both return once it is gone.
	Exit() error
	Kill() error
}

// pythonHost is a host that has Python.
type pythonHost interface {
	// Python runs a script of package scripts to its end, with its arguments, and returns
	// what it printed. listening is called once the script's server listens.
	Python(ctx context.Context, script string, args []string, listening func()) (string, error)
}

// stage is what the programs of a run share.
type stage struct {
	clock   timekeeper
	journal *journal
	names   *names
	players sequence.Players
	run     *sequence.Run
	addrs   map[sequence.End]netip.Addr
	port    uint16
	// took is how many segments Linux's end has got of a connection; nil where it plays none.
	took func(local, remote netip.AddrPort) (n uint32, there bool, err error)
}

// portOf is an end's own port.
func (s *stage) portOf(e sequence.End) uint16 {
	if e == sequence.Client {
		return clientPort
	}
	return s.port
}

// program is what runs at one end.
type program struct {
	*stage
	end   sequence.End
	host  host.Host
	steps []sequence.Step
	// sends are what the other end sends, by connection; nil where that is not known.
	sends map[string]stream
	// listening is called once, when the first listening socket is there.
	listening func()

	mu       sync.Mutex
	listener host.Listener
	conns    map[string]*connection
	udp      map[string]datagrams
	bound    map[string]bool // bind was done, by connection
	running  map[int]string  // the steps in progress, by line or number
}

// connection is one that a program has.
type connection struct {
	host.Conn
	name      string
	sent, got int // bytes
}

// stepError is a step that failed.
type stepError struct {
	end  sequence.End
	n    int // from 1
	step string
	err  error
}

func (e *stepError) Error() string {
	return fmt.Sprintf("%s step %d `%s`: %v", e.end, e.n, e.step, e.err)
}

func (e *stepError) Unwrap() error { return e.err }

// play does the program's steps; the error is of the first that failed.
func (p *program) play(ctx context.Context) error {
	p.conns, p.udp = map[string]*connection{}, map[string]datagrams{}
	p.bound, p.running = map[string]bool{}, map[int]string{}
	return p.list(ctx, p.steps, 0)
}

// list does steps one after the other; the first is number before+1.
func (p *program) list(ctx context.Context, steps []sequence.Step, before int) error {
	for i := range steps {
		s := &steps[i]
		n := before + i + 1
		if s.Do == sequence.Together {
			if err := p.together(ctx, s.Together, n-1); err != nil {
				return err
			}
			continue
		}
		p.enter(n, describe(s))
		err := judge(s, p.step(ctx, s))
		p.leave(n)
		if err != nil {
			return &stepError{end: p.end, n: n, step: describe(s), err: err}
		}
	}
	return nil
}

// together does lists of steps at the same time and waits for all of them.
func (p *program) together(ctx context.Context, lists [][]sequence.Step, before int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(lists))
	for i, list := range lists {
		go func() { errs <- p.list(ctx, list, before+100*i) }()
	}
	var first error
	for range lists {
		if err := <-errs; err != nil && first == nil {
			first = err
			cancel()
			p.abandon(err) // the others may wait in a socket, for what will never come
		}
	}
	return first
}

// abandon wakes every step that waits in a socket.
func (p *program) abandon(error) { _ = p.host.Close() }

// judge tells whether a step that came back with err did as it should.
func judge(s *sequence.Step, err error) error {
	switch {
	case s.Fails == "":
		return err
	case err == nil:
		return fmt.Errorf("did not fail, and should with %q", s.Fails)
	case strings.Contains(err.Error(), s.Fails):
		return nil
	default:
		return fmt.Errorf("should fail with %q: %w", s.Fails, err)
	}
}

func (p *program) enter(n int, what string) {
	p.mu.Lock()
	p.running[n] = what
	p.mu.Unlock()
}

func (p *program) leave(n int) {
	p.mu.Lock()
	delete(p.running, n)
	p.mu.Unlock()
}

// waiting says which steps are in progress: "S step 4 `recv 20`".
func (p *program) waiting() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for n, what := range p.running {
		all = append(all, fmt.Sprintf("%s step %d `%s`", p.end, n, what))
	}
	return all
}

// step does one step.
func (p *program) step(ctx context.Context, s *sequence.Step) error {
	switch s.Do {
	case sequence.Listen:
		return p.listen(s)
	case sequence.Accept:
		return p.accept(s)
	case sequence.Bind:
		p.mu.Lock()
		p.bound[s.Conn] = true
		p.mu.Unlock()
		return nil
	case sequence.Connect:
		return p.connect(ctx, s)
	case sequence.Send, sequence.Recv, sequence.Shutdown, sequence.Abort:
		return p.onConn(s)
	case sequence.Close:
		return p.close(s)
	case sequence.Set:
		return p.set(s)
	case sequence.Wait:
		return p.wait(ctx, s)
	case sequence.Pause:
		return p.clock.sleep(ctx, s.For)
	case sequence.App:
		return p.app(ctx, s)
	case sequence.Python:
		return p.python(ctx, s)
	case sequence.Exit, sequence.Kill:
		return p.endProcess(s.Do)
	case sequence.UDPSend:
		return p.udpSend(s)
	case sequence.UDPRecv:
		return p.udpRecv(s)
	default:
		return fmt.Errorf("no such step: %q", s.Do)
	}
}

func (p *program) listen(s *sequence.Step) error {
	l, err := p.host.Listen(p.port, s.Backlog)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.listening()
	return nil
}

func (p *program) accept(s *sequence.Step) error {
	p.mu.Lock()
	l := p.listener
	p.mu.Unlock()
	if l == nil {
		return errors.New("no listener: the program has not listened")
	}
	c, err := l.Accept()
	if err != nil {
		return err
	}
	p.keep(s.Conn, c)
	return nil
}

func (p *program) connect(ctx context.Context, s *sequence.Step) error {
	other := p.end.Other()
	remote := netip.AddrPortFrom(p.addrs[other], p.portOf(other))
	if s.Port != 0 {
		remote = netip.AddrPortFrom(p.addrs[other], s.Port)
	}
	var local netip.AddrPort
	p.mu.Lock()
	if p.bound[s.Conn] {
		local = netip.AddrPortFrom(p.addrs[p.end], p.portOf(p.end))
		delete(p.bound, s.Conn)
	}
	p.mu.Unlock()
	c, err := p.host.Connect(ctx, local, remote)
	if err != nil {
		return err
	}
	p.keep(s.Conn, c)
	return nil
}

// keep gives a connection its name.
func (p *program) keep(name string, c host.Conn) {
	p.names.bind(name, p.end, c.LocalAddr(), c.RemoteAddr())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[name] = &connection{Conn: c, name: name}
}

// conn is the connection of a step.
func (p *program) conn(s *sequence.Step) (*connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[s.Conn]; c != nil {
		return c, nil
	}
	if s.Conn == "" {
		return nil, errors.New("no connection: the program has neither connected nor accepted")
	}
	return nil, fmt.Errorf("no connection %q: the program has neither connected nor accepted it", s.Conn)
}

// onConn does a step that needs a connection and nothing else.
func (p *program) onConn(s *sequence.Step) error {
	c, err := p.conn(s)
	if err != nil {
		return err
	}
	switch s.Do {
	case sequence.Send:
		return c.send(s, p.end == sequence.Client)
	case sequence.Recv:
		return c.recv(s, p.sends)
	case sequence.Shutdown:
		return c.Shutdown()
	default:
		return c.Abort()
	}
}

func (p *program) close(s *sequence.Step) error {
	if s.Listener {
		p.mu.Lock()
		l := p.listener
		p.mu.Unlock()
		if l == nil {
			return errors.New("no listener: the program has not listened")
		}
		return l.Close()
	}
	c, err := p.conn(s)
	if err != nil {
		return err
	}
	return c.Close()
}

// preparer is a host that sets options on the socket that it makes next.
type preparer interface{ Prepare(option, value string) }

// set sets an option of the connection or, before there is one, of the listener; before
// that, of the next socket.
func (p *program) set(s *sequence.Step) error {
	p.mu.Lock()
	l, c := p.listener, p.conns[s.Conn]
	p.mu.Unlock()
	if c != nil {
		return c.Set(s.Option, s.Value)
	}
	if l, ok := l.(interface {
		Set(option, value string) error
	}); ok {
		return l.Set(s.Option, s.Value)
	}
	if h, ok := p.host.(preparer); ok && l == nil {
		h.Prepare(s.Option, s.Value)
		return nil
	}
	_, err := p.conn(s)
	return err
}

// endProcess ends the program's process.
func (p *program) endProcess(how sequence.Verb) error {
	h, ok := p.host.(process)
	if !ok {
		return fmt.Errorf("%s has no process of its own to end: only Linux's programs do", p.end)
	}
	if how == sequence.Kill {
		return h.Kill()
	}
	return h.Exit()
}
