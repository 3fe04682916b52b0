// Package apps is the list of the programs that run on the appliance's stack, and on
// the kernel's sockets just as well: each serves a net.Listener or net.PacketConn
// and uses a net.Conn, whoever made them. The programs are in the packages below;
// this one gives them a common shape for a command line.
package apps

import (
	"context"
	"io"
	"net"
)

// Env is what a program is given besides its socket; the zero value is ready.
type Env struct {
	// Out gets what the program prints; nil means nobody reads it.
	Out io.Writer
	// Log gets a server's troubles with single connections, one line a call, from
	// several goroutines; nil means nobody reads them.
	Log func(format string, args ...any)
	// Count is how many connections: a server closes its listener after that many
	// (0: it serves until its context ends), a client makes that many, one after
	// the other (0: one). Datagrams that a server answers are not counted; with iperf,
	// which has several connections a test, it is tests.
	Count int
	// Network is what a client dials: "tcp" or "udp"; "" means "tcp".
	Network string
	// Data is what the echo and discard clients send; nil means a sentence.
	Data []byte
	// Options are what the program is told, each NAME or NAME=VALUE; the program must
	// know them. nil means its defaults.
	Options []string
	// AwaitClose keeps hello's server or client from closing before the other end has.
	AwaitClose bool
}

// Dialer opens a connection, as net.Dialer.DialContext does. The network is "tcp" or
// "udp", the address "host:port".
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// App is a program. What it does not have is nil.
type App struct {
	Name    string
	Port    uint16 // where it is served unless told otherwise
	TCP     bool   // Serve is there
	UDP     bool   // ServePacket is there
	Summary string // half a sentence, for a list
	// CheckOptions tells what is wrong with the options of the program as a client, or
	// else as a server; nil is a program that has none.
	CheckOptions func(client bool, options []string) error
	// Serve serves l, which it closes, until ctx ends or env.Count connections are
	// served; it returns once its goroutines have ended, nil unless l failed.
	Serve func(ctx context.Context, l net.Listener, env Env) error
	// ServePacket answers datagrams on pc, which it closes, until ctx ends; it
	// returns nil unless pc failed.
	ServePacket func(ctx context.Context, pc net.PacketConn, env Env) error
	// Client talks to the server at addr ("host:port") and prints what came of it.
	Client func(ctx context.Context, dial Dialer, addr string, env Env) error
}

// Names are the programs' names, in the order of a list.
func Names() []string {
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.Name
	}
	return names
}

// Lookup gives the program of that name.
func Lookup(name string) (App, bool) {
	for _, a := range all {
		if a.Name == name {
			return a, true
		}
	}
	return App{}, false
}
