package report

import (
	"appliance/tracer"
	"appliance/tracer/view/words"
)

// labels are the texts of the page's frame.
type labels struct {
	Report, HowTraced, Connections, ConnsHint, Pictures, Picture, Timeline, Details string
	NeedsScript, SkipToTimeline, Loading, SaveTrace, Filter, FilterHint, Types      string
	Stack, Connection, AllStacks, AllConns, Clear, Event, DetailHint                string
	Keys, KeysMove, KeysFind, KeysClear                                             string
	Theme, ThemeAuto, ThemeLight, ThemeDark                                         string
}

func labelsIn(l words.Lang) labels {
	return labels{
		Report:         l.T("TCP trace report"),
		HowTraced:      l.T("How it was traced"),
		Connections:    l.T("Connections"),
		ConnsHint:      l.T("Pick one to see its pictures and only its events."),
		Pictures:       l.T("Pictures"),
		Picture:        l.T("Picture"),
		Timeline:       l.T("Timeline"),
		Details:        l.T("Details"),
		NeedsScript:    l.T("Pictures and timeline need this file's own script: allow JavaScript for it. It loads nothing and sends nothing."),
		SkipToTimeline: l.T("Skip to the timeline"),
		Loading:        l.T("Unpacking the trace …"),
		SaveTrace:      l.T("Save the trace (JSONL)"),
		Filter:         l.T("Filter the timeline"),
		FilterHint:     l.T("Filter: words such as FIN or TIME-WAIT, or #41"),
		Types:          l.T("Types of events"),
		Stack:          l.T("stack"),
		Connection:     l.T("connection"),
		AllStacks:      l.T("all stacks"),
		AllConns:       l.T("all connections"),
		Clear:          l.T("Show all"),
		Event:          l.T("event"),
		DetailHint:     l.T("Pick an event: an arrow in the ladder, a mark in a graph or a row of the timeline."),
		Keys:           l.T("Keys:"),
		KeysMove:       l.T("event by event"),
		KeysFind:       l.T("filter"),
		KeysClear:      l.T("show all"),
		Theme:          l.T("Colours"),
		ThemeAuto:      l.T("as the system has them"),
		ThemeLight:     l.T("light"),
		ThemeDark:      l.T("dark"),
	}
}

// scriptWords are the texts that the script needs; {0} and {1} are filled in there.
func scriptWords(l words.Lang) map[string]string {
	return map[string]string{
		"nothing":     l.T("No event passes the filter."),
		"notDrawn":    l.T("There is no picture of this. Where it is a connection, a report of it alone has them: --conn."),
		"previous":    l.T("previous event"),
		"next":        l.T("next event"),
		"why":         l.T("Why"),
		"caused":      l.T("What it caused"),
		"wire":        l.T("the same packet, at its other end"),
		"deduced":     l.T("follows from what the packet is and what came before it"),
		"moreEffects": l.T("and {0} more"),
		"fields":      l.T("Fields"),
		"notPrinted":  l.T("and {0} more events, not printed: filter the timeline first"),
		"countAll":    l.T("{0} events"),
		"count":       l.T("{0} of {1} events"),
		"trouble":     l.T("This report could not be shown: {0}. It needs a browser of 2024 or later."),
	}
}

// typeNames are the names of types, in the order of the list types.
func typeNames(l words.Lang) []string {
	names := map[tracer.Type]string{
		tracer.TypeCall:     l.T("call"),
		tracer.TypeSegment:  l.T("segment"),
		tracer.TypeState:    l.T("state"),
		tracer.TypeTimer:    l.T("timer"),
		tracer.TypeTCB:      l.T("variables"),
		tracer.TypeEnd:      l.T("end|of a connection"),
		tracer.TypeDatagram: l.T("datagram"),
		tracer.TypeICMP:     "icmp",
		tracer.TypeLost:     l.T("lost|events"),
	}
	list := make([]string, len(types))
	for i, t := range types {
		list[i] = names[t]
	}
	return list
}
