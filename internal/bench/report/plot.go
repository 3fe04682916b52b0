package report

import (
	"fmt"
	"io"
	"text/template"
)

// The plot's measures, in pixels.
const (
	plotWidth  = 900
	labelWidth = 250
	barsWidth  = 450
	rowHeight  = 22
	headHeight = 44
	topHeight  = 70
)

// plotGroup is a group of bars.
type plotGroup struct {
	Title string
	Y     int
	Bars  []plotBar
}

// plotBar is a case's: X and so on are pixels.
type plotBar struct {
	Label, Figure, Class string
	Y, Text              int
	Width, From, To      float64
}

// WritePlot writes an SVG picture that needs nothing else: a bar a case, as long as the
// main value's median, with a line from its smallest to its largest figure, or to the edge.
func (r *Report) WritePlot(w io.Writer) error {
	y := topHeight
	var groups []plotGroup
	for _, results := range r.groups() {
		g := plotGroup{Title: results[0].title(), Y: y + 26}
		y += headHeight
		// One figure that is far out must not make all bars short: lines end at the edge.
		longest := 0.0
		for _, res := range results {
			longest = max(longest, 1.1*res.Values[0].Q3)
		}
		for _, res := range results {
			g.Bars = append(g.Bars, bar(&res, y, longest))
			y += rowHeight
		}
		groups = append(groups, g)
	}
	measured := fmt.Sprintf("%s of %v", r.rounds(), r.Settings.Time)
	if r.Interrupted {
		measured += ", " + r.interruption()
	}
	err := plotTemplate.Execute(w, map[string]any{
		"Width": plotWidth, "Height": y + 24, "Left": labelWidth, "Groups": groups,
		"Sub": fmt.Sprintf("medians and spread of %s; Linux %s, %s; %s",
			measured, r.Host.Kernel, Count(r.Host.CPUs, "processor"), r.Started.UTC().Format("2006-01-02")),
	})
	if err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	return nil
}

func bar(r *Result, y int, longest float64) plotBar {
	v := &r.Values[0]
	b := plotBar{
		Label: r.label(), Y: y, Text: y + rowHeight - 8, Class: class(&r.Case),
		Figure: mainFigure(r),
	}
	if longest > 0 {
		scale := barsWidth / longest
		b.Width, b.From, b.To = v.Median*scale, labelWidth+v.Min*scale, labelWidth+min(v.Max, longest)*scale
	}
	return b
}

// mainFigure is the main value, with its unit and ratio.
func mainFigure(r *Result) string {
	v := &r.Values[0]
	text := ""
	switch r.Metric {
	case Throughput:
		text = fmt.Sprintf("%.2f Gb/s", v.Median/1e9)
	case RoundTrip:
		text = fmt.Sprintf("%.1f µs", v.Median*1e6)
	case Connections, Trace:
		text = fmt.Sprintf("%.0f /s", v.Median)
	case Idle:
		text = fmt.Sprintf("%.2f KB", v.Median/1024)
	}
	if v.Ratio != nil {
		text += fmt.Sprintf(", ratio %.2f", v.Ratio.Median)
	}
	return text
}

// class is the bar's colour.
func class(c *Case) string {
	switch {
	case c.Who != Appliance:
		return "other"
	case c.Level == Off:
		return "off"
	}
	return "traced"
}

var plotTemplate = template.Must(template.New("plot").Parse(`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="{{.Height}}" viewBox="0 0 {{.Width}} {{.Height}}" font-family="system-ui, sans-serif" font-size="13">
<style>
.back { fill: #fff } text { fill: #1a1a1a } .faint { fill: #666 } .spread { stroke: #1a1a1a }
.other { fill: #9aa5b1 } .off { fill: #8fbf8f } .traced { fill: #3f8f5f }
@media (prefers-color-scheme: dark) {
.back { fill: #16181d } text { fill: #e6e6e6 } .faint { fill: #9a9a9a } .spread { stroke: #e6e6e6 }
.other { fill: #5b6672 } .off { fill: #5f8f6a } .traced { fill: #2f7f56 }
}
</style>
<rect class="back" width="100%" height="100%"/>
<text x="16" y="30" font-size="18" font-weight="bold">appliance bench</text>
<text x="16" y="52" class="faint">{{.Sub | html}}</text>
{{- range .Groups}}
<text x="16" y="{{.Y}}" font-weight="bold">{{.Title | html}}</text>
{{- range .Bars}}
<text x="28" y="{{.Text}}">{{.Label | html}}</text>
<rect class="{{.Class}}" x="{{$.Left}}" y="{{.Y}}" width="{{printf "%.1f" .Width}}" height="16" rx="2"/>
<path class="spread" d="M{{printf "%.1f" .From}} {{.Y}}m0 4v8m0 -4H{{printf "%.1f" .To}}m0 -4v8" fill="none"/>
<text x="{{$.Width}}" dx="-16" y="{{.Text}}" text-anchor="end">{{.Figure | html}}</text>
{{- end}}
{{- end}}
</svg>
`))
