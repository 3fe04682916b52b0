package netstack_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"appliance/netstack"
	"appliance/netstack/link"
	"appliance/tracer"
)

// What has no meaning is an error that names the option and the value, before any
// packet is sent; the link is closed and no goroutine left.
func TestBadOptions(t *testing.T) {
	tcp := func(o netstack.TCPOptions) netstack.Options { return netstack.Options{TCP: o} }
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for name, c := range map[string]struct {
		opts netstack.Options
		want string // a part of the error
	}{
		"no address":          {netstack.Options{Addresses: []netip.Prefix{{}}}, "want an address and its prefix length"},
		"an address twice":    {netstack.Options{Addresses: []netip.Prefix{serverAddr4, serverAddr4}}, serverAddr4.String()},
		"a gateway of IPv6":   {netstack.Options{Routes: []netstack.Route{{Destination: netip.PrefixFrom(v4, 24), Gateway: v6}}}, "not of the same family"},
		"a gateway of IPv4":   {netstack.Options{Routes: []netstack.Route{{Destination: netip.PrefixFrom(v6, 64), Gateway: v4}}}, "not of the same family"},
		"no destination":      {netstack.Options{Routes: []netstack.Route{{Gateway: v4}}}, "route"},
		"an empty route":      {netstack.Options{Routes: []netstack.Route{{}}}, "route"},
		"congestion":          {tcp(netstack.TCPOptions{Congestion: "vegas"}), `congestion control "vegas"`},
		"MSS small":           {tcp(netstack.TCPOptions{MSS: 10}), "mss"},
		"MSS large":           {tcp(netstack.TCPOptions{MSS: 70000}), "mss"},
		"MSS negative":        {tcp(netstack.TCPOptions{MSS: -1}), "mss"},
		"send buffer":         {tcp(netstack.TCPOptions{SendBuffer: 100}), "send buffer"},
		"send buffer below 0": {tcp(netstack.TCPOptions{SendBuffer: -1}), "send buffer"},
		"receive buffer":      {tcp(netstack.TCPOptions{RecvBuffer: 100}), "receive buffer"},
		"backlog":             {tcp(netstack.TCPOptions{Backlog: -1}), "backlog"},
		"backlog large":       {tcp(netstack.TCPOptions{Backlog: 1 << 20}), "backlog"},
		"MSL":                 {tcp(netstack.TCPOptions{MSL: -time.Second}), "MSL"},
		"FIN-WAIT-2":          {tcp(netstack.TCPOptions{FinWait2: -time.Second}), "FIN-WAIT-2"},
		"FIN-WAIT-2 long":     {tcp(netstack.TCPOptions{FinWait2: time.Hour}), "FIN-WAIT-2"},
		"retries":             {tcp(netstack.TCPOptions{Retries: -1}), "retries"},
		"minimum RTO":         {tcp(netstack.TCPOptions{MinRTO: -1}), "minimum RTO"},
		"minimum RTO long":    {tcp(netstack.TCPOptions{MinRTO: time.Hour}), "minimum RTO"},
		"keepalive idle":      {tcp(netstack.TCPOptions{Keepalive: netstack.Keepalive{Idle: -1}}), "keepalive"},
		"keepalive interval":  {tcp(netstack.TCPOptions{Keepalive: netstack.Keepalive{Idle: time.Second, Interval: -1}}), "keepalive"},
		"keepalive count":     {tcp(netstack.TCPOptions{Keepalive: netstack.Keepalive{Idle: time.Second, Count: -1}}), "keepalive"},
		"keepalive of no use": {tcp(netstack.TCPOptions{Keepalive: netstack.Keepalive{Interval: time.Second}}), "keepalive"},
	} {
		t.Run(name, func(t *testing.T) {
			verifyNoLeak(t)
			a, b := link.NewPipe(link.PipeOptions{})
			defer b.Close()
			rec := newRecorder(nil)
			c.opts.Recorder, c.opts.Level = rec, tracer.LevelFull
			s, err := netstack.New(a, c.opts)
			if err == nil {
				_ = s.Close()
				t.Fatalf("New took it; want an error with %q", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: %v; want an error with %q", err, c.want)
			}
			if n := b.Counters().FramesIn; n != 0 || len(rec.Events()) != 0 {
				t.Errorf("%d frames were sent, %d events recorded", n, len(rec.Events()))
			}
			select {
			case <-a.Done():
			case <-time.After(patience):
				t.Error("the link is still open")
			}
		})
	}
}

// DescribeTCP errs where New does.
func TestDescribeTCPBad(t *testing.T) {
	if _, err := netstack.DescribeTCP(netstack.TCPOptions{Congestion: "vegas"}); err == nil || !strings.Contains(err.Error(), "vegas") {
		t.Errorf("DescribeTCP: %v", err)
	}
}
