package tracer

import (
	"fmt"
	"strings"
)

// State is a connection's state, by RFC 9293, 3.3.2.
type State uint8

// The states. The zero State is CLOSED: RFC 9293's "no connection at all".
const (
	Closed State = iota
	Listen
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
	numStates
)

var stateNames = [numStates]string{
	"CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
	"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT",
}

// String returns the name that RFC 9293 uses: "SYN-RECEIVED".
func (s State) String() string {
	if s < numStates {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// ParseState returns the state of that name. It errs on any other name.
func ParseState(name string) (State, error) {
	for i, n := range stateNames {
		if n == name {
			return State(i), nil
		}
	}
	return Closed, fmt.Errorf("unknown TCP state %q", name)
}

var flagNames = [8]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

// flagOrder is the order in which people read them: SYN ACK, PSH ACK, FIN ACK.
var flagOrder = [8]Flags{SYN, FIN, RST, PSH, ACK, URG, ECE, CWR}

// Names returns the flags' names, SYN, FIN, RST and PSH before ACK.
func (f Flags) Names() []string {
	names := make([]string, 0, 3)
	for _, b := range flagOrder {
		if f&b != 0 {
			names = append(names, b.name())
		}
	}
	return names
}

// name returns the name of a single flag.
func (f Flags) name() string {
	for i, n := range flagNames {
		if f == 1<<i {
			return n
		}
	}
	return ""
}

// String returns the names with a space between: "SYN ACK". No flag is "none".
func (f Flags) String() string {
	if f == 0 {
		return "none"
	}
	return strings.Join(f.Names(), " ")
}

// Has tells whether all of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// ParseFlag returns the flag of that name. It errs on any other name.
func ParseFlag(name string) (Flags, error) {
	for i, n := range flagNames {
		if n == name {
			return 1 << i, nil
		}
	}
	return 0, fmt.Errorf("unknown TCP flag %q", name)
}

// Level is how much a trace tells.
type Level uint8

// The levels. Each holds the ones before it.
const (
	LevelOff      Level = iota
	LevelStates         // state, call, end
	LevelSegments       // segment, datagram, icmp, timer
	LevelFull           // tcb
)

var levelNames = [...]string{"off", "states", "segments", "full"}

// String returns the level's name, as the configuration writes it.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// ParseLevel returns the level of that name. It errs on any other name.
func ParseLevel(name string) (Level, error) {
	for i, n := range levelNames {
		if n == name {
			return Level(i), nil
		}
	}
	return LevelOff, fmt.Errorf("unknown trace level %q: want %s", name, strings.Join(levelNames[:], ", "))
}

// LevelOf returns the least level at which events of this type are recorded.
func LevelOf(t Type) Level {
	switch t {
	case TypeCall, TypeState, TypeEnd, TypeLost:
		return LevelStates
	case TypeSegment, TypeDatagram, TypeICMP, TypeTimer:
		return LevelSegments
	case TypeTCB:
		return LevelFull
	default:
		return LevelFull
	}
}
