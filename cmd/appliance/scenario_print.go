package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"appliance/internal/scenario"
	"appliance/tracer"
	"appliance/tracer/sequence"
	"appliance/tracer/sink/text"
	"appliance/tracer/view/words"
)

// verdicts prints what came of each combination.
type verdicts struct {
	out          errWriter
	color        bool
	files        []*sequence.Sequence
	story, json  bool
	numbers      *text.Numbers
	numbersGiven bool
	time         text.Time
	lang         words.Lang
	level        tracer.Level // off: as the sequence asks for
}

// each is told of a result when it is there.
func (v *verdicts) each(r *scenario.Result, h tracer.Header, events []tracer.Event) {
	if v.json {
		return
	}
	if v.story && len(events) > 0 {
		v.tell(r, h, events)
	}
	v.verdict(r)
}

// tell prints the story of one combination.
func (v *verdicts) tell(r *scenario.Result, h tracer.Header, events []tracer.Event) {
	s := findSequence(v.files, r.Sequence)
	v.out.printf("%s\n", paint(v.color, styleBold, resultName(r)+": "+s.Title))
	o := text.Options{Color: v.color, Time: v.time, Numbers: v.numbers, Lang: v.lang}
	if !v.numbersGiven && s.Numbers != nil {
		o.Numbers = &text.Numbers{Client: s.Numbers[sequence.Client], Server: s.Numbers[sequence.Server]}
	}
	sink := text.New(printer{&v.out}, o)
	if err := sink.Start(h); err != nil {
		return // printer has kept it
	}
	if err := sink.WriteFolded(atLevel(events, v.storyLevel(s, r))); err != nil {
		return
	}
	_ = sink.Close() // it has nothing to do
}

// storyLevel is how much the story tells.
func (v *verdicts) storyLevel(s *sequence.Sequence, r *scenario.Result) tracer.Level {
	if v.level != tracer.LevelOff {
		return v.level
	}
	for i := range s.Runs {
		if s.Runs[i].Name == r.Run && s.Runs[i].Check.TCB != "" {
			return tracer.LevelFull
		}
	}
	return tracer.LevelSegments
}

// atLevel returns the events that the level holds.
func atLevel(events []tracer.Event, l tracer.Level) []tracer.Event {
	var kept []tracer.Event
	for i := range events {
		if tracer.LevelOf(events[i].Body.Type()) <= l {
			kept = append(kept, events[i])
		}
	}
	return kept
}

// printer is an errWriter as an io.Writer.
type printer struct{ out *errWriter }

// Write implements io.Writer.
func (p printer) Write(b []byte) (int, error) {
	p.out.printf("%s", b)
	return len(b), p.out.err
}

func resultName(r *scenario.Result) string {
	if r.Run == "" {
		return r.Sequence
	}
	return r.Sequence + "/" + r.Run
}

// verdict prints one line, and where it does not hold, why.
func (v *verdicts) verdict(r *scenario.Result) {
	name := resultName(r)
	where := fmt.Sprintf("%s  %s  IPv%d", r.Link, peerWords(r), r.Family)
	switch {
	case r.Skipped != "":
		v.out.printf("–  %-34s %s  skipped: %s\n", name, where, r.Skipped)
	case r.Interrupted:
		v.out.printf("–  %-34s %s  interrupted\n", name, where)
		v.failed(r)
	case r.OK:
		took := duration(r.MS)
		if r.VirtualMS > 0 {
			took += " for " + duration(r.VirtualMS)
		}
		if r.Forced {
			took += ", forced by the link"
		}
		if r.Replays > 0 {
			took += fmt.Sprintf(", played %d times: the machine stood still", r.Replays+1)
		}
		v.out.printf("%s  %-34s %s  %s\n", paint(v.color, styleGood, "✓"), name, where, took)
	default:
		v.out.printf("%s  %-34s %s\n", paint(v.color, styleBad, "✗"), name, where)
		v.failed(r)
	}
	if r.Trace != "" {
		v.out.printf("   trace: %s\n", r.Trace)
	}
}

// failed prints what went wrong.
func (v *verdicts) failed(r *scenario.Result) {
	if r.Error != "" {
		v.out.printf("   %s\n", r.Error)
	}
	if m := r.Mismatch; m != nil {
		v.out.printf("   %s\n     expected  %s   (%s.yaml:%d)\n     seen      %s\n     %s\n",
			m.At, m.Expected, r.Sequence, m.Line, m.Seen, m.Why)
	}
}

// peerWords says who plays which end.
func peerWords(r *scenario.Result) string {
	if r.Peer == scenario.Self {
		return "both ends ours"
	}
	switch r.Role {
	case scenario.Client:
		return "client ours, server " + r.Peer
	case scenario.Server:
		return "server ours, client " + r.Peer
	default:
		return "both ends " + r.Peer
	}
}

// duration says milliseconds as people do.
func duration(ms float64) string {
	d := time.Duration(ms * float64(time.Millisecond))
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// finish prints what came of all.
func (v *verdicts) finish(r *scenario.Report) error {
	switch {
	case r == nil:
	case v.json:
		if r.Results == nil {
			r.Results = []scenario.Result{}
		}
		return printJSON(&v.out, r)
	case len(r.Results) != 1 || r.NotPlayed > 0:
		v.out.printf("%d passed, %d failed, %d skipped%s\n", r.Passed, r.Failed, r.Skipped, notPlayed(r))
	}
	return v.out.done()
}

// notPlayed says how many combinations were left when the run was ended.
func notPlayed(r *scenario.Report) string {
	switch {
	case r.Interrupted:
		return fmt.Sprintf("; interrupted: %d not played", r.NotPlayed)
	case r.NotPlayed > 0:
		return fmt.Sprintf("; stopped: %d not played", r.NotPlayed)
	default:
		return ""
	}
}

// listed is a sequence in `scenario ls -o json`.
type listed struct {
	Sequence string   `json:"sequence"`
	Title    string   `json:"title"`
	Shows    string   `json:"shows"`
	Sources  []string `json:"sources"`
	RFC      []string `json:"rfc"`
	Runs     []string `json:"runs"` // the names; empty where there is one without
}

func scenarioList(c *cli.Context) error {
	if _, err := arguments(c); err != nil {
		return err
	}
	all, err := sequences()
	if err != nil {
		return err
	}
	var list []listed
	for _, s := range all {
		l := listed{Sequence: s.Name, Title: s.Title, Shows: s.Shows, RFC: s.RFC, Sources: []string{}, Runs: []string{}}
		for _, src := range s.Sources {
			l.Sources = append(l.Sources, src.Document)
		}
		for i := range s.Runs {
			if n := s.Runs[i].Name; n != "" {
				l.Runs = append(l.Runs, n)
			}
		}
		list = append(list, l)
	}
	out := errWriter{w: c.App.Writer}
	if c.String("output") == "json" {
		return printJSON(&out, list)
	}
	for _, l := range list {
		out.printf("%-22s %-16s %s\n", l.Sequence, strings.Join(l.Sources, " "), l.Title)
	}
	return out.done()
}
