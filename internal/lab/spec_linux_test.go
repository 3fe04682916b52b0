package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"": true, "a": true, "lab-1": true, "0": true, strings.Repeat("a", 32): true,
		strings.Repeat("a", 33): false, "-a": false, "a-": false, "A": false, "a/b": false, "..": false,
		"a b": false, "a_b": false, "ä": false, "a\n": false,
	} {
		if _, err := checkName(name); (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", name, err, ok)
		}
	}
}

func TestWant(t *testing.T) {
	p := netip.MustParsePrefix
	have := &spec{Name: "x", Kind: TAP, MTU: 1400, Addrs: []netip.Prefix{p("10.0.0.1/8")}}
	for _, c := range []struct {
		o    Options
		have *spec
		want spec
		err  string
	}{
		{Options{Name: "x"}, nil, spec{Name: "x", Kind: Veth, MTU: 1500, Addrs: DefaultAddresses()}, ""},
		{Options{Name: "x"}, have, *have, ""},
		{Options{Name: "x", MTU: 1300}, have, spec{Name: "x", Kind: TAP, MTU: 1300, Addrs: have.Addrs}, ""},
		{Options{Name: "x", Kind: Veth}, have, spec{}, "up as tap, not as veth"},
		{Options{Name: "x", Kind: "bridge"}, nil, spec{}, "bad kind"},
		{Options{Name: "x", MTU: 1279}, nil, spec{}, "bad MTU"},
		{Options{Name: "x", MTU: 1279, Addresses: have.Addrs}, nil, spec{Name: "x", Kind: Veth, MTU: 1279, Addrs: have.Addrs}, ""},
		{Options{Name: "x", MTU: 70000}, nil, spec{}, "bad MTU"},
		{Options{Name: "x", Addresses: []netip.Prefix{{}}}, nil, spec{}, "bad address"},
		{Options{Name: "x", Addresses: []netip.Prefix{p("10.0.0.0/8")}}, nil, spec{}, "network's own"},
		{Options{Name: "x", Addresses: []netip.Prefix{p("224.0.0.1/8")}}, nil, spec{}, "unicast"},
		{Options{Name: "x", Addresses: []netip.Prefix{p("10.0.0.1/8"), p("10.0.0.1/16")}}, nil, spec{}, "twice"},
		{Options{Name: "x", Addresses: many(20)}, nil, spec{}, "too many"},
		{Options{Name: "x", AppAddresses: have.Addrs}, nil, spec{}, "only a temporary lab"},
		{Options{Name: "x", Ordered: true}, nil, spec{}, "only a temporary lab"},
	} {
		got, err := want(c.o, c.have)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v, want %q", c.o, err, c.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %+v, %v, want %+v", c.o, got, err, c.want)
		}
		back, ok := parseMark(got.side(sideHost).mark())
		if back.Side = ""; !ok || !reflect.DeepEqual(back, got) {
			t.Errorf("the mark came back as %+v, %v", back, ok)
		}
	}
}

func many(n int) (all []netip.Prefix) {
	for i := range n {
		all = append(all, netip.MustParsePrefix(fmt.Sprintf("10.0.%d.1/24", i)))
	}
	return all
}

func TestParseMarkForeign(t *testing.T) {
	for _, alias := range []string{"", "uplink", "appliance-lab ", "appliance-lab {", "appliance-lab {}"} {
		if s, ok := parseMark(alias); ok {
			t.Errorf("%q is taken for the mark of %+v", alias, s)
		}
	}
}

func TestWhyNoUserNS(t *testing.T) {
	for _, c := range []struct {
		err    error
		sysctl map[string]string
		want   string
	}{
		{unix.EPERM, map[string]string{"kernel/unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone is 0"},
		{unix.ENOSPC, map[string]string{"user/max_user_namespaces": "0"}, "user.max_user_namespaces is 0"},
		{unix.EPERM, map[string]string{"kernel/apparmor_restrict_unprivileged_userns": "1", "user/max_user_namespaces": "99"}, "AppArmor"},
		{unix.ENOSPC, nil, "limit"},
		{unix.EINVAL, nil, "kernel is built without"},
		{unix.EPERM, nil, "seccomp"},
	} {
		why, fix := whyNoUserNS(c.err, func(key string) string { return c.sysctl[key] })
		if !strings.Contains(why, c.want) || !strings.Contains(fix, "sudo") || !strings.Contains(fix, "--link pipe") {
			t.Errorf("%v, %v: %q, %q", c.err, c.sysctl, why, fix)
		}
	}
	var p *PrivilegeError
	if err := userNSError("try", unix.EPERM); !errors.As(err, &p) || !errors.Is(err, unix.EPERM) {
		t.Errorf("error is %v", err)
	}
	if err := userNSError("try", unix.EIO); errors.As(err, &p) {
		t.Errorf("error is %v", err)
	}
}

func TestRuntimeDirs(t *testing.T) {
	own := t.TempDir()
	if err := os.Chmod(own, 0o700); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(own, "open")
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(own, "link")
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	for dir, ok := range map[string]bool{own: true, open: false, link: false, "": false, "relative": false, own + "/none": false} {
		t.Setenv("XDG_RUNTIME_DIR", dir)
		dirs := runtimeDirs()
		if got := dirs[0] == filepath.Join(dir, "appliance"); got != ok {
			t.Errorf("XDG_RUNTIME_DIR=%q: %v", dir, dirs)
		}
	}
}

// socketPair is two ends of a Unix stream socket.
func socketPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends []*net.UnixConn
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "socketpair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ends = append(ends, c.(*net.UnixConn))
	}
	return ends[0], ends[1]
}

func TestFrames(t *testing.T) {
	a, b := socketPair(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	big := strings.Repeat("x", 1<<20)
	sent := make(chan error, 1)
	go func() {
		err := writeFrame(a, request{Op: opExec, Argv: []string{big}}, out)
		err = errors.Join(err, writeFrame(a, request{Op: opInfo}))
		out.Close()
		a.Close()
		sent <- err
	}()
	var r request
	files, err := readFrame(b, &r)
	if err != nil || len(files) != 1 || r.Argv[0] != big {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if _, err := files[0].WriteString("through"); err != nil {
		t.Error(err)
	}
	files[0].Close()
	if files, err := readFrame(b, &r); err != nil || len(files) != 0 || r.Op != opInfo {
		t.Errorf("second frame: %+v, %v, %v", r, files, err)
	}
	if _, err := readFrame(b, &r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	// All of the pipe's writing ends are closed: the passed one was no more than one.
	if got, err := io.ReadAll(in); err != nil || string(got) != "through" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFrameTooLong(t *testing.T) {
	a, b := socketPair(t)
	if _, err := a.Write([]byte{0xff, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	var r request
	if _, err := readFrame(b, &r); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("error is %v", err)
	}
}

func TestProbe(t *testing.T) {
	want := []string{"privilege", "user namespaces", "network namespaces", "veth", "AF_PACKET", "TAP", "python3"}
	var got []string
	for _, c := range Probe(t.Context()) {
		got = append(got, c.Name)
		t.Logf("%+v", c)
		if c.Detail == "" || !c.OK && c.Fix == "" {
			t.Errorf("%+v says too little", c)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("checks are %v, want %v", got, want)
	}
}
