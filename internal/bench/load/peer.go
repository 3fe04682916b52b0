package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"strings"
	"sync"
	"time"
)

// Runner runs this program again as an end (see [RunPeerIfAsked]) with these standard
// files, waits for it, and returns its exit code. When ctx ends it ends it.
type Runner func(ctx context.Context, stdin, stdout *os.File, stderr io.Writer) (int, error)

// Peer is an end in another process. Its methods may be called concurrently; each
// returns early with ctx's cause when ctx ends.
type Peer struct {
	client *rpc.Client
	cancel context.CancelFunc
	done   chan struct{} // closed when the process has ended
	code   int           // after done
	err    error         // after done
	stderr lockedText
	once   sync.Once
}

// lockedText is what a process writes to standard error.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
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

// files are the pipes to a process.
type files struct{ in, out *os.File }

// Read implements io.Reader.
func (f files) Read(b []byte) (int, error) { return f.in.Read(b) }

// Write implements io.Writer.
func (f files) Write(b []byte) (int, error) { return f.out.Write(b) }

// Close implements io.Closer.
func (f files) Close() error { return errors.Join(f.out.Close(), f.in.Close()) }

// StartPeer starts an end; run says how and where. Close it.
func StartPeer(run Runner) (*Peer, error) {
	childIn, toChild, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("load: start a peer: %w", err)
	}
	fromChild, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load: start a peer: %w", err), childIn.Close(), toChild.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Peer{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.code, p.err = run(ctx, childIn, childOut, &p.stderr)
		_ = childIn.Close() // they were the child's
		_ = childOut.Close()
	}()
	p.client = rpc.NewClientWithCodec(jsonrpc.NewClientCodec(files{fromChild, toChild}))
	return p, nil
}

// call calls a method of the Worker's.
func (p *Peer) call(ctx context.Context, method string, args, reply any) error {
	call := p.client.Go("Worker."+method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var said rpc.ServerError
	if call.Error == nil || errors.As(call.Error, &said) {
		return call.Error
	}
	// The connection broke: the process says more, once it has ended.
	select {
	case <-p.done:
		return fmt.Errorf("load: the load generator ended with code %d: %s: %w", p.code, &p.stderr, errors.Join(call.Error, p.err))
	case <-ctx.Done():
		return errors.Join(call.Error, context.Cause(ctx))
	}
}

// Serve starts a Server there.
func (p *Peer) Serve(ctx context.Context) error { return p.call(ctx, "Serve", None{}, &None{}) }

// AwaitOpen waits until n connections at least are open at the Server there.
func (p *Peer) AwaitOpen(ctx context.Context, n int) error {
	limit := time.Minute
	if d, ok := ctx.Deadline(); ok {
		limit = time.Until(d)
	}
	return p.call(ctx, "AwaitOpen", Job{Streams: n, Time: limit}, &None{})
}

// ServerCount is the count of the Server there.
func (p *Peer) ServerCount(ctx context.Context) (c Count, err error) {
	err = p.call(ctx, "ServerCount", None{}, &c)
	return c, err
}

// Start starts a transfer from there.
func (p *Peer) Start(ctx context.Context, j Job) error { return p.call(ctx, "Start", j, &None{}) }

// TransferCount is the count of the transfer.
func (p *Peer) TransferCount(ctx context.Context) (c Count, err error) {
	err = p.call(ctx, "TransferCount", None{}, &c)
	return c, err
}

// End ends the transfer.
func (p *Peer) End(ctx context.Context) error { return p.call(ctx, "End", None{}, &None{}) }

// PingPong is the function of that name, there.
func (p *Peer) PingPong(ctx context.Context, j Job) (r RoundTrip, err error) {
	err = p.call(ctx, "PingPong", j, &r)
	return r, err
}

// Connects is the function of that name, there.
func (p *Peer) Connects(ctx context.Context, j Job) (r Rate, err error) {
	err = p.call(ctx, "Connects", j, &r)
	return r, err
}

// Hold is the function of that name, there; the connections stay open until Close.
func (p *Peer) Hold(ctx context.Context, j Job) error { return p.call(ctx, "Hold", j, &None{}) }

// Close ends the process and waits for it.
func (p *Peer) Close() error {
	p.once.Do(func() {
		_ = p.client.Close() // ends its standard input, on which it exits
		p.cancel()
	})
	<-p.done
	return nil
}
