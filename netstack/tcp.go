package netstack

import (
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// What a stack does where an option is left zero.
const (
	// defaultCongestion is not cubic, which leaves slow start by comparing round trips: gVisor
	// has them in whole milliseconds, so that on a link with shorter ones the second is
	// already "too long", and the window goes on growing as if the path were slow.
	defaultCongestion = "reno"
	// defaultRACK: gVisor's tail loss probe is due after two smoothed round trips, with no
	// least time (RFC 8985, 7.2, has one). On a link that takes microseconds every
	// acknowledgment that a busy host keeps for 2 ms has the last segment sent again and,
	// when it then comes, the congestion window cut.
	defaultRACK = false
	minBuffer   = tcp.MinBufferSize
	// defaultRecvBuffer is how much a connection may hold unread at first, and
	// maxRecvBuffer how far that is tuned up, in bytes. gVisor's own 1 MiB, tuned to
	// 4, is two dozen super-segments: the peer then waits for windows rather than
	// for the wire, at a third of what 8 MiB gives. Nothing is set aside: it is
	// memory only while it holds what has not been read.
	defaultRecvBuffer = 8 << 20
	maxRecvBuffer     = 32 << 20
)

// setTCP sets the options that hold for the whole stack. Those of one socket (MSS,
// keep-alive) are set when the socket is made.
func setTCP(s *stack.Stack, o TCPOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	set := func(what string, opt tcpip.SettableTransportProtocolOption) error {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			return fmt.Errorf("tcp: %s: %s", what, err)
		}
		return nil
	}
	for _, step := range []func() error{
		func() error { return setCongestion(o, set) },
		func() error { return setRecovery(o, set) },
		func() error { return setBuffers(o, set) },
		func() error { return setTimes(o, set) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// validate finds values that gVisor would take and not use.
func (o TCPOptions) validate() error {
	for _, f := range []struct {
		name string
		bad  bool
		want string
	}{
		{"mss", o.MSS != 0 && (o.MSS < 64 || o.MSS > 65495), "64 to 65495 bytes"},
		{"send buffer", o.SendBuffer != 0 && o.SendBuffer < minBuffer, fmt.Sprintf("at least %d bytes", minBuffer)},
		{"receive buffer", o.RecvBuffer != 0 && o.RecvBuffer < minBuffer, fmt.Sprintf("at least %d bytes", minBuffer)},
		{"backlog", o.Backlog < 0 || o.Backlog > maxBacklog, "1 to 65535"},
		{"MSL", o.MSL < 0, "a time above 0"},
		{"FIN-WAIT-2 time-out", o.FinWait2 < 0 || o.FinWait2 > tcp.MaxTCPLingerTimeout, "at most " + tcp.MaxTCPLingerTimeout.String()},
		{"retries", o.Retries < 0, "1 or more"},
		{"minimum RTO", o.MinRTO < 0 || o.MinRTO > tcp.MaxRTO, "at most " + tcp.MaxRTO.String()},
		{"keepalive without an idle time", o.Keepalive.Idle == 0 && (o.Keepalive.Interval != 0 || o.Keepalive.Count != 0), "an idle time too: keep-alives are off without"},
		{"keepalive", o.Keepalive.Idle < 0 || o.Keepalive.Interval < 0 || o.Keepalive.Count < 0, "times and a count above 0"},
	} {
		if f.bad {
			return fmt.Errorf("tcp: %s out of range: want %s", f.name, f.want)
		}
	}
	return nil
}

type setter func(what string, opt tcpip.SettableTransportProtocolOption) error

func setCongestion(o TCPOptions, set setter) error {
	cc := tcpip.CongestionControlOption(defaultCongestion)
	if o.Congestion != "" {
		cc = tcpip.CongestionControlOption(o.Congestion)
	}
	if err := set(fmt.Sprintf("congestion control %q", cc), &cc); err != nil {
		return fmt.Errorf("%w: want reno or cubic", err)
	}
	nagle := tcpip.TCPDelayEnabled(enabled(o.Nagle, false))
	return set("nagle", &nagle)
}

func setRecovery(o TCPOptions, set setter) error {
	sack := tcpip.TCPSACKEnabled(enabled(o.SACK, true))
	if err := set("sack", &sack); err != nil {
		return err
	}
	var rack tcpip.TCPRecovery
	if enabled(o.RACK, defaultRACK) {
		rack = tcpip.TCPRACKLossDetection
	}
	return set("rack", &rack)
}

// setBuffers fixes a buffer's size when it is given and leaves it to gVisor's
// auto-tuning when not. Its send buffer, 1 MiB tuned to 4, is enough on a link whose
// round trip is short; more only delays what is lost.
func setBuffers(o TCPOptions, set setter) error {
	if n := o.SendBuffer; n != 0 {
		if err := set("send buffer", &tcpip.TCPSendBufferSizeRangeOption{Min: min(n, minBuffer), Default: n, Max: n}); err != nil {
			return err
		}
	}
	if n := o.RecvBuffer; n != 0 {
		if err := set("receive buffer", &tcpip.TCPReceiveBufferSizeRangeOption{Min: min(n, minBuffer), Default: n, Max: n}); err != nil {
			return err
		}
		fixed := tcpip.TCPModerateReceiveBufferOption(false)
		return set("receive buffer", &fixed)
	}
	size := tcpip.TCPReceiveBufferSizeRangeOption{Min: minBuffer, Default: defaultRecvBuffer, Max: maxRecvBuffer}
	if err := set("receive buffer", &size); err != nil {
		return err
	}
	tuned := tcpip.TCPModerateReceiveBufferOption(true)
	return set("receive buffer", &tuned)
}

func setTimes(o TCPOptions, set setter) error {
	if o.MSL != 0 {
		wait := tcpip.TCPTimeWaitTimeoutOption(2 * o.MSL) // RFC 9293, 3.6.1
		if err := set("msl", &wait); err != nil {
			return err
		}
	}
	if o.FinWait2 != 0 {
		wait := tcpip.TCPLingerTimeoutOption(o.FinWait2)
		if err := set("fin-wait-2 time-out", &wait); err != nil {
			return err
		}
	}
	if o.MinRTO != 0 {
		rto := tcpip.TCPMinRTOOption(o.MinRTO)
		if err := set("minimum rto", &rto); err != nil {
			return err
		}
	}
	if o.Retries != 0 {
		retries := tcpip.TCPMaxRetriesOption(o.Retries) //nolint:gosec // validate bounds it below
		return set("retries", &retries)
	}
	return nil
}

// backlog is Listen's.
func (o TCPOptions) backlog() int {
	if o.Backlog == 0 {
		return defaultBacklog
	}
	return o.Backlog
}

// setSocket sets what belongs to one socket, before it connects or listens.
func (o TCPOptions) setSocket(ep tcpip.Endpoint) error {
	if o.MSS != 0 {
		if err := ep.SetSockOptInt(tcpip.MaxSegOption, o.MSS); err != nil {
			return fmt.Errorf("tcp: mss %d: %s", o.MSS, err)
		}
	}
	return nil
}

// set starts keep-alives on a connection, where they are asked for. An
// accepted connection does not inherit them from its listener, so this is its own call.
func (o Keepalive) set(ep tcpip.Endpoint) error {
	if o.Idle == 0 {
		return nil
	}
	idle := tcpip.KeepaliveIdleOption(o.Idle)
	if err := ep.SetSockOpt(&idle); err != nil {
		return fmt.Errorf("tcp: keepalive idle %s: %s", o.Idle, err)
	}
	if o.Interval != 0 {
		interval := tcpip.KeepaliveIntervalOption(o.Interval)
		if err := ep.SetSockOpt(&interval); err != nil {
			return fmt.Errorf("tcp: keepalive interval %s: %s", o.Interval, err)
		}
	}
	if o.Count != 0 {
		if err := ep.SetSockOptInt(tcpip.KeepaliveCountOption, o.Count); err != nil {
			return fmt.Errorf("tcp: keepalive count %d: %s", o.Count, err)
		}
	}
	ep.SocketOptions().SetKeepAlive(true)
	return nil
}

func enabled(b *bool, otherwise bool) bool {
	if b == nil {
		return otherwise
	}
	return *b
}

// DescribeTCP returns the TCP settings that a stack with these options has, for a
// trace's header: read back from a stack. It errs where New would.
func DescribeTCP(o TCPOptions) (tracer.TCPInfo, error) {
	s := stack.New(stack.Options{TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol}})
	defer s.Destroy()
	if err := setTCP(s, o); err != nil {
		return tracer.TCPInfo{}, err
	}
	var (
		cc    tcpip.CongestionControlOption
		sack  tcpip.TCPSACKEnabled
		rack  tcpip.TCPRecovery
		nagle tcpip.TCPDelayEnabled
		wait  tcpip.TCPTimeWaitTimeoutOption
		fw2   tcpip.TCPLingerTimeoutOption
		rto   tcpip.TCPMinRTOOption
		tries tcpip.TCPMaxRetriesOption
		snd   tcpip.TCPSendBufferSizeRangeOption
		rcv   tcpip.TCPReceiveBufferSizeRangeOption
	)
	for _, opt := range []tcpip.GettableTransportProtocolOption{&cc, &sack, &rack, &nagle, &wait, &fw2, &rto, &tries, &snd, &rcv} {
		if err := s.TransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			panic(fmt.Sprintf("read TCP option %T: %s", opt, err)) // each was set above or has a default
		}
	}
	return tracer.TCPInfo{
		Congestion: string(cc),
		SACK:       bool(sack),
		RACK:       rack&tcpip.TCPRACKLossDetection != 0,
		Nagle:      bool(nagle),
		MSS:        o.MSS,
		MSL:        time.Duration(wait) / 2,
		FinWait2:   time.Duration(fw2),
		MinRTO:     time.Duration(rto),
		Retries:    int(tries),
		SendBuffer: snd.Default,
		RecvBuffer: rcv.Default,
		Backlog:    o.backlog(),
	}, nil
}
