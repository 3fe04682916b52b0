package scripts

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exitPeer is exit_peer.py at work.
type exitPeer struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	lines   *bufio.Scanner
	stderr  strings.Builder
	ended   bool
	request int
}

type answered struct {
	PID, ID, Errno, Socket int
	Error, Data            string
	Local, Remote          []any
}

func startExitPeer(t *testing.T) *exitPeer {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3 to run the scripts: ", err)
	}
	p := &exitPeer{cmd: exec.CommandContext(t.Context(), path, "-I", "-c", ExitPeer)}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.lines = in, bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.ended {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	if a := p.next(t); a.PID != p.cmd.Process.Pid {
		t.Fatalf("it says that it is process %d, not %d", a.PID, p.cmd.Process.Pid)
	}
	return p
}

func (p *exitPeer) next(t *testing.T) (a answered) {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("no answer: %v\n%s", p.lines.Err(), &p.stderr)
	}
	if err := json.Unmarshal(p.lines.Bytes(), &a); err != nil {
		t.Fatalf("%s: %v", p.lines.Text(), err)
	}
	return a
}

// asks sends a line; rest is the JSON of its fields.
func (p *exitPeer) asks(t *testing.T, do, rest string) {
	t.Helper()
	p.request++
	if _, err := fmt.Fprintf(p.in, "{\"id\": %d, \"do\": %q%s}\n", p.request, do, rest); err != nil {
		t.Fatal(err)
	}
}

// does asks and returns the answer.
func (p *exitPeer) does(t *testing.T, do, rest string) answered {
	t.Helper()
	p.asks(t, do, rest)
	a := p.next(t)
	if a.ID != p.request {
		t.Fatalf("answer %+v to request %d", a, p.request)
	}
	return a
}

func (p *exitPeer) ends(t *testing.T) *os.ProcessState {
	t.Helper()
	p.ended = true
	_ = p.cmd.Wait() // what it says is in ProcessState
	return p.cmd.ProcessState
}

// TestExitPeerEnds has it connect and end, each way there is: the other end reads what
// was sent, and then the end-of-file, as no kernel keeps a dead process's sockets.
func TestExitPeerEnds(t *testing.T) {
	tests := map[string]struct {
		end  func(*exitPeer) error
		code int
		sig  syscall.Signal
	}{
		"exit":         {end: func(p *exitPeer) error { _, err := io.WriteString(p.in, "{\"do\": \"exit\"}\n"); return err }},
		"end of input": {end: func(p *exitPeer) error { return p.in.Close() }},
		"killed":       {end: func(p *exitPeer) error { return p.cmd.Process.Kill() }, code: -1, sig: syscall.SIGKILL},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p := startExitPeer(t)
			a := p.does(t, "connect", fmt.Sprintf(`, "host": "127.0.0.1", "port": %d`, l.Addr().(*net.TCPAddr).Port))
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if a = p.does(t, "send", fmt.Sprintf(`, "socket": %d, "data": "68656c6c6f"`, a.Socket)); a.Error != "" {
				t.Fatalf("send: %+v", a)
			}
			if err := tt.end(p); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
				t.Errorf("read %q, %v", got, err)
			}
			st := p.ends(t)
			if ws := st.Sys().(syscall.WaitStatus); st.ExitCode() != tt.code || tt.sig != 0 && ws.Signal() != tt.sig {
				t.Errorf("it ended with %s\n%s", st, &p.stderr)
			}
		})
	}
}

func TestExitPeerServes(t *testing.T) {
	p := startExitPeer(t)
	listening := p.does(t, "listen", `, "host": "127.0.0.1", "port": 0, "backlog": 1`)
	if listening.Error != "" || len(listening.Local) != 2 {
		t.Fatalf("listen: %+v", listening)
	}
	p.asks(t, "accept", fmt.Sprintf(`, "socket": %d`, listening.Socket)) // it waits, and does not keep the next from being done
	if a := p.does(t, "connect", `, "host": "127.0.0.1", "port": 1`); a.Errno != int(syscall.ECONNREFUSED) {
		t.Errorf("connect to a port where nobody listens: %+v", a)
	}
	conn := dial(t, fmt.Sprintf("127.0.0.1:%v", listening.Local[1]))
	accepted := p.next(t)
	if accepted.ID != 2 || fmt.Sprint(accepted.Remote[1]) != fmt.Sprint(conn.LocalAddr().(*net.TCPAddr).Port) {
		t.Fatalf("accept: %+v", accepted)
	}
	say(t, conn, "byebye")
	if a := p.does(t, "recv", fmt.Sprintf(`, "socket": %d, "bytes": 1024`, accepted.Socket)); a.Data != fmt.Sprintf("%x", "byebye") {
		t.Errorf("recv: %+v", a)
	}
	p.does(t, "shutdown", fmt.Sprintf(`, "socket": %d`, accepted.Socket))
	if got, err := io.ReadAll(conn); err != nil || len(got) != 0 {
		t.Errorf("after shutdown: %q, %v", got, err)
	}
	if a := p.does(t, "close", fmt.Sprintf(`, "socket": %d`, accepted.Socket)); a.Error != "" {
		t.Errorf("close: %+v", a)
	}
}

func TestExitPeerNonsense(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON": "exit", "unknown": `{"id": 1, "do": "dance"}`, "no id": `{"do": "listen"}`,
		"no host": `{"id": 1, "do": "listen"}`, "no such socket": `{"id": 1, "do": "recv", "socket": 99, "bytes": 1}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := startExitPeer(t)
			if _, err := io.WriteString(p.in, line+"\n"); err != nil {
				t.Fatal(err)
			}
			if st := p.ends(t); st.ExitCode() != 1 || !strings.HasPrefix(p.stderr.String(), "exit_peer.py: ") || strings.Contains(p.stderr.String(), "Traceback") {
				t.Errorf("it ended with %s, and said %q", st, &p.stderr)
			}
		})
	}
}
