package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNamed(t *testing.T) {
	needRoot(t)
	l := mustUp(t, Options{})
	if !l.Created || l.Held() || l.Kind() != Veth {
		t.Errorf("lab is %+v", l)
	}
	if len(l.Warnings) > 0 {
		t.Errorf("warnings: %v", l.Warnings)
	}
	testHostSide(t, l, 1500, "192.168.12.1/24", "fd00:12::1/64")
	needTool(t, "ip")
	netns, err := exec.Command("ip", "netns").Output()
	if err != nil || !strings.Contains(string(netns), l.Name()+"-host") || !strings.Contains(string(netns), l.Name()+"-app") {
		t.Errorf("ip netns says %q, %v", netns, err)
	}
	app, err := exec.Command("ip", "-n", l.Name()+"-app", "-j", "addr", "show", "app0").Output()
	if err != nil {
		t.Fatal(err)
	}
	if a := parseIPAddr(t, string(app))["app0"]; len(a.Addrs) != 0 || !slices.Contains(a.Flags, "UP") {
		t.Errorf("app0 is %+v, want it up and without any address", a)
	}
	again := mustUp(t, Options{Name: l.Name()})
	if again.Created || len(again.Changes) > 0 {
		t.Errorf("up again did %v", again.Changes)
	}
	testExec(t, l)
	testOpenLink(t, l)
	testLink(t, l)

	list, err := List(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(i Info) bool {
		return i.Name == l.Name() && i.Kind == Veth && i.Problem == "" && len(i.Addresses) == 2
	}) {
		t.Errorf("list is %+v, %v", list, err)
	}
	r, err := Down(t.Context(), l.Name())
	if err != nil || !r.Existed || len(r.StillIn) > 0 {
		t.Errorf("down: %+v, %v", r, err)
	}
	assertGone(t, l.Name())
	if r, err := Down(t.Context(), l.Name()); err != nil || r.Existed {
		t.Errorf("down again: %+v, %v", r, err)
	}
	if _, err := Open(t.Context(), l.Name()); !errors.Is(err, ErrNotFound) {
		t.Errorf("open after down: %v", err)
	}
}

func TestNamedTAP(t *testing.T) {
	needRoot(t)
	if _, err := os.Stat(tunDevice); err != nil {
		t.Skip("needs " + tunDevice)
	}
	l := mustUp(t, Options{Kind: TAP})
	if l.AppNetNS() != l.HostNetNS() || l.AppInterface() != "tap0" {
		t.Errorf("lab is %+v", l.Info())
	}
	testHostSide(t, l, 1500, "192.168.12.1/24", "fd00:12::1/64")
	testLink(t, l)
	if again := mustUp(t, Options{Name: l.Name()}); again.Created || again.Kind() != TAP || len(again.Changes) > 0 {
		t.Errorf("up again: %+v", again)
	}
}

func TestNamedChange(t *testing.T) {
	needRoot(t)
	needTool(t, "ip")
	testChange(t)
}

func TestNamedConcurrentUps(t *testing.T) {
	needRoot(t)
	testConcurrentUps(t)
}

func TestNamedDo(t *testing.T) {
	needRoot(t)
	l := mustUp(t, Options{})
	err := l.Do(func() error {
		ln, err := net.Listen("tcp", "192.168.12.1:0")
		if err != nil {
			return err
		}
		return ln.Close()
	})
	if err != nil {
		t.Errorf("listen on the Linux side: %v", err)
	}
}

// TestNamedHalfMade leaves what a crash at any point of up would, and sees that up
// repairs it and down removes it.
func TestNamedHalfMade(t *testing.T) {
	needRoot(t)
	halves := map[string]func(t *testing.T, name string){
		"only the mount points": func(t *testing.T, name string) {
			touch(t, hostPath(name))
			touch(t, appPath(name))
		},
		"only the host's namespace": func(t *testing.T, name string) {
			makeHalf(t, hostPath(name), spec{Name: name, Side: sideHost, Kind: Veth, MTU: 1500, Addrs: DefaultAddresses()})
		},
		"only the appliance's namespace": func(t *testing.T, name string) {
			makeHalf(t, appPath(name), spec{Name: name, Side: sideApp})
		},
		"the appliance's name lost": func(t *testing.T, name string) {
			mustUp(t, Options{Name: name})
			if err := removeName(appPath(name)); err != nil {
				t.Fatal(err)
			}
		},
		"the host's name lost": func(t *testing.T, name string) {
			mustUp(t, Options{Name: name})
			if err := removeName(hostPath(name)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for what, make := range halves {
		t.Run(what, func(t *testing.T) {
			name := uniqueName()
			make(t, name)
			if _, err := Open(t.Context(), name); err == nil {
				t.Error("opened")
			}
			testHostSide(t, mustUp(t, Options{Name: name}), 1500, "192.168.12.1/24", "fd00:12::1/64")
		})
		t.Run(what+", down", func(t *testing.T) {
			name := uniqueName()
			make(t, name)
			if r, err := Down(t.Context(), name); err != nil || !r.Existed {
				t.Errorf("down: %+v, %v", r, err)
			}
			assertGone(t, name)
		})
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := prepareDir(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0); err != nil {
		t.Fatal(err)
	}
}

func makeHalf(t *testing.T, path string, mark spec) {
	t.Helper()
	if err := prepareDir(t.Context()); err != nil {
		t.Fatal(err)
	}
	ns, err := makeNamed(path, mark)
	if err != nil {
		t.Fatal(err)
	}
	ns.Close()
}

// TestNamedForeign sees that a namespace of the lab's name that is not the lab's is
// neither used nor removed.
func TestNamedForeign(t *testing.T) {
	needRoot(t)
	needTool(t, "ip")
	name := uniqueName()
	if out, err := exec.Command("ip", "netns", "add", name+"-app").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("ip", "netns", "delete", name+"-app").CombinedOutput(); err != nil {
			t.Errorf("the foreign namespace is gone: %v: %s", err, out)
		}
		assertGone(t, name)
	}()
	if _, err := Up(t.Context(), Options{Name: name}); err == nil || !strings.Contains(err.Error(), "not made by a lab") {
		t.Errorf("up: %v", err)
	}
	if _, err := Down(t.Context(), name); err == nil || !strings.Contains(err.Error(), "not made by a lab") {
		t.Errorf("down: %v", err)
	}
	list, err := List(t.Context())
	if err != nil || slices.ContainsFunc(list, func(i Info) bool { return i.Name == name }) {
		t.Errorf("list is %+v, %v", list, err)
	}
}

// TestNamedFailureLeavesNothing makes up fail half-way.
func TestNamedFailureLeavesNothing(t *testing.T) {
	needRoot(t)
	name := uniqueName()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Up(ctx, Options{Name: name}); !errors.Is(err, context.Canceled) {
		t.Errorf("up: %v", err)
	}
	assertGone(t, name)
}

// TestNamedStillIn takes a lab down in which somebody else's process is.
func TestNamedStillIn(t *testing.T) {
	needRoot(t)
	l := mustUp(t, Options{})
	var r Removed
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := execAfterReady(ctx, t, l, "echo ready; exec sleep 100", func() {
		var derr error
		if r, derr = Down(t.Context(), l.Name()); derr != nil {
			t.Error(derr)
		}
		for _, p := range r.StillIn {
			if unix.Kill(p.PID, 0) != nil {
				t.Errorf("process %+v was ended", p)
			}
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(r.StillIn) != 1 || r.StillIn[0].Command != "sleep" && r.StillIn[0].Command != "sh" {
		t.Errorf("still in: %+v, want the sleep", r.StillIn)
	}
	assertGone(t, l.Name())
}

func TestTemporary(t *testing.T) {
	needRoot(t)
	testTemporary(t, Veth)
	testTemporary(t, TAP)
}

func testTemporary(t *testing.T, kind Kind) {
	t.Helper()
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewTemporary(t.Context(), Options{Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	testHostSide(t, l, 1500, "192.168.12.1/24", "fd00:12::1/64")
	testLink(t, l)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	after, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	// The poller's own descriptors may have come meanwhile: at most three.
	if len(after) > len(before)+3 {
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
}

// TestTemporaryOrdered: one processor takes in what comes, at each end.
func TestTemporaryOrdered(t *testing.T) {
	needRoot(t)
	needTool(t, "unshare")
	if _, err := os.Stat("/proc/sys/net/core/rps_default_mask"); err != nil {
		t.Skipf("this kernel cannot have one processor take in all: %v", err)
	}
	for _, kind := range []Kind{Veth, TAP} {
		l, err := NewTemporary(t.Context(), Options{Kind: kind, Ordered: true})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for name, exec := range map[string]func(context.Context, Command) (int, error){
			l.Info().HostInterface: l.Exec, l.Info().AppInterface: l.ExecApp,
		} {
			if kind == TAP {
				exec = l.Exec
			}
			var out strings.Builder
			show := "mount -t sysfs sysfs /mnt && cat /mnt/class/net/" + name + "/queues/rx-0/rps_cpus"
			code, err := exec(t.Context(), Command{Argv: []string{"unshare", "-m", "sh", "-c", show}, Stdout: &out})
			if mask := strings.Trim(out.String(), "0,\n"); code != 0 || err != nil || mask != "1" {
				t.Errorf("%s %s: the processors are %q, want 1; exit code %d, %v", kind, name, out.String(), code, err)
			}
		}
	}
}

func TestTemporaryBothLinux(t *testing.T) {
	needRoot(t)
	testBothLinux(t)
}

// testBothLinux: with addresses on the appliance's side the kernel answers there,
// and what runs on that side is that host's.
func testBothLinux(t *testing.T) {
	t.Helper()
	needTool(t, "ip")
	app := []netip.Prefix{netip.MustParsePrefix("192.168.12.53/24"), netip.MustParsePrefix("fd00:12::53/64")}
	l, err := NewTemporary(t.Context(), Options{AppAddresses: app, MTU: 1400})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Info().AppAddresses; !slices.Equal(got, app) {
		t.Errorf("the appliance's side has %v", got)
	}
	testHostSide(t, l, 1400, "192.168.12.1/24", "fd00:12::1/64")
	var out strings.Builder
	if code, err := l.ExecApp(t.Context(), Command{Argv: []string{"ip", "-j", "addr"}, Stdout: &out}); code != 0 || err != nil {
		t.Fatalf("ip: %d, %v", code, err)
	}
	all := parseIPAddr(t, out.String())
	if got := all["app0"].global(t); !slices.Equal(got, []string{"192.168.12.53/24", "fd00:12::53/64"}) || all["app0"].MTU != 1400 {
		t.Errorf("app0 has %v, MTU %d", got, all["app0"].MTU)
	}
	if lo := all["lo"]; !slices.Contains(lo.Flags, "UP") {
		t.Errorf("lo is %+v, want it up", lo)
	}
	for _, address := range []string{"192.168.12.53:0", "[fd00:12::53]:0"} {
		var ln net.Listener
		if err := l.DoApp(func() (err error) { ln, err = net.Listen("tcp", address); return err }); err != nil {
			t.Fatalf("listen on the appliance's side: %v", err)
		}
		defer ln.Close()
		err := l.Do(func() error {
			c, err := net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second)
			if err != nil {
				return err
			}
			return c.Close()
		})
		if err != nil {
			t.Errorf("connect from the Linux side: %v", err)
		}
	}
	for o, want := range map[*Options]string{
		{Kind: TAP, AppAddresses: app}:     "no second interface",
		{AppAddresses: DefaultAddresses()}: "twice",
		{AppAddresses: []netip.Prefix{{}}}: "bad address",
	} {
		if l, err := NewTemporary(t.Context(), *o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, %v, want %q", o, l, err, want)
		}
	}
}

func TestTemporaryTAPHasNoAppSide(t *testing.T) {
	needRoot(t)
	l, err := NewTemporary(t.Context(), Options{Kind: TAP})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.DoApp(func() error { return nil }); err == nil || !strings.Contains(err.Error(), "namespace of its own") {
		t.Errorf("do: %v", err)
	}
	if code, err := l.ExecApp(t.Context(), Command{Argv: []string{"true"}}); err == nil || code != 126 {
		t.Errorf("exec: %d, %v", code, err)
	}
}
