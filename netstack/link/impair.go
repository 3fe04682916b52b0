package link

import (
	"fmt"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/nested"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/tracer"
)

// Impair wraps a link and loses, holds, repeats, reorders and damages the packets
// that pass it, as ImpairOptions say. A Watcher learns of each.
//
// What is held is copied, so that the sender may go on with its packet. A copy's
// bytes are shared until one is written to. After Close nothing that was held goes
// anywhere; Wait, after Close, waits until the last delivery has returned. Neither
// is to be called from within a delivery.
//
// What is decided about is a segment on a wire, one by one. So where anything is to
// be done, the stack above is offered no host GSO, and a super-segment from below is
// taken apart first.
//
// The stack above must verify checksums, or it takes corrupted segments for good
// ones: the links of this package claim no checksum offload, and under an impairment
// that does anything they vouch for no segment.
type Impair struct {
	nested.Endpoint
	options ImpairOptions
	rules   *ruleSet
	in, out *side
	watcher atomic.Pointer[Watcher]
	done    chan struct{}
	once    sync.Once
}

var _ Link = (*Impair)(nil)

// side is one direction: who decides, and what carries it out.
type side struct {
	dir    tracer.Direction
	active bool // it may do something, or must count segments
	*decider
	*lane
}

// NewImpair wraps lower. It errs where o.Validate does, and then leaves lower as
// it is.
func NewImpair(lower stack.LinkEndpoint, o ImpairOptions) (*Impair, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = tcpip.NewStdClock()
	}
	im := &Impair{options: o, rules: newRuleSet(o.Rules), done: make(chan struct{})}
	im.in = im.newSide(tracer.In, o.In, im.deliver)
	im.out = im.newSide(tracer.Out, o.Out, func(h held) { _ = im.write(h) })
	im.Init(lower, im)
	return im, nil
}

func (im *Impair) newSide(dir tracer.Direction, i Impairment, send func(held)) *side {
	return &side{
		dir:     dir,
		active:  i.active() || len(im.options.Rules) > 0,
		decider: newDecider(dir, i, im.options.Seed, im.options.Clock),
		lane:    newLane(im.options.Clock, send),
	}
}

// SetWatcher sets who is told; nil means nobody, and then what is delivered goes
// to the dispatcher.
func (im *Impair) SetWatcher(w Watcher) {
	if w == nil {
		im.watcher.Store(nil)
		return
	}
	im.watcher.Store(&w)
}

func (im *Impair) watch() Watcher {
	if w := im.watcher.Load(); w != nil {
		return *w
	}
	return nil
}

// Plan draws the decision for a packet whose network header is set, and counts it:
// it is to be called once a packet, in the order in which they are sent, and
// WritePlanned right after it. For tracer.In the packet's NetworkProtocolNumber
// must be set; inbound packets from the lower link are planned by Impair itself.
func (im *Impair) Plan(dir tracer.Direction, pkt *stack.PacketBuffer) Verdict {
	s := im.out
	if dir == tracer.In {
		s = im.in
	}
	return im.plan(s, pkt.NetworkProtocolNumber, pkt)
}

func (im *Impair) plan(s *side, proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) Verdict {
	if !s.active {
		return Verdict{}
	}
	p := parsePacket(s.dir, proto, pkt, im.rules.data)
	if p.exempt {
		return Verdict{exempt: true}
	}
	fired := im.rules.fire(s.dir, &p, func() (tracer.State, bool) {
		if w := im.watch(); w != nil {
			return w.StateOf(p.flow.local, p.flow.remote)
		}
		return tracer.Closed, false
	})
	return s.decide(&p, fired, s.queued())
}

// WritePackets implements stack.LinkWriter: Plan and WritePlanned for each. A
// packet that is discarded or held counts as written, as on a wire.
func (im *Impair) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	if !im.out.active {
		return im.Endpoint.WritePackets(pkts)
	}
	for i, pkt := range pkts.AsSlice() {
		if err := im.WritePlanned(pkt, im.Plan(tracer.Out, pkt)); err != nil {
			return i, err
		}
	}
	return pkts.Len(), nil
}

// WritePlanned does to an outbound packet what v says. The packet's reference
// remains the caller's. It returns the lower link's error only for a packet that
// goes at once; after Close it returns ErrClosedForSend.
func (im *Impair) WritePlanned(pkt *stack.PacketBuffer, v Verdict) tcpip.Error {
	if v.Drop != "" {
		return nil
	}
	h := held{proto: pkt.NetworkProtocolNumber, v: v}
	if !im.out.active || v.exempt || v.Delay == 0 && !v.Reorder && im.out.free() {
		h.pkt = pkt.IncRef()
		return im.write(h)
	}
	h.pkt = pkt.Clone()
	if !im.out.put(h) {
		return &tcpip.ErrClosedForSend{}
	}
	return nil
}

// write hands a packet and its copies to the lower link.
func (im *Impair) write(h held) tcpip.Error {
	pkts := h.packets()
	var list stack.PacketBufferList
	for _, p := range pkts {
		list.PushBack(p)
	}
	_, err := im.Child().WritePackets(list)
	release(pkts)
	return err
}

// packets turns what is held into what goes on: damaged where it is to be, and
// followed by its copies. Each is the caller's to release.
func (h held) packets() []*stack.PacketBuffer {
	pkt := h.pkt
	if h.v.Corrupt && h.v.flipMask != 0 {
		pkt = corrupted(h.pkt, h.v.flipAt, h.v.flipMask)
		h.pkt.DecRef()
	}
	pkts := make([]*stack.PacketBuffer, 0, 1+h.v.Copies)
	pkts = append(pkts, pkt)
	for range h.v.Copies {
		// Before the first goes on: whoever takes it parses it in place.
		pkts = append(pkts, pkt.Clone())
	}
	return pkts
}

func release(pkts []*stack.PacketBuffer) {
	for _, p := range pkts {
		p.DecRef()
	}
}

// active tells whether packets are looked at, in either direction.
func (im *Impair) active() bool { return im.in.active || im.out.active }

// knowVouched is KnowVouched's: a segment that may be corrupted here needs a checksum.
func (im *Impair) knowVouched() {
	if !im.active() {
		KnowVouched(im.Child())
	}
}

// GSOMaxSize implements stack.GSOEndpoint.
func (im *Impair) GSOMaxSize() uint32 {
	if im.active() {
		return 0
	}
	return im.Endpoint.GSOMaxSize()
}

// SupportedGSO implements stack.GSOEndpoint.
func (im *Impair) SupportedGSO() stack.SupportedGSO {
	if im.active() {
		return stack.GSONotSupported
	}
	return im.Endpoint.SupportedGSO()
}

// DeliverNetworkPacket implements stack.NetworkDispatcher for the lower link. It
// may return before the packet has been delivered: when it is held, or when
// another goroutine is delivering and takes it over.
func (im *Impair) DeliverNetworkPacket(proto tcpip.NetworkProtocolNumber, pkt *stack.PacketBuffer) {
	if !im.in.active {
		im.Endpoint.DeliverNetworkPacket(proto, pkt)
		return
	}
	parts := splitPacket(pkt)
	if parts == nil {
		parts = []*stack.PacketBuffer{pkt.Clone()}
	}
	for _, p := range parts {
		im.in.put(held{proto: proto, pkt: p, v: im.plan(im.in, proto, p)})
	}
}

// deliver hands a packet and its copies upward.
func (im *Impair) deliver(h held) {
	w := im.watch()
	if h.v.Drop != "" {
		if w != nil {
			w.DroppedIn(h.proto, h.pkt, h.v)
		}
		h.pkt.DecRef()
		return
	}
	pkts := h.packets()
	for i, p := range pkts {
		v := h.v
		if i > 0 {
			v.Copy, v.Copies = i, 0
		}
		if w == nil || v.Zero() {
			im.Endpoint.DeliverNetworkPacket(h.proto, p)
		} else {
			w.DeliverIn(h.proto, p, v)
		}
	}
	release(pkts)
}

// Close releases what is held and closes the lower link.
func (im *Impair) Close() {
	im.in.close()
	im.out.close()
	im.Endpoint.Close()
	im.once.Do(func() { close(im.done) })
}

// Wait waits for the lower link, and after Close for what is being delivered.
func (im *Impair) Wait() {
	im.Endpoint.Wait()
	im.in.wait()
	im.out.wait()
}

// Info implements Link: the lower link's, with the impairment in words.
func (im *Impair) Info() tracer.LinkInfo {
	var info tracer.LinkInfo
	if l, ok := im.Child().(Link); ok {
		info = l.Info()
	} else {
		info = tracer.LinkInfo{MTU: im.MTU(), MAC: im.LinkAddress().String()}
	}
	info.Impair = im.String()
	return info
}

// String tells in words what is done to packets; "" for nothing.
func (im *Impair) String() string { return im.options.String() }

// Done implements Link: the lower link's, or, where it has none, closed by Close.
func (im *Impair) Done() <-chan struct{} {
	if l, ok := im.Child().(Link); ok {
		return l.Done()
	}
	return im.done
}

// Err implements Link: the lower link's.
func (im *Impair) Err() error {
	if l, ok := im.Child().(Link); ok {
		if err := l.Err(); err != nil {
			return fmt.Errorf("impaired link: %w", err)
		}
	}
	return nil
}
