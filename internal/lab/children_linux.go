package lab

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// children are the holder's: commands, and what they left behind, which as the first
// process of its PID namespace it inherits and must reap. It is the only one to wait for
// children (no exec.Cmd.Wait), as a wait for any child would take away others'.
type children struct {
	mu     sync.Mutex // held while one starts: it must be known before it is reaped
	status map[int]chan syscall.WaitStatus
	none   bool // no new ones
	ended  chan os.Signal
}

func newChildren() *children {
	c := &children{status: map[int]chan syscall.WaitStatus{}, ended: make(chan os.Signal, 1)}
	signal.Notify(c.ended, unix.SIGCHLD)
	return c
}

var errEnding = errors.New("the lab is being taken down")

// start starts a command; its status comes through the channel.
func (c *children) start(cmd *exec.Cmd) (pid int, status <-chan syscall.WaitStatus, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.none {
		return 0, nil, errEnding
	}
	if err := cmd.Start(); err != nil {
		return 0, nil, err
	}
	pid = cmd.Process.Pid
	ch := make(chan syscall.WaitStatus, 1)
	c.status[pid] = ch
	return pid, ch, cmd.Process.Release()
}

// signalGroup sends s to the process group of a command that has not ended.
func (c *children) signalGroup(pid int, s syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.status[pid]; ok {
		_ = unix.Kill(-pid, s) // ESRCH: it has just ended
	}
}

// reap takes the status of every child that ends, until the process does.
func (c *children) reap() {
	for range c.ended {
		c.collect()
	}
}

// collect reaps what has ended, and says whether any child is left.
func (c *children) collect() (left bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil { // ECHILD
			return false
		}
		if pid == 0 {
			return true
		}
		if ch, ok := c.status[pid]; ok {
			ch <- syscall.WaitStatus(ws)
			delete(c.status, pid)
		}
	}
}

// endAll ends every process of the PID namespace but this one: SIGTERM, and SIGKILL
// for what is still there after grace.
func (c *children) endAll(grace time.Duration) {
	c.mu.Lock()
	c.none = true
	c.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, s := range []syscall.Signal{unix.SIGTERM, unix.SIGKILL} {
		_ = unix.Kill(-1, s) // ESRCH: there is none
		_ = unix.Kill(-1, unix.SIGCONT)
		for deadline := time.Now().Add(grace); time.Now().Before(deadline); <-tick.C {
			if !c.collect() {
				return
			}
		}
	}
}
