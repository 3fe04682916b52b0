package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// same compares configurations; netip's types have unexported fields.
var same = cmp.Options{cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}, netip.AddrPort{})}

func parse(t *testing.T, yaml string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(yaml))
	if err != nil {
		t.Fatalf("Parse:\n%v\nof\n%s", err, yaml)
	}
	return c
}

// TestDefault: nothing, an empty mapping, empty sections and the default's own text
// all stand for the default, which is valid.
func TestDefault(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	for _, yaml := range []string{
		"", "\n", "# nothing\n", "{}", "---\n", "tcp:\nlink:\nroutes:\ntrace:\n", string(Default().Marshal()),
	} {
		if diff := cmp.Diff(Default(), parse(t, yaml), same); diff != "" {
			t.Errorf("%.40q differs from the default (-default +got):\n%s", yaml, diff)
		}
	}
}

func TestParse(t *testing.T) {
	got := parse(t, `
name: red
addresses: &a [10.0.0.2/24, "fd00::2/64"]
routes:
  - {to: 0.0.0.0/0, via: 10.0.0.1}
  - to: ::/0
link: {kind: tap, interface: tap7, netns: /run/netns/x, mac: 02-00-00-00-12-53, mtu: 1400, offload: auto, busy_poll: 50us}
tcp: {congestion: reno, sack: false, send_buffer: 64 KiB, msl: 1m30s, keepalive: {idle: 5m}}
impair:
  seed: 18446744073709551615
  out: {loss: 7%, delay: 20ms, rate: 10Mbit}
  rules: [drop out FIN nth=2]
apps:
  - name: echo
    protocols: [tcp, udp]
  - {name: hello, role: client, connect: "[fd00::1]:9000"}
trace: {level: full, screen: true, files: [a.jsonl, b.txt]}
`)
	want := Default()
	want.Name = "red"
	want.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}
	want.Routes = []Route{
		{To: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.1")},
		{To: netip.MustParsePrefix("::/0")},
	}
	want.Link = Link{
		Kind: LinkTAP, Interface: "tap7", NetNS: "/run/netns/x",
		MAC: "02:00:00:00:12:53", MTU: 1400, Offload: OffloadAuto, BusyPoll: Duration(50 * time.Microsecond),
	}
	want.TCP.Congestion, want.TCP.SACK, want.TCP.SendBuffer = CongestionReno, false, 65536
	want.TCP.MSL, want.TCP.Keepalive.Idle = Duration(90e9), Duration(300e9)
	want.Impair.Seed = 1<<64 - 1
	want.Impair.Out = Impairment{Loss: 7, Delay: Duration(20e6), Rate: 10e6}
	want.Impair.Rules = []string{"drop out FIN nth=2"}
	want.Apps = []App{
		{Name: AppEcho, Role: RoleServer, Port: 7, Protocols: []Protocol{TCPProtocol, UDPProtocol}},
		{Name: AppHello, Role: RoleClient, Connect: netip.MustParseAddrPort("[fd00::1]:9000"), Protocols: []Protocol{TCPProtocol}},
	}
	want.Trace = Trace{Level: LevelFull, Screen: ScreenText, Color: ColorAuto, Time: TimeRel, Files: []string{"a.jsonl", "b.txt"}, RotateCount: 10}
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAliases: an anchor's value may be used again, with the lines of its use.
func TestAliases(t *testing.T) {
	got := parse(t, "impair:\n  in: &bad {loss: 5%}\n  out: *bad\n")
	if got.Impair.Out.Loss != 5 || got.Impair.In != got.Impair.Out {
		t.Errorf("impair = %+v", got.Impair)
	}
}

func TestUseLink(t *testing.T) {
	c := Default()
	c.Link.MTU = 1400
	c.UseLink(LinkPipe, "")
	if want := (Link{Kind: LinkPipe, MTU: 1400, Offload: OffloadOff}); c.Link != want {
		t.Errorf("pipe: %+v, want %+v", c.Link, want)
	}
	c.UseLink(LinkTAP, "")
	if c.Link.Lab != DefaultLab || c.Link.Interface != "" {
		t.Errorf("tap: %+v, want the lab %s", c.Link, DefaultLab)
	}
	c.UseLink(LinkVeth, "veth0")
	if c.Link.Lab != "" || c.Link.Interface != "veth0" {
		t.Errorf("veth: %+v, want the interface veth0", c.Link)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// TestValidate: a changed configuration's problems name keys and have no line.
func TestValidate(t *testing.T) {
	c := Default()
	c.Link.MTU, c.TCP.Backlog = 3, -1
	want := "link.mtu: 3 is out of range: want 68 to 65535, or 0 for the interface's own\n" +
		"tcp.backlog: -1 is out of range: want 1 to 65535"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("Validate = %v\nwant %s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	big := filepath.Join(dir, "big.yaml")
	for path, content := range map[string]string{good: "name: red\n", big: strings.Repeat("#\n", maxFile)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := Load(good); err != nil || c.Name != "red" {
		t.Errorf("Load(good) = %v, %v", c, err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load(none) = %v, want that it does not exist", err)
	}
	var e *Error
	if _, err := Load(big); !errors.As(err, &e) || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("Load(big) = %v, want an *Error about its size", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("Load of a directory succeeded")
	}
}

// TestDocs: every key is described, nothing else is, and each example is one that
// Parse takes.
func TestDocs(t *testing.T) {
	used := make(map[string]bool)
	walkKeys(reflect.TypeFor[Config](), "", func(path string, parent reflect.Type, f reflect.StructField) {
		key := parent.Name() + "." + f.Tag.Get("yaml")
		used[key] = true
		if docs[key].text == "" {
			t.Errorf("%s (%s) is not described", path, key)
		}
	})
	for key := range docs {
		if !used[key] {
			t.Errorf("%s is described and is no key", key)
		}
	}
	commented := regexp.MustCompile(`^( *)# ([a-z_]+: .*)$`)
	lines := strings.Split(string(Default().Marshal()), "\n")
	examples := 0
	for i, line := range lines {
		m := commented.FindStringSubmatch(line)
		if m == nil || !slices.ContainsFunc(slices.Collect(values(docs)), func(d doc) bool {
			return d.example != "" && strings.HasSuffix(m[2], ": "+d.example)
		}) {
			continue
		}
		examples++
		text := slices.Clone(lines)
		text[i] = m[1] + m[2]
		var e *Error
		if _, err := Parse("example", []byte(strings.Join(text, "\n"))); errors.As(err, &e) {
			for _, p := range e.Problems {
				// What clashes with the default's lab, kind or role is still an example.
				if !strings.Contains(p.Message, "remove") {
					t.Errorf("%s: %v", m[2], p)
				}
			}
		}
	}
	if examples < 8 {
		t.Errorf("found %d examples in the default's text, want at least 8", examples)
	}
}

func values(m map[string]doc) func(func(doc) bool) {
	return func(yield func(doc) bool) {
		for _, d := range m {
			if !yield(d) {
				return
			}
		}
	}
}

// TestMarshalWidth: the text fits a terminal.
func TestMarshalWidth(t *testing.T) {
	for i, line := range strings.Split(string(Default().Marshal()), "\n") {
		if len(line) > width {
			t.Errorf("line %d has %d columns: %s", i+1, len(line), line)
		}
	}
}

// TestSchema: the schema allows the default configuration, in the form that Marshal
// writes, and refuses what is none.
func TestSchema(t *testing.T) {
	raw, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		yaml string
		bad  string // what the schema says, "" for nothing
	}{
		{string(Default().Marshal()), ""},
		{"trace: {screen: true}", ""},
		{"tcp: {send_buffer: 64KiB, msl: 1m30s}", ""},
		{"impair: {in: {loss: 0, rate: 10Mbit}}", ""},
		{"nam: x", "nam"},
		{"link: {kind: vth}", "link.kind"},
		{"tcp: {msl: 30}", "tcp.msl"},
		{"tcp: {sack: 1}", "tcp.sack"},
		{"apps: [{port: 7}]", "apps[0]"},
		{"addresses: [1.2.3.4]", "addresses[0]"},
		{"impair: {in: {loss: 0.1}}", "impair.in.loss"},
	} {
		if got := checkSchema(t, s, tt.yaml); got != tt.bad {
			t.Errorf("%.40q: the schema refuses %q, want %q", tt.yaml, got, tt.bad)
		}
	}
}
