package runner

import (
	"fmt"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"appliance/internal/config"
)

// Greeting says, in one line, what runs where.
func (a *Appliance) Greeting() string {
	c, info := a.opts.Config, a.Link()
	var parts []string
	for _, p := range c.Addresses {
		parts = append(parts, p.String())
	}
	where := info.Kind
	if info.Name != "" {
		where += " " + info.Name
	}
	if c.Link.Lab != "" && c.Link.Kind != config.LinkPipe {
		where += " of lab " + c.Link.Lab
	}
	s := fmt.Sprintf("%s on %s (MTU %d)", strings.Join(parts, " "), where, info.MTU)
	if info.Impair != "" {
		s += "; " + info.Impair
	}
	for _, app := range c.Apps {
		if app.Role == config.RoleClient {
			s += fmt.Sprintf("; %s to %s", app.Name, app.Connect)
			continue
		}
		for _, p := range app.Protocols {
			s += fmt.Sprintf("; %s on %s port %d", app.Name, p, app.Port)
		}
	}
	return s
}

// Counters are gVisor's own counters and the link's, a line each, for people.
func (a *Appliance) Counters() []string {
	st := a.stack.Stats()
	t := st.TCP
	v := func(c *tcpip.StatCounter) uint64 { return c.Value() }
	out := []string{
		// What follows is of one stack, on a pipe too, where the trace has both ends.
		fmt.Sprintf("running %s, %d events; gVisor's counters of this end:", time.Since(a.started).Round(time.Millisecond), a.bus.Recorded()),
		// How they ended the trace tells: gVisor's counters of failures leave out refused
		// connects, and those of resets and time-outs most of them (RFC 4022 has them in).
		fmt.Sprintf("connections: %d opened, %d accepted, %d established now",
			v(t.ActiveConnectionOpenings), v(t.PassiveConnectionOpenings), v(t.CurrentEstablished)),
		// In are those that a socket was found for, out those too that then waited for an
		// address in vain; and a SYN that goes out again is no retransmission to gVisor.
		fmt.Sprintf("segments: %d in for sockets, %d handed to IP, %d retransmitted (SYNs apart), %d RST in, %d RST out, %d bad checksums",
			v(t.ValidSegmentsReceived), v(t.SegmentsSent), v(t.Retransmits), v(t.ResetsReceived), v(t.ResetsSent), v(t.ChecksumErrors)),
		fmt.Sprintf("datagrams: %d in, %d out; IP packets: %d in, %d out",
			v(st.UDP.PacketsReceived), v(st.UDP.PacketsSent), v(st.IP.PacketsReceived), v(st.IP.PacketsSent)),
	}
	if l, ok := a.device.(counter); ok {
		k := l.Counters()
		out = append(out, fmt.Sprintf("frames: %d in (%d bytes), %d out (%d bytes); lost at the device: %d in, %d out",
			k.FramesIn, k.BytesIn, k.FramesOut, k.BytesOut, k.RxDrops+k.Runts+k.VLAN+k.Truncated, k.TxDrops+k.TxErrors))
	}
	return out
}
