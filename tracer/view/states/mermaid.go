package states

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"appliance/tracer"
	"appliance/tracer/view/draw"
)

// Mermaid writes the diagram as a stateDiagram-v2, as GitHub renders it. Mermaid cannot
// draw one arrow unlike another: the numbers on them tell what was taken, and the states
// that were not reached are pale.
func (d *Diagram) Mermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("---\ntitle: " + strconv.Quote(d.Title()) + "\n---\nstateDiagram-v2\n")
	var reached []tracer.State
	var never []string
	for _, s := range allStates {
		name := mermaidID(s)
		fmt.Fprintf(&b, "    state \"%s\" as %s\n", strings.Join(append([]string{s.String()}, d.mermaidVisits(s)...), "<br/>"), name)
		if d.States[s].Reached {
			reached = append(reached, s)
		} else {
			never = append(never, name)
		}
	}
	b.WriteString("\n    [*] --> CLOSED\n")
	for i, a := range figure {
		text := a.Event
		if a.Action != "" {
			text += " / " + a.Action
		}
		if note := noteWords[a.Note]; note != "" {
			text += " " + note
		}
		if badge := d.badge(i); badge != "" {
			text = badge + " " + text
		}
		fmt.Fprintf(&b, "    %s --> %s : %s\n", mermaidID(a.From), mermaidID(a.To), mermaidText(text))
	}
	d.mermaidOthers(&b)
	b.WriteByte('\n')
	for _, state := range reached {
		fill, text := draw.StatePalette[state].Light, draw.TextOn(state).Light
		name := mermaidID(state)
		fmt.Fprintf(&b, "    classDef in_%s fill:%s,color:%s,stroke:%s\n    class %s in_%s\n", name, fill, text, text, name, name)
	}
	if len(never) > 0 {
		b.WriteString("    classDef never fill:#f3f5f7,color:#87919b,stroke:#c5ccd3,stroke-dasharray:4 3\n")
		fmt.Fprintf(&b, "    class %s never\n", strings.Join(never, ","))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the state diagram: %w", err)
	}
	return nil
}

// mermaidOthers draws the changes that the figure does not have.
func (d *Diagram) mermaidOthers(b *strings.Builder) {
	for _, o := range d.Others {
		badge := d.count(o.Count)
		if !d.Many {
			badge = d.otherBadge(o)
		}
		fmt.Fprintf(b, "    %s --> %s : %s\n", mermaidID(o.From), mermaidID(o.To),
			mermaidText(badge+" "+d.opts.Lang.T(o.What)+" ("+d.opts.Lang.T("not in the figure")+")"))
	}
}

// otherBadge are the numbers of the steps that made a change that the figure does not have.
func (d *Diagram) otherBadge(o Other) string {
	text := ""
	for end, p := range d.Paths {
		for k, s := range p.Steps {
			if s.Arrow < 0 && s.From == o.From && s.To == o.To && s.Cause.Kind == o.Kind {
				text += fmt.Sprintf("%s%d%s", marks[end][0], k+1, marks[end][1])
			}
		}
	}
	return text
}

// mermaidVisits are the lines under a state's name.
func (d *Diagram) mermaidVisits(s tracer.State) []string {
	if !d.States[s].Reached {
		return nil
	}
	var lines []string
	for _, line := range d.visits(&box{state: s}) {
		if line != "" && s != tracer.Closed {
			lines = append(lines, mermaidText(line))
		}
	}
	return lines
}

// mermaidID names a state: a hyphen would end the name.
func mermaidID(s tracer.State) string { return strings.ReplaceAll(s.String(), "-", "_") }

// mermaidText is a text that Mermaid takes for nothing else: a colon or a semicolon would
// end it, and # begins a character's number.
func mermaidText(s string) string {
	return strings.NewReplacer("#", "", ":", " ", ";", ",", "\"", "'", "<", "‹", ">", "›", "\n", " ", "%%", "%").Replace(clean(s))
}
