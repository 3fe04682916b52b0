package config

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// draw makes a valid configuration.
func draw(t *rapid.T) *Config {
	c := Default()
	c.Name = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`).Draw(t, "name")
	if c.Name == "peer" {
		c.Name = "pear"
	}
	c.Addresses = []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, rapid.ByteRange(1, 254).Draw(t, "host")}), 24),
	}
	if rapid.Bool().Draw(t, "route") {
		c.Routes = []Route{{To: netip.MustParsePrefix("::/0"), Via: netip.MustParseAddr("fe80::")}, {To: netip.MustParsePrefix("172.16.0.0/12")}}
	}
	if kind := rapid.SampledFrom([]LinkKind{LinkVeth, LinkTAP, LinkPipe}).Draw(t, "kind"); kind == LinkPipe {
		c.UseLink(kind, "")
	} else {
		c.UseLink(kind, rapid.StringMatching(`[^\s/:\pC\pZ]{3,5}`).Draw(t, "interface"))
		c.Link.NetNS = rapid.SampledFrom([]string{"", "blue", "/proc/1/ns/net"}).Draw(t, "netns")
	}
	c.Link.MTU = rapid.SampledFrom([]int{0, 68, 1500, 65535}).Draw(t, "mtu")
	c.TCP.SACK, c.TCP.Nagle = rapid.Bool().Draw(t, "sack"), rapid.Bool().Draw(t, "nagle")
	c.TCP.SendBuffer = Size(rapid.Int64Range(4096, 1<<30).Draw(t, "send_buffer"))
	c.TCP.MSL = Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "msl"))
	c.Impair.Seed = rapid.Uint64().Draw(t, "seed")
	c.Impair.In = Impairment{
		Loss:  Percent(rapid.Float64Range(0, 100).Draw(t, "loss")),
		Delay: Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "delay")),
		Rate:  Rate(rapid.Int64Range(0, 1e12).Draw(t, "rate")),
	}
	if text := rapid.StringMatching(`[a-z "\\:#é]{1,9}`).Draw(t, "contains"); rapid.Bool().Draw(t, "rule") {
		c.Impair.Rules = []string{fmt.Sprintf("drop out FIN contains=%q", text)}
	}
	c.Apps = nil
	for i := range rapid.IntRange(0, 3).Draw(t, "apps") {
		a := App{Name: rapid.SampledFrom([]AppName{AppEcho, AppDiscard}).Draw(t, "app"), Role: RoleServer, Port: 100 + i, Protocols: []Protocol{TCPProtocol}}
		if rapid.Bool().Draw(t, "client") {
			a.Role, a.Port, a.Connect = RoleClient, 0, netip.MustParseAddrPort("[fe80::]:7")
		}
		c.Apps = append(c.Apps, a)
	}
	if rapid.Bool().Draw(t, "options") {
		options := rapid.SampledFrom([][]string{{"json"}, {"interval=0"}, {"interval=500ms", "json"}}).Draw(t, "iperf")
		c.Apps = append(c.Apps, App{Name: AppIperf, Role: RoleServer, Port: 99, Protocols: []Protocol{TCPProtocol}, Options: options})
	}
	if rapid.Bool().Draw(t, "file") {
		c.Trace.Files = []string{rapid.StringMatching(`[a-z {}\[\],&*!|>'"%@#:-]{1,8}`).Draw(t, "file name") + ".jsonl"}
	}
	c.Trace.RotateSize = Size(rapid.SampledFrom([]int64{0, 64 << 10, 100_000_000, 1 << 40}).Draw(t, "rotate size"))
	c.Trace.RotateCount = rapid.IntRange(1, 9999).Draw(t, "rotate count")
	return c
}

// TestRoundTrip: what Marshal writes, Parse reads as the same configuration.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := draw(t)
		if err := c.Validate(); err != nil {
			t.Fatalf("drew an invalid configuration: %v", err)
		}
		text := c.Marshal()
		got, err := Parse("round", text)
		if err != nil {
			t.Fatalf("Parse:\n%v\nof\n%s", err, text)
		}
		if diff := cmp.Diff(c, got, same); diff != "" {
			t.Fatalf("(-wrote +read):\n%s\nof\n%s", diff, text)
		}
	})
}

// FuzzParse: no input makes Parse panic; an error has places within the file; what
// it takes is valid and survives Marshal.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "name: x", "tcp: {msl: 30s}", "apps: [{name: echo}]", "a: &a [*a]", "link: &l {kind: tap}\ntcp: *l",
		"<<: {name: x}", "? [a]\n: b", "name: !!binary YQ==", "--- a\n--- b", "\xff\xfe", "addresses: [::/0, 1.2.3.4/0]",
		"impair: {rules: [\"drop out FIN nth=2\", \"drop in contains=\\\"a b\\\"\"], in: {loss: 1e-9%}}",
		string(Default().Marshal()),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || len(e.Problems) == 0 {
				t.Fatalf("error %T with no problem: %v", err, err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("parsed and invalid: %v", err)
		}
		again, err := Parse("again.yaml", c.Marshal())
		if err != nil {
			t.Fatalf("%v\nof\n%s", err, c.Marshal())
		}
		if diff := cmp.Diff(c, again, same); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
