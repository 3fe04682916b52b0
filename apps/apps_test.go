package apps

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"appliance/apps/internal/apptest"
)

func TestList(t *testing.T) {
	want := []struct {
		name string
		port uint16
		udp  bool
	}{{"echo", 7, true}, {"discard", 9, true}, {"chargen", 19, true}, {"hello", 9000, false}, {"http", 80, false}, {"iperf", 5201, false}}
	var names []string
	for _, w := range want {
		names = append(names, w.name)
		a, ok := Lookup(w.name)
		if !ok || a.Name != w.name || a.Port != w.port || !a.TCP || a.UDP != w.udp || a.Summary == "" {
			t.Errorf("%s: %v %+v", w.name, ok, a)
		}
		if a.TCP != (a.Serve != nil) || a.UDP != (a.ServePacket != nil) || a.Client == nil {
			t.Errorf("%s: what it says it has is not what it has", w.name)
		}
	}
	if got := Names(); !slices.Equal(got, names) {
		t.Errorf("names %q, want %q", got, names)
	}
	if a, ok := Lookup("Echo"); ok {
		t.Errorf("found %+v", a)
	}
}

func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// TestEachWithItsClient runs every server with its client, several connections each.
func TestEachWithItsClient(t *testing.T) {
	const count = 3
	wants := map[string]string{
		"echo": "44 bytes back in ", "discard": "44 bytes sent in ", "chargen": ` !"#$%&'()`,
		"hello": "b'hello'\n", "http": "you are   127.0.0.1:", "iperf": "\niperf Done.\n",
	}
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, _ := Lookup(name)
			var printed apptest.Buffer
			s := apptest.Start(t, func(ctx context.Context, l net.Listener) error {
				return app.Serve(ctx, l, Env{Out: &printed, Log: t.Logf, Count: count})
			})
			var out apptest.Buffer
			env := Env{Out: &out, Count: count}
			if app.CheckOptions != nil {
				env.Options = []string{"bytes=1M", "parallel=2"}
			}
			if err := app.Client(apptest.Context(t), dial, s.Addr, env); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), wants[name]); n != count {
				t.Errorf("%q is %d times in:\n%s", wants[name], n, out.String())
			}
			if err := s.Wait(t); err != nil {
				t.Error(err)
			}
			if name == "hello" && printed.String() != strings.Repeat("b'byebye'\n", count) {
				t.Errorf("the server printed %q", printed.String())
			}
		})
		t.Run(name+" udp", func(t *testing.T) {
			t.Parallel()
			app, _ := Lookup(name)
			if !app.UDP {
				err := app.Client(apptest.Context(t), dial, "127.0.0.1:9", Env{Network: "udp"})
				if err == nil || !strings.Contains(err.Error(), "TCP only") {
					t.Errorf("error %v", err)
				}
				return
			}
			s := apptest.StartPacket(t, func(ctx context.Context, pc net.PacketConn) error {
				return app.ServePacket(ctx, pc, Env{Log: t.Logf})
			})
			var out apptest.Buffer
			env := Env{Out: &out, Count: count, Network: "udp"}
			if err := app.Client(apptest.Context(t), dial, s.Addr, env); err != nil {
				t.Fatal(err)
			}
			// chargen's lines go on where the last datagram ended: only its first is known.
			if n := strings.Count(out.String(), wants[name]); n != count && name != "chargen" || n == 0 {
				t.Errorf("%q is %d times in:\n%s", wants[name], n, out.String())
			}
		})
	}
}

// TestOptions: a program that takes options refuses what it does not know, before it
// does anything, on the command line's word and when it is run.
func TestOptions(t *testing.T) {
	for _, name := range Names() {
		app, _ := Lookup(name)
		if (app.CheckOptions != nil) != (name == "iperf") {
			t.Errorf("%s takes options: %v", name, app.CheckOptions != nil)
		}
	}
	app, _ := Lookup("iperf")
	for _, c := range []struct {
		client  bool
		options []string
		want    string // of the error; "" for none
	}{
		{true, nil, ""},
		{true, []string{"time=2", "parallel=4", "reverse", "json"}, ""},
		{false, []string{"json", "interval=0"}, ""},
		{true, []string{"reverse", "bidir"}, "want one of them"},
		{false, []string{"reverse"}, `option "reverse" is unknown: want interval, json`},
	} {
		err := app.CheckOptions(c.client, c.options)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("client %v, %q: error %v, want %q", c.client, c.options, err, c.want)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Serve(apptest.Context(t), l, Env{Options: []string{"fast"}}); err == nil {
		t.Error("the server ran with an unknown option")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
	never := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
	if err := app.Client(apptest.Context(t), never, "192.0.2.1:1", Env{Options: []string{"fast"}}); err == nil || strings.Contains(err.Error(), "dialled") {
		t.Errorf("the client with an unknown option: %v", err)
	}
}

func TestClientFails(t *testing.T) {
	broken := errors.New("no route")
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, broken }
	for _, name := range Names() {
		app, _ := Lookup(name)
		if err := app.Client(apptest.Context(t), refuse, "192.0.2.1:1", Env{}); !errors.Is(err, broken) {
			t.Errorf("%s: error %v, want the dialer's", name, err)
		}
		if err := app.Client(apptest.Context(t), refuse, "192.0.2.1:1", Env{Network: "icmp"}); err == nil || errors.Is(err, broken) {
			t.Errorf("%s over icmp: error %v", name, err)
		}
	}
}
