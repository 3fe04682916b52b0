package lab

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	RegisterOpener(testOpener)
	RunHolderIfAsked()
	insideMain()
	goleak.VerifyTestMain(m)
}

// openerArgs are the test opener's arguments.
type openerArgs struct {
	Fail     string `json:"fail,omitempty"`
	Released string `json:"released,omitempty"` // file to make on release
}

// testOpener opens what a link would: a packet socket bound to the interface, or the
// TAP's descriptor.
func testOpener(_ context.Context, r OpenRequest) (*Opened, error) {
	var args openerArgs
	if len(r.Args) > 0 {
		if err := json.Unmarshal(r.Args, &args); err != nil {
			return nil, err
		}
	}
	if args.Fail != "" {
		return nil, errors.New(args.Fail)
	}
	fd, err := openTestLink(r)
	if err != nil {
		return nil, err
	}
	ifi, err := net.InterfaceByName(r.Interface)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	meta, err := json.Marshal(map[string]any{"interface": ifi.Name, "mtu": ifi.MTU, "peer": r.Peer})
	if err != nil {
		return nil, err
	}
	return &Opened{
		Files: []*os.File{os.NewFile(uintptr(fd), r.Interface)}, Meta: meta,
		Release: func() error {
			if args.Released == "" {
				return nil
			}
			return os.WriteFile(args.Released, nil, 0o600)
		},
	}, nil
}

func openTestLink(r OpenRequest) (int, error) {
	if r.Kind == TAP {
		fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return -1, err
		}
		ifr, err := unix.NewIfreq(r.Interface)
		if err == nil {
			ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	ifi, err := net.InterfaceByName(r.Interface)
	if err == nil {
		proto := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifi.Index})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func needRoot(t *testing.T) {
	t.Helper()
	if !Privileged() {
		t.Skip("needs root: named network namespaces")
	}
}

// needUser skips where the test is not a user's, or a user may not do it.
func needUser(t *testing.T) {
	t.Helper()
	if Privileged() {
		t.Skip("needs a user without privilege: TestAsUnprivilegedUser runs it as one")
	}
	if _, c := probeUserNS(t.Context()); !c.OK {
		t.Skip("needs user namespaces: " + c.Detail)
	}
}

// TestAsUnprivilegedUser runs the tests of the held lab as user nobody.
func TestAsUnprivilegedUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user; the tests run as this user by themselves")
	}
	needRoot(t)
	const nobody = 65534
	run := t.TempDir()
	for dir := run; strings.HasPrefix(dir, os.TempDir()) && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(run, nobody, nobody), os.Chmod(run, 0o700)); err != nil {
		t.Fatal(err)
	}
	args := []string{"-test.run=^(TestHeld|TestReexec|TestProbe)", "-test.timeout=120s"}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	cmd := exec.Command(selfExe, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+run, "HOME="+run, "GORACE=atexit_sleep_ms=0", "TMPDIR="+run)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("as uid %d:\n%s", nobody, out)
	if err != nil {
		t.Fatalf("as uid %d: %v", nobody, err)
	}
	if left, err := filepath.Glob(run + "/appliance*"); err != nil || len(left) > 0 {
		t.Errorf("left in the runtime directory: %v, %v", left, err)
	}
}

var names int

// uniqueName is a lab's name that no other test has.
func uniqueName() string {
	names++
	return fmt.Sprintf("labtest-%d-%d", os.Getpid(), names)
}

// mustUp makes a lab that the test's end takes down; it checks that nothing is left.
func mustUp(t *testing.T, o Options) *Lab {
	t.Helper()
	if o.Name == "" {
		o.Name = uniqueName()
	}
	t.Cleanup(func() {
		if _, err := Down(context.Background(), o.Name); err != nil {
			t.Errorf("down: %v", err)
		}
		assertGone(t, o.Name)
	})
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatalf("up: %v", err)
	}
	return l
}

func assertGone(t *testing.T, name string) {
	t.Helper()
	for _, path := range []string{hostPath(name), appPath(name)} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s is left", path)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), "/"+name+"-") {
		t.Errorf("a mount of %s is left", name)
	}
	if path := findSocket(name); path != "" {
		t.Errorf("%s is left", path)
	}
	cmdlines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cmdlines {
		cmdline, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(cmdline), sockName(name)) {
			t.Errorf("process %s is left: %q", filepath.Dir(path), cmdline)
		}
	}
}

// eventually waits for a condition that comes about in another process.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(15 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// run runs a command on the Linux side and returns what it printed.
func run(t *testing.T, l *Lab, argv ...string) string {
	t.Helper()
	var out strings.Builder
	code, err := l.Exec(t.Context(), Command{Argv: argv, Stdout: &out, Stderr: &out})
	if err != nil || code != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s", strings.Join(argv, " "), code, err, out.String())
	}
	return out.String()
}

func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs %s: %v", name, err)
	}
}

func goneProcess(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, after, ok := strings.Cut(string(stat), ") ")
	return ok && strings.HasPrefix(after, "Z") // ended, and its parent has not looked yet
}
