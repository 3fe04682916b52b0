package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// selfExe is this program, also where its path is gone or closed to this user.
const selfExe = "/proc/self/exe"

// Privileged says whether this process may make named labs: CAP_SYS_ADMIN and
// CAP_NET_ADMIN, and mounts and a /run of its own to name them in. Root of a mere user
// namespace has the capabilities, but not the mounts.
func Privileged() bool {
	if !capable() || !ownsMounts() {
		return false
	}
	err := unix.Access(netnsDir, unix.W_OK)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Access("/run", unix.W_OK)
	}
	return err == nil
}

// capable says whether the effective capabilities are those that a lab takes.
func capable() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN
	return data[0].Effective&need == need
}

// ownsMounts says whether this process's mount namespace belongs to its user
// namespace: else mount(2) is not for it, whatever its capabilities.
func ownsMounts() bool {
	mnt, err := os.Open("/proc/thread-self/ns/mnt")
	if err != nil {
		return false
	}
	defer mnt.Close()
	fd, err := unix.IoctlRetInt(int(mnt.Fd()), unix.NS_GET_USERNS)
	if err != nil { // EPERM: it belongs to one further out
		return false
	}
	owner := os.NewFile(uintptr(fd), "owner")
	defer owner.Close()
	its, err := owner.Stat()
	if err != nil {
		return false
	}
	own, err := os.Stat("/proc/thread-self/ns/user")
	return err == nil && os.SameFile(its, own)
}

// userNS starts a child as root of a user namespace of its own, in which this user
// is root, and in the further namespaces of flags.
func userNS(flags uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
}

// forbidden are the errors of clone(2) and of writing the mappings where user
// namespaces are not allowed.
var forbidden = []error{unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EUSERS, unix.EINVAL, unix.ENOSYS}

// userNSError says why a user namespace could not be made, and the way out.
func userNSError(op string, err error) error {
	for _, f := range forbidden {
		if errors.Is(err, f) {
			why, fix := whyNoUserNS(err, readSysctl)
			return &PrivilegeError{Op: "lab: " + op, Err: err, Why: why, Fix: fix}
		}
	}
	return fmt.Errorf("lab: %s: %w", op, err)
}

const usualFix = "run with sudo, or use --link pipe"

// whyNoUserNS finds the switch that forbids user namespaces; sysctl reads one, ""
// for one that is not there.
func whyNoUserNS(err error, sysctl func(string) string) (why, fix string) {
	switch {
	case sysctl("kernel/unprivileged_userns_clone") == "0":
		return "kernel.unprivileged_userns_clone is 0",
			usualFix + " (or allow it: sudo sysctl kernel.unprivileged_userns_clone=1)"
	case sysctl("user/max_user_namespaces") == "0":
		return "user.max_user_namespaces is 0",
			usualFix + " (or allow it: sudo sysctl user.max_user_namespaces=10000)"
	case sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor restricts user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)",
			usualFix + " (or allow it: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return "the limit of namespaces is reached (sysctl user.max_user_namespaces, user.max_net_namespaces, user.max_pid_namespaces)",
			usualFix + " (or raise it)"
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		return "this kernel is built without user namespaces", usualFix
	}
	return "user namespaces are forbidden here (a container's seccomp profile does that)", usualFix
}

func readSysctl(key string) string {
	b, err := os.ReadFile("/proc/sys/" + key)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
