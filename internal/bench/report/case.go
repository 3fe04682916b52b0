package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Metric is what is measured.
type Metric string

// The metrics.
const (
	Throughput  Metric = "throughput"  // bulk data
	RoundTrip   Metric = "round-trip"  // one byte there and back
	Connections Metric = "connections" // opened and closed
	Idle        Metric = "idle"        // memory of connections that do nothing
	Trace       Metric = "trace"       // events written
)

// Who answers the kernel's load.
const (
	Kernel    = "kernel"    // the kernel, too: what all is compared with
	Appliance = "appliance" // ours
	FDBased   = "fdbased"   // gVisor on its own link/fdbased, without offloads
	Iperf3    = "iperf3"    // kernel to kernel, as iperf3 measures it
	JSONL     = "jsonl"     // no end: the sink of traces
)

// The links, offload settings, directions and tracing levels of a case.
const (
	Veth = "veth"
	TAP  = "tap"

	On  = "on"
	Off = "off"

	In  = "in"  // kernel → appliance
	Out = "out" // appliance → kernel

	States   = "states"
	Segments = "segments"
	Full     = "full"
)

// Case is one thing to measure.
type Case struct {
	Metric Metric `json:"metric"`
	// Who is Kernel, Appliance, FDBased or Iperf3; of Trace it is JSONL.
	Who string `json:"who"`
	// Link and Offload are "" of Trace.
	Link    string `json:"link,omitempty"`
	Offload string `json:"offload,omitempty"`
	// Level is how much is traced: Off, States, Segments or Full; "" for who does not
	// trace.
	Level string `json:"level,omitempty"`
	// Direction and Streams are of Throughput.
	Direction string `json:"direction,omitempty"`
	Streams   int    `json:"streams,omitempty"`
	// Busy is whether the appliance's link polls before it sleeps.
	Busy bool `json:"busy_poll,omitempty"`
	// EventRate is how many events a second come, of Trace; 0 is as many as are taken.
	EventRate int `json:"event_rate,omitempty"`
}

// Group is what a case has in common with those that it is compared with.
func (c Case) Group() string {
	if c.Metric == Trace {
		return string(Trace)
	}
	parts := []string{string(c.Metric)}
	if c.Metric == Throughput {
		parts = append(parts, c.Direction, fmt.Sprint(c.Streams))
	}
	return strings.Join(append(parts, "offload-"+c.Offload), "/")
}

// Name is the case's own: "throughput/in/1/offload-on/appliance/veth/segments".
func (c Case) Name() string {
	if c.Metric == Trace {
		name := c.Group() + "/" + c.Who
		if c.EventRate > 0 {
			name += fmt.Sprintf("/%d", c.EventRate)
		}
		return name
	}
	name := c.Group() + "/" + c.Who + "/" + c.Link
	if c.Level != "" {
		name += "/" + c.Level
	}
	if c.Busy {
		name += "/busy"
	}
	return name
}

// Baseline is the kernel's own case that this one is compared with; of Trace, which the
// kernel has none of, the case itself.
func (c Case) Baseline() Case {
	if c.Metric != Trace {
		c.Who, c.Link, c.Level, c.Busy = Kernel, Veth, "", false
	}
	return c
}

// Select returns those of cases whose names the pattern matches, and what they are compared
// with.
func Select(cases []Case, only *regexp.Regexp) []Case {
	wanted := map[Case]bool{}
	for _, c := range cases {
		if only.MatchString(c.Name()) {
			wanted[c], wanted[c.Baseline()] = true, true
		}
	}
	return slices.DeleteFunc(slices.Clone(cases), func(c Case) bool { return !wanted[c] })
}

// title is a group's, for people.
func (c Case) title() string {
	suffix := ", offload " + c.Offload
	switch c.Metric {
	case Throughput:
		way := "kernel → appliance"
		if c.Direction == Out {
			way = "appliance → kernel"
		}
		streams := "1 stream"
		if c.Streams != 1 {
			streams = fmt.Sprintf("%d streams", c.Streams)
		}
		return fmt.Sprintf("Throughput, %s, %s%s", way, streams, suffix)
	case RoundTrip:
		return "Round trip of one byte" + suffix
	case Connections:
		return "Connections opened and closed, 16 in parallel" + suffix
	case Idle:
		return "Memory of an idle connection"
	case Trace:
		return "Events written to a JSONL file"
	}
	return string(c.Metric) + suffix
}

// label is the case's within its group.
func (c Case) label() string {
	switch c.Who {
	case Kernel:
		return "kernel ↔ kernel"
	case Iperf3:
		return "kernel ↔ kernel, by iperf3"
	case FDBased:
		return "gVisor's fdbased, " + c.Link
	}
	if c.Metric == Trace {
		if c.EventRate > 0 {
			return fmt.Sprintf("at %d segments a second", c.EventRate)
		}
		return "as many as one processor can"
	}
	if c.Busy {
		return c.Link + ", tracing " + c.Level + ", polling"
	}
	return c.Link + ", tracing " + c.Level
}
