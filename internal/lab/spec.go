package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// spec is what a lab is meant to be, and, on the loopback interface of its
// namespaces, the mark that says so.
type spec struct {
	Name  string         `json:"name"`
	Side  string         `json:"side,omitempty"`
	Kind  Kind           `json:"kind,omitempty"`
	MTU   int            `json:"mtu,omitempty"`
	Addrs []netip.Prefix `json:"addrs,omitempty"`
	// AppAddrs are the appliance's side's, of a temporary lab whose both ends are
	// Linux: such a lab has no mark.
	AppAddrs []netip.Prefix `json:"-"`
	// Ordered is for a temporary lab too.
	Ordered bool `json:"-"`
}

const (
	sideHost = "host"
	sideApp  = "app"

	markPrefix = "appliance-lab "
	// IFALIASZ - 1: what the kernel takes as an interface's alias.
	markMax = 255
	nameMax = 32
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// The smallest MTUs of IPv4 (RFC 791, 3.2) and IPv6 (RFC 8200, 5).
const (
	minMTU4 = 68
	minMTU6 = 1280
)

// OptionError is an option that no lab can have.
type OptionError struct{ err error }

func (e *OptionError) Error() string { return e.err.Error() }

func (e *OptionError) Unwrap() error { return e.err }

// checkName puts the default for no name.
func checkName(name string) (string, error) {
	if name == "" {
		return DefaultName, nil
	}
	if len(name) > nameMax || !nameForm.MatchString(name) {
		return "", &OptionError{fmt.Errorf("lab: bad name %q: use 1 to %d of a-z, 0-9 and '-', with a letter or digit first and last",
			name, nameMax)}
	}
	return name, nil
}

// want says what o asks of a lab that now is have; nil for one that is not.
func want(o Options, have *spec) (spec, error) {
	if len(o.AppAddresses) > 0 {
		return spec{}, errors.New("addresses on the appliance's side: only a temporary lab takes them: a lab that is up belongs to the appliance")
	}
	if o.Ordered {
		return spec{}, errors.New("packets in order: only a temporary lab takes it")
	}
	w := spec{Name: o.Name, Kind: Veth, MTU: DefaultMTU, Addrs: DefaultAddresses()}
	if have != nil {
		w = *have
		if o.Kind != "" && o.Kind != have.Kind {
			return w, fmt.Errorf("%s is up as %s, not as %s: take it down first (appliance lab down --name %s), or choose another name",
				have.Name, have.Kind, o.Kind, have.Name)
		}
	}
	if o.Kind != "" {
		w.Kind = o.Kind
	}
	if o.MTU != 0 {
		w.MTU = o.MTU
	}
	if len(o.Addresses) > 0 {
		w.Addrs = slices.Clone(o.Addresses)
	}
	if err := w.check(); err != nil {
		return w, &OptionError{err}
	}
	return w, nil
}

func (s spec) check() error {
	if s.Kind != Veth && s.Kind != TAP {
		return fmt.Errorf("bad kind %q: use %s or %s", s.Kind, Veth, TAP)
	}
	if s.Kind == TAP && len(s.AppAddrs) > 0 {
		return fmt.Errorf("addresses on the appliance's side: a %s has no second interface to give them to: use %s", TAP, Veth)
	}
	minMTU, why := minMTU4, ""
	seen := map[netip.Addr]bool{}
	for _, a := range slices.Concat(s.Addrs, s.AppAddrs) {
		switch {
		case !a.IsValid():
			return fmt.Errorf("bad address %q: use an address with its prefix length, such as 192.168.12.1/24", a)
		case a.Addr().IsUnspecified(), a.Addr().IsMulticast(), a.Addr().IsLoopback(), a.Addr().Is4In6(), a.Addr().Zone() != "":
			return fmt.Errorf("bad address %s: a host's own unicast address is needed", a)
		case a.Addr().Is4() && a.Bits() < 31 && a.Addr() == a.Masked().Addr():
			return fmt.Errorf("bad address %s: it is the network's own, not a host's", a)
		case seen[a.Addr()]:
			return fmt.Errorf("address %s is given twice", a.Addr())
		}
		seen[a.Addr()] = true
		if a.Addr().Is6() {
			minMTU, why = minMTU6, " (RFC 8200, 5: it has IPv6 addresses)"
		}
	}
	// What a TAP takes at most; a veth would take a little more.
	const maxMTU = 65521
	if s.MTU < minMTU || s.MTU > maxMTU {
		return fmt.Errorf("bad MTU %d: use %d to %d%s", s.MTU, minMTU, maxMTU, why)
	}
	if n := len(s.side(sideHost).mark()); n > markMax {
		return fmt.Errorf("too many addresses: name and addresses make %d bytes of mark, and the kernel keeps %d", n, markMax)
	}
	return nil
}

// side is the mark of one side: only the host's says more than its name.
func (s spec) side(side string) spec {
	if side == sideApp {
		return spec{Name: s.Name, Side: side}
	}
	s.Side = side
	return s
}

func (s spec) mark() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings, ints and prefixes only
	}
	return markPrefix + string(b)
}

// parseMark reads a mark; false when it is none.
func parseMark(alias string) (spec, bool) {
	var s spec
	rest, ok := strings.CutPrefix(alias, markPrefix)
	if !ok || json.Unmarshal([]byte(rest), &s) != nil || s.Name == "" {
		return spec{}, false
	}
	return s, true
}

func (s spec) hostInterface() string {
	if s.Kind == TAP {
		return tapName
	}
	return hostVeth
}

func (s spec) appInterface() string {
	if s.Kind == TAP {
		return tapName
	}
	return appVeth
}

func (s spec) info() Info {
	return Info{
		Name: s.Name, Kind: s.Kind, MTU: s.MTU, Addresses: s.Addrs, AppAddresses: s.AppAddrs,
		HostInterface: s.hostInterface(), AppInterface: s.appInterface(),
	}
}

func (s spec) options() Options {
	return Options{Name: s.Name, Kind: s.Kind, MTU: s.MTU, Addresses: s.Addrs}
}
