// Package lab makes the network in which the appliance meets a Linux host, and
// takes it away again: network namespaces with a veth pair, or a TAP device. One
// side is the Linux host's (192.168.12.1/24 and fd00:12::1/64, the kernel's own
// TCP), the other is the appliance's: an interface that is up, has no address and
// whose kernel is told to stay silent, so that only the appliance answers.
//
// A lab is one of three things, and a [Lab] hides which:
//
//   - With CAP_SYS_ADMIN and CAP_NET_ADMIN, [Up] makes two network namespaces that
//     `ip netns` lists: <name>-host (eth0, or tap0 for a TAP) and <name>-app (app0;
//     veth only). There is no state file: each namespace carries a mark, the alias
//     of its loopback interface, which names the lab and its settings. A namespace
//     without that mark is somebody else's and is neither used nor removed.
//   - Without them, [Up] leaves a holder: a process of this same program in user,
//     network, PID and mount namespaces of its own, which listens on a Unix socket in
//     $XDG_RUNTIME_DIR/appliance (else /tmp/appliance-<uid>). All that belongs to
//     the lab, the commands started in it included, ends with that process, however
//     it ends. A holder whose socket is deleted ends by itself.
//   - [NewTemporary] makes unnamed namespaces that only this process holds, so that
//     even SIGKILL leaves nothing; inside [ReexecInUserNS] it needs no privilege.
//     With [Options.AppAddresses] its other side is a Linux host too.
//
// Rules. The program's main must call [RunHolderIfAsked] before anything else (and
// [RegisterOpener] before that), since holder and probes are re-executions of it.
// This package knows no network stack: it gives names, namespace paths and, through
// the registered [Opener], file descriptors. A thread that enters a namespace
// belongs to that errand and dies with it, so no other goroutine ever runs in the
// wrong namespace. Whoever changes a lab holds a lock (flock of the directory
// that names it).
//
// It is Linux's: elsewhere every function returns an error that wraps
// [errors.ErrUnsupported].
package lab
