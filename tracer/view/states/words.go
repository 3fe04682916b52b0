package states

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"appliance/tracer"
)

// marks are the brackets of the two ends' numbers in the text.
var marks = [2][2]string{{"[", "]"}, {"(", ")"}}

// badge is what stands on the figure's i-th arrow: the numbers of the steps that took it,
// or with many connections how often it was taken; "" where it was not.
func (d *Diagram) badge(i int) string {
	if d.Many {
		return d.count(d.Taken[i])
	}
	var b strings.Builder
	for end := range d.Paths {
		if numbers := d.numbers(end, i); len(numbers) > 0 {
			b.WriteString(marks[end][0] + strings.Join(numbers, ",") + marks[end][1])
		}
	}
	return b.String()
}

// numbers are the steps of one end that took the figure's i-th arrow, counted from 1.
func (d *Diagram) numbers(end, i int) []string {
	var list []string
	for k, s := range d.Paths[end].Steps {
		if s.Arrow == i {
			list = append(list, strconv.Itoa(k+1))
		}
	}
	return list
}

// count is a number of times: "12×".
func (d *Diagram) count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n) + d.times()
}

func (d *Diagram) times() string {
	if d.opts.ASCII {
		return "x"
	}
	return "×"
}

// beyond is what marks the state that a step left the figure from: the step's number, or
// how many did so.
func (d *Diagram) beyond(s tracer.State) string {
	if d.Many {
		return d.count(d.leavers(s))
	}
	var b strings.Builder
	for end, p := range d.Paths {
		for k, step := range p.Steps {
			if step.From == s && step.Arrow < 0 {
				b.WriteString(marks[end][0] + strconv.Itoa(k+1) + marks[end][1])
			}
		}
	}
	return b.String()
}

// leavers is how often a state was left by no arrow of the figure.
func (d *Diagram) leavers(s tracer.State) int {
	n := 0
	for _, o := range d.Others {
		if o.From == s {
			n += o.Count
		}
	}
	return n
}

// visits are the lines in a state's box: how often each end was in it and for how long.
// An empty line stands for an end that was not.
func (d *Diagram) visits(b *box) []string {
	if b.state == tracer.Closed {
		return d.closed(b)
	}
	if d.Many {
		t := d.States[b.state]
		if len(t.Dwells) == 0 {
			return []string{d.count(t.Visits), ""}
		}
		median := "~ " + shortDuration(t.Dwells[len(t.Dwells)/2])
		if d.opts.ASCII {
			median = strings.ReplaceAll(median, "µ", "u")
		}
		return []string{d.count(t.Visits), median}
	}
	var lines []string
	for end := range d.Paths {
		lines = append(lines, d.visit(end, b.state))
	}
	return lines
}

// visit is one end's time in a state.
func (d *Diagram) visit(end int, s tracer.State) string {
	p := &d.Paths[end]
	var (
		times  int
		dwell  time.Duration
		known  bool
		suffix string
	)
	for k, step := range p.Steps {
		if step.To != s {
			continue
		}
		times++
		switch {
		case k+1 < len(p.Steps) && p.Steps[k+1].Dwell >= 0:
			dwell, known = dwell+p.Steps[k+1].Dwell, true
		case k+1 == len(p.Steps) && p.Open >= 0:
			dwell, known, suffix = dwell+p.Open, true, "+"
		}
	}
	if times == 0 && p.Steps[0].From != s {
		return ""
	}
	text := ""
	if times > 1 {
		text = d.count(times)
	}
	if known {
		if text != "" {
			text += " "
		}
		text += shortDuration(dwell) + suffix
	}
	if text == "" {
		text = d.count(max(times, 1))
	}
	if len(d.Paths) > 1 {
		text = marks[end][0] + text + marks[end][1]
	}
	return text
}

// closed are the lines of CLOSED's two boxes: who begins in the upper, who ends in either.
func (d *Diagram) closed(b *box) []string {
	var counts []int
	for _, p := range d.Paths {
		n := 0
		if !b.below && p.Steps[0].From == tracer.Closed {
			n++
		}
		for _, s := range p.Steps {
			if s.To == tracer.Closed && endsBelow(s) == b.below {
				n++
			}
		}
		counts = append(counts, n)
	}
	if d.Many {
		sum := 0
		for _, n := range counts {
			sum += n
		}
		return []string{d.count(sum), ""}
	}
	var lines []string
	for end, n := range counts {
		line := d.count(n)
		if line != "" && len(d.Paths) > 1 {
			line = marks[end][0] + line + marks[end][1]
		}
		lines = append(lines, line)
	}
	return lines
}

// endsBelow tells which of CLOSED's two boxes a step to it ends at: the upper only by the
// arrows that the figure draws there.
func endsBelow(s Step) bool {
	return s.From != tracer.Listen && (s.From != tracer.SynSent || s.Arrow < 0)
}

// shortDuration is a time in three or four digits.
func shortDuration(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case d == 0:
		return "0 ms"
	case ms < 10:
		return fmt.Sprintf("%.3f ms", ms)
	case ms < 100:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 100e3:
		return fmt.Sprintf("%.2f s", ms/1000)
	default:
		return fmt.Sprintf("%.0f s", ms/1000)
	}
}

// milliseconds is a time as the timeline has it.
func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.3f", float64(d)/float64(time.Millisecond))
}
