package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Probe tries what a lab and a link take on this host, each in a namespace that ends
// with it, and says what to do about what does not work. It leaves nothing behind.
// The checks, in this order: privilege, user namespaces, network namespaces, veth,
// AF_PACKET, TAP (/dev/net/tun), python3. Those after user namespaces are tried with
// privilege where there is some, else in a user namespace.
func Probe(ctx context.Context) []Check {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	privileged := Privileged()
	checks := []Check{privilegeCheck(privileged)}
	inUser, userCheck := probeUserNS(ctx)
	checks = append(checks, userCheck)
	switch {
	case privileged:
		checks = append(checks, probeHere()...)
	case userCheck.OK:
		checks = append(checks, inUser...)
	default:
		for _, name := range []string{"network namespaces", "veth", "AF_PACKET", "TAP"} {
			checks = append(checks, Check{Name: name, Detail: "needs root or user namespaces", Fix: usualFix})
		}
	}
	return append(checks, probePython(ctx))
}

func privilegeCheck(ok bool) Check {
	c := Check{Name: "privilege", OK: ok, Detail: fmt.Sprintf("uid %d with CAP_SYS_ADMIN and CAP_NET_ADMIN", os.Geteuid())}
	if !ok {
		c.Detail = fmt.Sprintf("uid %d without CAP_SYS_ADMIN and CAP_NET_ADMIN on this host", os.Geteuid())
		c.Fix = "run with sudo for named namespaces and host interfaces; a lab of one's own takes user namespaces only"
	}
	return c
}

// probeUserNS runs probeHere in a user namespace.
func probeUserNS(ctx context.Context) ([]Check, Check) {
	c := Check{Name: "user namespaces"}
	fail := func(err error) ([]Check, Check) {
		c.Detail, c.Fix = err.Error(), usualFix
		var p *PrivilegeError
		if errors.As(err, &p) {
			c.Detail, c.Fix = p.Err.Error()+": "+p.Why, p.Fix
		}
		return nil, c
	}
	if !hooked {
		return fail(errNotHooked)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, selfExe)
	cmd.Args[0] = argProbe
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = userNS(unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	if err := cmd.Start(); err != nil {
		return fail(userNSError("make a user namespace", err))
	}
	var checks []Check
	err := cmd.Wait()
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &checks)
	}
	if err != nil {
		return fail(fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String())))
	}
	c.OK, c.Detail = true, "a user can be root of a network of its own"
	return checks, c
}

// probeMain is the process in the user namespace.
func probeMain() int {
	if err := json.NewEncoder(os.Stdout).Encode(probeHere()); err != nil {
		return 1
	}
	return 0
}

// probeHere tries things in a network namespace that ends with the trying.
func probeHere() []Check {
	checks := []Check{
		{Name: "network namespaces", Detail: "can be made"},
		{Name: "veth", Detail: "pairs can be made"},
		{Name: "AF_PACKET", Detail: "sockets can be opened"},
		{Name: "TAP", Detail: tunDevice + " makes devices"},
	}
	fixes := []string{
		usualFix, "load the kernel's module: sudo modprobe veth; or use --link tap or --link pipe",
		"load the kernel's module: sudo modprobe af_packet; or use --link tap or --link pipe", "use --link veth or --link pipe",
	}
	for i := range checks {
		checks[i].OK = true
	}
	set := func(i int, err error) {
		if err == nil {
			return
		}
		checks[i].OK, checks[i].Detail, checks[i].Fix = false, err.Error(), fixes[i]
		var p *PrivilegeError
		if errors.As(err, &p) {
			checks[i].Detail, checks[i].Fix = p.Op+": "+p.Err.Error()+": "+p.Why, p.Fix
		}
	}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		set(1, probeVeth())
		set(2, probePacket())
		set(3, makeTAP("probe-tap", false))
		return nil
	})
	if err != nil {
		for i := range checks {
			set(i, fmt.Errorf("make a network namespace: %w", err))
		}
	}
	return checks
}

func probeVeth() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "probe-a"
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "probe-b"}); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	return nil
}

func probePacket() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open an AF_PACKET socket: %w", err)
	}
	return unix.Close(fd)
}

func probePython(ctx context.Context) Check {
	c := Check{Name: "python3", Fix: "install Python 3 for the scripts' client and server; the appliance has its own without it"}
	path, err := exec.LookPath("python3")
	if err == nil {
		cmd := exec.CommandContext(ctx, path, "--version")
		cmd.WaitDelay = time.Second
		var out []byte
		if out, err = cmd.CombinedOutput(); err == nil {
			return Check{Name: c.Name, OK: true, Detail: strings.TrimSpace(string(out)) + " (" + path + ")"}
		}
	}
	c.Detail = err.Error()
	return c
}
