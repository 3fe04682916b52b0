package netstack

import (
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"appliance/tracer"
)

// tcbOfProbe are the variables that gVisor's probe shows, under the names of RFC
// 9293 (3.3.1), RFC 5681 and RFC 6298; sizes in bytes, times in nanoseconds.
// Sequence numbers are as on the wire.
func tcbOfProbe(s *tcp.TCPEndpointState) []tracer.TCBVar {
	snd, rcv := &s.Sender, &s.Receiver
	mss := int64(snd.MaxPayloadSize)
	vars := []tracer.TCBVar{
		{Name: "snd_una", Value: int64(snd.SndUna)},
		{Name: "snd_nxt", Value: int64(snd.SndNxt)},
		{Name: "snd_wnd", Value: int64(snd.SndWnd)},
		{Name: "rcv_nxt", Value: int64(rcv.RcvNxt)},
		{Name: "rcv_wnd", Value: int64(rcv.RcvNxt.Size(rcv.RcvAcc))},
		{Name: "cwnd", Value: int64(snd.SndCwnd) * mss},
		{Name: "inflight", Value: int64(snd.SndUna.Size(snd.SndNxt))},
		{Name: "srtt_ns", Value: int64(snd.RTTState.SRTT)},
		{Name: "rttvar_ns", Value: int64(snd.RTTState.RTTVar)},
		{Name: "rto_ns", Value: int64(snd.RTO)},
		{Name: "dup_acks", Value: int64(snd.DupAckCount)},
		{Name: "recovery", Text: recovery(snd.FastRecovery.Active)},
		{Name: "rcv_buf", Value: int64(s.RcvBufState.RcvBufUsed)},
		{Name: "snd_buf", Value: int64(max(s.SndBufState.SndBufUsed, 0))}, // gVisor counts a FIN out of it that it never counted in
	}
	if snd.Ssthresh < infiniteSsthresh {
		vars = append(vars, tracer.TCBVar{Name: "ssthresh", Value: int64(snd.Ssthresh) * mss})
	}
	return vars
}

// infiniteSsthresh is beyond any threshold that a loss sets, in segments: until the
// first loss gVisor's is the largest int (RFC 5681, 3.1: arbitrarily high).
const infiniteSsthresh = 1 << 30

func recovery(active bool) string {
	if active {
		return "fast"
	}
	return "none"
}

// recordTCB records those variables that have changed since they were last
// recorded. mu is held.
func (c *tracked) recordTCB(after uint64, vars []tracer.TCBVar) {
	changed := vars[:0]
	for _, v := range vars {
		if old, known := c.tcb[v.Name]; known && old == v {
			continue
		}
		if c.tcb == nil {
			c.tcb = map[string]tracer.TCBVar{}
		}
		c.tcb[v.Name] = v
		changed = append(changed, v)
	}
	if len(changed) > 0 {
		c.emit(&tracer.TCB{After: after, Vars: changed})
	}
}

// tcbOfCall are the variables that gVisor's public getters show after a call. The
// endpoint is locked meanwhile: no record may be.
func tcbOfCall(ep *tcp.Endpoint) []tracer.TCBVar {
	var info tcpip.TCPInfoOption
	if err := ep.GetSockOpt(&info); err != nil {
		return nil
	}
	vars := []tracer.TCBVar{
		{Name: "srtt_ns", Value: int64(info.RTT)},
		{Name: "rttvar_ns", Value: int64(info.RTTVar)},
		{Name: "rto_ns", Value: int64(info.RTO)},
	}
	if unread, err := ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption); err == nil {
		vars = append(vars, tracer.TCBVar{Name: "rcv_buf", Value: int64(unread)})
	}
	return vars
}
