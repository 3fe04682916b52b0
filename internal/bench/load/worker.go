package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"sync"
	"time"
)

// peerMark in the environment makes a process an end; its value is the congestion
// control of its sockets.
const peerMark = "APPLIANCE_BENCH_PEER"

// RunPeerIfAsked is for the first lines of main: in a process that was started with
// [PeerEnv] it is an end of a load until its standard input ends, and exits; in any
// other it returns at once.
func RunPeerIfAsked() {
	congestion, ok := os.LookupEnv(peerMark)
	if !ok {
		return
	}
	server := rpc.NewServer()
	if err := server.Register(&Worker{network: Kernel{Congestion: congestion}}); err != nil {
		panic(err) // its methods are as net/rpc wants them
	}
	server.ServeCodec(jsonrpc.NewServerCodec(stdio{}))
	os.Exit(0)
}

// PeerEnv is the environment of a process that is to be an end of a load, with that
// congestion control.
func PeerEnv(congestion string) []string { return append(os.Environ(), peerMark+"="+congestion) }

// stdio is this process's standard input and output.
type stdio struct{}

// Read implements io.Reader. At the end of the input the process is over: whoever gave it
// its work is gone, and a call in progress would only delay that.
func (stdio) Read(b []byte) (int, error) {
	n, err := os.Stdin.Read(b)
	if err != nil && n == 0 {
		os.Exit(0)
	}
	return n, nil
}

// Write implements io.Writer.
func (stdio) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

// Close implements io.Closer.
func (stdio) Close() error { return nil }

// None is what a call takes or returns that takes or returns nothing.
type None struct{}

// Job is what a call is to do.
type Job struct {
	To        netip.Addr
	Direction Direction     `json:",omitempty"`
	Streams   int           `json:",omitempty"` // also: how many in parallel, or idle
	WarmUp    time.Duration `json:",omitempty"`
	Time      time.Duration `json:",omitempty"`
}

// Worker is an end, as [Peer] calls it. Its methods have net/rpc's form.
type Worker struct {
	network Network

	mu       sync.Mutex
	server   *Server
	transfer *Transfer
	held     *Held
}

// Serve starts the Server.
func (w *Worker) Serve(None, *None) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		return errors.New("load: it serves already")
	}
	var err error
	w.server, err = Serve(context.Background(), w.network)
	return err
}

// AwaitOpen waits until the Server has as many connections as the job's Streams, for the
// job's Time at most.
func (w *Worker) AwaitOpen(j Job, _ *None) error {
	w.mu.Lock()
	s := w.server
	w.mu.Unlock()
	if s == nil {
		return errNoServer
	}
	ctx, cancel := context.WithTimeout(context.Background(), j.Time)
	defer cancel()
	return s.AwaitOpen(ctx, j.Streams)
}

var errNoServer = errors.New("load: it does not serve")

// ServerCount is the Server's count.
func (w *Worker) ServerCount(_ None, c *Count) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server == nil {
		return errNoServer
	}
	*c, err = w.server.Count()
	return err
}

// Start starts a transfer, in place of the last.
func (w *Worker) Start(j Job, _ *None) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.transfer != nil {
		return errors.New("load: a transfer is under way already")
	}
	w.transfer, err = Start(context.Background(), w.network, j.To, j.Direction, j.Streams)
	return err
}

// TransferCount is the transfer's count.
func (w *Worker) TransferCount(_ None, c *Count) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.transfer == nil {
		return errors.New("load: no transfer is under way")
	}
	*c, err = w.transfer.Count()
	return err
}

// End ends the transfer.
func (w *Worker) End(None, *None) error {
	w.mu.Lock()
	t := w.transfer
	w.transfer = nil
	w.mu.Unlock()
	if t == nil {
		return errors.New("load: no transfer is under way")
	}
	return t.End()
}

// PingPong is the function of that name.
func (w *Worker) PingPong(j Job, r *RoundTrip) (err error) {
	*r, err = PingPong(context.Background(), w.network, j.To, j.WarmUp, j.Time)
	return err
}

// Connects is the function of that name.
func (w *Worker) Connects(j Job, r *Rate) (err error) {
	*r, err = Connects(context.Background(), w.network, j.To, j.Streams, j.WarmUp, j.Time)
	return err
}

// Hold is the function of that name. The connections are kept until the process ends.
func (w *Worker) Hold(j Job, _ *None) error {
	held, err := Hold(context.Background(), w.network, j.To, j.Streams)
	if err != nil {
		return fmt.Errorf("%w: where files ran out, raise the limit (ulimit -n)", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = held
	return nil
}
