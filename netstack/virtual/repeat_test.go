package virtual_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// busy keeps n processors busy from outside this process until the test ends.
func busy(t *testing.T, n int) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh to make the load with")
	}
	for range n {
		c := exec.Command(sh, "-c", "while kill -0 $PPID; do :; done") // it does not outlive us
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Process.Kill(); err != nil {
				t.Errorf("end the load: %v", err)
			}
			_ = c.Wait() // it says that it was killed
		})
	}
}

// lines are the events of a stack, one a line: when, what, and the little more that tells
// two of the same type apart.
func (w *world) lines(stack string) string {
	var b strings.Builder
	for _, e := range w.rec.Events() {
		if e.Stack != stack {
			continue
		}
		more := ""
		switch x := e.Body.(type) {
		case *tracer.Call:
			more = fmt.Sprint(x.Name, x.Phase, x.Bytes)
		case *tracer.Segment:
			more = fmt.Sprint(x.Dir, x.Flags, x.Len, x.Notes)
		case *tracer.StateChange:
			more = fmt.Sprint(x.From, x.To, x.Cause.What)
		default:
		}
		fmt.Fprintf(&b, "%s %s %s\n", e.T, e.Body.Type(), more)
	}
	return b.String()
}

// talk is a connection with much that may come in one order or another: two clients at
// once, answers, data lost and sent again, both ends closing.
func talk(t *testing.T, server string, impair link.ImpairOptions) *world {
	w := newWorld(t, netstack.TCPOptions{MSL: 2 * time.Minute}, impair)
	l := w.listen(server)
	for i := range 2 {
		w.start(fmt.Sprint("server ", i), func() error {
			c, err := l.AcceptTCP()
			if err != nil {
				return err
			}
			if _, err = io.WriteString(c, "hello"); err == nil {
				_, err = io.Copy(c, c)
			}
			return errors.Join(err, c.Close())
		})
		w.start(fmt.Sprint("client ", i), func() error {
			c, err := w.dial(server)
			if err != nil {
				return err
			}
			for n := range 3 {
				if _, err = c.Read(make([]byte, 4096)); err == nil {
					_, err = c.Write(make([]byte, 700*(n+1)))
				}
				if err != nil {
					return errors.Join(err, c.Close())
				}
			}
			err = c.CloseWrite()
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			return errors.Join(err, c.Close(), w.clock.Sleep(context.Background(), time.Duration(i)*time.Second))
		})
	}
	w.run(nil)
	return w
}

// The same run gives the same events, at the same times, in the same order at each stack,
// whatever else the machine does.
func TestRepeatable(t *testing.T) {
	busy(t, 2)
	for _, tt := range []struct {
		name, server string
		impair       link.ImpairOptions
	}{
		{"plain", families[0].server, link.ImpairOptions{}},
		{"slow and losing", families[1].server, link.ImpairOptions{
			In:    link.Impairment{Delay: 5 * time.Millisecond},
			Out:   link.Impairment{Delay: 5 * time.Millisecond, Rate: 1_000_000},
			Rules: []link.Rule{rule(t, "drop in payload>0 nth=3"), rule(t, "drop out FIN nth=1")},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var first [2]string
			for i := range 20 {
				w := talk(t, tt.server, tt.impair)
				for j, stack := range []string{"client", "server"} {
					got := w.lines(stack)
					if i == 0 {
						first[j] = got
					}
					if got != first[j] {
						t.Fatalf("run %d, %s:\n%s\nin the first run it was:\n%s", i+1, stack, got, first[j])
					}
				}
			}
			if !strings.Contains(first[0], "TIME-WAIT") || strings.Count(first[1], "\n") < 50 {
				t.Errorf("too little happened:\n%s\n%s", first[0], first[1])
			}
		})
	}
}
