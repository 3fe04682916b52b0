package qlog_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The rules that a file must keep, from draft-ietf-quic-qlog-main-schema-02 (sections 3 and
// 6.2.1) and draft-ietf-quic-qlog-quic-events-02 (sections 4 and 5; appendix A for headers
// and frames).

// check looks at a member's value.
type check func(v any) error

// member is one of an object's; optional where its name ends with "?".
type rules map[string]check

func isNumber(v any) error {
	if f, ok := v.(float64); !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Errorf("%v is no number", v)
	}
	return nil
}

// isUint is a uint64 or uint32 of the draft's.
func isUint(v any) error {
	if f, ok := v.(float64); !ok || f < 0 || f != math.Trunc(f) {
		return fmt.Errorf("%v is no unsigned integer", v)
	}
	return nil
}

func isText(v any) error {
	if s, ok := v.(string); !ok || s == "" {
		return fmt.Errorf("%v is no text", v)
	}
	return nil
}

func isBool(v any) error {
	if _, ok := v.(bool); !ok {
		return fmt.Errorf("%v is no bool", v)
	}
	return nil
}

func isObject(v any) error {
	if _, ok := v.(map[string]any); !ok {
		return fmt.Errorf("%v is no object", v)
	}
	return nil
}

func oneOf(words ...string) check {
	return func(v any) error {
		if s, ok := v.(string); !ok || !slices.Contains(words, s) {
			return fmt.Errorf("%v is none of %q", v, words)
		}
		return nil
	}
}

func listOf(each check) check {
	return func(v any) error {
		l, ok := v.([]any)
		if !ok || len(l) == 0 {
			return fmt.Errorf("%v is no list of something", v)
		}
		for _, item := range l {
			if err := each(item); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r rules) check(v any) error {
	o, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is no object", v)
	}
	for name := range r {
		if base, optional := strings.CutSuffix(name, "?"); !optional && o[base] == nil {
			return fmt.Errorf("no %s", name)
		}
	}
	for name, value := range o {
		c := r[name]
		if c == nil {
			c = r[name+"?"]
		}
		if c == nil {
			return fmt.Errorf("%s is no member", name)
		}
		if err := c(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

var (
	packetHeader = rules{"packet_type": oneOf("1RTT"), "packet_number": isUint}
	rawInfo      = rules{"length?": isUint, "payload_length?": isUint}
	// The draft's own triggers of each event.
	sentTriggers    = oneOf("retransmit_reordered", "retransmit_timeout", "pto_probe", "retransmit_crypto", "cc_bandwidth_probe")
	lostTriggers    = oneOf("reordering_threshold", "time_threshold", "pto_expired")
	droppedTriggers = oneOf("internal_error", "rejected", "unsupported", "invalid", "connection_unknown", "decryption_failure", "general")
	closeTriggers   = oneOf("clean", "handshake_timeout", "idle_timeout", "error", "stateless_reset", "version_mismatch", "application")
	stateWords      = oneOf("attempted", "peer_validated", "handshake_started", "early_write", "handshake_complete", "handshake_confirmed", "closing", "draining", "closed")
)

// frameRules are those of the frames that a segment can become.
var frameRules = map[string]rules{
	"stream":           {"frame_type": isText, "stream_id": isUint, "offset": isUint, "length": isUint, "fin?": isBool},
	"ack":              {"frame_type": isText, "acked_ranges": listOf(isRange)},
	"max_data":         {"frame_type": isText, "maximum": isUint},
	"connection_close": {"frame_type": isText, "error_space": oneOf("transport", "application"), "reason?": isText},
}

func isRange(v any) error {
	l, ok := v.([]any)
	if !ok || len(l) != 2 || isUint(l[0]) != nil || isUint(l[1]) != nil || l[0].(float64) > l[1].(float64) {
		return fmt.Errorf("%v is no range", v)
	}
	return nil
}

func isFrame(v any) error {
	o, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%v is no frame", v)
	}
	name, _ := o["frame_type"].(string)
	r, ok := frameRules[name]
	if !ok {
		return fmt.Errorf("no frame %q", name)
	}
	return r.check(v)
}

// eventRules are the data of the draft's events. trace is of our own, as the draft permits.
var eventRules = map[string]rules{
	"connectivity:server_listening":         {"ip_v4?": isText, "port_v4?": isUint, "ip_v6?": isText, "port_v6?": isUint, "trace": isObject},
	"connectivity:connection_started":       {"ip_version?": oneOf("v4", "v6"), "src_ip": isText, "dst_ip": isText, "protocol?": isText, "src_port?": isUint, "dst_port?": isUint},
	"connectivity:connection_closed":        {"owner?": oneOf("local", "remote"), "reason?": isText, "trigger?": closeTriggers, "trace": isObject},
	"connectivity:connection_state_updated": {"old?": stateWords, "new": stateWords, "trace": isObject},
	"transport:packet_sent":                 {"header": packetHeader.check, "frames?": listOf(isFrame), "raw?": rawInfo.check, "trigger?": sentTriggers, "trace": isObject},
	"transport:packet_received":             {"header": packetHeader.check, "frames?": listOf(isFrame), "raw?": rawInfo.check, "trace": isObject},
	"transport:packet_dropped":              {"header?": rules{"packet_type": oneOf("1RTT")}.check, "raw?": rawInfo.check, "details?": isText, "trigger?": droppedTriggers, "trace": isObject},
	"transport:datagrams_sent":              {"count?": isUint, "raw?": listOf(rawInfo.check), "trace": isObject},
	"transport:datagrams_received":          {"count?": isUint, "raw?": listOf(rawInfo.check), "trace": isObject},
	"transport:datagram_dropped":            {"raw?": rawInfo.check, "trace": isObject},
	"recovery:metrics_updated": {
		"smoothed_rtt?": isNumber, "rtt_variance?": isNumber, "congestion_window?": isUint, "bytes_in_flight?": isUint,
		"ssthresh?": isUint, "trace": isObject,
	},
	"recovery:congestion_state_updated": {"old?": isText, "new": isText},
	"recovery:loss_timer_updated":       {"timer_type?": oneOf("ack", "pto"), "event_type": oneOf("set", "expired", "cancelled"), "trace": isObject},
	"recovery:packet_lost":              {"header?": packetHeader.check, "frames?": listOf(isFrame), "trigger?": lostTriggers},
	"recovery:marked_for_retransmit":    {"frames": listOf(isFrame)},
}

// ownCategories are those of events that the draft has no word for.
var ownCategories = []string{"socket", "network", "tcp", "trace"}

var fileRules = rules{
	"qlog_version": oneOf("0.3"), "qlog_format": oneOf("JSON-SEQ"), "title?": isText, "description?": isText,
	"trace": rules{
		"vantage_point": rules{"name?": isText, "type": oneOf("client", "server", "network", "unknown")}.check,
		"title?":        isText,
		"configuration?": func(v any) error {
			return rules{"trace": isObject}.check(v)
		},
		"common_fields?": rules{"time_format?": oneOf("relative"), "reference_time?": isNumber, "protocol_type?": listOf(isText)}.check,
	}.check,
}

var recordRules = rules{
	"time": isNumber, "name": isText, "data": isObject, "group_id?": isText,
	// Custom fields, as 3.4.6 of the main schema permits.
	"n": isUint, "stack?": isText, "conn?": isUint, "parent?": isUint, "local?": isText, "remote?": isText,
}

// validator checks a file, record by record.
type validator struct {
	begun   bool
	time    float64
	packets map[string]map[float64]bool // the numbers, by group and direction
}

func (v *validator) record(line []byte) (map[string]any, error) {
	var o map[string]any
	if err := json.Unmarshal(line, &o); err != nil {
		return nil, err
	}
	if !v.begun {
		v.begun, v.packets = true, map[string]map[float64]bool{}
		return o, fileRules.check(o)
	}
	if err := recordRules.check(o); err != nil {
		return o, err
	}
	if o["group_id"] == nil {
		return o, fmt.Errorf("no group_id: qvis wants all or none to have one")
	}
	if t := o["time"].(float64); t < v.time {
		return o, fmt.Errorf("time goes back from %v to %v", v.time, t)
	}
	v.time = o["time"].(float64)
	name := o["name"].(string)
	r, known := eventRules[name]
	category, _, _ := strings.Cut(name, ":")
	if !known {
		if !slices.Contains(ownCategories, category) {
			return o, fmt.Errorf("%s is no event of the draft's", name)
		}
		return o, nil
	}
	if err := r.check(o["data"]); err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	return o, v.numbers(o, name)
}

// numbers checks that packet numbers rise, and that what is acknowledged or lost was there.
func (v *validator) numbers(o map[string]any, name string) error {
	data := o["data"].(map[string]any)
	group := o["group_id"].(string)
	own, other := group+" sent", group+" received"
	switch name {
	case "transport:packet_received":
		own, other = other, own
	case "transport:packet_sent":
	case "recovery:packet_lost":
		if n := data["header"].(map[string]any)["packet_number"].(float64); !v.packets[own][n] {
			return fmt.Errorf("packet %v is lost that was not sent", n)
		}
		return nil
	default:
		return nil
	}
	if o["conn"] == nil {
		return nil // strays: each is a packet of its own
	}
	if v.packets[own] == nil {
		v.packets[own] = map[float64]bool{}
	}
	n := data["header"].(map[string]any)["packet_number"].(float64)
	if n != float64(len(v.packets[own])) {
		return fmt.Errorf("%s has packet %v as the %dth", own, n, len(v.packets[own]))
	}
	v.packets[own][n] = true
	frames, _ := data["frames"].([]any)
	for _, f := range frames {
		f := f.(map[string]any)
		if f["frame_type"] != "ack" {
			continue
		}
		for _, r := range f["acked_ranges"].([]any) {
			for n := r.([]any)[0].(float64); n <= r.([]any)[1].(float64); n++ {
				if !v.packets[other][n] {
					return fmt.Errorf("packet %v is acknowledged that nobody saw", n)
				}
			}
		}
	}
	return nil
}
