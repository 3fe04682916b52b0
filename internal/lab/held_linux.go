package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// held is a lab that a holder holds, by its socket.
type held struct {
	path string
	info Info
}

func (l held) close() error { return nil }

func (l held) do(func() error) error {
	return fmt.Errorf("lab: %s is held by process %d, whose network no other process can enter: run a command there instead (appliance lab exec)",
		l.info.Name, l.info.Holder)
}

func (l held) doApp(fn func() error) error { return l.do(fn) }

func (l held) execApp(context.Context, Command) (int, error) {
	return 126, fmt.Errorf("lab: %s is held by process %d, which runs commands on the Linux side only: use a lab that root has made, or a temporary one",
		l.info.Name, l.info.Holder)
}

func (l held) exec(ctx context.Context, c Command) (int, error) {
	path, err := lookup(c)
	if err != nil {
		return 127, err
	}
	env := c.Env
	if env == nil {
		env = os.Environ()
	}
	signals, stopSignals := catchSignals()
	defer stopSignals()
	std, err := connect(c)
	if err != nil {
		return 126, err
	}
	// From here on the end of ctx is supervise's affair.
	start, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	conn, _, _, _, err := ask(start, l.path, request{Op: opExec, Path: path, Argv: c.Argv, Env: env}, std.theirs...)
	std.closeTheirs()
	if err != nil {
		std.abandon()
		return 126, fmt.Errorf("lab: exec %s: %w", c.Argv[0], err)
	}
	done := make(chan outcome, 1)
	go func() { done <- awaitExit(conn) }()
	// A holder that does not answer must not keep the caller for ever.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now().Add(killGrace + 2*time.Second)) })
	defer stop()
	code, err := supervise(ctx, c, signals, done, func(s syscall.Signal) {
		// A failure means that the holder is gone, which comes out of done.
		_ = writeFrame(conn, request{V: wireVersion, Op: opSignal, Signal: int(s)})
	})
	conn.Close()
	return code, errors.Join(err, std.wait())
}

// awaitExit reads the command's end.
func awaitExit(conn *net.UnixConn) outcome {
	for {
		var r reply
		files, err := readFrame(conn, &r)
		closeAll(files)
		switch {
		case err != nil:
			return outcome{code: 128 + int(unix.SIGKILL), err: fmt.Errorf("lab: exec: the lab's holder ended, and the command with it: %w", err)}
		case r.Exit != nil:
			return outcome{code: *r.Exit}
		}
	}
}

// stdio connects a command's standard files.
type stdio struct {
	theirs []*os.File // stdin, stdout, stderr and working directory, for the holder
	close  []*os.File // those of theirs that are ours to close
	ours   []*os.File // our ends of pipes
	wg     sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

func connect(c Command) (*stdio, error) {
	s := &stdio{}
	err := s.input(c.Stdin)
	if err == nil {
		err = s.output(c.Stdout)
	}
	if err == nil {
		if same(c.Stdout, c.Stderr) {
			s.theirs = append(s.theirs, s.theirs[1])
		} else {
			err = s.output(c.Stderr)
		}
	}
	if err == nil {
		dir := c.Dir
		if dir == "" {
			dir = "."
		}
		var fd int
		if fd, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			err = &os.PathError{Op: "chdir", Path: dir, Err: err}
		} else {
			s.add(os.NewFile(uintptr(fd), dir), true)
		}
	}
	if err != nil {
		s.closeTheirs()
		s.abandon()
		return nil, fmt.Errorf("lab: exec %s: %w", c.Argv[0], err)
	}
	return s, nil
}

// same says that both are one writer, which then gets one pipe.
func same(a, b io.Writer) (eq bool) {
	defer func() { _ = recover() }() // of types that cannot be compared
	return a != nil && a == b
}

func (s *stdio) add(f *os.File, own bool) {
	f.Fd() // makes it blocking, as a command expects and os/exec does
	s.theirs = append(s.theirs, f)
	if own {
		s.close = append(s.close, f)
	}
}

func (s *stdio) null(flag int) error {
	f, err := os.OpenFile(os.DevNull, flag, 0)
	if err == nil {
		s.add(f, true)
	}
	return err
}

func (s *stdio) input(r io.Reader) error {
	if r == nil {
		return s.null(os.O_RDONLY)
	}
	if f, ok := r.(*os.File); ok {
		s.add(f, false)
		return nil
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	s.add(in, true)
	s.ours = append(s.ours, out)
	s.wg.Go(func() {
		_, err := io.Copy(out, r)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, os.ErrClosed) {
			err = nil // the command has read enough
		}
		s.note(err)
		out.Close()
	})
	return nil
}

func (s *stdio) output(w io.Writer) error {
	if w == nil {
		return s.null(os.O_WRONLY)
	}
	if f, ok := w.(*os.File); ok {
		s.add(f, false)
		return nil
	}
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	s.add(out, true)
	s.ours = append(s.ours, in)
	s.wg.Go(func() {
		_, err := io.Copy(w, in)
		if errors.Is(err, os.ErrClosed) {
			err = nil
		}
		s.note(err)
		in.Close()
	})
	return nil
}

func (s *stdio) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

func (s *stdio) closeTheirs() { closeAll(s.close) }

// abandon ends the copying of a command that never ran.
func (s *stdio) abandon() {
	closeAll(s.ours)
	s.wg.Wait()
}

// wait waits until all output has come.
func (s *stdio) wait() error {
	s.wg.Wait()
	return errors.Join(s.errs...)
}

func (l held) openLink(ctx context.Context, args json.RawMessage) (*Opened, error) {
	conn, r, files, _, err := ask(ctx, l.path, request{Op: opOpen, Args: args})
	if err != nil {
		return nil, fmt.Errorf("lab: open the link of %s: %w", l.info.Name, err)
	}
	var once sync.Once
	var released error
	return &Opened{Files: files, Meta: r.Meta, Release: func() error {
		once.Do(func() {
			defer conn.Close()
			if writeFrame(conn, request{V: wireVersion, Op: opRelease}) != nil {
				return // the lab is down: nothing is left to undo
			}
			var r reply
			files, err := readFrame(conn, &r)
			closeAll(files)
			if err == nil && r.Error != "" {
				released = fmt.Errorf("lab: release the link of %s: %s", l.info.Name, r.Error)
			}
		})
		return released
	}}, nil
}
