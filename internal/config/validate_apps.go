package config

import (
	"fmt"
	"net/netip"
	"slices"

	"appliance/apps"
	"appliance/tracer/strictyaml"
)

func (v *validator) apps() {
	type service struct {
		port     int
		protocol Protocol
	}
	taken := make(map[service]int)
	for i, a := range v.c.Apps {
		path := fmt.Sprintf("apps[%d]", i)
		if v.bad(path) {
			continue
		}
		if a.Name == "" {
			v.fail(path+".name", "missing: want %s", strictyaml.List(AppName("").values()))
		}
		v.protocols(path+".protocols", a)
		v.options(path+".options", a)
		if a.Role == RoleClient {
			v.client(path, a)
			continue
		}
		v.server(path, a)
		for _, p := range slices.Compact(slices.Sorted(slices.Values(a.Protocols))) {
			s := service{a.Port, p}
			if first, twice := taken[s]; twice && a.Port != 0 {
				v.fail(path+".port", "%d/%s is taken by apps[%d], %s: want another port", a.Port, p, first, v.c.Apps[first].Name)
			}
			taken[s] = i
		}
	}
}

func (v *validator) protocols(path string, a App) {
	for i, p := range a.Protocols {
		at := fmt.Sprintf("%s[%d]", path, i)
		if slices.Index(a.Protocols, p) < i && !v.bad(at) {
			v.fail(at, "%s is given twice: remove one", p)
		} else if p == UDPProtocol && (!speaksUDP(a.Name)) {
			v.fail(at, "%s speaks TCP only: want [tcp]", a.Name)
		}
	}
	if a.Role == RoleClient && len(a.Protocols) > 1 {
		v.fail(path, "a client speaks one protocol: want [tcp] or [udp]; for both, give the program twice")
	}
}

// speaksUDP tells whether the program of that name has a server of datagrams.
func speaksUDP(name AppName) bool {
	app, ok := apps.Lookup(string(name))
	return !ok || app.UDP
}

// options judges what a program is told.
func (v *validator) options(path string, a App) {
	app, ok := apps.Lookup(string(a.Name))
	if !ok || len(a.Options) == 0 || v.bad(path) {
		return
	}
	if app.CheckOptions == nil {
		v.fail(path, "%s takes none: remove them", a.Name)
		return
	}
	if err := app.CheckOptions(a.Role == RoleClient, a.Options); err != nil {
		v.fail(path, "%s", err)
	}
}

func (v *validator) server(path string, a App) {
	if a.Name != "" || a.Port != 0 {
		within(v, path+".port", a.Port, 1, 65535, false, "")
	}
	if a.Connect.IsValid() {
		v.fail(path+".connect", "a server connects to nothing: remove it, or set role to client")
	}
	if a.Once && slices.Contains(a.Protocols, UDPProtocol) {
		v.fail(path+".once", "UDP has no connection to end after: want protocols [tcp], or remove once")
	}
}

// isOwn tells whether an address is one of the appliance's.
func (v *validator) isOwn(a netip.Addr) bool {
	return slices.ContainsFunc(v.c.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

func (v *validator) client(path string, a App) {
	if a.Port != 0 {
		v.fail(path+".port", "a client's server is named by connect: remove port")
	}
	if a.Once {
		v.fail(path+".once", "a client always runs once: remove it")
	}
	switch {
	case v.bad(path + ".connect"):
	case !a.Connect.IsValid():
		v.fail(path+".connect", "missing: want the server's address and port, such as 192.168.12.1:9000")
	case a.Connect.Port() == 0:
		v.fail(path+".connect", "%s has the port 0: want 1 to 65535", a.Connect)
	case a.Connect.Addr().IsUnspecified() || a.Connect.Addr().IsMulticast():
		v.fail(path+".connect", "%s is no host's address: want the server's", a.Connect.Addr())
	case v.c.Link.Kind != LinkPipe && v.isOwn(a.Connect.Addr()): // on a pipe the client is the other end's
		v.fail(path+".connect", "%s is the appliance's own address, and a stack cannot connect to itself: want the other end's, such as 192.168.12.1, or a pipe", a.Connect.Addr())
	}
}
