// Package states draws RFC 9293's connection state diagram (figure 5) with the way that
// connections took through it: the two ends of one connection, each change of state
// numbered and each state with the time spent in it, or many connections, with how often
// each state was visited and each transition taken, how much of the diagram that covers
// and what was never reached.
//
// One layout, in cells of a character grid, serves the text and the SVG.
package states
