package link

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// claimIn claims the interface of that index in a namespace.
func claimIn(t *testing.T, ns string, index int) (release func() error, err error) {
	t.Helper()
	in(t, ns, func() error {
		release, err = Claim(InterfaceInfo{Name: "app0", Index: index})
		return nil
	})
	return release, err
}

func mustClaim(t *testing.T, ns string, index int) (release func()) {
	t.Helper()
	end, err := claimIn(t, ns, index)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	}
}

// A claim excludes another of the same interface, and of no other.
func TestClaim(t *testing.T) {
	needRoot(t)
	verifyNoLeak(t)
	here, there, before := newNetNS(t), newNetNS(t), openFDs(t)
	release := mustClaim(t, here, 2)
	mustClaim(t, here, 3)()
	mustClaim(t, there, 2)()
	if _, err := claimIn(t, here, 2); !errors.Is(err, unix.EBUSY) {
		t.Errorf("a second claim: %v, want %v", err, unix.EBUSY)
	}
	release()
	mustClaim(t, here, 2)()
	if after := openFDs(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

// Who claims what is about to be let go gets it.
func TestClaimWaits(t *testing.T) {
	needRoot(t)
	ns := newNetNS(t)
	release := mustClaim(t, ns, 2)
	soon := time.AfterFunc(50*time.Millisecond, release) // the claim may come before or after
	defer soon.Stop()
	mustClaim(t, ns, 2)()
}

// One appliance has an interface.
func TestVethTwice(t *testing.T) {
	verifyNoLeak(t)
	lab := newVethLab(t, 1500)
	features := ethtoolShow(t, lab.host, "host0")
	first := openLabVeth(t, lab, VethOptions{})
	off := ethtoolShow(t, lab.host, "host0")
	if _, err := OpenVeth(VethOptions{Interface: "app0", NetNS: lab.app}); !errors.Is(err, unix.EBUSY) {
		t.Errorf("opened twice: %v, want %v", err, unix.EBUSY)
	}
	if now := ethtoolShow(t, lab.host, "host0"); now != off {
		t.Errorf("the second changed the peer's features:\n%s\nwere\n%s", now, off)
	}
	first.Close()
	if now := ethtoolShow(t, lab.host, "host0"); now != features {
		t.Errorf("the peer's features are\n%s\nwere\n%s", now, features)
	}
	openLabVeth(t, lab, VethOptions{})
}
