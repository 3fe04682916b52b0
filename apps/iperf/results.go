package iperf

import (
	"encoding/json"
	"fmt"
)

// maxSeconds bounds the times that the other side may tell.
const maxSeconds = 1e9

// unknown stands for a number of retransmissions that nobody knows.
const unknown = -1

// results are what each side tells the other at the end.
type results struct {
	CPUTotal         float64         `json:"cpu_util_total"`
	CPUUser          float64         `json:"cpu_util_user"`
	CPUSystem        float64         `json:"cpu_util_system"`
	HasRetransmits   count           `json:"sender_has_retransmits"` // 1, 0, or -1 of a receiver
	Congestion       string          `json:"congestion_used,omitempty"`
	ServerOutputJSON json.RawMessage `json:"server_output_json,omitempty"`
	ServerOutputText string          `json:"server_output_text,omitempty"`
	Streams          []streamResult  `json:"streams"`
}

// streamResult is one stream's. The jitter and what follows are UDP's.
type streamResult struct {
	ID          count   `json:"id"`
	Bytes       count   `json:"bytes"`
	Retransmits count   `json:"retransmits"`
	Jitter      float64 `json:"jitter"`
	Errors      count   `json:"errors"`
	Packets     count   `json:"packets"`
	Start       float64 `json:"start_time"`
	End         float64 `json:"end_time"` // seconds since Start
}

// check tells whether r has each of the streams once, and nothing else.
func (r *results) check(streams []*stream) error {
	want := make(map[count]bool, len(streams))
	for _, s := range streams {
		want[count(s.id)] = true
	}
	for _, s := range r.Streams {
		switch {
		case !want[s.ID]:
			return &Refusal{Code: codeStreamID, Detail: fmt.Sprintf("results of stream %d, which is not there or has been told", s.ID)}
		case s.Bytes < 0 || s.Start < 0 || s.End < s.Start || s.End > maxSeconds:
			return &Refusal{Code: codeRecvResults, Detail: fmt.Sprintf("results of stream %d: %d bytes from %g to %g s", s.ID, s.Bytes, s.Start, s.End)}
		}
		delete(want, s.ID)
	}
	if len(want) > 0 {
		return &Refusal{Code: codeRecvResults, Detail: fmt.Sprintf("results of %d streams: want %d", len(r.Streams), len(streams))}
	}
	return nil
}

// of is the result of the stream with that number.
func (r *results) of(id int) streamResult {
	for _, s := range r.Streams {
		if s.ID == count(id) {
			return s
		}
	}
	return streamResult{ID: count(id), Retransmits: unknown}
}
