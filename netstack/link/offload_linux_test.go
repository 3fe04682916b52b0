package link

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// featureLine is a feature's line in ethtool's output.
func featureLine(t *testing.T, shown, feature string) string {
	t.Helper()
	for line := range strings.Lines(shown) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && name == feature {
			return value
		}
	}
	t.Fatalf("ethtool shows no %s:\n%s", feature, shown)
	return ""
}

// checkOff looks at what has to be off at a peer.
func checkOff(t *testing.T, shown string) {
	t.Helper()
	for _, f := range []string{
		"tx-checksumming", "tx-checksum-ip-generic", "tcp-segmentation-offload",
		"generic-segmentation-offload", "generic-receive-offload", "tx-udp-segmentation",
	} {
		if v := featureLine(t, shown, f); !strings.HasPrefix(v, "off") {
			t.Errorf("%s is %s, want off", f, v)
		}
	}
}

// What the peer had on goes off, and on again at Close; what its owner had turned
// off himself stays off.
func TestOffloadIsRestored(t *testing.T) {
	for name, peer := range map[string]func(lab vethLab) string{
		"peer looked up": func(vethLab) string { return "" },
		"peer named":     func(lab vethLab) string { return lab.host },
		"peer by path":   func(lab vethLab) string { return namedNamespaces + "/" + lab.host },
	} {
		t.Run(name, func(t *testing.T) {
			verifyNoLeak(t)
			lab := newVethLab(t, 1500)
			in(t, lab.host, func() error {
				ctl, err := controlSocket()
				if err != nil {
					return err
				}
				defer unix.Close(ctl)
				_, _, err = switchOff(ctl, "host0", []string{"tx-udp-segmentation"})
				return err
			})
			host, app := ethtoolShow(t, lab.host, "host0"), ethtoolShow(t, lab.app, "app0")
			if v := featureLine(t, host, "tx-checksum-ip-generic"); v != "on" {
				t.Fatalf("tx-checksum-ip-generic is %s before the test, want on", v)
			}
			v := openLabVeth(t, lab, VethOptions{PeerNetNS: peer(lab)})
			if w := v.Warnings(); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
			checkOff(t, ethtoolShow(t, lab.host, "host0"))
			v.Close()
			if now := ethtoolShow(t, lab.host, "host0"); now != host {
				t.Errorf("after Close the peer has\n%s\nwas\n%s", now, host)
			}
			if now := ethtoolShow(t, lab.app, "app0"); now != app {
				t.Errorf("after Close the appliance's end has\n%s\nwas\n%s", now, app)
			}
		})
	}
}

// Both ends in one namespace, and the interface renamed while in use.
func TestOffloadSameNamespace(t *testing.T) {
	verifyNoLeak(t)
	needRoot(t)
	ns := newNetNS(t)
	in(t, ns, func() error {
		a := netlink.NewLinkAttrs()
		a.Name = "app0"
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: "host0"}); err != nil {
			return err
		}
		if err := setState("app0", true); err != nil {
			return err
		}
		return nil
	})
	before := ethtoolShow(t, ns, "host0")
	v, err := OpenVeth(VethOptions{Interface: "app0", NetNS: ns})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if w := v.Warnings(); len(w) != 1 || !strings.Contains(w[0], "ip link set") {
		t.Errorf("warnings %q, want one that the peer is down", w)
	}
	checkOff(t, ethtoolShow(t, ns, "host0"))
	in(t, ns, func() error {
		l, err := netlink.LinkByName("host0")
		if err != nil {
			return err
		}
		return netlink.LinkSetName(l, "renamed0")
	})
	v.Close()
	after := strings.Replace(ethtoolShow(t, ns, "renamed0"), "renamed0", "host0", 1)
	if after != before {
		t.Errorf("after Close the peer has\n%s\nwas\n%s", after, before)
	}
}

// A peer whose namespace has no name and no process that can be seen is not an
// error: the warning names the command.
func TestOffloadUnreachablePeer(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	in(t, lab.app, func() error {
		info, err := LookupInterface("app0")
		if err != nil {
			return err
		}
		info.PeerNetNSID += 1000 // A namespace that nothing here leads to.
		o, err := DisableOffload(info, "")
		if err != nil {
			return err
		}
		defer func() {
			if err := o.Restore(); err != nil {
				t.Error(err)
			}
		}()
		w := o.Warnings()
		if len(w) != 1 || !strings.Contains(w[0], "ethtool -K PEER tx off tso off gso off gro off") {
			t.Errorf("warnings %q, want one with the ethtool command", w)
		}
		return nil
	})
}
