package script

import (
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"appliance/tracer/sequence"
)

// TestNeighbour has the script asked for addresses: its own, one that it sends from, another's.
func TestNeighbour(t *testing.T) {
	s, _ := newWired(t, 4, 0)
	asker, w := newWired(t, 4, 0) // makes the questions
	if err := s.Play(t.Context(), []sequence.Frame{snd(syn, 0, 0, from("192.168.12.7"))}); err != nil {
		t.Fatal(err)
	}
	answers := s.link.(*wire)
	answers.sent()
	peer4, peer6 := prefixes(false)[0].Addr(), prefixes(false)[1].Addr()
	for _, test := range []struct {
		from netip.Addr
		of   string
		want bool
	}{
		{peer4, "192.168.12.1", true},
		{peer4, "192.168.12.7", true},
		{peer4, "192.168.12.8", false},
		{netip.IPv4Unspecified(), "192.168.12.1", true}, // an ARP probe (RFC 5227)
		{peer6, "fd00:12::1", true},
		{peer6, "fd00:12::8", false},
		{netip.IPv6Unspecified(), "fd00:12::1", true}, // duplicate address detection
	} {
		if err := asker.ask(test.from, netip.MustParseAddr(test.of)); err != nil {
			t.Fatal(err)
		}
		question := w.sent()[0]
		deliver(s, question)
		if got := answers.sent(); (len(got) == 1) != test.want {
			t.Errorf("%s asks for %s: %d answers, want one: %v", test.from, test.of, len(got), test.want)
		} else if test.want {
			// The answer teaches who asks.
			target := netip.MustParseAddr(test.of)
			other, _ := newWired(t, 4, 0)
			other.o.Addresses, other.mine = nil, map[netip.Addr]bool{}
			deliver(other, got[0])
			if mac := other.macs[target]; mac != tcpip.LinkAddress(ownMAC) {
				t.Errorf("%s asks for %s and learns %s", test.from, test.of, mac)
			}
		}
		// A damaged one is not answered.
		for i := header.EthernetMinimumSize + header.IPv6MinimumSize; test.from.Is6() && i < len(question); i++ {
			damaged := slices.Clone(question)
			damaged[i] ^= 0x10
			deliver(s, damaged)
			if got := answers.sent(); len(got) > 0 {
				t.Errorf("byte %d of %x is damaged, and yet it is answered", i, question)
			}
		}
	}
}
