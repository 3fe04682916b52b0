package config

// An enum is a string that may only have certain values; the first is the one that
// the documentation names first.
type enum interface{ values() []string }

// LinkKind is what a link is made of.
type LinkKind string

// The kinds of links.
const (
	LinkVeth LinkKind = "veth" // an AF_PACKET socket on one end of a veth pair, or on any Ethernet interface
	LinkTAP  LinkKind = "tap"  // a TAP device
	LinkPipe LinkKind = "pipe" // two stacks in one process
)

func (LinkKind) values() []string { return []string{"veth", "tap", "pipe"} }

// Offload tells whether the link carries what a wire would, or segments of up to 64 KB.
type Offload string

// The settings of offloads.
const (
	OffloadOff  Offload = "off"  // as a wire; the other end's are switched off while the appliance runs
	OffloadOn   Offload = "on"   // super-segments both ways, checksums left to the kernel
	OffloadAuto Offload = "auto" // on where the kernel can, off elsewhere
)

func (Offload) values() []string { return []string{"off", "on", "auto"} }

// Congestion is a congestion control algorithm.
type Congestion string

// The algorithms.
const (
	CongestionCubic Congestion = "cubic" // RFC 9438
	CongestionReno  Congestion = "reno"  // RFC 5681, 6582
)

func (Congestion) values() []string { return []string{"cubic", "reno"} }

// AppName names a program.
type AppName string

// The programs.
const (
	AppHello   AppName = "hello"
	AppEcho    AppName = "echo"
	AppDiscard AppName = "discard"
	AppChargen AppName = "chargen"
	AppHTTP    AppName = "http"
	AppIperf   AppName = "iperf"
)

func (AppName) values() []string {
	return []string{"hello", "echo", "discard", "chargen", "http", "iperf"}
}

// Role is which end of a conversation a program is.
type Role string

// The roles.
const (
	RoleServer Role = "server"
	RoleClient Role = "client"
)

func (Role) values() []string { return []string{"server", "client"} }

// Protocol is a transport protocol that a program speaks.
type Protocol string

// The protocols.
const (
	TCPProtocol Protocol = "tcp"
	UDPProtocol Protocol = "udp"
)

func (Protocol) values() []string { return []string{"tcp", "udp"} }

// Level is how much a trace tells; tracer.ParseLevel knows the same names.
type Level string

// The levels. Each holds the ones before it.
const (
	LevelOff      Level = "off"
	LevelStates   Level = "states"
	LevelSegments Level = "segments"
	LevelFull     Level = "full"
)

func (Level) values() []string { return []string{"off", "states", "segments", "full"} }

// Screen is the form in which the trace goes to standard output.
type Screen string

// The forms. YAML's true is text, its false is off.
const (
	ScreenText   Screen = "text"
	ScreenJSONL  Screen = "jsonl"
	ScreenPCAPNG Screen = "pcapng"
	ScreenOff    Screen = "off"
)

func (Screen) values() []string { return []string{"text", "jsonl", "pcapng", "off"} }

// Color tells when text is coloured.
type Color string

// The settings of colour.
const (
	ColorAuto   Color = "auto" // on a terminal, unless NO_COLOR is set
	ColorAlways Color = "always"
	ColorNever  Color = "never"
)

func (Color) values() []string { return []string{"auto", "always", "never"} }

// Time is how the text form shows an event's time.
type Time string

// The forms of time.
const (
	TimeRel   Time = "rel"   // since the trace started
	TimeDelta Time = "delta" // since the line before
	TimeAbs   Time = "abs"   // the wall clock
)

func (Time) values() []string { return []string{"rel", "delta", "abs"} }

// aliased is an enum that also reads other spellings of its values.
type aliased interface{ aliases() map[string]string }

func (Screen) aliases() map[string]string {
	return map[string]string{"true": string(ScreenText), "false": string(ScreenOff)}
}
