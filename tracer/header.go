package tracer

import "time"

// Schema names the format of a trace's lines.
const Schema = "appliance-trace/1"

// Header is a trace's first line: what made it.
type Header struct {
	Started   time.Time
	Appliance string // versions
	GVisor    string
	Go        string
	Link      LinkInfo
	TCP       TCPInfo
}

// LinkInfo tells of the link that a trace was made on.
type LinkInfo struct {
	Kind    string `json:"kind"` // veth, tap, pipe
	Name    string `json:"name,omitempty"`
	MTU     uint32 `json:"mtu,omitempty"` // bytes
	MAC     string `json:"mac,omitempty"`
	Offload string `json:"offload,omitempty"`
	Peer    string `json:"peer,omitempty"`   // the interface at the other end
	Impair  string `json:"impair,omitempty"` // what the impairment does, in words
}

// TCPInfo tells of the TCP settings that a trace was made with. Sizes are in
// bytes, times in nanoseconds.
type TCPInfo struct {
	Congestion string        `json:"congestion,omitempty"`
	SACK       bool          `json:"sack"`
	RACK       bool          `json:"rack"`
	Nagle      bool          `json:"nagle"`
	MSS        int           `json:"mss,omitempty"`
	MSL        time.Duration `json:"msl_ns,omitempty"`
	FinWait2   time.Duration `json:"fin_wait_2_ns,omitempty"`
	MinRTO     time.Duration `json:"min_rto_ns,omitempty"`
	Retries    int           `json:"retries,omitempty"`
	SendBuffer int           `json:"send_buffer,omitempty"`
	RecvBuffer int           `json:"recv_buffer,omitempty"`
	Backlog    int           `json:"backlog,omitempty"`
}
