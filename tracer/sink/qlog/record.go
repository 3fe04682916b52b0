package qlog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"

	"appliance/tracer"
)

// record is an event of qlog's. What is behind group_id is of our own.
type record struct {
	Time    ms     `json:"time"`
	Name    string `json:"name"`
	Data    any    `json:"data"`
	GroupID string `json:"group_id"`
	N       uint64 `json:"n"`
	Stack   string `json:"stack,omitempty"`
	Conn    uint32 `json:"conn,omitempty"`
	Parent  uint32 `json:"parent,omitempty"`
	Local   string `json:"local,omitempty"`
	Remote  string `json:"remote,omitempty"`
}

// emit writes an event.
func (s *Sink) emit(e *tracer.Event, name string, data any) {
	s.record(record{
		Time: ms(s.last), Name: name, Data: data, GroupID: groupOf(e),
		N: e.N, Stack: e.Stack, Conn: e.Conn, Parent: e.Parent, Local: addrText(e.Local), Remote: addrText(e.Remote),
	})
}

// groupOf names the end of a connection that an event is of; the stack alone for none.
func groupOf(e *tracer.Event) string {
	stack := e.Stack
	if stack == "" {
		stack = "trace"
	}
	if e.Conn == 0 {
		return stack
	}
	return stack + " #" + strconv.FormatUint(uint64(e.Conn), 10)
}

func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// bare is how a line begins that has none of the fields common to all events.
var bare = []byte(`{"n":0,"t_ns":0,"type":"`)

// fieldsOf are the fields of an event's body, as a line of the trace has them.
func fieldsOf(b tracer.Body) json.RawMessage {
	line := tracer.AppendJSON(nil, &tracer.Event{Body: b})
	rest := bytes.TrimPrefix(line, bare)
	if _, rest, _ = bytes.Cut(rest, []byte{'"'}); rest[0] == ',' {
		rest = rest[1:]
	}
	return append(json.RawMessage{'{'}, rest...)
}

// rawInfo is the draft's RawInfo.
type rawInfo struct {
	Length        *int `json:"length,omitempty"`
	PayloadLength int  `json:"payload_length"`
}

// header is the draft's PacketHeader. TCP has one space of numbers, so that its packets
// are all of the type that QUIC's have once a connection is open.
type header struct {
	PacketType   string  `json:"packet_type"`
	PacketNumber *uint64 `json:"packet_number,omitempty"`
}

func numbered(n uint64) header { return header{packetType, &n} }

const packetType = "1RTT"

// packet is the data of packet_sent, packet_received, packet_dropped and packet_lost.
type packet struct {
	Header  header          `json:"header"`
	Frames  []any           `json:"frames,omitempty"`
	Raw     *rawInfo        `json:"raw,omitempty"`
	Details string          `json:"details,omitempty"` // of packet_dropped
	Trigger string          `json:"trigger,omitempty"`
	Trace   json.RawMessage `json:"trace,omitempty"`
}

type frames struct {
	Frames []any `json:"frames"`
}

type streamFrame struct {
	FrameType string `json:"frame_type"` // stream
	StreamID  int    `json:"stream_id"`
	Offset    uint64 `json:"offset"`
	Length    int    `json:"length"`
	Fin       bool   `json:"fin,omitempty"`
}

type ackFrame struct {
	FrameType   string      `json:"frame_type"`   // ack
	AckedRanges [][2]uint64 `json:"acked_ranges"` // both ends included
}

type maxDataFrame struct {
	FrameType string `json:"frame_type"` // max_data
	Maximum   uint64 `json:"maximum"`
}

type closeFrame struct {
	FrameType  string `json:"frame_type"`  // connection_close
	ErrorSpace string `json:"error_space"` // transport
	Reason     string `json:"reason"`
}
