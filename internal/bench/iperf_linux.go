package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"appliance/internal/bench/report"
	"appliance/internal/lab"
)

// iperf3 has the kernel measured by iperf3, where it is installed. It takes whole seconds
// only: a second of warm-up where the others have that much time at all, else none.
func iperf3(ctx context.Context, c report.Case, o Options) ([]report.Reading, error) {
	if _, err := exec.LookPath("iperf3"); err != nil {
		return nil, fmt.Errorf("%w: iperf3 is not installed", errSkip)
	}
	w := &world{}
	l, err := w.openBothKernel(ctx, c)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	rate, err := runIperf3(ctx, l, c, o)
	if err = errors.Join(err, w.close()); err != nil {
		return nil, err
	}
	return []report.Reading{{Name: report.Rate, Unit: report.BitsPerSecond, Value: rate}}, nil
}

// runIperf3 runs a server on the far side and a client on the near one.
func runIperf3(ctx context.Context, l *lab.Lab, c report.Case, o Options) (float64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := &listening{seen: make(chan struct{})}
	var server sync.WaitGroup
	server.Go(func() {
		// One test only, after which it ends by itself.
		code, err := l.ExecApp(ctx, lab.Command{
			Argv: []string{"iperf3", "-s", "-1", "--forceflush"}, Stdout: ready, Stderr: ready,
		})
		if err != nil || code != 0 {
			cancel(fmt.Errorf("iperf3 -s ended with code %d: %s: %w", code, ready.text(), errors.Join(err, errIperf3)))
		}
	})
	defer server.Wait()
	select {
	case <-ready.seen:
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	argv := []string{
		"iperf3", "-c", farAddress.Addr().String(), "-J", "-C", congestion, "-P", strconv.Itoa(c.Streams),
		"-t", strconv.Itoa(iperf3Seconds(o)), "-O", strconv.Itoa(iperf3Omits(o)),
	}
	if c.Direction == report.Out {
		argv = append(argv, "-R")
	}
	var out, errs bytes.Buffer
	code, err := l.Exec(ctx, lab.Command{Argv: argv, Stdout: &out, Stderr: &errs})
	if err == nil && code == 0 {
		return iperf3Rate(out.Bytes())
	}
	err = fmt.Errorf("%s ended with code %d: %s: %w", strings.Join(argv, " "), code, strings.TrimSpace(errs.String()+out.String()), errors.Join(err, errIperf3))
	cancel(err) // the server waits for a client
	return 0, err
}

var errIperf3 = errors.New("iperf3 failed")

// iperf3Rate reads, in the client's JSON, the rate at the receiver, in bit/s.
func iperf3Rate(out []byte) (float64, error) {
	var r struct {
		Error string `json:"error"`
		End   struct {
			SumReceived struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, fmt.Errorf("read what iperf3 says: %w", err)
	}
	if r.Error != "" {
		return 0, fmt.Errorf("%w: %s", errIperf3, r.Error)
	}
	return r.End.SumReceived.BitsPerSecond, nil
}

// listening waits for iperf3 to say that its server listens.
type listening struct {
	mu   sync.Mutex
	buf  strings.Builder
	once sync.Once
	seen chan struct{}
}

// Write implements io.Writer.
func (l *listening) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.buf.Write(b)
	if strings.Contains(l.buf.String(), "Server listening") {
		l.once.Do(func() { close(l.seen) })
	}
	return n, err
}

func (l *listening) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.buf.String())
}
