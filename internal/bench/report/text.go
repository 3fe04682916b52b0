package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// WriteText writes the report for people. color paints the verdicts.
func (r *Report) WriteText(w io.Writer, color bool) error {
	var b bytes.Buffer
	r.head(&b)
	for _, group := range r.groups() {
		writeGroup(&b, group)
	}
	r.targets(&b, color)
	notes(&b, "Not measured here", r.Skipped)
	notes(&b, "Failed", r.Failed)
	if r.Interrupted {
		b.WriteString("\nInterrupted: the figures are of what had been measured by then.\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// busy is the load average for each processor above which a host is too busy to measure on.
const busy = 0.5

func (r *Report) head(b *bytes.Buffer) {
	s, h := r.Settings, r.Host
	fmt.Fprintf(b, "%s of %v each after %v of warm-up, %s; MTU %d, Linux by %s, %s\n",
		r.rounds(), s.Time, s.WarmUp, r.end(), s.MTU, s.Congestion, sinkText(s.Sink))
	fmt.Fprintf(b, "appliance %s, gVisor %s, %s, Linux %s %s\n", h.Appliance, h.GVisor, h.Go, h.Kernel, h.Arch)
	cpu := Count(h.CPUs, "processor")
	if h.CPU != "" {
		cpu += " (" + h.CPU + ")"
	}
	fmt.Fprintf(b, "%s; load average %.1f before, %.1f after\n", cpu, h.LoadBefore, h.LoadAfter)
	if h.Awake {
		b.WriteString("Idle processors were kept awake.\n")
	}
	if h.LoadBefore > busy*float64(h.CPUs) {
		b.WriteString("Others were using the processors before it began: figures are low and ratios uncertain.\n")
	}
	b.WriteString("Figures are medians of the rounds, ratios to the kernel's own figure of the same round.\n")
}

func sinkText(sink string) string {
	if sink == "discard" {
		return "traces discarded"
	}
	return "traces written to a JSONL file"
}

// rounds says how many rounds were measured, as far as they are whole.
func (r *Report) rounds() string {
	all := Count(r.Settings.Rounds, "round")
	switch {
	case !r.Interrupted:
		return all
	case r.InterruptedIn == 0: // a report of before it was noted
		return "not all of " + all
	}
	return fmt.Sprintf("%d of %s", r.InterruptedIn-1, all)
}

// end says how long it took, and whether it was interrupted.
func (r *Report) end() string {
	took := tookText(r.Took).String()
	if r.Interrupted {
		return r.interruption() + " after " + took
	}
	return "in " + took
}

// interruption says where the run was interrupted.
func (r *Report) interruption() string {
	if r.InterruptedIn == 0 {
		return "interrupted"
	}
	return fmt.Sprintf("interrupted in round %d", r.InterruptedIn)
}

// tookText is a time in whole seconds, but for one below.
func tookText(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}

// Count is so many of what, as people write it.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// groups are the results that are compared with each other, in order.
func (r *Report) groups() [][]Result {
	var all [][]Result
	at := map[string]int{}
	for _, res := range r.Results {
		g := res.Group()
		i, ok := at[g]
		if !ok {
			i = len(all)
			at[g] = i
			all = append(all, nil)
		}
		all[i] = append(all[i], res)
	}
	return all
}

// A column of a table: its heading and what a result has in it.
type column struct {
	head string
	cell func(*Result) string
}

// columns are the table's of a metric.
func columns(m Metric) []column {
	spread := func(name string, scale float64, form string) []column {
		return []column{
			{"min", figure(name, form, scale, func(v *Value) float64 { return v.Min })},
			{"max", figure(name, form, scale, func(v *Value) float64 { return v.Max })},
			{"ratio", ratioCell(name)},
		}
	}
	median := func(name, form string, scale float64) func(*Result) string {
		return figure(name, form, scale, func(v *Value) float64 { return v.Median })
	}
	switch m {
	case Throughput:
		return append(append([]column{{"Gb/s", median(Rate, "%.2f", 1e9)}}, spread(Rate, 1e9, "%.2f")...),
			column{"CPU s/GB", median(CPUPerGB, "%.2f", 1)},
			column{"events/s", median(Events, "%.0f", 1)},
			column{"lost", median(LostShare, "%.1f %%", 0.01)})
	case RoundTrip:
		return append(append([]column{{"p50 µs", median(P50, "%.1f", 1e-6)}}, spread(P50, 1e-6, "%.1f")...),
			column{"p99 µs", median(P99, "%.1f", 1e-6)}, column{"p99.9 µs", median(P999, "%.1f", 1e-6)})
	case Connections:
		return append([]column{{"per second", median(Rate, "%.0f", 1)}}, spread(Rate, 1, "%.0f")...)
	case Trace:
		return append(append([]column{{"events/s", median(Rate, "%.0f", 1)}}, spread(Rate, 1, "%.0f")...),
			column{"lost", median(LostShare, "%.1f %%", 0.01)})
	case Idle:
		return append([]column{{"KB each", median(Memory, "%.2f", 1024)}}, spread(Memory, 1024, "%.2f")...)
	}
	return nil
}

// figure is the cell of a value, divided by scale.
func figure(name, form string, scale float64, of func(*Value) float64) func(*Result) string {
	return func(r *Result) string {
		if v := r.Value(name); v != nil {
			return fmt.Sprintf(form, of(v)/scale)
		}
		return ""
	}
}

func ratioCell(name string) func(*Result) string {
	return func(r *Result) string {
		if v := r.Value(name); v != nil && v.Ratio != nil {
			return fmt.Sprintf("%.3f", v.Ratio.Median)
		}
		return ""
	}
}

func writeGroup(b *bytes.Buffer, group []Result) {
	fmt.Fprintf(b, "\n%s\n", group[0].title())
	cols := columns(group[0].Metric)
	head := []string{""}
	for _, c := range cols {
		head = append(head, c.head)
	}
	rows := [][]string{head}
	for i := range group {
		row := []string{group[i].label()}
		for _, c := range cols {
			row = append(row, c.cell(&group[i]))
		}
		rows = append(rows, row)
	}
	table(b, rows, 1)
}

// table writes rows in columns: the first left ones are aligned to the left, the others
// to the right. A column that is empty below its heading is left out.
func table(b *bytes.Buffer, rows [][]string, left int) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows[1:] {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for i, cell := range rows[0] {
		if widths[i] > 0 {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < left {
				line += "  " + cell + pad
			} else {
				line += "  " + pad + cell
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// targets writes the verdicts on what was measured.
func (r *Report) targets(b *bytes.Buffer, color bool) {
	counts := map[Verdict]int{}
	rows := [][]string{{"", "case", "what", "wanted", "got", "rounds", ""}}
	var verdicts []Verdict
	for i := range r.Targets {
		t := &r.Targets[i]
		counts[t.Verdict]++
		if t.Verdict == NotMeasured {
			continue
		}
		what := t.Value
		if t.To != "" {
			what += " / " + versus(t)
		}
		rows = append(rows, []string{fmt.Sprint(t.Number), t.Name, what, t.describe(), t.got(), t.spread(), string(t.Verdict)})
		verdicts = append(verdicts, t.Verdict)
	}
	fmt.Fprintf(b, "\nTargets: %d met, %d missed, %d not measured\n", counts[Met], counts[Missed], counts[NotMeasured])
	if len(verdicts) == 0 {
		return
	}
	var plain bytes.Buffer
	table(&plain, rows, 3)
	lines := strings.SplitAfter(plain.String(), "\n")
	b.WriteString(lines[0])
	for i, v := range verdicts {
		b.WriteString(painted(lines[i+1], v, color))
	}
}

// versus is what a target's case is compared with.
func versus(t *Target) string {
	rest := shortened(t.To, t.Name)
	if rest == Off {
		return "tracing off"
	}
	return rest
}

// shortened is a case's name without what it shares with the beginning of another's.
func shortened(name, with string) string {
	for {
		head, rest, ok := strings.Cut(name, "/")
		head2, rest2, ok2 := strings.Cut(with, "/")
		if !ok || !ok2 || head != head2 {
			return name
		}
		name, with = rest, rest2
	}
}

// painted colours the verdict at a line's end.
func painted(line string, v Verdict, color bool) string {
	if !color {
		return line
	}
	paint := map[Verdict]string{Met: "\x1b[32m", Missed: "\x1b[31m"}[v]
	return strings.TrimSuffix(line, string(v)+"\n") + paint + string(v) + "\x1b[0m\n"
}

// notes writes each reason once, with all that it holds for.
func notes(b *bytes.Buffer, title string, all []Note) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", title)
	var reasons []string
	of := map[string][]string{}
	for _, n := range all {
		if of[n.Why] == nil {
			reasons = append(reasons, n.Why)
		}
		of[n.Why] = append(of[n.Why], n.of())
	}
	for _, why := range reasons {
		fmt.Fprintf(b, "  %s: %s\n", strings.Join(of[why], ", "), why)
	}
}

// of is what a note holds for.
func (n *Note) of() string {
	if n.Round == 0 {
		return n.Name
	}
	return fmt.Sprintf("%s in round %d", n.Name, n.Round)
}
