package report

import "fmt"

// Verdict tells whether a target is met.
type Verdict string

// The verdicts.
const (
	Met         Verdict = "met"
	Missed      Verdict = "missed"
	NotMeasured Verdict = "not measured"
)

// Target is what a figure is to reach, and what it came to.
type Target struct {
	// Number is the target's; several cases may have one.
	Number int `json:"number"`
	// Name is the case, To the one that it is compared with; "" for a figure by itself.
	Name string `json:"name"`
	To   string `json:"to,omitempty"`
	// Value is what is compared, such as "rate"; Unit is of Want and Got: "1" for ratios.
	Value string `json:"value"`
	Unit  string `json:"unit"`
	// AtLeast says that Got is to be Want or more; else Want or less.
	AtLeast bool    `json:"at_least"`
	Want    float64 `json:"want"`
	// Got is over the rounds; its median counts. nil where it was not measured.
	Got     *Summary `json:"got,omitempty"`
	Verdict Verdict  `json:"verdict"`
}

// idleLimit is what an idle, traced connection may take, in bytes.
const idleLimit = 12 << 10

// aim is a target before it is judged.
type aim struct {
	number  int
	c       Case
	to      *Case
	value   string
	atLeast bool
	want    float64
	unit    string // of a figure by itself
}

// Judge compares results with the targets.
func Judge(results []Result) []Target {
	var all []Target
	for _, a := range aims() {
		all = append(all, a.judge(results))
	}
	return all
}

func (a aim) judge(results []Result) Target {
	t := Target{
		Number: a.number, Name: a.c.Name(), Value: a.value, Unit: Share,
		AtLeast: a.atLeast, Want: a.want, Verdict: NotMeasured,
	}
	r := Find(results, a.c)
	var v *Value
	if r != nil {
		v = r.Value(a.value)
	}
	if a.to == nil {
		t.Unit = a.unit
		if v != nil {
			t.Got = &v.Summary
		}
	} else {
		t.To = a.to.Name()
		if base := Find(results, *a.to); base != nil && v != nil {
			t.Got = ratio(v, base.Value(a.value))
		}
	}
	if t.Got != nil {
		t.Verdict = Missed
		if t.AtLeast && t.Got.Median >= t.Want || !t.AtLeast && t.Got.Median <= t.Want {
			t.Verdict = Met
		}
	}
	return t
}

// aims are the targets: throughput with offload on and off, what tracing costs, the
// round trip and connections, memory.
func aims() []aim {
	var all []aim
	bulk := func(offload, link, direction, level string, streams int) Case {
		return Case{Metric: Throughput, Who: Appliance, Link: link, Offload: offload, Level: level, Direction: direction, Streams: streams}
	}
	add := func(number int, c, to Case, value string, atLeast bool, want float64) {
		all = append(all, aim{number, c, &to, value, atLeast, want, ""})
	}
	eachBulk := func(do func(link, direction string, streams int)) {
		for _, link := range []string{Veth, TAP} {
			for _, direction := range []string{In, Out} {
				for _, streams := range []int{1, 4} {
					do(link, direction, streams)
				}
			}
		}
	}
	eachBulk(func(link, direction string, streams int) {
		c := bulk(On, link, direction, Segments, streams)
		add(1, c, c.Baseline(), Rate, true, map[string]float64{In: 0.90, Out: 0.60}[direction])
	})
	for _, direction := range []string{In, Out} {
		for _, streams := range []int{1, 4} {
			c := bulk(On, TAP, direction, Segments, streams)
			to := Case{Metric: Throughput, Who: FDBased, Link: TAP, Offload: Off, Direction: direction, Streams: streams}
			add(1, c, to, Rate, true, 10)
		}
	}
	eachBulk(func(link, direction string, streams int) {
		c := bulk(Off, link, direction, Segments, streams)
		add(2, c, c.Baseline(), Rate, true, map[string]float64{In: 0.65, Out: 0.25}[direction])
	})
	eachBulk(func(link, direction string, streams int) {
		off := bulk(Off, link, direction, Off, streams)
		add(3, bulk(Off, link, direction, States, streams), off, Rate, true, 0.99)
		add(3, bulk(Off, link, direction, Segments, streams), off, Rate, true, 0.97)
	})
	for _, offload := range []string{On, Off} {
		for _, link := range []string{Veth, TAP} {
			c := Case{Metric: RoundTrip, Who: Appliance, Link: link, Offload: offload, Level: Segments}
			add(4, c, c.Baseline(), P50, false, 3.5)
			busy := c
			busy.Busy = true
			add(4, busy, c.Baseline(), P50, false, 2.5)
			c.Metric = Connections
			add(4, c, c.Baseline(), Rate, true, 0.75)
		}
	}
	idle := Case{Metric: Idle, Who: Appliance, Link: Veth, Offload: Off, Level: Segments}
	events := Case{Metric: Trace, Who: JSONL}
	atRate := Case{Metric: Trace, Who: JSONL, EventRate: 200_000}
	return append(all,
		aim{number: 5, c: idle, value: Memory, want: idleLimit, unit: Bytes},
		aim{number: 5, c: events, value: Rate, atLeast: true, want: 500_000, unit: PerSecond},
		aim{number: 5, c: atRate, value: LostShare, want: 0, unit: Share})
}

// describe says a target's demand for people.
func (t *Target) describe() string {
	sign := "≤"
	if t.AtLeast {
		sign = "≥"
	}
	switch t.Unit {
	case Bytes:
		return fmt.Sprintf("%s %.1f KB", sign, t.Want/1024)
	case PerSecond:
		return fmt.Sprintf("%s %.0f /s", sign, t.Want)
	}
	return fmt.Sprintf("%s %.2f", sign, t.Want)
}

// got says what a target came to.
func (t *Target) got() string {
	switch {
	case t.Got == nil:
		return "–"
	case t.Unit == Bytes:
		return fmt.Sprintf("%.1f KB", t.Got.Median/1024)
	case t.Unit == PerSecond:
		return fmt.Sprintf("%.0f /s", t.Got.Median)
	}
	return fmt.Sprintf("%.3f", t.Got.Median)
}

// spread says between what its rounds were.
func (t *Target) spread() string {
	switch {
	case t.Got == nil || t.Got.N < 2:
		return ""
	case t.Unit == Bytes:
		return fmt.Sprintf("%.1f to %.1f", t.Got.Min/1024, t.Got.Max/1024)
	case t.Unit == PerSecond:
		return fmt.Sprintf("%.0f to %.0f", t.Got.Min, t.Got.Max)
	}
	return fmt.Sprintf("%.3f to %.3f", t.Got.Min, t.Got.Max)
}
