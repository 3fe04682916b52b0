package runner

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"appliance/internal/config"
	"appliance/internal/lab"
	"appliance/netstack/link"
)

// warner is a link that has something to say of itself.
type warner interface{ Warnings() []string }

// counter is a link that counts frames.
type counter interface{ Counters() link.Counters }

// openLink opens the link that the configuration names, without impairment.
func openLink(ctx context.Context, c *config.Config, l *lab.Lab) (link.Link, error) {
	mac := StableMAC(c.Addresses)
	if c.Link.MAC != "" {
		var err error
		if mac, err = net.ParseMAC(string(c.Link.MAC)); err != nil {
			return nil, fmt.Errorf("link: %w", err)
		}
	}
	if l != nil {
		return openLabLink(ctx, c, l, mac)
	}
	if c.Link.Kind == config.LinkTAP {
		return link.OpenTAP(link.TAPOptions{
			Name: c.Link.Interface, NetNS: c.Link.NetNS, MAC: mac,
			MTU: uint32(c.Link.MTU), Addresses: c.Addresses, //nolint:gosec // the configuration bounds it
			Offload: string(c.Link.Offload), BusyPoll: time.Duration(c.Link.BusyPoll),
		})
	}
	return link.OpenVeth(link.VethOptions{
		Interface: c.Link.Interface, NetNS: c.Link.NetNS, PeerNetNS: c.Link.PeerNetNS, MAC: mac,
		Offload: string(c.Link.Offload), BusyPoll: time.Duration(c.Link.BusyPoll), Addresses: c.Addresses,
	})
}

// checkMTU refuses a link whose MTU is another than the configuration wants: that of an
// interface that was there before.
func checkMTU(c *config.Config, l link.Link) error {
	want, info := c.Link.MTU, l.Info()
	if want == 0 || want == int(l.MTU()) {
		return nil
	}
	command := fmt.Sprintf("`ip link set %s mtu %d` at both ends", info.Name, want)
	if c.Link.Lab != "" {
		command = fmt.Sprintf("`appliance lab up%s --mtu %d`", nameFlag(c.Link.Lab), want)
	}
	return fmt.Errorf("%s %s: its MTU is %d, and %d is wanted: leave that out (--mtu, link.mtu), or set it with %s", info.Kind, info.Name, l.MTU(), want, command)
}

// StableMAC is the MAC address of an appliance that is given none, locally
// administered: the same in every run with the same IP addresses. A new one each time
// would leave the peer's neighbour cache wrong, and the peer unable to reach an
// appliance that was started again, for half a minute and more.
func StableMAC(addresses []netip.Prefix) net.HardwareAddr {
	h := fnv.New64a()
	for _, p := range addresses {
		b, _ := p.Addr().MarshalBinary() // it does not err
		_, _ = h.Write(b)                // nor does that
	}
	sum := h.Sum(nil)
	return append(net.HardwareAddr{0x02}, sum[:5]...)
}

// findLab opens the lab that the configuration names; nil where it names none.
func findLab(ctx context.Context, c *config.Config) (*lab.Lab, error) {
	if c.Link.Lab == "" || c.Link.Kind == config.LinkPipe {
		return nil, nil
	}
	l, err := lab.Open(ctx, c.Link.Lab)
	if errors.Is(err, lab.ErrNotFound) {
		flags := nameFlag(c.Link.Lab)
		if c.Link.Kind != config.LinkVeth {
			flags += " --kind " + string(c.Link.Kind)
		}
		return nil, fmt.Errorf("lab %s: %w: make it with `appliance lab up%s`, or use --link pipe", c.Link.Lab, lab.ErrNotFound, flags)
	}
	if err != nil {
		return nil, err
	}
	if string(l.Kind()) != string(c.Link.Kind) {
		name := nameFlag(l.Name())
		err := fmt.Errorf("lab %s is up as %s, and the configuration wants %s: use --link %s, or take it down and up again: `appliance lab down%s`, `appliance lab up%s --kind %s`",
			l.Name(), l.Kind(), c.Link.Kind, l.Kind(), name, name, c.Link.Kind)
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// nameFlag is how a command names the lab.
func nameFlag(name string) string {
	if name == lab.DefaultName {
		return ""
	}
	return " --name " + name
}

// OpenLabEnd opens the appliance's end of a lab, for a stack with these addresses and
// the MAC address of [StableMAC]; the veth peer's offloads are off until it is closed. main
// must have registered [OpenLabLink].
func OpenLabEnd(ctx context.Context, l *lab.Lab, addresses []netip.Prefix) (link.Link, error) {
	c := config.Default()
	c.Addresses = addresses
	return openLabLink(ctx, c, l, StableMAC(addresses))
}

// labLink is a link whose descriptor came from a lab, which has something to undo.
type labLink struct {
	link.Link
	once     sync.Once
	release  func() error
	warnings []string
}

// Child is the link itself, for link.KnowVouched.
func (l *labLink) Child() stack.LinkEndpoint { return l.Link }

// Close implements link.Link.
func (l *labLink) Close() {
	l.Link.Close()
	l.once.Do(func() {
		if l.release != nil {
			if err := l.release(); err != nil {
				l.warnings = append(l.warnings, err.Error())
			}
		}
	})
}

// Counters are the link's own.
func (l *labLink) Counters() link.Counters {
	if inner, ok := l.Link.(counter); ok {
		return inner.Counters()
	}
	return link.Counters{}
}

// Warnings tells what is not as it should be.
func (l *labLink) Warnings() []string {
	w := l.warnings
	if inner, ok := l.Link.(warner); ok {
		w = append(append([]string(nil), w...), inner.Warnings()...)
	}
	return w
}
