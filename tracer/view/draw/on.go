package draw

import "appliance/tracer"

// TextOn returns the colours of text on the state's colour, for what is no SVG: a page, a
// Mermaid diagram. Within a picture it is the class [OnState].
func TextOn(s tracer.State) Color {
	c := StatePalette[s]
	return Color{textOn(c.Light), textOn(c.Dark)}
}
