// Package report makes of a trace one HTML file that people read, hand in or attach to a
// ticket: the connections, the ladder with its states, the state diagram, the graphs, the
// timeline and each event's details with what caused it.
//
// The file stands alone: it loads nothing, from no network, and opens from disk. Style and
// script are of this package (assets); a Content-Security-Policy with their hashes forbids
// everything else, so that what a hostile trace holds is text and stays text. The pictures
// are those of packages ladder, states and graph, drawn once, in Go.
//
// The events are in the file compressed, and the page makes elements only of what is on
// the screen: a trace of 100,000 events opens and scrolls like a short one. What is saved
// from the page is the trace itself, as JSONL.
package report
