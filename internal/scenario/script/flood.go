package script

import (
	"fmt"
	"net/netip"
	"strconv"
)

// The flood's sources: 192.168.12.128 to .254 and fd00:12::f:80 to fd00:12::f:fe, each with
// ports from 1024 on. More addresses would be more than neighbour tables hold: Linux's
// begins to forget at 128.
const (
	floodFirst, floodCount = 128, 127
	floodFirstPort         = 1024
	floodPorts             = 1<<16 - floodFirstPort
	// floodStride walks over the ports in no obvious order, and over each once: it shares no
	// factor with their number. floodShift keeps the addresses from going in step.
	floodStride, floodShift = 24571, 7919
)

var (
	floodNet4 = netip.MustParsePrefix("192.168.12.0/24")
	floodNet6 = netip.MustParsePrefix("fd00:12::f:0/112")
)

// isFlood tells whether an address is one of the flood's.
func isFlood(a netip.Addr) bool {
	b := a.AsSlice()
	if !floodNet4.Contains(a) && !floodNet6.Contains(a) {
		return false
	}
	last := b[len(b)-1]
	return last >= floodFirst && last < floodFirst+floodCount && (a.Is4() || b[14] == 0)
}

// nextFlood returns a source that no flood of this script has used, and its initial number.
// mu is held.
func (s *Script) nextFlood(v4 bool) (netip.AddrPort, uint32, error) {
	for {
		src, ok := floodSource(s.floods, v4, int(s.isn("flood ports")>>8))
		if !ok {
			return src, 0, fmt.Errorf("from=flood: all %d sources are used up", s.floods)
		}
		s.floods++
		if src.Addr() == s.o.Peer || s.isOwn(src.Addr()) {
			continue
		}
		s.answerFor(src.Addr())
		return src, s.isn("flood " + strconv.Itoa(s.floods)), nil
	}
}

// floodSource is the i-th source: all addresses before any has a second port.
func floodSource(i int, v4 bool, start int) (netip.AddrPort, bool) {
	host, turn := i%floodCount, i/floodCount
	if turn >= floodPorts {
		return netip.AddrPort{}, false
	}
	port := uint16(floodFirstPort + (start+host*floodShift+turn*floodStride)%floodPorts) //nolint:gosec // below 65536
	last := byte(floodFirst + host)                                                      //nolint:gosec // at most 254
	if v4 {
		b := floodNet4.Addr().As4()
		b[3] = last
		return netip.AddrPortFrom(netip.AddrFrom4(b), port), true
	}
	b := floodNet6.Addr().As16()
	b[15] = last
	return netip.AddrPortFrom(netip.AddrFrom16(b), port), true
}
