package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ipAddr is what `ip -j addr` prints of an interface.
type ipAddr struct {
	Name  string   `json:"ifname"`
	MTU   int      `json:"mtu"`
	Flags []string `json:"flags"`
	Addrs []struct {
		Local     string `json:"local"`
		Prefix    int    `json:"prefixlen"`
		Scope     string `json:"scope"`
		Tentative bool   `json:"tentative"`
	} `json:"addr_info"`
}

func parseIPAddr(t *testing.T, out string) map[string]ipAddr {
	t.Helper()
	var list []ipAddr
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	all := map[string]ipAddr{}
	for _, i := range list {
		all[i.Name] = i
	}
	return all
}

// global are the interface's addresses that are not link-local (the kernel makes
// those itself, a moment after the link carries).
func (i ipAddr) global(t *testing.T) (all []string) {
	t.Helper()
	for _, a := range i.Addrs {
		if a.Scope == "global" {
			if a.Tentative {
				t.Errorf("%s on %s is tentative", a.Local, i.Name)
			}
			ip := netip.MustParseAddr(a.Local)
			all = append(all, netip.PrefixFrom(ip, a.Prefix).String())
		}
	}
	slices.Sort(all)
	return all
}

// testHostSide checks what Linux has.
func testHostSide(t *testing.T, l *Lab, mtu int, addrs ...string) {
	t.Helper()
	needTool(t, "ip")
	all := parseIPAddr(t, run(t, l, "ip", "-j", "addr"))
	host, ok := all[l.HostInterface()]
	if !ok || host.MTU != mtu || !slices.Contains(host.Flags, "UP") {
		t.Errorf("%s is %+v, want it up with MTU %d", l.HostInterface(), host, mtu)
	}
	slices.Sort(addrs)
	if got := host.global(t); !slices.Equal(got, addrs) {
		t.Errorf("addresses are %v, want %v", got, addrs)
	}
	if lo := all["lo"]; !slices.Contains(lo.Flags, "UP") {
		t.Errorf("lo is %+v, want it up", lo)
	}
	if len(all) != 2 {
		t.Errorf("interfaces are %v, want lo and %s", all, l.HostInterface())
	}
}

// testLink opens the appliance's end and sees there that Linux looks for the
// appliance by ARP and by neighbour discovery, and takes an answer to the former.
func testLink(t *testing.T, l *Lab) {
	t.Helper()
	needTool(t, "bash")
	o, err := l.OpenLink(t.Context(), nil)
	if err != nil {
		t.Fatalf("open link: %v", err)
	}
	if len(o.Files) != 1 {
		t.Fatalf("%d files, want 1", len(o.Files))
	}
	f := o.Files[0]
	defer f.Close()
	var meta struct{ Interface string }
	if err := json.Unmarshal(o.Meta, &meta); err != nil || meta.Interface != l.AppInterface() {
		t.Errorf("meta is %s, %v", o.Meta, err)
	}
	if err := f.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatalf("the file does not poll: %v", err)
	}
	// A TAP carries from when it is attached to.
	run(t, l, "bash", "-c", "for i in {1..200}; do ip link show up | grep -q LOWER_UP && echo x >/dev/udp/192.168.12.53/9 && exit; sleep 0.02; done; exit 1")
	arp := readUntil(t, f, func(p []byte) bool { // RFC 826: request, for .53, by .1
		return binary.BigEndian.Uint16(p[12:]) == 0x0806 && p[21] == 1 && string(p[28:32]) == "\xc0\xa8\x0c\x01" && string(p[38:42]) == "\xc0\xa8\x0c\x35"
	})
	mac := "\x02\x00\x00\x00\x00\x35"
	answer := string(arp[6:12]) + mac + "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02" + mac + "\xc0\xa8\x0c\x35" + string(arp[22:32])
	if _, err := f.Write([]byte(answer)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Linux knows the appliance's MAC", func() bool {
		return strings.Contains(run(t, l, "ip", "neigh"), "192.168.12.53 dev "+l.HostInterface()+" lladdr 02:00:00:00:00:35")
	})
	run(t, l, "bash", "-c", "echo x >/dev/udp/fd00:12::53/9")
	want := netip.MustParseAddr("fd00:12::53").AsSlice()
	readUntil(t, f, func(p []byte) bool { // RFC 4861, 4.3
		return len(p) >= 78 && binary.BigEndian.Uint16(p[12:]) == 0x86dd && p[54] == 135 && bytes.Equal(p[62:78], want)
	})
	if err := o.Release(); err != nil {
		t.Errorf("release: %v", err)
	}
}

func readUntil(t *testing.T, f *os.File, ok func(frame []byte) bool) []byte {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatalf("the frame did not come: %v", err)
		}
		if n >= 42 && ok(buf[:n]) {
			return buf[:n]
		}
	}
}

func testOpenLink(t *testing.T, l *Lab) {
	t.Helper()
	args := func(a openerArgs) json.RawMessage {
		b, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if _, err := l.OpenLink(t.Context(), args(openerArgs{Fail: "no such luck"})); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("the opener's error is %v", err)
	}
	released := filepath.Join(t.TempDir(), "released")
	o, err := l.OpenLink(t.Context(), args(openerArgs{Released: released}))
	if err != nil {
		t.Fatal(err)
	}
	closeAll(o.Files)
	if _, err := os.Stat(released); err == nil {
		t.Error("released too early")
	}
	if err := o.Release(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(released); err != nil {
		t.Errorf("not released when Release returned: %v", err)
	}
}

// testExec checks what Exec promises.
func testExec(t *testing.T, l *Lab) {
	t.Helper()
	ctx := t.Context()
	t.Run("stdio", func(t *testing.T) {
		var out, errs strings.Builder
		code, err := l.Exec(ctx, Command{
			Argv:  []string{"sh", "-c", "cat; echo oops >&2; exit 5"},
			Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &errs,
		})
		if code != 5 || err != nil || out.String() != "in\n" || errs.String() != "oops\n" {
			t.Errorf("code %d, %v, %q, %q", code, err, out.String(), errs.String())
		}
	})
	t.Run("file", func(t *testing.T) {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		code, err := l.Exec(ctx, Command{Argv: []string{"sh", "-c", "echo $V; pwd"}, Stdout: f, Env: []string{"V=7"}, Dir: "/usr"})
		got, rerr := os.ReadFile(f.Name())
		if code != 0 || err != nil || rerr != nil || string(got) != "7\n/usr\n" {
			t.Errorf("code %d, %v, %v, %q", code, err, rerr, got)
		}
	})
	t.Run("not found", func(t *testing.T) {
		code, err := l.Exec(ctx, Command{Argv: []string{"no-such-command-here"}})
		if code != 127 || !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "no-such-command-here") {
			t.Errorf("code %d, %v", code, err)
		}
	})
	t.Run("not executable", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte("not a program"), 0o700); err != nil {
			t.Fatal(err)
		}
		if code, err := l.Exec(ctx, Command{Argv: []string{path}}); code != 126 || err == nil {
			t.Errorf("code %d, %v", code, err)
		}
	})
	t.Run("killed", func(t *testing.T) {
		if code, err := l.Exec(ctx, Command{Argv: []string{"sh", "-c", "kill -9 $$"}}); code != 137 || err != nil {
			t.Errorf("code %d, %v", code, err)
		}
	})
	t.Run("signal", func(t *testing.T) {
		code, err := execAfterReady(ctx, t, l, "trap 'exit 7' USR1; echo ready; while :; do sleep 0.02; done", func() {
			if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
				t.Error(err)
			}
		})
		if code != 7 || err != nil {
			t.Errorf("code %d, %v", code, err)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		code, err := execAfterReady(ctx, t, l, "echo ready; exec sleep 100", cancel)
		if code != 143 || !errors.Is(err, context.Canceled) {
			t.Errorf("code %d, %v", code, err)
		}
	})
}

// execAfterReady runs a shell script and calls then when it has said "ready".
func execAfterReady(ctx context.Context, t *testing.T, l *Lab, script string, then func()) (int, error) {
	t.Helper()
	in, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(in)
		if lines.Scan() && lines.Text() == "ready" {
			then()
		}
		_, _ = io.Copy(io.Discard, in)
	}()
	code, err := l.Exec(ctx, Command{Argv: []string{"sh", "-c", script}, Stdout: out})
	out.Close()
	<-done
	return code, err
}

// testConcurrentUps has several make the same lab at once.
func testConcurrentUps(t *testing.T) {
	t.Helper()
	name := uniqueName()
	type result struct {
		l   *Lab
		err error
	}
	results := make(chan result)
	const n = 6
	for range n {
		go func() {
			l, err := Up(context.Background(), Options{Name: name})
			results <- result{l, err}
		}()
	}
	created := 0
	for range n {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		} else if r.l.Created {
			created++
		}
	}
	if created != 1 {
		t.Errorf("%d of %d made the lab, want 1", created, n)
	}
	testHostSide(t, mustUp(t, Options{Name: name}), 1500, "192.168.12.1/24", "fd00:12::1/64")
}

// testChange changes a lab that is up, and checks that Up without settings keeps them.
func testChange(t *testing.T) {
	t.Helper()
	l := mustUp(t, Options{Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.8.7/16")}, MTU: 1400})
	testHostSide(t, l, 1400, "10.9.8.7/16")
	again := mustUp(t, Options{Name: l.Name()})
	if again.Created || len(again.Changes) > 0 || again.Info().MTU != 1400 {
		t.Errorf("up again: %+v", again)
	}
	changed := mustUp(t, Options{Name: l.Name(), MTU: 1300, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00:5::1/64")}})
	if changed.Created || len(changed.Changes) == 0 {
		t.Errorf("changed: %+v", changed)
	}
	testHostSide(t, changed, 1300, "fd00:5::1/64")
	if opened, err := Open(t.Context(), l.Name()); err != nil || !slices.Equal(opened.Addresses(), changed.Addresses()) {
		t.Errorf("open: %+v, %v", opened, err)
	}
	if _, err := Up(t.Context(), Options{Name: l.Name(), Kind: TAP}); err == nil || !strings.Contains(err.Error(), "lab down") {
		t.Errorf("up as another kind: %v", err)
	}
	// Repair: the kernel's part undone behind the lab's back.
	run(t, l, "ip", "link", "del", "eth0")
	repaired := mustUp(t, Options{Name: l.Name()})
	if repaired.Created || len(repaired.Changes) == 0 {
		t.Errorf("repaired: %+v", repaired)
	}
	testHostSide(t, repaired, 1300, "fd00:5::1/64")
}
