package config

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// TestStackOptions: every setting of a stack that has a key reaches it.
func TestStackOptions(t *testing.T) {
	got := parse(t, `
name: red
addresses: [10.0.0.2/24]
routes: [{to: 0.0.0.0/0, via: 10.0.0.1}]
tcp: {congestion: reno, sack: true, rack: false, nagle: true, mss: 1000, send_buffer: 8KiB, receive_buffer: 16KiB,
  backlog: 7, msl: 1s, fin_wait_2: 2s, keepalive: {idle: 3s, interval: 4s, count: 5}, retries: 6, min_rto: 100ms}
trace: {level: full}
`).Stack()
	yes, no := true, false
	want := netstack.Options{
		Name:      "red",
		Addresses: got.Addresses,
		Routes:    got.Routes,
		Level:     tracer.LevelFull,
		TCP: netstack.TCPOptions{
			Congestion: "reno", SACK: &yes, RACK: &no, Nagle: &yes,
			MSS: 1000, SendBuffer: 8192, RecvBuffer: 16384, Backlog: 7,
			MSL: time.Second, FinWait2: 2 * time.Second,
			Keepalive: netstack.Keepalive{Idle: 3 * time.Second, Interval: 4 * time.Second, Count: 5},
			Retries:   6, MinRTO: 100 * time.Millisecond,
		},
	}
	if diff := cmp.Diff(want.TCP, got.TCP); diff != "" {
		t.Errorf("TCP (-want +got):\n%s", diff)
	}
	if got.Name != want.Name || got.Level != want.Level {
		t.Errorf("name %q, level %s", got.Name, got.Level)
	}
	if len(got.Addresses) != 1 || got.Addresses[0].String() != "10.0.0.2/24" {
		t.Errorf("addresses = %v", got.Addresses)
	}
	if len(got.Routes) != 1 || got.Routes[0].Destination.String() != "0.0.0.0/0" || got.Routes[0].Gateway.String() != "10.0.0.1" {
		t.Errorf("routes = %v", got.Routes)
	}
	// A TCP option without a key would stay zero here.
	tcp := reflect.ValueOf(got.TCP)
	for i := range tcp.NumField() {
		if tcp.Field(i).IsZero() {
			t.Errorf("no key sets TCPOptions.%s", tcp.Type().Field(i).Name)
		}
	}
}

// TestImpairOptions: every setting of an impairment reaches it, and the default
// does nothing.
func TestImpairOptions(t *testing.T) {
	if Default().Impair.Any() {
		t.Error("the default impairs")
	}
	c := parse(t, `
impair:
  seed: 9
  in: {loss: 1%, delay: 2ms, jitter: 3ms, duplicate: 4%, reorder: 5%, reorder_by: 6, reorder_hold: 7ms,
    corrupt: 8%, rate: 9kbit, rate_buffer: 10KiB}
  rules: [drop out FIN nth=2]
`)
	if !c.Impair.Any() {
		t.Error("the impairment does nothing")
	}
	got, err := c.Impair.Options()
	if err != nil {
		t.Fatal(err)
	}
	want := link.Impairment{
		Loss: 0.01, Delay: 2 * time.Millisecond, Jitter: 3 * time.Millisecond, Duplicate: 0.04,
		Reorder: 0.05, ReorderBy: 6, ReorderHold: 7 * time.Millisecond, Corrupt: 0.08, Rate: 9000, RateBuffer: 10240,
	}
	if got.In != want {
		t.Errorf("in = %+v\nwant %+v", got.In, want)
	}
	if got.Out != (link.Impairment{}) || got.Seed != 9 {
		t.Errorf("out = %+v, seed %d", got.Out, got.Seed)
	}
	if len(got.Rules) != 1 || got.Rules[0].String() != "drop out FIN nth=2" {
		t.Errorf("rules = %v", got.Rules)
	}
	for i := range reflect.TypeFor[link.Impairment]().NumField() {
		if reflect.ValueOf(got.In).Field(i).IsZero() {
			t.Errorf("no key sets Impairment.%s", reflect.TypeFor[link.Impairment]().Field(i).Name)
		}
	}
}

// TestLevels: the tracer knows each level under the same name, and no other.
func TestLevels(t *testing.T) {
	for i, name := range Level("").values() {
		if got := Level(name).Tracer(); got != tracer.Level(i) || got.String() != name {
			t.Errorf("level %s is the tracer's %s", name, got)
		}
	}
	if next := tracer.Level(len(Level("").values())).String(); next[0] != 'L' {
		t.Errorf("the tracer has a level %s that no key gives", next)
	}
}
