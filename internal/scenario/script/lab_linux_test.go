package script

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"appliance/internal/lab"
	"appliance/netstack/link"
	"appliance/tracer/sequence"
)

// inUserNS marks the process that TestLab starts in a user namespace.
const inUserNS = "SCRIPT_TEST_IN_USERNS"

// newLab makes a lab whose Linux side has addresses that the script does not want; without the
// permission, nil.
func newLab(t testing.TB, kind lab.Kind) *lab.Lab {
	t.Helper()
	if _, err := os.Stat("/dev/net/tun"); kind == lab.TAP && err != nil {
		t.Skipf("needs the tun driver: %v", err)
	}
	l, err := lab.NewTemporary(t.Context(), lab.Options{Kind: kind, Addresses: []netip.Prefix{
		netip.MustParsePrefix("192.168.12.2/24"), netip.MustParsePrefix("fd00:12::2/64"),
	}})
	if denied := new(lab.PrivilegeError); errors.As(err, &denied) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return l
}

// labLinks makes the two ends of a new lab's link.
func labLinks(kind lab.Kind) func(testing.TB) (appliance, script link.Link) {
	return func(t testing.TB) (appliance, script link.Link) {
		t.Helper()
		l := newLab(t, kind)
		if l == nil && kind == lab.TAP {
			t.Skip("needs permission to open /dev/net/tun")
		}
		if l == nil {
			t.Fatal("a lab was allowed before")
		}
		script, err := OpenLink(l)
		if err != nil {
			t.Fatal(err)
		}
		if kind == lab.TAP {
			appliance, err = link.OpenTAP(link.TAPOptions{Name: l.AppInterface(), NetNS: l.AppNetNS()})
		} else {
			appliance, err = link.OpenVeth(link.VethOptions{Interface: l.AppInterface(), NetNS: l.AppNetNS(), PeerNetNS: l.HostNetNS()})
		}
		if err != nil {
			script.Close()
			t.Fatal(err)
		}
		return appliance, script
	}
}

// TestLab plays on real links: as root, or as a user in a user namespace.
func TestLab(t *testing.T) {
	if l := newLab(t, lab.Veth); l == nil {
		if os.Getenv(inUserNS) != "" {
			t.Fatal("no lab in a user namespace")
		}
		code, err := lab.ReexecInUserNS(t.Context(), []string{"-test.run=^TestLab$", "-test.v"}, append(os.Environ(), inUserNS+"=1"))
		if denied := new(lab.PrivilegeError); errors.As(err, &denied) {
			t.Skipf("needs root, or user namespaces: %v", err)
		}
		if code != 0 || err != nil {
			t.Errorf("in a user namespace: exit code %d, %v", code, err)
		}
		return
	}
	tests := map[string]func(*testing.T, settings){
		"client": testClient, "server": testServer, "simultaneous-close": testSimultaneousClose,
		"flood": testFlood, "unicast-only": testUnicastOnly,
	}
	for _, kind := range []lab.Kind{lab.Veth, lab.TAP} {
		for name, test := range tests {
			for family, of := range map[int]string{4: "IPv4", 6: "IPv6"} {
				t.Run(string(kind)+"/"+name+"/"+of, func(t *testing.T) {
					test(t, settings{family: family, links: labLinks(kind)})
				})
			}
		}
	}
}

// TestOpenLink looks at what OpenLink refuses, and at a link that vanishes.
func TestOpenLink(t *testing.T) {
	l := newLab(t, lab.Veth)
	if l == nil {
		t.Skip("needs root: makes a lab")
	}
	if _, err := OpenLink(l, netip.MustParsePrefix("192.168.12.2/24")); err == nil || !strings.Contains(err.Error(), "the kernel has it on eth0") {
		t.Errorf("the kernel's address: %v", err)
	}
	own, err := OpenLink(l, prefixes(true)...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(own, Options{Addresses: prefixes(true), Peer: prefixes(false)[0].Addr(), Client: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	done := make(chan error, 1)
	go func() {
		done <- s.Play(context.Background(), []sequence.Frame{snd(1, 0, 0, to("broadcast")), exp(syn)})
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, errLinkGone) && !strings.Contains(err.Error(), "write to the link") {
		t.Errorf("the lab is gone: %v", err)
	}
}
