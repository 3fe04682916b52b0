package kernel

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"

	"appliance/internal/lab"
	"appliance/internal/scenario/host"
	"appliance/scripts"
)

// Process is a process on the Linux side with sockets of its own, which can end without
// closing them. Its calls are not recorded. UDP, options and aborting it does not have:
// those err with errors.ErrUnsupported.
type Process struct {
	opts   ProcessOptions
	pid    int
	handle *os.Process
	stdin  *os.File
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	code   int           // its exit code, after done
	err    error         // why it could not run, after done
	stderr lockedText

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer

	closing sync.Once
	closed  error
}

var _ host.Host = (*Process)(nil)

// answer is a line of exit_peer.py's.
type answer struct {
	PID    int    `json:"pid"`
	ID     int    `json:"id"`
	Error  string `json:"error"`
	Errno  int    `json:"errno"`
	Socket int    `json:"socket"`
	Local  pyAddr `json:"local"`
	Remote pyAddr `json:"remote"`
	Data   string `json:"data"`
}

// pyAddr is an address as Python has it: ["192.168.12.1", 9000].
type pyAddr netip.AddrPort

// UnmarshalJSON implements json.Unmarshaler.
func (a *pyAddr) UnmarshalJSON(b []byte) error {
	var host string
	var port uint16
	if err := json.Unmarshal(b, &[]any{&host, &port}); err != nil {
		return err
	}
	addr, err := netip.ParseAddr(host)
	*a = pyAddr(netip.AddrPortFrom(addr.Unmap(), port))
	return err
}

// lockedText is what a process writes to standard error.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.text.String())
}

// StartProcess starts a process on the lab's Linux side; it needs Python 3. ctx bounds
// its life: when it ends, so does the process. Close it, or Exit, or Kill.
func StartProcess(ctx context.Context, l *lab.Lab, o ProcessOptions) (*Process, error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a process in lab %s: %w", l.Name(), err)
	}
	ctx, cancel := context.WithCancel(ctx)
	out, stdout := io.Pipe()
	p := &Process{opts: o, stdin: stdin, cancel: cancel, done: make(chan struct{}), waiting: map[int]chan answer{}}
	started := make(chan answer, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(out, started)
	}()
	go func() {
		defer close(p.done)
		p.code, p.err = l.Exec(ctx, lab.Command{
			Argv:  []string{cmp.Or(o.Python, "python3"), "-I", "-c", scripts.ExitPeer},
			Stdin: in, Stdout: stdout, Stderr: &p.stderr,
		})
		_ = in.Close()     // it was the child's
		_ = stdout.Close() // an io.Pipe's errs never
		<-read
	}()
	select {
	case a := <-started:
		p.pid = a.PID
		// By a descriptor of the process, so that no other one can be meant by its number.
		if p.handle, err = os.FindProcess(a.PID); err == nil {
			return p, nil
		}
	case <-p.done:
		err = errors.Join(p.err, fmt.Errorf("it ended with code %d: %s", p.code, &p.stderr))
	}
	return nil, errors.Join(fmt.Errorf("start a process in lab %s: %w", l.Name(), err), p.Close())
}

// read gives each answer to who waits for it.
func (p *Process) read(out *io.PipeReader, started chan<- answer) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			_ = out.CloseWithError(fmt.Errorf("exit_peer.py said %q: %w", lines.Text(), err))
			break
		}
		if a.PID != 0 {
			started <- a
			continue
		}
		p.mu.Lock()
		wait := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if wait != nil {
			wait <- a
		}
	}
	_ = out.CloseWithError(cmp.Or(lines.Err(), io.ErrClosedPipe))
}

// do has the process do something and waits for its answer.
func (p *Process) do(ctx context.Context, what string, args map[string]any) (answer, error) {
	wait := make(chan answer, 1)
	line := map[string]any{"do": what}
	for k, v := range args {
		line[k] = v
	}
	if err := p.ask(line, wait); err != nil {
		return answer{}, fmt.Errorf("have process %d %s: %w", p.pid, what, err)
	}
	select {
	case a := <-wait:
		return a, p.failed(what, a)
	case <-ctx.Done():
		return answer{}, fmt.Errorf("have process %d %s: %w", p.pid, what, context.Cause(ctx))
	case <-p.done:
		select { // it may have answered just before it ended
		case a := <-wait:
			return a, p.failed(what, a)
		default:
			return answer{}, fmt.Errorf("have process %d %s: it has ended: %w", p.pid, what, net.ErrClosed)
		}
	}
}

func (p *Process) failed(what string, a answer) error {
	switch {
	case a.Errno != 0:
		return fmt.Errorf("process %d: %w", p.pid, os.NewSyscallError(what, syscall.Errno(a.Errno))) //nolint:gosec // an errno
	case a.Error != "":
		return fmt.Errorf("process %d: %s: %s", p.pid, what, a.Error)
	default:
		return nil
	}
}

func (p *Process) ask(line map[string]any, wait chan answer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	line["id"] = p.next
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if wait != nil {
		p.waiting[p.next] = wait
	}
	if _, err = p.stdin.Write(append(b, '\n')); err != nil {
		return errors.Join(net.ErrClosed, err) // it has ended
	}
	return nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.pid }

// Exit has the process end of itself, with code 0 and its sockets open, and waits until
// the kernel has closed them.
func (p *Process) Exit() error {
	err := p.ask(map[string]any{"do": "exit"}, nil)
	return p.ended("exit", 0, err)
}

// Kill ends the process by SIGKILL and waits until the kernel has closed its sockets.
func (p *Process) Kill() error {
	return p.ended("kill", 128+int(syscall.SIGKILL), p.handle.Signal(syscall.SIGKILL))
}

// ended waits for the end and checks how it came.
func (p *Process) ended(how string, code int, err error) error {
	if err == nil {
		<-p.done
		if err = p.err; err == nil && p.code != code {
			err = fmt.Errorf("it ended with code %d, not %d: %s", p.code, code, &p.stderr)
		}
	}
	if err = errors.Join(err, p.Close()); err != nil {
		return fmt.Errorf("%s process %d: %w", how, p.pid, err)
	}
	return nil
}

// Close implements host.Host: it ends the process, however busy.
func (p *Process) Close() error {
	p.closing.Do(func() {
		p.cancel()
		<-p.done
		p.closed = p.stdin.Close()
		if p.handle != nil {
			p.closed = errors.Join(p.closed, p.handle.Release())
		}
	})
	return p.closed
}
