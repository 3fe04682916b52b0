package scenario

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"appliance/internal/config"
	"appliance/internal/runner"
	"appliance/internal/scenario/host"
	"appliance/internal/scenario/script"
	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
	"appliance/tracer/sequence"
)

// The ends' addresses, whoever plays them, and those of an extra script.
var (
	clientAddresses = prefixes("192.168.12.1/24", "fd00:12::1/64")
	serverAddresses = prefixes("192.168.12.53/24", "fd00:12::53/64")
	extraAddresses  = prefixes("192.168.12.2/24", "fd00:12::2/64")
)

// TIME-WAIT's half, where the run says nothing else.
const (
	virtualMSL = 2 * time.Minute // RFC 793, 3.3
	realMSL    = 100 * time.Millisecond
)

// defaultPort is the server's.
const defaultPort = 9000

// queue is how many events the trace may be behind: more than a run has.
const queue = 1 << 22

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, p := range all {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

func addressesOf(e sequence.End) []netip.Prefix {
	if e == sequence.Client {
		return clientAddresses
	}
	return serverAddresses
}

// addressOf is the address of a family among them.
func addressOf(all []netip.Prefix, family int) netip.Addr {
	for _, p := range all {
		if p.Addr().Is4() == (family == 4) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// world is what a combination is played in.
type world struct {
	stage
	c      *combination
	o      *Options
	bus    *tracer.Bus
	links  map[sequence.End]link.Link // the stacks' and scripts'
	spare  link.Link                  // the extra script's
	stacks map[sequence.End]*netstack.Stack
	hosts  map[sequence.End]host.Host
	plays  map[sequence.End]*script.Script
	extra  *script.Script
	linux  *linuxSide                 // nil on a pipe, and where both ends are Linux
	both   *bothLinux                 // nil but there
	over   func([]tracer.Event) error // Options.Watch's
}

// newWorld makes the world of a combination, which is to be closed also after an error.
func newWorld(ctx context.Context, c *combination, o *Options) (*world, error) {
	w := &world{
		c: c, o: o,
		links:  map[sequence.End]link.Link{},
		stacks: map[sequence.End]*netstack.Stack{},
		hosts:  map[sequence.End]host.Host{},
		plays:  map[sequence.End]*script.Script{},
	}
	w.stage = stage{
		journal: newJournal(), players: c.players, run: c.run, port: c.run.Port,
		addrs: map[sequence.End]netip.Addr{
			sequence.Client: addressOf(clientAddresses, c.family), sequence.Server: addressOf(serverAddresses, c.family),
		},
	}
	w.names = newNames(w.journal.poke)
	if w.port == 0 {
		w.port = defaultPort
	}
	w.clock = newRealTime()
	if c.clock == Virtual {
		w.clock = newVirtualTime()
	}
	return w, w.make(ctx)
}

func (w *world) make(ctx context.Context) error {
	if err := w.openLinks(ctx); err != nil {
		return err
	}
	if w.o.Watch != nil && w.linux != nil {
		var err error
		if w.over, err = w.o.Watch(ctx, w.linux.lab); err != nil {
			return fmt.Errorf("watch the link: %w", err)
		}
	}
	if err := w.impair(); err != nil {
		return err
	}
	if err := w.startBus(); err != nil {
		return err
	}
	for _, e := range []sequence.End{sequence.Server, sequence.Client} {
		if err := w.startEnd(ctx, e); err != nil {
			return err
		}
	}
	if err := w.acquaint(ctx); err != nil {
		return err
	}
	if w.spare == nil {
		return nil
	}
	// It attacks the server, from an address of its own.
	var err error
	w.extra, err = script.New(w.spare, w.scriptOptions(extraAddresses, sequence.Server, true))
	return err
}

func (w *world) openLinks(ctx context.Context) error {
	switch {
	case neitherOurs(w.players):
		return w.openBothLinux(ctx)
	case w.c.link != Pipe:
		return w.openLab(ctx)
	}
	macs := []net.HardwareAddr{runner.StableMAC(clientAddresses), runner.StableMAC(serverAddresses)}
	if len(w.run.Extra) > 0 {
		macs = append(macs, runner.StableMAC(extraAddresses))
	}
	ports := link.NewHub(link.HubOptions{MTU: uint32(w.run.MTU), MACs: macs, Clock: w.clock.tcpip()}) //nolint:gosec // the file's is checked
	w.links[sequence.Client], w.links[sequence.Server] = ports[0], ports[1]
	if len(ports) > 2 {
		w.spare = ports[2]
	}
	return nil
}

// forcedRule is the name, in the trace, of rules that make a form which an end does not
// choose by itself.
const forcedRule = "forced form"

// forced tells whether such a rule has done something.
func forced(events []tracer.Event) bool {
	return slices.ContainsFunc(events, func(e tracer.Event) bool {
		s, ok := e.Body.(*tracer.Segment)
		return ok && strings.Contains(s.Dropped, forcedRule)
	})
}

// impair has the link do what the file says, at the client's end where both are the
// appliance, else at the appliance's.
func (w *world) impair() error {
	at := sequence.Client
	if !w.traced(at) {
		at = sequence.Server
	}
	o := link.ImpairOptions{Clock: w.clock.tcpip()}
	for _, r := range w.run.Link {
		rule, err := parseRule(r, at)
		if err != nil {
			return err
		}
		o.Rules = append(o.Rules, rule)
	}
	for _, who := range slices.Sorted(maps.Keys(w.run.Forced)) {
		end, player, _ := strings.Cut(who, "@")
		if w.players[sequence.End(end)] == sequence.Player(player) {
			for _, r := range w.run.Forced[who] {
				rule, err := parseRule(r, at)
				if err != nil {
					return err
				}
				rule.Name = forcedRule + ": " + r.Rule
				o.Rules = append(o.Rules, rule)
			}
		}
	}
	if len(o.Rules) == 0 {
		return nil
	}
	im, err := link.NewImpair(w.links[at], o)
	if err != nil {
		return err
	}
	w.links[at] = im
	return nil
}

// parseRule reads a link's rule for an impairment at one end.
func parseRule(r sequence.LinkRule, at sequence.End) (link.Rule, error) {
	action, rest, _ := strings.Cut(strings.TrimSpace(r.Rule), " ")
	dir := tracer.Out
	if r.From != at {
		dir = tracer.In
	}
	rule, err := link.ParseRule(strings.TrimSpace(fmt.Sprintf("%s %s %s", action, dir, rest)))
	if err != nil {
		return rule, fmt.Errorf("link rule %q: %w", r.Rule, err)
	}
	return rule, nil
}

func (w *world) startBus() error {
	h := tracer.Header{Appliance: w.o.Appliance, GVisor: w.o.GVisor, Go: runtime.Version()}
	for _, e := range []sequence.End{sequence.Client, sequence.Server} {
		if !w.traced(e) {
			continue
		}
		o, err := w.tcp(e)
		if err != nil {
			return err
		}
		if h.TCP, err = netstack.DescribeTCP(o); err != nil {
			return err
		}
		h.Link = w.links[e].Info()
		break
	}
	if w.both != nil {
		h.Link = w.both.info()
	}
	var err error
	w.bus, err = tracer.NewBus(h, tracer.BusOptions{Now: w.clock.now(), Started: w.clock.started(), Queue: queue}, w.journal)
	return err
}

// startEnd makes an end's stack, script or kernel sockets.
func (w *world) startEnd(ctx context.Context, e sequence.End) error {
	var err error
	switch w.players[e] {
	case sequence.Script:
		w.plays[e], err = script.New(w.links[e], w.scriptOptions(addressesOf(e), e.Other(), e == sequence.Client))
	case sequence.Linux:
		w.hosts[e], err = w.startLinux(ctx, e)
	default:
		err = w.startStack(e)
	}
	return err
}

func (w *world) startStack(e sequence.End) error {
	tcp, err := w.tcp(e)
	if err != nil {
		return err
	}
	l := w.links[e]
	delete(w.links, e) // the stack closes it
	s, err := netstack.New(l, netstack.Options{
		Name: w.stackOf(e), Addresses: addressesOf(e), TCP: tcp,
		Recorder: w.bus, Level: tracer.LevelFull, Clock: w.clock.tcpip(),
	})
	if err != nil {
		return err
	}
	w.stacks[e] = s
	w.hosts[e] = host.NewStack(s, host.StackOptions{Local: w.listenAddress(e)})
	return nil
}

// listenAddress is what an end listens on: its address or, where scripts send to others, any.
func (w *world) listenAddress(e sequence.End) netip.Addr {
	if w.players[e.Other()] != sequence.Script && len(w.run.Extra) == 0 {
		return w.addrs[e]
	}
	if w.c.family == 4 {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (w *world) scriptOptions(own []netip.Prefix, against sequence.End, client bool) script.Options {
	return script.Options{
		Addresses: own, Peer: w.addrs[against], Port: w.port, Client: client, Clock: w.clock.tcpip(),
	}
}

// tcp are the TCP settings of an end's stack: the file's, over those of the default
// configuration.
func (w *world) tcp(e sequence.End) (netstack.TCPOptions, error) {
	values := map[string]any{}
	for _, at := range []sequence.End{"", e} {
		for k, v := range w.run.TCP[at] {
			values[k] = v
		}
	}
	for k, v := range w.patience() {
		if _, given := values[k]; !given {
			values[k] = v
		}
	}
	if _, given := values["msl"]; !given {
		values["msl"] = w.msl().String()
	}
	doc, err := yaml.Marshal(map[string]any{"tcp": values})
	if err != nil {
		return netstack.TCPOptions{}, fmt.Errorf("tcp settings of %s: %w", e, err)
	}
	c, err := config.Parse("tcp settings of "+string(e), doc)
	if err != nil {
		return netstack.TCPOptions{}, err
	}
	return c.Stack().TCP, nil
}

// patience are settings for a real clock, where a busy machine may keep an acknowledgment
// waiting for longer than timers do that a sequence does not speak of.
func (w *world) patience() map[string]any {
	if _, virtual := w.clock.(*virtualTime); virtual {
		return nil
	}
	return map[string]any{"min_rto": "1s"}
}

func (w *world) msl() time.Duration {
	_, virtual := w.clock.(*virtualTime)
	given, otherwise := w.run.RealMSL, realMSL
	if virtual {
		given, otherwise = w.run.MSL, virtualMSL
	}
	if given != 0 {
		return given
	}
	return otherwise
}

// settle waits until nothing is on its way between what was seen and the trace, nor from
// the appliance to Linux.
func (w *world) settle(ctx context.Context) error {
	for _, s := range w.stacks {
		s.Pause()
		s.Resume()
	}
	w.bus.Sync()
	return w.allTaken(ctx)
}

// wake ends every step that waits in a socket.
func (w *world) wake() error {
	var err error
	for _, h := range w.hosts {
		err = errors.Join(err, h.Close())
	}
	return err
}

// close takes the world down: sockets, scripts, stacks with their links, what links are
// left, the Linux side, the bus.
func (w *world) close() error {
	err := w.wake()
	for _, s := range w.plays {
		s.Close()
	}
	if w.extra != nil {
		w.extra.Close()
	}
	for _, s := range w.stacks {
		err = errors.Join(err, s.Close())
	}
	if w.spare != nil {
		w.links["extra"] = w.spare
	}
	for _, l := range w.links {
		l.Close()
		l.Wait()
	}
	if w.linux != nil {
		err = errors.Join(err, w.linux.close())
	}
	if w.both != nil {
		err = errors.Join(err, w.both.close())
	}
	if w.bus != nil {
		err = errors.Join(err, w.bus.Close())
	}
	return err
}
