package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Validate returns an *Error with all that is wrong with the values, nil when
// nothing is. The problems name keys, not lines. A Config that Parse or Load
// returned is valid; one that was changed since may not be.
func (c *Config) Validate() error {
	v := validator{c: c, bad: func(string) bool { return false }}
	v.all()
	if len(v.problems) > 0 {
		return &Error{Problems: v.problems}
	}
	return nil
}

// A validator judges values. bad tells which paths hold no value worth judging.
type validator struct {
	c        *Config
	bad      func(path string) bool
	problems []Problem
}

func (v *validator) fail(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) all() {
	v.name()
	v.addresses()
	v.routes()
	v.link()
	v.tcp()
	v.impair()
	v.apps()
	v.trace()
}

var (
	labForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`) // as internal/lab has it
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	ifaceForm = regexp.MustCompile(`^[^\s/:]{1,15}$`) // Linux's dev_valid_name
	netnsForm = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]{0,254}|/\S+)$`)
)

func (v *validator) name() {
	if !nameForm.MatchString(v.c.Name) {
		v.fail("name", "%q is no name: want 1 to 64 letters, digits, dots, dashes and underscores", v.c.Name)
	} else if v.c.Name == "peer" {
		v.fail("name", "%q is what a trace calls the other end: choose another", v.c.Name)
	}
}

func (v *validator) addresses() {
	if len(v.c.Addresses) == 0 {
		v.fail("addresses", "none: want at least one, such as 192.168.12.53/24")
	}
	seen := make(map[netip.Addr]int)
	for i, p := range v.c.Addresses {
		path := fmt.Sprintf("addresses[%d]", i)
		if v.bad(path) {
			continue
		}
		a := p.Addr()
		if first, twice := seen[a]; twice {
			v.fail(path, "%s is given twice: it is addresses[%d] already", a, first)
			continue
		}
		seen[a] = i
		switch {
		case !p.IsValid():
			v.fail(path, "want an address with a prefix length, such as 192.168.12.53/24")
		case a.Is4In6():
			v.fail(path, "%s is an IPv4 address in IPv6 form: write %s", a, a.Unmap())
		case a.IsUnspecified(), a.IsLoopback(), a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			v.fail(path, "%s cannot be a host's address on a link: want one such as 192.168.12.53/24", a)
		case a.Is4() && p.Bits() < 31 && (a == p.Masked().Addr() || a == broadcast(p)):
			v.fail(path, "%s is the address of the network %s itself or its broadcast address: want a host's", a, p.Masked())
		}
	}
}

// broadcast returns the highest address of an IPv4 network.
func broadcast(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := range b {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				b[i] |= 0x80 >> bit
			}
		}
	}
	return netip.AddrFrom4(b)
}

func (v *validator) routes() {
	seen := make(map[netip.Prefix]int)
	for i, r := range v.c.Routes {
		path := fmt.Sprintf("routes[%d]", i)
		if v.bad(path) || v.bad(path+".to") {
			continue
		}
		if !r.To.IsValid() {
			v.fail(path+".to", "missing: want a network such as 10.0.0.0/8, or 0.0.0.0/0 for everything")
			continue
		}
		if r.To != r.To.Masked() {
			v.fail(path+".to", "%s is an address in a network: write %s for the network", r.To, r.To.Masked())
		}
		if first, twice := seen[r.To.Masked()]; twice {
			v.fail(path+".to", "%s has a route already: routes[%d]", r.To, first)
		}
		seen[r.To.Masked()] = i
		if r.Via.IsValid() && !v.bad(path+".via") {
			v.via(path+".via", r)
		}
	}
}

func (v *validator) via(path string, r Route) {
	if r.Via.Is4() != r.To.Addr().Is4() {
		v.fail(path, "%s is not of the family of %s: want both IPv4 or both IPv6", r.Via, r.To)
		return
	}
	onLink := r.Via.IsLinkLocalUnicast()
	for i, p := range v.c.Addresses {
		if v.bad(fmt.Sprintf("addresses[%d]", i)) {
			return // it may be the one
		}
		if p.Addr() == r.Via {
			v.fail(path, "%s is the appliance's own address: want a neighbour's", r.Via)
			return
		}
		onLink = onLink || p.Masked().Contains(r.Via)
	}
	if !onLink && !v.bad("addresses") {
		v.fail(path, "%s is in none of the networks of addresses: want a neighbour on the link", r.Via)
	}
}

func (v *validator) link() {
	l := v.c.Link
	if l.Kind == LinkPipe {
		for _, f := range []struct{ key, value string }{
			{"lab", l.Lab}, {"interface", l.Interface}, {"netns", l.NetNS}, {"peer_netns", l.PeerNetNS},
		} {
			if f.value != "" {
				v.fail("link."+f.key, "a pipe has none: remove it, or set link.kind to veth or tap")
			}
		}
		if l.Offload == OffloadOn {
			v.fail("link.offload", "a pipe has no kernel end that could offload: remove it")
		}
		if l.BusyPoll != 0 {
			v.fail("link.busy_poll", "a pipe has nothing to poll: remove it")
		}
	} else {
		v.place(l)
	}
	v.linkNumbers(l)
}

// place judges where a veth or TAP link is.
func (v *validator) place(l Link) {
	if l.Lab != "" {
		for _, f := range []struct{ key, value string }{
			{"interface", l.Interface}, {"netns", l.NetNS}, {"peer_netns", l.PeerNetNS},
		} {
			if f.value != "" {
				v.fail("link."+f.key, "the lab %q decides this: remove either link.%s or link.lab", l.Lab, f.key)
			}
		}
		if !labForm.MatchString(l.Lab) {
			v.fail("link.lab", "%q is no lab's name: want 1 to 32 of a-z, 0-9 and dashes, with a letter or digit first and last", l.Lab)
		}
	} else if l.Interface == "" {
		v.fail("link.interface", "missing: want an interface's name, such as veth0, or link.lab for one that `appliance lab up` made")
	}
	if l.Interface != "" && (!ifaceForm.MatchString(l.Interface) || l.Interface == "." || l.Interface == "..") {
		v.fail("link.interface", "%q is no interface's name: want 1 to 15 characters without spaces, slashes and colons", l.Interface)
	}
	for _, f := range []struct{ key, value string }{{"netns", l.NetNS}, {"peer_netns", l.PeerNetNS}} {
		if f.value != "" && !netnsForm.MatchString(f.value) {
			v.fail("link."+f.key, "%q is no network namespace: want a name as `ip netns` lists it, or a path such as /proc/123/ns/net", f.value)
		}
	}
	if l.Kind == LinkTAP && l.PeerNetNS != "" {
		v.fail("link.peer_netns", "a TAP device's other end is the appliance itself: remove it; link.netns says where the device is")
	}
}

func (v *validator) linkNumbers(l Link) {
	within(v, "link.busy_poll", l.BusyPoll, Duration(time.Microsecond), Duration(time.Second), true, ", or 0 for none")
	if l.MTU != 0 && (l.MTU < 68 || l.MTU > 65535) {
		v.fail("link.mtu", "%d is out of range: want 68 to 65535, or 0 for the interface's own", l.MTU)
		return
	}
	for _, p := range v.c.Addresses {
		if l.MTU != 0 && l.MTU < 1280 && p.Addr().Is6() {
			v.fail("link.mtu", "%d is too small for the IPv6 address %s: want 1280 or more (RFC 8200, 5), or no IPv6 address", l.MTU, p)
			return
		}
	}
}

// within fails unless low <= n <= high. A zero is left to optional.
func within[T cmp.Ordered](v *validator, path string, n, low, high T, optional bool, more string) {
	var zero T
	if n >= low && n <= high || optional && n == zero {
		return
	}
	v.fail(path, "%v is out of range: want %v to %v%s", n, low, high, more)
}

func (v *validator) tcp() {
	t := v.c.TCP
	const (
		ms   = Duration(time.Millisecond)
		hour = Duration(time.Hour)
	)
	within(v, "tcp.mss", t.MSS, 64, 65495, true, " bytes, or 0 for what the MTU allows")
	within(v, "tcp.send_buffer", t.SendBuffer, 4<<10, 1<<30, true, ", or 0 to leave it to the stack")
	within(v, "tcp.receive_buffer", t.ReceiveBuffer, 4<<10, 1<<30, true, ", or 0 to leave it to the stack")
	within(v, "tcp.backlog", t.Backlog, 1, 65535, false, "")
	within(v, "tcp.msl", t.MSL, ms, hour, false, "")
	within(v, "tcp.fin_wait_2", t.FinWait2, ms, Duration(2*time.Minute), false, "")
	within(v, "tcp.keepalive.idle", t.Keepalive.Idle, ms, 24*hour, true, ", or 0 for no keep-alive")
	within(v, "tcp.keepalive.interval", t.Keepalive.Interval, ms, 24*hour, false, "")
	within(v, "tcp.keepalive.count", t.Keepalive.Count, 1, 127, false, "")
	within(v, "tcp.retries", t.Retries, 1, 255, false, "")
	within(v, "tcp.min_rto", t.MinRTO, ms, Duration(2*time.Minute), false, "")
}

func (v *validator) impair() {
	for _, d := range []struct {
		path string
		i    Impairment
	}{{"impair.in", v.c.Impair.In}, {"impair.out", v.c.Impair.Out}} {
		within(v, d.path+".delay", d.i.Delay, 0, Duration(time.Hour), false, "")
		within(v, d.path+".jitter", d.i.Jitter, 0, Duration(time.Hour), false, "")
		within(v, d.path+".reorder_hold", d.i.ReorderHold, 0, Duration(time.Hour), false, "")
		within(v, d.path+".reorder_by", d.i.ReorderBy, 0, 1<<16, false, "")
		within(v, d.path+".rate_buffer", d.i.RateBuffer, 0, 1<<30, false, "")
		if d.i.RateBuffer > 0 && d.i.Rate == 0 && !v.bad(d.path+".rate") {
			v.fail(d.path+".rate_buffer", "%s, but no rate: without a rate nothing waits; give a rate or remove it", d.i.RateBuffer)
		}
		if (d.i.ReorderBy > 0 || d.i.ReorderHold > 0) && d.i.Reorder == 0 && !v.bad(d.path+".reorder") {
			key := "reorder_by"
			if d.i.ReorderBy == 0 {
				key = "reorder_hold"
			}
			v.fail(d.path+"."+key, "given, but nothing is reordered: give reorder a percentage or remove it")
		}
		for _, f := range []struct {
			key string
			p   Percent
		}{{"loss", d.i.Loss}, {"duplicate", d.i.Duplicate}, {"reorder", d.i.Reorder}, {"corrupt", d.i.Corrupt}} {
			within(v, d.path+"."+f.key, f.p, 0, 100, false, "")
		}
		within(v, d.path+".rate", d.i.Rate, 1, 1e12, true, ", or 0 for no limit")
	}
	for i, rule := range v.c.Impair.Rules {
		path := fmt.Sprintf("impair.rules[%d]", i)
		if err := parseRule(rule); err != nil && !v.bad(path) {
			v.fail(path, "%s", err)
		}
	}
}

// traceFormats are the forms of trace files, by the ending of the name.
var traceFormats = map[string]Screen{".jsonl": ScreenJSONL, ".pcapng": ScreenPCAPNG, ".txt": ScreenText, ".log": ScreenText}

// TraceFormat returns the form that a trace file of this name is written in. It errs
// where the name's ending tells none.
func TraceFormat(path string) (Screen, error) {
	if f, ok := traceFormats[strings.ToLower(filepath.Ext(path))]; ok {
		return f, nil
	}
	return "", fmt.Errorf("%q does not tell its form: want a name that ends in .jsonl or .pcapng, or in .txt or .log for text", path)
}

// rotatedForm is the name of a file that another has followed: file.Numbered makes it.
var rotatedForm = regexp.MustCompile(`^(.*)\.[0-9]+(\.[^./]*)$`)

func (v *validator) trace() {
	t := v.c.Trace
	seen := make(map[string]int)
	for i, f := range t.Files {
		path := fmt.Sprintf("trace.files[%d]", i)
		if _, err := TraceFormat(f); err != nil {
			if !v.bad(path) {
				v.fail(path, "%s", err)
			}
			continue
		}
		if first, twice := seen[filepath.Clean(f)]; twice {
			v.fail(path, "%q is given twice: it is trace.files[%d] already", f, first)
		}
		seen[filepath.Clean(f)] = i
	}
	for i, f := range t.Files {
		m := rotatedForm.FindStringSubmatch(filepath.Clean(f))
		if m == nil || t.RotateSize == 0 {
			continue
		}
		if other, taken := seen[m[1]+m[2]]; taken {
			v.fail(fmt.Sprintf("trace.files[%d]", i), "%q is what trace.files[%d] becomes when it rotates: choose another name", f, other)
		}
	}
	within(v, "trace.rotate_size", t.RotateSize, 64<<10, 1<<40, true, ", or 0 for one file")
	within(v, "trace.rotate_count", t.RotateCount, 1, 9999, false, "")
	if t.Level == LevelOff && len(t.Files) > 0 {
		v.fail("trace.level", "off leaves nothing for trace.files: want states, segments or full, or no files")
	}
}
