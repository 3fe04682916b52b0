package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Schema names the form of the JSON.
const Schema = "appliance-bench/1"

// Report is all that a run found. Its JSON is for programs; see each field.
type Report struct {
	Schema  string    `json:"schema"` // Schema
	Started time.Time `json:"started"`
	// Took is the whole run's, in nanoseconds.
	Took     time.Duration `json:"took_ns"`
	Host     Host          `json:"host"`
	Settings Settings      `json:"settings"`
	Results  []Result      `json:"results"`
	Targets  []Target      `json:"targets"`
	// Skipped could not be measured here, Failed went wrong.
	Skipped []Note `json:"skipped,omitempty"`
	Failed  []Note `json:"failed,omitempty"`
	// Interrupted says that the run was ended before it was through, InterruptedIn in which
	// round, from 1: those before it are whole.
	Interrupted   bool `json:"interrupted,omitempty"`
	InterruptedIn int  `json:"interrupted_in,omitempty"`
}

// Host is where it was measured.
type Host struct {
	Appliance string `json:"appliance"` // version
	GVisor    string `json:"gvisor"`    // version
	Go        string `json:"go"`        // version
	Kernel    string `json:"kernel"`    // release
	Arch      string `json:"arch"`
	CPUs      int    `json:"cpus"`
	CPU       string `json:"cpu,omitempty"` // model
	// LoadBefore and LoadAfter are the host's load averages over a minute: more than a
	// little before the run means that others used the processors too.
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
	// Awake: idle processors were kept from sleeping, so that none had to be woken.
	Awake bool `json:"awake"`
}

// Settings are how it was measured.
type Settings struct {
	Rounds int           `json:"rounds"`
	Time   time.Duration `json:"time_ns"`    // of one measurement
	WarmUp time.Duration `json:"warm_up_ns"` // before it
	// Sink is where the trace goes: "jsonl", a file, or "discard".
	Sink       string `json:"sink"`
	Congestion string `json:"congestion"` // of Linux's sockets
	MTU        int    `json:"mtu"`        // bytes
	Idle       int    `json:"idle"`       // connections
	Only       string `json:"only,omitempty"`
}

// Note is something to know about a case.
type Note struct {
	Name  string `json:"name"` // the case's, or the beginning of several cases' names
	Round int    `json:"round,omitempty"`
	Why   string `json:"why"`
}

// The names of values.
const (
	Rate      = "rate"       // bits or connections a second: the main value
	CPUPerGB  = "cpu_per_gb" // seconds of processor time, of the process at the appliance's end, for 10⁹ bytes
	Events    = "events"     // traced in a second
	LostShare = "lost_share" // events that the trace had to leave out, of all
	P50       = "p50"        // the main value
	P99       = "p99"
	P999      = "p99.9"
	Memory    = "memory" // of one connection
)

// The units of values.
const (
	BitsPerSecond = "bit/s"
	PerSecond     = "1/s"
	SecondsPerGB  = "s/GB"
	Seconds       = "s"
	Bytes         = "B"
	Share         = "1"
)

// Reading is one value of one measurement.
type Reading struct {
	Name, Unit string
	Value      float64
}

// Sample is one measurement: a case in a round, counted from 1. The main value comes
// first.
type Sample struct {
	Case     Case
	Round    int
	Readings []Reading
}

// Result is a case with what came of it.
type Result struct {
	Name string `json:"name"`
	Case
	Values []Value `json:"values"` // the main one first
}

// Value is a figure over the rounds.
type Value struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	Summary
	// Samples are the figures, Rounds the rounds that they are of.
	Samples []float64 `json:"samples"`
	Rounds  []int     `json:"rounds"`
	// Ratio is to the kernel's own figure, round by round; nil for the kernel itself
	// and where there is nothing to compare with.
	Ratio *Summary `json:"ratio,omitempty"`
}

// Value returns the value of that name; nil where there is none.
func (r *Result) Value(name string) *Value {
	for i := range r.Values {
		if r.Values[i].Name == name {
			return &r.Values[i]
		}
	}
	return nil
}

// Cases are those that were measured, in order.
func (r *Report) Cases() []Case {
	cases := make([]Case, len(r.Results))
	for i := range r.Results {
		cases[i] = r.Results[i].Case
	}
	return cases
}

// Keep leaves out what is not of these cases: results, targets and failures. What could not
// be measured on the host stays, as it is not of single cases.
func (r *Report) Keep(cases []Case) {
	names := map[string]bool{}
	for _, c := range cases {
		names[c.Name()] = true
	}
	r.Results = slices.DeleteFunc(r.Results, func(res Result) bool { return !names[res.Case.Name()] })
	r.Targets = slices.DeleteFunc(r.Targets, func(t Target) bool { return !names[t.Name] })
	r.Failed = slices.DeleteFunc(r.Failed, func(n Note) bool { return !names[n.Name] })
}

// Find returns the result of a case; nil where it was not measured.
func Find(results []Result, c Case) *Result {
	for i := range results {
		if results[i].Case == c {
			return &results[i]
		}
	}
	return nil
}

// Results gathers samples by case, in the order of cases, with their ratios.
func Results(cases []Case, samples []Sample) []Result {
	results := []Result{}
	for _, c := range cases {
		r := Result{Name: c.Name(), Case: c}
		for _, s := range samples {
			if s.Case == c {
				r.add(s)
			}
		}
		if len(r.Values) > 0 {
			results = append(results, r)
		}
	}
	for i := range results {
		r := &results[i]
		base := Find(results, r.Baseline())
		for j := range r.Values {
			v := &r.Values[j]
			v.Summary = Summarize(v.Samples)
			if base != nil && base.Case != r.Case {
				v.Ratio = ratio(v, base.Value(v.Name))
			}
		}
	}
	return results
}

func (r *Result) add(s Sample) {
	for _, reading := range s.Readings {
		v := r.Value(reading.Name)
		if v == nil {
			r.Values = append(r.Values, Value{Name: reading.Name, Unit: reading.Unit})
			v = &r.Values[len(r.Values)-1]
		}
		v.Samples = append(v.Samples, reading.Value)
		v.Rounds = append(v.Rounds, s.Round)
	}
}

// ratio is a value's to another, in each round that has both: what made a round slow
// as a whole is not in it. It is nil where no round has both.
func ratio(v, base *Value) *Summary {
	if base == nil {
		return nil
	}
	var ratios []float64
	for i, round := range v.Rounds {
		at := slices.Index(base.Rounds, round)
		if at >= 0 && base.Samples[at] > 0 {
			ratios = append(ratios, v.Samples[i]/base.Samples[at])
		}
	}
	if len(ratios) == 0 {
		return nil
	}
	s := Summarize(ratios)
	return &s
}

// Read reads what WriteJSON wrote.
func Read(b []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("it is no report of appliance bench: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("its schema is %q, not %s: appliance bench -w writes one", r.Schema, Schema)
	}
	return &r, nil
}

// WriteJSON writes the report, indented.
func (r *Report) WriteJSON(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
