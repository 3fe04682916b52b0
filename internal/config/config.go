package config

import (
	"net/netip"
	"time"
)

// Config is one appliance: a stack on a link, its programs and its trace. The YAML
// keys are the fields' tags; see [Config.Marshal] for what each means.
type Config struct {
	Name      string         `yaml:"name"`
	Addresses []netip.Prefix `yaml:"addresses"`
	Routes    []Route        `yaml:"routes"`
	Link      Link           `yaml:"link"`
	TCP       TCP            `yaml:"tcp"`
	Impair    Impair         `yaml:"impair"`
	Apps      []App          `yaml:"apps"`
	Trace     Trace          `yaml:"trace"`
}

// Route sends what goes to To by way of Via, which must be on the link.
type Route struct {
	To  netip.Prefix `yaml:"to" jsonschema:"required"`
	Via netip.Addr   `yaml:"via"` // none: To is on the link itself
}

// Link is what the stack stands on. Lab stands for Interface, NetNS and PeerNetNS.
type Link struct {
	Kind      LinkKind `yaml:"kind"`
	Lab       string   `yaml:"lab"`
	Interface string   `yaml:"interface"`
	NetNS     string   `yaml:"netns"`      // a name, or the path of a namespace file; "" is the current one
	PeerNetNS string   `yaml:"peer_netns"` // where the other end of the veth pair is; same form
	MAC       MAC      `yaml:"mac"`        // "" lets the runner choose
	MTU       int      `yaml:"mtu"`        // bytes; 0 is the interface's own
	Offload   Offload  `yaml:"offload"`
	BusyPoll  Duration `yaml:"busy_poll"` // 0 is none
}

// TCP are the stack's TCP settings.
type TCP struct {
	Congestion    Congestion `yaml:"congestion"`
	SACK          bool       `yaml:"sack"`
	RACK          bool       `yaml:"rack"`
	Nagle         bool       `yaml:"nagle"`
	MSS           int        `yaml:"mss"`         // bytes; 0 follows from the MTU
	SendBuffer    Size       `yaml:"send_buffer"` // 0 leaves it to the stack
	ReceiveBuffer Size       `yaml:"receive_buffer"`
	Backlog       int        `yaml:"backlog"`
	MSL           Duration   `yaml:"msl"`
	FinWait2      Duration   `yaml:"fin_wait_2"`
	Keepalive     Keepalive  `yaml:"keepalive"`
	Retries       int        `yaml:"retries"`
	MinRTO        Duration   `yaml:"min_rto"`
}

// Keepalive is TCP's keep-alive, off while Idle is 0.
type Keepalive struct {
	Idle     Duration `yaml:"idle"`
	Interval Duration `yaml:"interval"`
	Count    int      `yaml:"count"`
}

// Impair is what the link does to frames on purpose.
type Impair struct {
	Seed  uint64     `yaml:"seed"`
	In    Impairment `yaml:"in"`
	Out   Impairment `yaml:"out"`
	Rules []string   `yaml:"rules"`
}

// Impairment is one direction's.
type Impairment struct {
	Loss        Percent  `yaml:"loss"`
	Delay       Duration `yaml:"delay"`
	Jitter      Duration `yaml:"jitter"`
	Duplicate   Percent  `yaml:"duplicate"`
	Reorder     Percent  `yaml:"reorder"`
	ReorderBy   int      `yaml:"reorder_by"`   // packets; 0 is the link's default
	ReorderHold Duration `yaml:"reorder_hold"` // 0 is the link's default
	Corrupt     Percent  `yaml:"corrupt"`
	Rate        Rate     `yaml:"rate"`        // 0 is unlimited
	RateBuffer  Size     `yaml:"rate_buffer"` // 0 is the link's default
}

// App is one program on the stack.
type App struct {
	Name      AppName        `yaml:"name" jsonschema:"required"`
	Role      Role           `yaml:"role"`
	Port      int            `yaml:"port"`      // a server's; 0 is the program's own
	Connect   netip.AddrPort `yaml:"connect"`   // a client's server
	Protocols []Protocol     `yaml:"protocols"` // none is TCP
	Once      bool           `yaml:"once"`
	Options   []string       `yaml:"options"` // each NAME or NAME=VALUE
}

// Trace is what is recorded and where it goes.
type Trace struct {
	Level  Level    `yaml:"level"`
	Screen Screen   `yaml:"screen"`
	Color  Color    `yaml:"color"`
	Time   Time     `yaml:"time"`
	Files  []string `yaml:"files"`
	// When a file is followed by another: at so many bytes (0 is never), and how many are kept.
	RotateSize  Size `yaml:"rotate_size"`
	RotateCount int  `yaml:"rotate_count"`
}

// DefaultLab is the lab that a veth or TAP link uses when it names neither a lab nor
// an interface; `appliance lab up` makes it.
const DefaultLab = "appliance"

// Default returns the configuration that an empty file stands for: the appliance at
// 192.168.12.53 and fd00:12::53 on the lab's veth pair, with hello at port 9000.
func Default() *Config {
	c := base()
	c.Complete()
	return c
}

// base is Default without what follows from other settings.
func base() *Config {
	return &Config{
		Name: "appliance",
		Addresses: []netip.Prefix{
			netip.MustParsePrefix("192.168.12.53/24"),
			netip.MustParsePrefix("fd00:12::53/64"),
		},
		Link: Link{Kind: LinkVeth, Offload: OffloadOff},
		TCP: TCP{
			Congestion: CongestionReno,
			SACK:       true,
			Backlog:    128,
			MSL:        Duration(30 * time.Second),
			FinWait2:   Duration(60 * time.Second),
			Keepalive:  Keepalive{Interval: Duration(75 * time.Second), Count: 9},
			Retries:    15,
			MinRTO:     Duration(200 * time.Millisecond),
		},
		Apps:  []App{{Name: AppHello}},
		Trace: Trace{Level: LevelSegments, Screen: ScreenText, Color: ColorAuto, Time: TimeRel, RotateCount: 10},
	}
}

// defaultPorts are the programs' own: those that IANA assigned, and the one that
// the socket tutorials use.
var defaultPorts = map[AppName]int{
	AppEcho:    7,  // RFC 862
	AppDiscard: 9,  // RFC 863
	AppChargen: 19, // RFC 864
	AppHTTP:    80,
	AppHello:   9000,
	AppIperf:   5201,
}

// Complete fills in what follows from other settings: the lab, and each program's
// role, port and protocol.
func (c *Config) Complete() {
	if c.Link.Kind != LinkPipe && c.Link.Interface == "" && c.Link.NetNS == "" && c.Link.Lab == "" {
		c.Link.Lab = DefaultLab
	}
	for i := range c.Apps {
		a := &c.Apps[i]
		if a.Role == "" {
			a.Role = RoleServer
		}
		if a.Role == RoleServer && a.Port == 0 {
			a.Port = defaultPorts[a.Name]
		}
		if len(a.Protocols) == 0 {
			a.Protocols = []Protocol{TCPProtocol}
		}
	}
}

// UseLink puts the stack on another link, as a command's flags ask: the interface,
// namespaces and lab that c named are forgotten; MAC, MTU, offload and busy polling are kept.
// With an empty iface a veth or TAP link is that of DefaultLab.
func (c *Config) UseLink(kind LinkKind, iface string) {
	c.Link.Kind, c.Link.Interface = kind, iface
	c.Link.Lab, c.Link.NetNS, c.Link.PeerNetNS = "", "", ""
	c.Complete()
}
