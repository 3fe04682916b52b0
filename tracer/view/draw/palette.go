package draw

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"appliance/tracer"
)

// Color is a colour on a light and on a dark background, "#rrggbb".
type Color struct{ Light, Dark string }

// Class names what a shape stands for; its colours are in the [Palette].
type Class string

// The classes that have colours. A shape is filled with its class's colour when it is a
// rectangle, an arrow's head or text, and stroked with it when it is a line.
const (
	Background Class = "bg"
	Panel      Class = "panel" // behind a group of things
	Ink        Class = "ink"   // text
	Muted      Class = "muted" // text and lines of less weight
	Grid       Class = "grid"  // the lines behind everything
	Axis       Class = "axis"  // a lane, an axis
	Sent       Class = "sent"  // what the opener sends
	Reply      Class = "reply" // what the other end sends
	Call       Class = "call"  // a socket call
	Timer      Class = "timer" // a timer
	Repeat     Class = "repeat"
	Bad        Class = "bad"  // lost, dropped, reset, an error
	Note       Class = "note" // what is remarkable about a segment
	Gap        Class = "gap"  // where time or events are left out
	Mark       Class = "mark" // what the reader has picked
	Area       Class = "area" // what is under a line of a graph
)

// Bold and Halo are classes to be added to that of a text: it is bold; it has a rim of the
// background's colour, so that it stays readable on lines that cross it.
const (
	Bold Class = "b"
	Halo Class = "halo"
)

// Palette has each class's colours. Those of [Ink], [Muted], [Sent], [Reply], [Call],
// [Timer], [Repeat], [Bad] and [Note] are readable as text on [Background].
var Palette = map[Class]Color{
	Background: {"#ffffff", "#14181d"},
	Panel:      {"#f3f5f7", "#1d232a"},
	Ink:        {"#1b2127", "#e6eaee"},
	Muted:      {"#5c6670", "#9aa5b1"},
	Grid:       {"#e3e7eb", "#2a323b"},
	Axis:       {"#87919b", "#6b7682"},
	Sent:       {"#005a96", "#6cb6ff"},
	Reply:      {"#00704f", "#3fcf9f"},
	Call:       {"#6a3fa0", "#c3a1f5"},
	Timer:      {"#8a5a00", "#e8b04a"},
	Repeat:     {"#a84700", "#ff9d57"},
	Bad:        {"#b3202c", "#ff7b80"},
	Note:       {"#8a5a00", "#e8b04a"},
	Gap:        {"#87919b", "#6b7682"},
	Mark:       {"#ffd54a", "#8a6d00"},
	Area:       {"#bfd9ee", "#26455f"},
}

// StatePalette has each state's colours, as a filled shape. The opening is yellow and
// orange, the open connection green, the side that closes first goes through blue to
// violet and the other through red to brown, so that a picture is readable at a glance;
// neighbours in RFC 9293's diagram differ in lightness too, for those who do not see the
// hues (the colours are near Okabe and Ito's).
var StatePalette = map[tracer.State]Color{
	tracer.Closed:      {"#a7afb8", "#5b6570"},
	tracer.Listen:      {"#59626c", "#c3ccd6"},
	tracer.SynSent:     {"#d68a00", "#d98f0e"},
	tracer.SynReceived: {"#f2e03f", "#f7e96b"},
	tracer.Established: {"#009e73", "#1bbf8e"},
	tracer.FinWait1:    {"#86cdf5", "#b5e2fb"},
	tracer.FinWait2:    {"#2276b8", "#57a5e6"},
	tracer.CloseWait:   {"#e2692f", "#ef7d45"},
	tracer.Closing:     {"#c2609a", "#d070ab"},
	tracer.LastAck:     {"#8f3216", "#a64523"},
	tracer.TimeWait:    {"#46287c", "#6f49b5"},
}

// StateClass is the class of a shape filled with the state's colour: "s-fin-wait-1".
func StateClass(s tracer.State) Class { return Class("s-" + strings.ToLower(s.String())) }

// OnState is the class of text that stands on the state's colour: "on-fin-wait-1".
func OnState(s tracer.State) Class { return Class("on-" + strings.ToLower(s.String())) }

// dark and light are the colours of text on a filled shape.
const (
	onLight = "#101418"
	onDark  = "#ffffff"
)

// textOn returns the colour of text that is readable on a filled shape.
func textOn(fill string) string {
	if contrast(fill, onDark) >= contrast(fill, onLight) {
		return onDark
	}
	return onLight
}

// Rule is one line of the style sheet: what the shapes of a class look like. Property is
// "fill" or "stroke".
type Rule struct {
	Selector, Property string
	Color              Color
}

// rules are the palette's. Text, rectangles and heads are filled; lines are stroked.
func rules() []Rule {
	var rs []Rule
	for class, c := range Palette {
		rs = append(
			rs,
			Rule{"." + string(class), "fill", c},
			Rule{".l-" + string(class), "stroke", c},
		)
	}
	for s, c := range StatePalette {
		on := Color{textOn(c.Light), textOn(c.Dark)}
		rs = append(
			rs,
			Rule{"." + string(StateClass(s)), "fill", c},
			Rule{".l-" + string(StateClass(s)), "stroke", c},
			Rule{"." + string(OnState(s)), "fill", on},
		)
	}
	rs = append(rs, Rule{"." + string(Halo), "stroke", Palette[Background]})
	slices.SortFunc(rs, func(a, b Rule) int { return cmp.Compare(a.Selector, b.Selector) })
	return rs
}

// CSS returns the style sheet of every picture: light, dark where the reader prefers it,
// and light on paper. A page that holds pictures may set data-theme to "light" or "dark" on
// its root element and so overrule the preference.
func CSS(more ...Rule) string {
	all := append(rules(), more...)
	var b strings.Builder
	fmt.Fprintf(&b, ".apl{font-family:%s}\n", Fonts)
	b.WriteString(".apl text{white-space:pre}.apl .b{font-weight:bold}.apl .halo{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}.apl .mono{font-family:ui-monospace,\"DejaVu Sans Mono\",Menlo,Consolas,monospace}\n")
	b.WriteString(".apl line,.apl polyline,.apl path.o{fill:none}\n")
	write := func(prefix string, pick func(Color) string) {
		for _, r := range all {
			fmt.Fprintf(&b, "%s.apl %s{%s:%s}\n", prefix, r.Selector, r.Property, pick(r.Color))
		}
	}
	dark := func(c Color) string { return c.Dark }
	write("", func(c Color) string { return c.Light })
	b.WriteString("@media screen and (prefers-color-scheme:dark){\n")
	write(":root:not([data-theme=light]) ", dark)
	// Alone, the picture is the root itself.
	for _, r := range all {
		fmt.Fprintf(&b, ":root.apl %s{%s:%s}\n", r.Selector, r.Property, r.Color.Dark)
	}
	b.WriteString("}\n@media screen{\n")
	write(":root[data-theme=dark] ", dark)
	b.WriteString("}\n")
	return b.String()
}
