package runner

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
	"appliance/tracer/view/words"
)

// drainTime is how long open connections get to end in order when the appliance is
// told to stop.
const drainTime = 2 * time.Second

// Options say what to run.
type Options struct {
	Config *config.Config // valid
	// Lab is the lab to run in, the caller's to close; nil means the one that the
	// configuration names.
	Lab *lab.Lab
	// Out gets the trace.
	Out io.Writer
	// Print gets what the programs print; nil means Out, or Log where Out is for a
	// machine.
	Print io.Writer
	// Keep tells which events Out shows; nil means all. Files have all.
	Keep func(*tracer.Event) bool
	// Log gets what the appliance says of itself, one line a call.
	Log func(format string, args ...any)
	// Color is for the trace on Out.
	Color bool
	// Lang is the language of the trace's text, on Out and in files.
	Lang words.Lang
	// Sinks get the trace too; the Bus closes them.
	Sinks []tracer.Sink
	// Appliance and GVisor are versions, for the trace's header.
	Appliance, GVisor string
}

// Appliance is one that runs.
type Appliance struct {
	opts  Options
	lab   *lab.Lab // to close; nil when the caller's, or none
	links []link.Link
	// device is the link below the impairment: the one with counters and warnings.
	device link.Link
	made   []string // trace files that were not there before
	stack  *netstack.Stack
	peer   *netstack.Stack // a pipe's other end; nil for other links
	bus    *tracer.Bus
	out    *screen

	stopApps context.CancelFunc
	apps     sync.WaitGroup
	clients  sync.WaitGroup
	failed   chan error // the first thing that ends the appliance early
	closing  sync.Once
	err      error
	started  time.Time
}

// Start makes the appliance and its programs. What it made before an error is gone
// again.
func Start(ctx context.Context, o Options) (*Appliance, error) {
	a := &Appliance{opts: o, out: &screen{w: o.Out}, failed: make(chan error, 1), started: time.Now()}
	if err := a.start(ctx); err != nil {
		return nil, errors.Join(err, a.abandon())
	}
	return a, nil
}

func (a *Appliance) start(ctx context.Context) error {
	c := a.opts.Config
	tcp, err := netstack.DescribeTCP(c.Stack().TCP)
	if err != nil {
		return err
	}
	if err := a.openLinks(ctx); err != nil {
		return err
	}
	sinks, made, err := openSinks(ctx, c.Trace, a.out, a.opts)
	if err != nil {
		return err
	}
	a.made = made
	sinks = append(sinks, a.opts.Sinks...)
	header := tracer.Header{
		Appliance: a.opts.Appliance, GVisor: a.opts.GVisor, Go: runtime.Version(),
		Link: a.links[0].Info(), TCP: tcp,
	}
	a.bus, err = tracer.NewBus(header, tracer.BusOptions{OnError: a.fail}, sinks...)
	if err != nil {
		return errors.Join(err, closeFiles(sinks))
	}
	if err := a.startStacks(); err != nil {
		return err
	}
	return a.startApps(ctx)
}

// openLinks opens the link, with what the impairment does around it, and a pipe's
// other end.
func (a *Appliance) openLinks(ctx context.Context) error {
	c := a.opts.Config
	if c.Link.Kind == config.LinkPipe {
		here, there := link.NewPipe(link.PipeOptions{MTU: uint32(c.Link.MTU)}) //nolint:gosec // the configuration bounds it
		a.links = []link.Link{here, there}
	} else {
		l := a.opts.Lab
		if l == nil {
			found, err := findLab(ctx, c)
			if err != nil {
				return err
			}
			l, a.lab = found, found
		}
		opened, err := openLink(ctx, c, l)
		if err != nil {
			return err
		}
		a.links = []link.Link{opened}
		if err := checkMTU(c, opened); err != nil {
			return err
		}
	}
	a.device = a.links[0]
	return a.impair()
}

func (a *Appliance) impair() error {
	c := a.opts.Config
	if !c.Impair.Any() {
		return nil
	}
	o, err := c.Impair.Options()
	if err != nil {
		return err
	}
	im, err := link.NewImpair(a.links[0], o)
	if err != nil {
		return err
	}
	a.links[0] = im
	return nil
}

func (a *Appliance) startStacks() error {
	o := a.opts.Config.Stack()
	o.Recorder = a.bus
	var err error
	if a.stack, err = netstack.New(a.links[0], o); err != nil || len(a.links) == 1 {
		return err
	}
	o.Name, o.Addresses, o.Routes = peerName, peerAddresses(o.Addresses), nil
	a.peer, err = netstack.New(a.links[1], o)
	return err
}

// peerName is the stack at a pipe's other end, in the trace.
const peerName = "client"

// peerAddresses are the other end's on a pipe: the lab's Linux addresses where they
// fit the network, else the first that does.
func peerAddresses(own []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range own {
		a := p.Masked().Addr().Next()
		if a == p.Addr() {
			a = a.Next()
		}
		out = append(out, netip.PrefixFrom(a, p.Bits()))
	}
	return out
}

// Stack returns the appliance's stack.
func (a *Appliance) Stack() *netstack.Stack { return a.stack }

// Peer returns the stack at a pipe's other end; nil for other links.
func (a *Appliance) Peer() *netstack.Stack { return a.peer }

// Sync waits until every sink has been given the events recorded so far.
func (a *Appliance) Sync() { a.bus.Sync() }

// Link returns what the appliance stands on.
func (a *Appliance) Link() tracer.LinkInfo { return a.links[0].Info() }

// Warnings tells what is not as it should be but does not prevent it from running.
func (a *Appliance) Warnings() []string {
	var all []string
	if w, ok := a.device.(warner); ok {
		all = w.Warnings()
	}
	if a.peer != nil && !a.hasClients() {
		all = append(all, "nothing but clients of its own can reach an appliance on a pipe: add one, such as --connect hello="+
			netip.AddrPortFrom(a.opts.Config.Addresses[0].Addr(), helloPort).String())
	}
	return all
}

// fail ends the appliance early.
func (a *Appliance) fail(err error) {
	select {
	case a.failed <- err:
	default: // the first is what counts
	}
}

// Run runs until ctx ends, the link is gone, a sink fails or, when nobody else can
// come (there are only clients, or the link is a pipe), the clients are done. It
// returns what ended it early; Close still must be called.
func (a *Appliance) Run(ctx context.Context) error {
	var done <-chan struct{}
	if a.endsWithClients() {
		done = a.clientsDone()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-done:
		return nil
	case err := <-a.failed:
		return err
	case <-a.links[0].Done():
		return a.linkError()
	}
}

// clientsDone returns a channel that closes when every client program has ended.
func (a *Appliance) clientsDone() <-chan struct{} {
	done := make(chan struct{})
	a.apps.Add(1)
	go func() {
		defer a.apps.Done()
		a.clients.Wait()
		close(done)
	}()
	return done
}
