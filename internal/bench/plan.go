package bench

import (
	"fmt"
	"math"
	"slices"
	"time"

	"appliance/internal/bench/report"
)

// Cases are all that can be measured on these links, in the order in which it is: those
// that are compared with each other stand together.
func Cases(links []string) []report.Case {
	var all []report.Case
	for _, direction := range []string{report.In, report.Out} {
		for _, streams := range []int{1, 4} {
			for _, offload := range []string{report.On, report.Off} {
				c := report.Case{Metric: report.Throughput, Offload: offload, Direction: direction, Streams: streams}
				all = append(all, throughput(c, links)...)
			}
		}
	}
	for _, metric := range []report.Metric{report.RoundTrip, report.Connections} {
		for _, offload := range []string{report.On, report.Off} {
			c := report.Case{Metric: metric, Offload: offload}
			all = append(all, with(c, report.Kernel, report.Veth, ""))
			for _, link := range links {
				for _, level := range []string{report.Off, report.Segments} {
					all = append(all, with(c, report.Appliance, link, level))
				}
				if metric == report.RoundTrip {
					busy := with(c, report.Appliance, link, report.Segments)
					busy.Busy = true
					all = append(all, busy)
				}
			}
		}
	}
	// What a connection takes does not depend on the link.
	idle := report.Case{Metric: report.Idle, Offload: report.Off}
	return append(all,
		with(idle, report.Kernel, report.Veth, ""),
		with(idle, report.Appliance, links[0], report.Off),
		with(idle, report.Appliance, links[0], report.Segments),
		report.Case{Metric: report.Trace, Who: report.JSONL},
		report.Case{Metric: report.Trace, Who: report.JSONL, EventRate: 200_000})
}

func with(c report.Case, who, link, level string) report.Case {
	c.Who, c.Link, c.Level = who, link, level
	return c
}

func throughput(c report.Case, links []string) []report.Case {
	all := []report.Case{with(c, report.Kernel, report.Veth, ""), with(c, report.Iperf3, report.Veth, "")}
	for _, link := range links {
		for _, level := range []string{report.Off, report.States, report.Segments, report.Full} {
			all = append(all, with(c, report.Appliance, link, level))
		}
		if link == report.TAP && c.Offload == report.Off {
			all = append(all, with(c, report.FDBased, link, ""))
		}
	}
	return all
}

// Plan are the cases that Run measures with these options: those selected, and what they
// are compared with.
func Plan(o Options) ([]report.Case, error) {
	o = o.withDefaults()
	all := Cases(o.Links)
	switch {
	case o.Only == nil && o.Brief:
		return slices.DeleteFunc(all, func(c report.Case) bool { return c.Streams > 1 || c.Level == report.Full }), nil
	case o.Only == nil:
		return all, nil
	}
	wanted := report.Select(all, o.Only)
	if len(wanted) == 0 {
		return nil, fmt.Errorf("%w: no case matches %q: names are such as %s", ErrOptions, o.Only, all[len(all)-1].Name())
	}
	return wanted, nil
}

// worldTime is about what it takes to make a world and end it.
const worldTime = 150 * time.Millisecond

// Estimate tells how many cases Run measures with these options, in how many rounds, and
// about how long it takes on a host with nothing else to do.
func Estimate(o Options) (cases, rounds int, d time.Duration, err error) {
	o = o.withDefaults()
	all, err := Plan(o)
	for _, c := range all {
		switch {
		case c.Who == report.Iperf3:
			d += time.Duration(iperf3Seconds(o)+iperf3Omits(o)) * time.Second
		case c.Metric == report.Trace:
			d += o.Time
			continue // without a world
		case c.Metric == report.Idle:
			d += time.Duration(o.Idle) * 200 * time.Microsecond
		default:
			d += o.Time + o.WarmUp
		}
		d += worldTime
	}
	return len(all), o.Rounds, time.Duration(o.Rounds) * d, err
}

// iperf3Seconds is how long iperf3 measures: it takes whole seconds only.
func iperf3Seconds(o Options) int { return max(1, int(math.Round(o.Time.Seconds()))) }

// iperf3Omits is its warm-up, in seconds: none where the others have less than one for all.
func iperf3Omits(o Options) int { return min(1, int(o.Time.Seconds())) }

// A step is a measurement that is to be done.
type step struct {
	round int // from 1
	c     report.Case
}

// steps are all measurements in order: in each round each case once, the groups in order,
// within a group forwards in the first round, backwards in the next, and so on.
func steps(cases []report.Case, rounds int) []step {
	var groups [][]report.Case
	for i, c := range cases {
		if i == 0 || cases[i-1].Group() != c.Group() {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], c)
	}
	var all []step
	for round := 1; round <= rounds; round++ {
		for _, g := range groups {
			g = slices.Clone(g)
			if round%2 == 0 {
				slices.Reverse(g)
			}
			for _, c := range g {
				all = append(all, step{round, c})
			}
		}
	}
	return all
}
