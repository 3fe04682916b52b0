package link

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"

	"appliance/tracer"
)

// The limits and defaults of an impairment.
const (
	// maxHold is the longest that one setting may hold a packet.
	maxHold = time.Hour
	// maxCopies is how many extra copies one rule may make of a packet.
	maxCopies = 100
	// maxQueue is how many packets a direction holds; what comes on top is dropped
	// as "queue full".
	maxQueue = 1 << 16
	// maxRate is the highest rate, bits per second; beyond it a byte takes no time.
	maxRate = 1_000_000_000_000
	// defaultRateBuffer is what waits for the line at most, bytes.
	defaultRateBuffer = 64 << 10
	// defaultReorderHold is how long a reordered packet waits for others to pass.
	// It is well below the least retransmission time-out that stacks use (200 ms).
	defaultReorderHold = 20 * time.Millisecond
)

// ImpairOptions are an Impair's settings; the zero value does nothing to any packet.
type ImpairOptions struct {
	// Seed makes a run repeatable: with the same seed and the same packets in the
	// same order in a direction, that direction's decisions are the same. 0 is a
	// seed like any other.
	Seed uint64
	// In is done to packets on their way to our stack, Out to those from it.
	In, Out Impairment
	// Rules act on single TCP segments, before In and Out do. All that match a
	// segment act on it; a drop overrules the rest.
	Rules []Rule
	// Clock drives what is held; nil means the machine's.
	Clock tcpip.Clock
}

// Impairment is what happens to the IP packets of one direction. ARP and NDP are
// exempt, in order that what is lost is the traffic and not the neighbour.
type Impairment struct {
	// Loss, Duplicate, Reorder and Corrupt are probabilities, 0 to 1, each drawn
	// for each packet on its own.
	Loss, Duplicate, Reorder, Corrupt float64
	// Delay holds each packet so long, Jitter adds a time between -Jitter and
	// +Jitter, evenly spread; the sum is never below 0. Packets keep their order.
	Delay, Jitter time.Duration
	// Rate is the line's speed in bits per second, the frame's Ethernet header
	// included; 0 means no limit. RateBuffer is how many bytes may wait for the
	// line; 0 means 65536. What finds it full is dropped.
	Rate       int64
	RateBuffer int
	// ReorderBy is how many later packets of the same flow pass a packet that is
	// reordered; 0 means 1. ReorderHold is the longest that it waits for them;
	// 0 means 20 ms.
	ReorderBy   int
	ReorderHold time.Duration
}

// active tells whether the impairment can do anything.
func (i Impairment) active() bool {
	return i.Loss > 0 || i.Duplicate > 0 || i.Reorder > 0 || i.Corrupt > 0 ||
		i.Delay > 0 || i.Jitter > 0 || i.Rate > 0
}

// random tells whether what it does depends on the seed.
func (i Impairment) random() bool {
	return i.Loss > 0 || i.Duplicate > 0 || i.Reorder > 0 || i.Corrupt > 0 || i.Jitter > 0
}

// Validate returns every setting that is out of its range, as one error; nil when
// there is none.
func (o ImpairOptions) Validate() error {
	err := errors.Join(o.In.validate("in"), o.Out.validate("out"))
	for i, r := range o.Rules {
		if e := r.Validate(); e != nil {
			err = errors.Join(err, fmt.Errorf("impairment: rule %d: %w", i+1, e))
		}
	}
	return err
}

func (i Impairment) validate(dir string) error {
	var errs []error
	bad := func(name string, value any, want string) {
		errs = append(errs, fmt.Errorf("impairment: %s: %s %v: want %s", dir, name, value, want))
	}
	for _, p := range []struct {
		name  string
		value float64
	}{{"loss", i.Loss}, {"duplicate", i.Duplicate}, {"reorder", i.Reorder}, {"corrupt", i.Corrupt}} {
		if math.IsNaN(p.value) || p.value < 0 || p.value > 1 {
			bad(p.name, p.value, "a probability, 0 to 1")
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"delay", i.Delay}, {"jitter", i.Jitter}, {"reorder hold", i.ReorderHold}} {
		if d.value < 0 || d.value > maxHold {
			bad(d.name, d.value, "0 to "+words(maxHold))
		}
	}
	if i.Rate < 0 || i.Rate > maxRate {
		bad("rate", i.Rate, fmt.Sprintf("bits per second, 1 to %d, or 0 for no limit", int64(maxRate)))
	}
	if i.RateBuffer < 0 {
		bad("rate buffer", i.RateBuffer, "bytes, or 0 for 65536")
	}
	if i.RateBuffer > 0 && i.Rate == 0 {
		bad("rate buffer", i.RateBuffer, "a rate with it: without one nothing waits")
	}
	if i.ReorderBy < 0 {
		bad("reorder by", i.ReorderBy, "a number of packets, or 0 for 1")
	}
	return errors.Join(errs...)
}

// String tells in words what is done, for the trace's header: "out: loss 10 %,
// delay 20ms±5ms; drop the 2nd FIN out; seed 7". It is "" when nothing is. The
// seed is named where something depends on it.
func (o ImpairOptions) String() string {
	var parts []string
	random := o.In.random() || o.Out.random()
	for _, d := range []struct {
		dir tracer.Direction
		i   Impairment
	}{{tracer.In, o.In}, {tracer.Out, o.Out}} {
		if d.i.active() {
			parts = append(parts, fmt.Sprintf("%s: %s", d.dir, d.i))
		}
	}
	for _, r := range o.Rules {
		parts = append(parts, r.words())
		random = random || r.Action == Corrupt
	}
	if random {
		parts = append(parts, fmt.Sprintf("seed %d", o.Seed))
	}
	return strings.Join(parts, "; ")
}

// String tells in words what is done to one direction: "loss 10 %, rate 1 Mbit/s".
func (i Impairment) String() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if i.Loss > 0 {
		add("loss %s", percent(i.Loss))
	}
	if i.Duplicate > 0 {
		add("duplicate %s", percent(i.Duplicate))
	}
	if i.Reorder > 0 {
		s := "reorder " + percent(i.Reorder)
		if i.ReorderBy > 1 {
			s += fmt.Sprintf(" by %d", i.ReorderBy)
		}
		if i.ReorderHold > 0 {
			s += " within " + words(i.ReorderHold)
		}
		parts = append(parts, s)
	}
	if i.Corrupt > 0 {
		add("corrupt %s", percent(i.Corrupt))
	}
	switch {
	case i.Jitter > 0:
		add("delay %s±%s", words(i.Delay), words(i.Jitter))
	case i.Delay > 0:
		add("delay %s", words(i.Delay))
	}
	if i.Rate > 0 {
		s := "rate " + bits(i.Rate)
		if i.RateBuffer > 0 {
			s += fmt.Sprintf(" with %d bytes waiting", i.RateBuffer)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

func percent(p float64) string {
	// Ten digits hide what binary fractions add: 0.07 is 7 %, not 7.000000000000001 %.
	return strconv.FormatFloat(p*100, 'g', 10, 64) + " %"
}

// bits writes a rate in the largest unit that leaves no fraction.
func bits(rate int64) string {
	units := []string{"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"}
	u := 0
	for rate%1000 == 0 && u < len(units)-1 {
		rate /= 1000
		u++
	}
	return fmt.Sprintf("%d %s", rate, units[u])
}

// words writes a duration without the empty units that time.Duration adds: "1h"
// rather than "1h0m0s". time.ParseDuration reads it back.
func words(d time.Duration) string {
	s := d.String()
	if d >= time.Minute {
		s = strings.TrimSuffix(s, "m0s")
		if s != d.String() {
			s += "m"
		}
		if t := strings.TrimSuffix(s, "h0m"); t != s {
			s = t + "h"
		}
	}
	return s
}
