package iperf

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Bounds of what a test may be; iperf3's own.
const (
	MaxTime     = 24 * time.Hour
	MaxOmit     = 10 * time.Minute
	MaxParallel = 128
	MaxLength   = 1 << 20
	maxWindow   = 512 << 20
)

// Defaults of what a client does not say; iperf3's own.
const (
	DefaultTime   = 10 * time.Second
	DefaultLength = 128 << 10
)

// Params are what a test is to be; the zero value is ten seconds of one stream from
// the client to the server, as fast as it goes.
type Params struct {
	// Time is how long to send, in whole seconds up to MaxTime; 0 means DefaultTime,
	// unless Bytes or Blocks say when to end. Only one of the three may be given.
	Time time.Duration
	// Bytes ends the test once that many have gone one way, all streams together,
	// rounded up to blocks.
	Bytes int64
	// Blocks ends the test after that many blocks of Length.
	Blocks int64
	// Omit is how long the test runs before anything counts, in whole seconds up to
	// MaxOmit.
	Omit time.Duration
	// Parallel is how many streams go each way, up to MaxParallel; 0 means 1.
	Parallel int
	// Reverse lets the server send.
	Reverse bool
	// Bidirectional lets both sides send, Parallel streams each.
	Bidirectional bool
	// Length is how many bytes are sent with one write, up to MaxLength; 0 means
	// DefaultLength.
	Length int
	// Bitrate holds each stream to that many bits a second; 0 means no limit.
	Bitrate int64
	// Window sets the streams' socket buffers, in bytes; 0 leaves them as they are.
	Window int
	// NoDelay switches Nagle's algorithm off (RFC 896) on the streams.
	NoDelay bool
	// RepeatingPayload sends digits over and over in place of random bytes.
	RepeatingPayload bool
	// ServerOutput asks for what the server prints.
	ServerOutput bool
	// Title is shown with the results.
	Title string
}

// params are a test's on the wire. iperf3 takes what is there for true.
type params struct {
	TCP              truth  `json:"tcp,omitempty"`
	UDP              truth  `json:"udp,omitempty"`
	SCTP             truth  `json:"sctp,omitempty"`
	Omit             count  `json:"omit"`
	Affinity         *count `json:"server_affinity,omitempty"`
	Time             count  `json:"time"`
	Num              count  `json:"num"`
	Blocks           count  `json:"blockcount"`
	MSS              count  `json:"MSS,omitempty"`
	NoDelay          truth  `json:"nodelay,omitempty"`
	Parallel         count  `json:"parallel"`
	Reverse          truth  `json:"reverse,omitempty"`
	Bidirectional    truth  `json:"bidirectional,omitempty"`
	Window           count  `json:"window,omitempty"`
	Length           count  `json:"len"`
	Bandwidth        count  `json:"bandwidth,omitempty"`
	FQRate           count  `json:"fqrate,omitempty"`
	TOS              count  `json:"TOS,omitempty"`
	FlowLabel        count  `json:"flowlabel,omitempty"`
	Title            string `json:"title,omitempty"`
	ExtraData        string `json:"extra_data,omitempty"`
	Congestion       string `json:"congestion,omitempty"`
	ServerOutput     count  `json:"get_server_output,omitempty"`
	RepeatingPayload count  `json:"repeating_payload,omitempty"`
	ClientVersion    string `json:"client_version,omitempty"`
}

// wire puts p, with its defaults, as it goes over the wire, or says what is wrong.
func (p Params) wire() (*params, error) {
	for what, d := range map[string]time.Duration{"time": p.Time, "omit": p.Omit} {
		if d%time.Second != 0 {
			return nil, fmt.Errorf("%s %v: want whole seconds", what, d)
		}
	}
	if p.Time == 0 && p.Bytes == 0 && p.Blocks == 0 {
		p.Time = DefaultTime
	}
	if p.Reverse && p.Bidirectional {
		return nil, errors.New("reverse and bidir: want one of them")
	}
	w := &params{
		TCP: true, Omit: count(p.Omit / time.Second), Time: count(p.Time / time.Second), Num: count(p.Bytes), Blocks: count(p.Blocks),
		NoDelay: truth(p.NoDelay), Parallel: count(p.Parallel), Reverse: truth(p.Reverse), Bidirectional: truth(p.Bidirectional),
		Window: count(p.Window), Length: count(p.Length), Bandwidth: count(p.Bitrate), Title: p.Title,
		ClientVersion: version,
	}
	if w.Parallel == 0 {
		w.Parallel = 1
	}
	if w.Length == 0 {
		w.Length = DefaultLength
	}
	if p.ServerOutput {
		w.ServerOutput = 1
	}
	if p.RepeatingPayload {
		w.RepeatingPayload = 1
	}
	if r := w.check(); r != nil {
		return nil, fmt.Errorf("%s: %s", codeTexts[r.Code], r.Detail)
	}
	return w, nil
}

// check tells what is wrong with a test's parameters, for client and server alike.
func (p *params) check() *Refusal {
	bad := func(code int, format string, args ...any) *Refusal {
		return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
	}
	ends := 0
	for _, n := range []count{p.Time, p.Num, p.Blocks} {
		if n > 0 {
			ends++
		}
	}
	switch {
	case bool(p.SCTP):
		return bad(codeNoSCTP, "SCTP: this program speaks TCP only")
	case bool(p.UDP):
		return bad(codeProtocol, "UDP: this program speaks TCP only")
	case p.Time < 0 || p.Time > count(MaxTime/time.Second):
		return bad(codeDuration, "time %d: want at most %d seconds", p.Time, MaxTime/time.Second)
	case p.Omit < 0 || p.Omit > count(MaxOmit/time.Second):
		return bad(codeOmit, "omit %d: want at most %d seconds", p.Omit, MaxOmit/time.Second)
	case p.Num < 0 || p.Blocks < 0 || ends > 1:
		return bad(codeEndConditions, "time %d, bytes %d, blocks %d: want one of them", p.Time, p.Num, p.Blocks)
	case p.Parallel < 1 || p.Parallel > MaxParallel:
		return bad(codeStreams, "%d streams: want 1 to %d", p.Parallel, MaxParallel)
	case p.Length < 1 || p.Length > MaxLength:
		return bad(codeBlockSize, "blocks of %d bytes: want 1 to %d", p.Length, MaxLength)
	case p.Blocks > math.MaxInt64/MaxLength:
		return bad(codeEndConditions, "%d blocks: want at most %d", p.Blocks, int64(math.MaxInt64/MaxLength))
	case p.Window < 0 || p.Window > maxWindow:
		return bad(codeBufferSize, "socket buffers of %d bytes: want at most %d", p.Window, maxWindow)
	case p.Bandwidth < 0 || p.FQRate < 0:
		return bad(codeUnimplemented, "a bit rate below 0")
	}
	return nil
}

// setDefaults puts in what an old client leaves out.
func (p *params) setDefaults() {
	if p.Parallel == 0 {
		p.Parallel = 1
	}
	if p.Length == 0 {
		p.Length = DefaultLength
	}
	if p.Affinity != nil && *p.Affinity < 0 {
		p.Affinity = nil
	}
}

// sends tells whether the side of that role sends.
func (p *params) sends(client bool) bool {
	return bool(p.Bidirectional) || client != bool(p.Reverse)
}

// streams is how many connections for data there are.
func (p *params) streams() int {
	if p.Bidirectional {
		return 2 * int(p.Parallel)
	}
	return int(p.Parallel)
}

// rate is what a stream is held to, in bits a second; 0 for nothing.
func (p *params) rate() int64 {
	if p.FQRate > 0 && (p.Bandwidth == 0 || p.FQRate < p.Bandwidth) {
		return int64(p.FQRate)
	}
	return int64(p.Bandwidth)
}

// limit is how many bytes end the test; 0 for the time alone.
func (p *params) limit() int64 {
	if p.Blocks > 0 {
		return int64(p.Blocks) * int64(p.Length)
	}
	return int64(p.Num)
}

// truth is a flag in JSON. iperf3 looks only whether the key is there.
type truth bool

// UnmarshalJSON implements json.Unmarshaler.
func (t *truth) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "false", "null", "0":
		*t = false
	default:
		*t = true
	}
	return nil
}

// count is a whole number in JSON, as iperf3 writes it: large ones with an exponent,
// and -1 from some versions as an unsigned number of 64 bits.
type count int64

// UnmarshalJSON implements json.Unmarshaler.
func (c *count) UnmarshalJSON(b []byte) error {
	text := string(b)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		*c = count(n)
		return nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		*c = count(n) //nolint:gosec // -1 comes as 1<<64 - 1
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case text == "true":
		*c = 1
	case text == "false", text == "null":
		*c = 0
	case err != nil || math.Abs(f) >= 1<<63:
		return fmt.Errorf("%s: want a whole number", text)
	default:
		*c = count(f)
	}
	return nil
}
