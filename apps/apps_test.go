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
	}{{"echo", 7, true}, {"discard", 9, true}, {"chargen", 19, true}, {"hello", 9000, false}, {"http", 80, false}}
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
		"hello": "b'hello'\n", "http": "you are   127.0.0.1:",
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
			if err := app.Client(apptest.Context(t), dial, s.Addr, Env{Out: &out, Count: count}); err != nil {
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
