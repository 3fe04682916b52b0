package scripts

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// timeout is how long a test waits for what should happen at once.
const timeout = 30 * time.Second

// buffer keeps what a process writes, and lets a test await a line of it.
type buffer struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// line awaits the whole line that begins with prefix, and gives its rest; the end of
// the process that writes comes as a closed done.
func (b *buffer) line(t *testing.T, prefix string, done <-chan struct{}) string {
	t.Helper()
	deadline := time.After(timeout)
	for {
		b.mu.Lock()
		text := b.buf.String()
		if b.more == nil {
			b.more = make(chan struct{})
		}
		more := b.more
		b.mu.Unlock()
		for l := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(l, prefix); ok && strings.HasSuffix(rest, "\n") {
				return strings.TrimSuffix(rest, "\n")
			}
		}
		select {
		case <-more:
			continue
		case <-done:
			t.Fatalf("the process ended without a line %q:\n%s", prefix, b)
		case <-deadline:
			t.Fatalf("no line %q after %v:\n%s", prefix, timeout, b)
		}
	}
}

// process is a script that runs.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{}
}

// python starts a script; the test's end kills it if it still runs.
func python(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3 to run the scripts: ", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	p := &process{cmd: exec.CommandContext(ctx, path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// No bytecode next to the scripts, and no encoding from the caller's locale.
	p.cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // what it says is in ProcessState
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// exit waits for the end and gives the exit code; -1 is a signal's.
func (p *process) exit(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(timeout):
		t.Fatalf("%v still runs after %v; standard error:\n%s", p.cmd.Args, timeout, &p.stderr)
		return -1
	}
}

// wants checks the exit code, what was printed, and, but for the listening line, that
// standard error holds complaint (empty: nothing).
func (p *process) wants(t *testing.T, code int, printed, complaint string) {
	t.Helper()
	if got := p.exit(t); got != code {
		t.Errorf("%v: exit %d, want %d", p.cmd.Args, got, code)
	}
	if got := p.stdout.String(); got != printed {
		t.Errorf("%v printed %q, want %q", p.cmd.Args, got, printed)
	}
	var rest strings.Builder
	for l := range strings.Lines(p.stderr.String()) {
		if !strings.HasPrefix(l, listening) {
			rest.WriteString(l)
		}
	}
	if got := rest.String(); complaint == "" && got != "" || !strings.Contains(got, complaint) {
		t.Errorf("%v complained %q, want %q", p.cmd.Args, got, complaint)
	}
	if strings.Contains(p.stderr.String(), "Traceback") {
		t.Errorf("%v fell over:\n%s", p.cmd.Args, &p.stderr)
	}
}

const listening = "listening on "

// address awaits the line that says where a server listens.
func (p *process) address(t *testing.T) string {
	t.Helper()
	return p.stderr.line(t, listening, p.done)
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
