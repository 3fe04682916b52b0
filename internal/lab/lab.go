package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// Kind is what joins the two sides.
type Kind string

// The kinds of lab.
const (
	// Veth is a veth pair: eth0 with Linux, app0 with the appliance.
	Veth Kind = "veth"
	// TAP is a TAP device: tap0 with Linux, its file descriptor with the appliance.
	TAP Kind = "tap"
)

// The names of a lab and of what is in it.
const (
	// DefaultName is the lab's name when none is given.
	DefaultName = "appliance"
	// DefaultMTU is Ethernet's, in bytes.
	DefaultMTU = 1500

	// HostSuffix and AppSuffix make the names of a lab's network namespaces.
	HostSuffix = "-host"
	AppSuffix  = "-app"

	hostVeth = "eth0"
	appVeth  = "app0"
	tapName  = "tap0"
)

// Options say what lab to make; the zero value is the default lab. In [Up] a zero
// field means "as it is" for a lab that is up, and the default for one that is not.
type Options struct {
	// Name is the lab's: 1 to 32 of a-z, 0-9 and '-', beginning and ending with a
	// letter or digit; "" means [DefaultName].
	Name string
	// Kind is [Veth] (the default) or [TAP].
	Kind Kind
	// MTU is that of both ends, in bytes; 0 means [DefaultMTU].
	MTU int
	// Addresses are the Linux side's, each with its prefix length; none means
	// [DefaultAddresses].
	Addresses []netip.Prefix
	// AppAddresses make the appliance's side a Linux host as well, with these
	// addresses, whose kernel answers there: for two ends that are both Linux
	// ([Lab.ExecApp], [Lab.DoApp]). Only [NewTemporary] takes them, for [Veth].
	AppAddresses []netip.Prefix
	// Ordered keeps packets in the order in which they were sent, as a wire does: a veth
	// pair and the TAP's host take them in on whatever processor sent them, and two processors
	// overtake each other. It costs throughput, as one processor takes in all. Only
	// [NewTemporary] takes it.
	Ordered bool
}

// DefaultAddresses are the Linux side's: 192.168.12.1/24 and fd00:12::1/64.
func DefaultAddresses() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("192.168.12.1/24"),
		netip.MustParsePrefix("fd00:12::1/64"),
	}
}

// Info tells what a lab is.
type Info struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind,omitempty"`
	// Holder is the process that holds an unprivileged lab; 0 where none does.
	Holder int `json:"holder,omitempty"`
	// HostNetNS and AppNetNS are paths that setns(2) takes. Both are empty for a lab
	// with a holder, as no other process can enter those.
	HostNetNS string `json:"host_netns,omitempty"`
	AppNetNS  string `json:"app_netns,omitempty"`
	// HostInterface is Linux's, AppInterface the one for the appliance to open: the
	// same one for a TAP.
	HostInterface string         `json:"host_interface,omitempty"`
	AppInterface  string         `json:"app_interface,omitempty"`
	MTU           int            `json:"mtu,omitempty"`
	Addresses     []netip.Prefix `json:"addresses,omitempty"`
	AppAddresses  []netip.Prefix `json:"app_addresses,omitempty"`
	// Problem says what is wrong with a lab that [List] found and that does not work;
	// "" for one that does.
	Problem string `json:"problem,omitempty"`
}

// Lab is a lab that is up. Its methods may be called concurrently.
type Lab struct {
	// Created says that this [Up] made the lab, rather than found it.
	Created bool
	// Changes are what [Up] did, for people: "made app0 and eth0 (veth)". Empty when
	// the lab was up and whole.
	Changes []string
	// Warnings say what the lab has to do without on this host: "no IPv6: ...".
	Warnings []string

	info Info
	impl backend
}

// backend is what the three sorts of lab do differently.
type backend interface {
	exec(ctx context.Context, c Command) (int, error)
	execApp(ctx context.Context, c Command) (int, error)
	openLink(ctx context.Context, args json.RawMessage) (*Opened, error)
	do(fn func() error) error
	doApp(fn func() error) error
	close() error
}

// Info tells what the lab is.
func (l *Lab) Info() Info { return l.info }

// Name is the lab's.
func (l *Lab) Name() string { return l.info.Name }

// Kind is [Veth] or [TAP].
func (l *Lab) Kind() Kind { return l.info.Kind }

// HostNetNS is the path of the Linux side's network namespace; "" when a holder
// holds the lab.
func (l *Lab) HostNetNS() string { return l.info.HostNetNS }

// AppNetNS is the path of the network namespace in which the appliance's device
// is: with [TAP] that of the Linux side, as the device is in it. "" when a holder
// holds the lab.
func (l *Lab) AppNetNS() string { return l.info.AppNetNS }

// HostInterface is the interface with Linux's addresses: eth0, or tap0.
func (l *Lab) HostInterface() string { return l.info.HostInterface }

// AppInterface is the interface for the appliance to open: app0, or tap0.
func (l *Lab) AppInterface() string { return l.info.AppInterface }

// Addresses are the Linux side's.
func (l *Lab) Addresses() []netip.Prefix { return append([]netip.Prefix(nil), l.info.Addresses...) }

// Held says that a holder process holds the lab, so that only [Lab.Exec] and
// [Lab.OpenLink] reach into it.
func (l *Lab) Held() bool { return l.info.Holder != 0 }

// Command is a command to run on the Linux side.
type Command struct {
	// Argv is the command and its arguments; a command without a slash is looked up
	// in this process's PATH.
	Argv []string
	// Env is its environment; nil means this process's.
	Env []string
	// Dir is its working directory; "" means this process's.
	Dir string
	// Stdin, Stdout, Stderr are connected as os/exec does: an *os.File directly, any
	// other through a pipe, nil to the null device. A Stdin that is not a file is
	// read to its end, or until a write fails, before Exec returns.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Exec runs a command on the Linux side and waits for it. It returns the exit code
// as a shell does: 128+n when signal n ended it; with an error, 127 when the command
// was not found and 126 when it could not be started. Neither /etc/resolv.conf nor any other file is
// replaced for it.
//
// While it runs, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH that
// reach this process are passed on; but not what the terminal has already sent to
// the command itself. When ctx ends, the command gets SIGTERM, three seconds later
// SIGKILL, and Exec returns ctx's error: so do not end ctx on the signals above.
func (l *Lab) Exec(ctx context.Context, c Command) (exitCode int, err error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return 127, errors.New("lab: exec: no command given")
	}
	return l.impl.exec(ctx, c)
}

// Do runs fn on a thread in the Linux side's namespace: a socket that fn itself
// makes (net.Dial and net.Listen with a literal address; not in a goroutine of its
// own) is the Linux host's. It returns fn's error. A lab with a holder refuses: use
// [Lab.Exec].
func (l *Lab) Do(fn func() error) error { return l.impl.do(fn) }

// ExecApp is [Lab.Exec] on the appliance's side of a veth lab, for a lab with
// [Options.AppAddresses] and for tools that look at the interface there. A lab with
// a holder refuses.
func (l *Lab) ExecApp(ctx context.Context, c Command) (exitCode int, err error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return 127, errors.New("lab: exec: no command given")
	}
	return l.impl.execApp(ctx, c)
}

// DoApp is [Lab.Do] on the appliance's side of a veth lab. A lab with a holder
// refuses.
func (l *Lab) DoApp(fn func() error) error { return l.impl.doApp(fn) }

// OpenLink has the registered [Opener] open the appliance's end: here, or in the
// lab's holder, from which the files then come. args is for the Opener.
func (l *Lab) OpenLink(ctx context.Context, args json.RawMessage) (*Opened, error) {
	return l.impl.openLink(ctx, args)
}

// Close lets go of the lab: a temporary lab vanishes, one that [Up] made stays up.
func (l *Lab) Close() error { return l.impl.close() }

// OpenRequest tells an [Opener] what to open.
type OpenRequest struct {
	Kind Kind
	// Interface is what to open: app0 (AF_PACKET), or tap0 (TUNSETIFF).
	Interface string
	// NetNS is the namespace of Interface, a path that holds while the Opener runs.
	NetNS string
	// Peer and PeerNetNS are the Linux end of a veth pair; empty for a TAP.
	Peer      string
	PeerNetNS string
	MTU       int
	// Args are the caller's of [Lab.OpenLink].
	Args json.RawMessage
}

// Opened is an open link.
type Opened struct {
	// Files are the link's, the caller's to close. With a holder they are duplicates
	// that came from there.
	Files []*os.File
	// Meta is what else the Opener has to say.
	Meta json.RawMessage
	// Release undoes what the Opener changed (offloads, for example); call it when
	// done with the link. Nil means that there is nothing to undo. With a holder it
	// also happens when this process ends.
	Release func() error
}

// Opener opens the appliance's end of a lab. It runs on a thread that is in the
// request's NetNS, in this process or in the holder; there it must start no child
// process, as the holder reaps all of them.
type Opener func(ctx context.Context, r OpenRequest) (*Opened, error)

var opener Opener

// RegisterOpener sets what [Lab.OpenLink] opens links with. It is for main, before
// [RunHolderIfAsked].
func RegisterOpener(o Opener) { opener = o }

// Process is one that is still in a namespace.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// Removed tells what [Down] did.
type Removed struct {
	// Existed says that there was something to remove.
	Existed bool `json:"existed"`
	// StillIn are processes that Down did not start, so did not end, and which are
	// still in a namespace whose name and interfaces are gone. The namespace goes when they do.
	StillIn []Process `json:"still_in,omitempty"`
}

// Check is one thing that [Probe] tried.
type Check struct {
	// Name is of the thing: "veth".
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says what was found; Fix what to do where OK is false.
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// ErrNotFound is wrapped by what [Open] returns when there is no such lab.
var ErrNotFound = errors.New("no such lab")

// PrivilegeError says that something was not permitted on this host, why, and the
// way out.
type PrivilegeError struct {
	// Op is what was tried.
	Op string
	// Err is what came back.
	Err error
	// Why is what forbids it, where that could be found out.
	Why string
	// Fix is what to do.
	Fix string
}

func (e *PrivilegeError) Error() string {
	parts := []string{e.Op, e.Err.Error()}
	if e.Why != "" {
		parts = append(parts, e.Why)
	}
	return strings.Join(append(parts, e.Fix), ": ")
}

func (e *PrivilegeError) Unwrap() error { return e.Err }

// foreignError says that something has the lab's name and is not the lab's.
func foreignError(what string) error {
	return fmt.Errorf("%s exists and was not made by a lab: choose another name, or remove it yourself", what)
}
