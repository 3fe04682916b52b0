package script

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// The words of from= and to=.
const (
	fromFlood   = "flood"
	toBroadcast = "broadcast"
	toMulticast = "multicast"
)

func isWord(to string) bool { return to == toBroadcast || to == toMulticast }

// check tells what is wrong with a step, before any is played.
func (s *Script) check(f *sequence.Frame) error {
	if f.Times < 0 {
		return fmt.Errorf("times=%d: give a number from 1 on", f.Times)
	}
	switch f.Do {
	case sequence.FrameDelay:
		if f.For < 0 {
			return fmt.Errorf("a delay of %s: give 0 or more", f.For)
		}
		return nil
	case sequence.FrameAwait:
		return s.checkAwait(f)
	case sequence.FrameSend:
		return errors.Join(checkNumbers(f), s.checkEnds(f))
	}
	return fmt.Errorf("%q is no step of a script: it is send, await or delay", f.Do)
}

func (*Script) checkAwait(f *sequence.Frame) error {
	if f.From != "" || f.To != "" {
		return errors.New("from and to belong to send: an await is of its connection")
	}
	if f.Ack.Op != sequence.Unset && f.Ack.Op != sequence.Any && !f.Flags.Has(tracer.ACK) {
		return errors.New("a segment without ACK acknowledges nothing: leave ack out, or add the flag")
	}
	return nil
}

// checkNumbers wants of a send numbers that can be sent.
func checkNumbers(f *sequence.Frame) error {
	if f.Seq.Op != sequence.Equal {
		return errors.New("send needs seq=N")
	}
	if f.Ack.Op != sequence.Equal && (f.Ack.Op != sequence.Unset || f.Flags.Has(tracer.ACK)) {
		return errors.New("send with ACK needs ack=N")
	}
	if f.Len.Op != sequence.Equal && f.Len.Op != sequence.Unset {
		return errors.New("send needs a length that is a number: len=N")
	}
	if f.Win.Op != sequence.Equal && f.Win.Op != sequence.Unset || f.Win.N > math.MaxUint16 {
		return errors.New("send needs a window that stands in a header: win=0 to win=65535")
	}
	if f.Text != "" && f.Len.Op == sequence.Equal && int64(f.Len.N) != int64(len(f.Text)) {
		return fmt.Errorf("len=%d, but the text has %d bytes: leave one out", f.Len.N, len(f.Text))
	}
	return nil
}

// checkEnds wants of from and to addresses of one family that can be sent from and to.
func (s *Script) checkEnds(f *sequence.Frame) error {
	family := s.own.Addr()
	if f.To != "" && !isWord(f.To) {
		to, err := parseEndpoint(f.To, 1)
		if err != nil || to.Addr().IsUnspecified() {
			return fmt.Errorf("to=%s: give ADDRESS, ADDRESS:PORT, broadcast or multicast", f.To)
		}
		family = to.Addr()
	}
	if f.From == "" || f.From == fromFlood {
		return nil
	}
	from, err := parseEndpoint(f.From, 1)
	if err != nil || from.Addr().IsUnspecified() || from.Addr().IsMulticast() {
		return fmt.Errorf("from=%s: give a unicast ADDRESS, ADDRESS:PORT, or flood", f.From)
	}
	if from.Addr().Is4() != family.Is4() {
		return fmt.Errorf("from=%s: it goes to %s, of the other family", f.From, family)
	}
	return nil
}

// parseEndpoint reads an address with or without a port: 192.168.12.7:80, fd00::7, [fd00::7]:80.
func parseEndpoint(text string, port uint16) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a.Unmap().WithZone(""), port), nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()), nil
}
