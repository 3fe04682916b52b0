package qlog

import (
	"encoding/json"
	"net/netip"
	"slices"

	"appliance/tracer"
)

// event writes what an event becomes.
func (s *Sink) event(e *tracer.Event) {
	switch b := e.Body.(type) {
	case *tracer.Segment:
		s.segment(e, b)
	case *tracer.StateChange:
		s.state(e, b)
	case *tracer.TCB:
		s.tcb(e, b)
	case *tracer.Timer:
		s.timer(e, b)
	case *tracer.End:
		s.end(e, b)
	case *tracer.Datagram:
		s.datagram(e, b)
	case *tracer.Call:
		s.emit(e, "socket:"+b.Name, fieldsOf(b))
	case *tracer.ICMP:
		s.emit(e, "network:icmp", fieldsOf(b))
	case *tracer.Lost:
		s.emit(e, "trace:lost", fieldsOf(b))
	}
}

// flow returns what is known of the event's connection, and tells of a new one.
func (s *Sink) flow(e *tracer.Event) *flow {
	if e.Conn == 0 {
		return &flow{started: true}
	}
	k := flowKey{e.Stack, e.Conn}
	f := s.flows[k]
	if f == nil {
		f = &flow{}
		s.flows[k] = f
	}
	if !f.started && e.Local.IsValid() && e.Remote.IsValid() {
		f.started = true
		s.emit(e, "connectivity:connection_started", startedOf(e))
	}
	return f
}

// connectionStarted is its event's data.
type connectionStarted struct {
	IPVersion string `json:"ip_version"`
	SrcIP     string `json:"src_ip"`
	DstIP     string `json:"dst_ip"`
	Protocol  string `json:"protocol"`
	SrcPort   uint16 `json:"src_port"`
	DstPort   uint16 `json:"dst_port"`
}

// startedOf tells who opens to whom: a listener's child was opened from afar.
func startedOf(e *tracer.Event) connectionStarted {
	from, to := e.Local, e.Remote
	if e.Parent != 0 {
		from, to = to, from
	}
	version := "v6"
	if from.Addr().Unmap().Is4() {
		version = "v4"
	}
	return connectionStarted{version, from.Addr().String(), to.Addr().String(), "TCP", from.Port(), to.Port()}
}

func (s *Sink) segment(e *tracer.Event, b *tracer.Segment) {
	f := s.flow(e)
	own, other, name := &f.sent, &f.received, "transport:packet_sent"
	if b.Dir == tracer.In {
		own, other, name = &f.received, &f.sent, "transport:packet_received"
	}
	data := packet{Header: header{PacketType: packetType}, Raw: &rawInfo{PayloadLength: b.Len}, Trace: fieldsOf(b)}
	if b.Dir == tracer.In && b.Dropped != "" {
		data.Details, data.Trigger = b.Dropped, "general"
		if b.Dropped == "bad checksum" || b.Dropped == "malformed header" {
			data.Trigger = "invalid"
		}
		s.emit(e, "transport:packet_dropped", data)
		return
	}
	own.learn(b)
	if b.Dir == tracer.Out && slices.Contains(b.Notes, "retransmission") {
		data.Trigger = s.retransmission(e, b, own)
	}
	stream := own.stream(b)
	data.Header = numbered(own.took(b, stream))
	if stream != nil {
		data.Frames = append(data.Frames, stream)
	}
	if b.Flags.Has(tracer.RST) {
		data.Frames = append(data.Frames, closeFrame{"connection_close", "transport", "RST"})
	} else if b.Flags.Has(tracer.ACK) {
		if ranges := other.acknowledged(b); len(ranges) > 0 {
			data.Frames = append(data.Frames, ackFrame{"ack", ranges})
		}
		if edge, ok := own.announced(b, other); ok {
			data.Frames = append(data.Frames, maxDataFrame{"max_data", edge})
		}
	}
	s.emit(e, name, data)
}

// retransmission tells of the packets that a segment repeats, and returns why it does, in
// the draft's words.
func (s *Sink) retransmission(e *tracer.Event, b *tracer.Segment, own *half) string {
	why, lost := "retransmit_timeout", "pto_expired"
	switch {
	case slices.Contains(b.Notes, "tail-loss-probe"):
		why = "pto_probe"
	case slices.Contains(b.Notes, "fast-retransmit"):
		why, lost = "retransmit_reordered", "reordering_threshold"
	}
	var again []any
	for _, p := range own.lost(b) {
		data := packet{Header: numbered(p.number), Trigger: lost}
		if p.frame != nil {
			data.Frames = []any{p.frame}
			again = append(again, p.frame)
		}
		s.emit(e, "recovery:packet_lost", data)
	}
	if len(again) > 0 {
		s.emit(e, "recovery:marked_for_retransmit", frames{again})
	}
	return why
}

// stateUpdated is the data of connection_state_updated.
type stateUpdated struct {
	Old   string          `json:"old"`
	New   string          `json:"new"`
	Trace json.RawMessage `json:"trace"`
}

// serverListening is the data of server_listening.
type serverListening struct {
	IPv4   string          `json:"ip_v4,omitempty"`
	PortV4 uint16          `json:"port_v4,omitempty"`
	IPv6   string          `json:"ip_v6,omitempty"`
	PortV6 uint16          `json:"port_v6,omitempty"`
	Trace  json.RawMessage `json:"trace"`
}

func (s *Sink) state(e *tracer.Event, b *tracer.StateChange) {
	if b.To == tracer.Listen {
		s.emit(e, "connectivity:server_listening", listeningOf(e.Local, fieldsOf(b)))
		return
	}
	s.flow(e)
	s.emit(e, "connectivity:connection_state_updated", stateUpdated{wordOf(b.From), wordOf(b.To), fieldsOf(b)})
}

func listeningOf(a netip.AddrPort, fields json.RawMessage) serverListening {
	data := serverListening{Trace: fields}
	switch addr := a.Addr(); {
	case !addr.IsValid():
	case addr.Unmap().Is4():
		data.IPv4, data.PortV4 = addr.String(), a.Port()
	default:
		data.IPv6, data.PortV6 = addr.String(), a.Port()
	}
	return data
}

// wordOf is a state as the draft's ConnectionState has it.
func wordOf(s tracer.State) string {
	switch s {
	case tracer.SynSent:
		return "attempted"
	case tracer.SynReceived:
		return "handshake_started"
	case tracer.Established:
		return "handshake_confirmed"
	case tracer.FinWait1, tracer.FinWait2, tracer.CloseWait, tracer.Closing, tracer.LastAck:
		return "closing"
	case tracer.TimeWait:
		return "draining"
	case tracer.Closed, tracer.Listen:
		return "closed"
	default:
		return "closed"
	}
}

// metrics is the data of metrics_updated.
type metrics struct {
	SmoothedRTT      *ms             `json:"smoothed_rtt,omitempty"`
	RTTVariance      *ms             `json:"rtt_variance,omitempty"`
	CongestionWindow *int64          `json:"congestion_window,omitempty"`
	BytesInFlight    *int64          `json:"bytes_in_flight,omitempty"`
	SSThresh         *int64          `json:"ssthresh,omitempty"`
	Trace            json.RawMessage `json:"trace"`
}

// congestionState is the data of congestion_state_updated.
type congestionState struct {
	Old string `json:"old,omitempty"`
	New string `json:"new"`
}

func (s *Sink) tcb(e *tracer.Event, b *tracer.TCB) {
	f := s.flow(e)
	data := metrics{Trace: fieldsOf(b)}
	recovery := f.recovery
	for i := range b.Vars {
		v := &b.Vars[i]
		switch v.Name {
		case "srtt_ns":
			data.SmoothedRTT = (*ms)(&v.Value)
		case "rttvar_ns":
			data.RTTVariance = (*ms)(&v.Value)
		case "cwnd":
			data.CongestionWindow = &v.Value
		case "inflight":
			data.BytesInFlight = &v.Value
		case "ssthresh":
			data.SSThresh = &v.Value
		case "recovery":
			recovery = v.Text
		}
	}
	s.emit(e, "recovery:metrics_updated", data)
	if recovery != f.recovery {
		s.emit(e, "recovery:congestion_state_updated", congestionState{f.recovery, recovery})
		f.recovery = recovery
	}
}

// lossTimer is the data of loss_timer_updated.
type lossTimer struct {
	TimerType string          `json:"timer_type"`
	EventType string          `json:"event_type"`
	Trace     json.RawMessage `json:"trace"`
}

func (s *Sink) timer(e *tracer.Event, b *tracer.Timer) {
	kind := map[string]string{"retransmit": "pto", "tail-loss-probe": "pto", "reorder": "ack"}[b.Name]
	if kind == "" || b.What != "fired" {
		s.emit(e, "tcp:timer", fieldsOf(b))
		return
	}
	s.emit(e, "recovery:loss_timer_updated", lossTimer{kind, "expired", fieldsOf(b)})
}

// connectionClosed is its event's data.
type connectionClosed struct {
	Owner   string          `json:"owner,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Trigger string          `json:"trigger,omitempty"`
	Trace   json.RawMessage `json:"trace"`
}

// closings are the draft's words for how a connection ended.
var closings = map[tracer.How]connectionClosed{
	tracer.HowFIN:         {Trigger: "clean"},
	tracer.HowReset:       {Owner: "remote", Trigger: "error"},
	tracer.HowAborted:     {Owner: "local", Trigger: "application"},
	tracer.HowTimeout:     {Owner: "local", Trigger: "idle_timeout"},
	tracer.HowRefused:     {Owner: "remote", Trigger: "error"},
	tracer.HowUnreachable: {Owner: "local", Trigger: "error"},
}

func (s *Sink) end(e *tracer.Event, b *tracer.End) {
	f := s.flow(e)
	data := closings[b.How]
	data.Reason, data.Trace = string(b.How), fieldsOf(b)
	s.emit(e, "connectivity:connection_closed", data)
	// What comes late for a connection that is over goes on with its numbers.
	f.sent.pending, f.received.pending = nil, nil
}

// datagrams is the data of datagrams_sent and datagrams_received.
type datagrams struct {
	Count int             `json:"count"`
	Raw   []rawInfo       `json:"raw"`
	Trace json.RawMessage `json:"trace"`
}

// datagramDropped is the data of datagram_dropped.
type datagramDropped struct {
	Raw   rawInfo         `json:"raw"`
	Trace json.RawMessage `json:"trace"`
}

func (s *Sink) datagram(e *tracer.Event, b *tracer.Datagram) {
	const udpHeader = 8
	length := b.Len + udpHeader
	raw := rawInfo{Length: &length, PayloadLength: b.Len}
	switch {
	case b.Dir == tracer.In && b.Dropped != "":
		s.emit(e, "transport:datagram_dropped", datagramDropped{raw, fieldsOf(b)})
	case b.Dir == tracer.In:
		s.emit(e, "transport:datagrams_received", datagrams{1, []rawInfo{raw}, fieldsOf(b)})
	default:
		s.emit(e, "transport:datagrams_sent", datagrams{1, []rawInfo{raw}, fieldsOf(b)})
	}
}
