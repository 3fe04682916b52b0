package serve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// maxDatagram is more than any UDP datagram carries (RFC 768: a 16-bit length).
const maxDatagram = 65535

// answerers are the ports of the small services that answer whatever they are sent:
// echo, daytime, quote of the day, chargen, time. Two that answer each other never
// stop (CERT CA-1996-01), and one forged datagram is enough to begin.
var answerers = map[uint16]bool{0: true, 7: true, 13: true, 17: true, 19: true, 37: true}

// Packets reads datagrams from pc and sends each one's sender what answer makes of
// it; nil is no reply, an empty slice an empty datagram. answer must not keep p.
// A datagram from the port of another such service is never answered.
//
// It owns pc and closes it. It returns nil after ctx's end, else the error that
// ended the reading.
func Packets(ctx context.Context, pc net.PacketConn, log Logf, answer func(p []byte, from net.Addr) []byte) error {
	defer func() { _ = pc.Close() }()
	defer OnDone(ctx, func() { _ = pc.Close() })()

	buf := make([]byte, maxDatagram)
	var r retry
	for {
		n, from, err := pc.ReadFrom(buf)
		switch {
		case err == nil:
			r = retry{}
			reply(ctx, pc, log, answer(buf[:n], from), from)
		case r.wait(ctx, fmt.Sprintf("read on %v", pc.LocalAddr()), err, log):
		case ctx.Err() != nil:
			return nil
		default:
			return fmt.Errorf("read on %v: %w", pc.LocalAddr(), err)
		}
	}
}

func reply(ctx context.Context, pc net.PacketConn, log Logf, p []byte, to net.Addr) {
	if p == nil {
		return
	}
	if port, ok := portOf(to); ok && answerers[port] {
		logf(log, "%v: not answered: port %d is a service that would answer the answer", to, port)
		return
	}
	if _, err := pc.WriteTo(p, to); err != nil && ctx.Err() == nil {
		logf(log, "%v: %v", to, err)
	}
}

func portOf(a net.Addr) (uint16, bool) {
	if a == nil {
		return 0, false
	}
	ap, err := netip.ParseAddrPort(a.String())
	return ap.Port(), err == nil
}
