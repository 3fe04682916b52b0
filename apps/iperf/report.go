package iperf

import (
	"encoding/json"
	"net"
	"runtime"
	"strconv"
	"time"
)

// version is what the other side is told.
const version = "appliance (iperf 3 protocol)"

// A Report is what a test came to, in the form of iperf3 -J.
type Report struct {
	Start            Start           `json:"start"`
	Intervals        []Interval      `json:"intervals"`
	End              End             `json:"end"`
	Title            string          `json:"title,omitempty"`
	ExtraData        string          `json:"extra_data,omitempty"`
	ServerOutputJSON json.RawMessage `json:"server_output_json,omitempty"`
	ServerOutputText string          `json:"server_output_text,omitempty"`
	Error            string          `json:"error,omitempty"`
}

// Start is what is known when the data begins to go.
type Start struct {
	Connected  []Connected `json:"connected"`
	Version    string      `json:"version"`
	SystemInfo string      `json:"system_info"`
	Timestamp  Timestamp   `json:"timestamp"`
	// ConnectingTo is the client's server, AcceptedFrom the server's client.
	ConnectingTo  *Endpoint `json:"connecting_to,omitempty"`
	AcceptedFrom  *Endpoint `json:"accepted_connection,omitempty"`
	Cookie        string    `json:"cookie"`
	TargetBitrate int64     `json:"target_bitrate,omitempty"`
	TestStart     TestStart `json:"test_start"`
}

// Connected is a stream's connection. Socket is the stream's number.
type Connected struct {
	Socket     int    `json:"socket"`
	LocalHost  string `json:"local_host"`
	LocalPort  int    `json:"local_port"`
	RemoteHost string `json:"remote_host"`
	RemotePort int    `json:"remote_port"`
}

// Timestamp is when the test was made.
type Timestamp struct {
	Time string `json:"time"`
	Secs int64  `json:"timesecs"`
}

// Endpoint is an end of the control connection.
type Endpoint struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// TestStart are the test's parameters.
type TestStart struct {
	Protocol      string `json:"protocol"`
	Streams       int    `json:"num_streams"`
	BlockSize     int    `json:"blksize"`
	Omit          int    `json:"omit"`
	Duration      int    `json:"duration"`
	Bytes         int64  `json:"bytes"`
	Blocks        int64  `json:"blocks"`
	Reverse       int    `json:"reverse"`
	TOS           int    `json:"tos"`
	TargetBitrate int64  `json:"target_bitrate"`
	Bidirectional int    `json:"bidir"`
}

// Interval is what went during a part of the test. Sum is what this side sent, where it
// sends, else what it received; SumReverse is the other way of a bidirectional test.
type Interval struct {
	Streams    []Flow `json:"streams"`
	Sum        Flow   `json:"sum"`
	SumReverse *Flow  `json:"sum_bidir_reverse,omitempty"`
}

// Flow is bytes in a time, in seconds since the counting began.
type Flow struct {
	Socket        int     `json:"socket,omitempty"` // the stream's number; none is a sum
	Start         float64 `json:"start"`
	End           float64 `json:"end"`
	Seconds       float64 `json:"seconds"`
	Bytes         int64   `json:"bytes"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   *int64  `json:"retransmits,omitempty"` // nil where nobody knows
	Omitted       bool    `json:"omitted"`
	Sender        bool    `json:"sender"` // this side sent
}

// End is the result. What was sent is what the sender says, what was received what the
// receiver says, whichever of them this side is.
type End struct {
	Streams            []StreamEnd `json:"streams"`
	SumSent            Flow        `json:"sum_sent"`
	SumReceived        Flow        `json:"sum_received"`
	SumSentReverse     *Flow       `json:"sum_sent_bidir_reverse,omitempty"`
	SumReceivedReverse *Flow       `json:"sum_received_bidir_reverse,omitempty"`
	CPU                CPU         `json:"cpu_utilization_percent"`
	SenderCongestion   string      `json:"sender_tcp_congestion,omitempty"`
	ReceiverCongestion string      `json:"receiver_tcp_congestion,omitempty"`
}

// StreamEnd is a stream's result.
type StreamEnd struct {
	Sender   Flow `json:"sender"`
	Receiver Flow `json:"receiver"`
}

// CPU is how busy this process and the other side kept a processor, in per cent.
type CPU struct {
	HostTotal    float64 `json:"host_total"`
	HostUser     float64 `json:"host_user"`
	HostSystem   float64 `json:"host_system"`
	RemoteTotal  float64 `json:"remote_total"`
	RemoteUser   float64 `json:"remote_user"`
	RemoteSystem float64 `json:"remote_system"`
}

// flow makes a Flow; retransmits below 0 are unknown.
func flow(id int, start, end float64, bytes, rtx int64, sender bool) Flow {
	f := Flow{Socket: id, Start: start, End: end, Seconds: end - start, Bytes: bytes, Sender: sender}
	if f.Seconds > 1e-9 { // less is no time that anybody measures
		f.BitsPerSecond = float64(bytes) * 8 / f.Seconds
	}
	if rtx >= 0 {
		f.Retransmits = &rtx
	}
	return f
}

// sum adds streams' flows up. The sum's retransmissions are known where all are.
func sum(flows []Flow) *Flow {
	if len(flows) == 0 {
		return nil
	}
	total := flows[0]
	total.Socket, total.Bytes = 0, 0
	rtx := int64(0)
	for _, f := range flows {
		total.Bytes += f.Bytes
		if f.Retransmits == nil {
			rtx = unknown
		} else if rtx >= 0 {
			rtx += *f.Retransmits
		}
	}
	all := flow(0, total.Start, total.End, total.Bytes, rtx, total.Sender)
	all.Omitted = total.Omitted
	return &all
}

// startOf says what is known of a test when it starts.
func startOf(p *params, c cookie, streams []*stream) Start {
	now := time.Now()
	s := Start{
		Connected: []Connected{}, Version: version, SystemInfo: runtime.GOOS + " " + runtime.GOARCH,
		Timestamp: Timestamp{Time: now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), Secs: now.Unix()},
		Cookie:    c.String(), TargetBitrate: p.rate(),
		TestStart: TestStart{
			Protocol: "TCP", Streams: int(p.Parallel), BlockSize: int(p.Length), Omit: int(p.Omit), Duration: int(p.Time),
			Bytes: int64(p.Num), Blocks: int64(p.Blocks), TOS: int(p.TOS), TargetBitrate: p.rate(),
		},
	}
	if p.Reverse {
		s.TestStart.Reverse = 1
	}
	if p.Bidirectional {
		s.TestStart.Bidirectional = 1
	}
	for _, st := range streams {
		local, remote := endpoint(st.local), endpoint(st.remote)
		s.Connected = append(s.Connected, Connected{
			Socket: st.id, LocalHost: local.Host, LocalPort: local.Port, RemoteHost: remote.Host, RemotePort: remote.Port,
		})
	}
	return s
}

// endpoint takes an address apart; one without a port is all host.
func endpoint(a net.Addr) *Endpoint {
	if a == nil {
		return &Endpoint{}
	}
	host, port, err := net.SplitHostPort(a.String())
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil {
		return &Endpoint{Host: a.String()}
	}
	return &Endpoint{Host: host, Port: n}
}
