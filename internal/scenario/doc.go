// Package scenario runs documented sequences: it makes the world of each (link,
// impairment, stacks, the lab with Linux), lets each end's program run in it, collects
// the trace of both ends, and has package sequence judge it.
//
// # A combination
//
// A sequence's run is played on a link (pipe, veth, tap), against a peer (self: both ends
// are the appliance; script: the other end is a table of frames; linux: it is Linux's
// TCP), with the appliance in a role (client, server; both, where the peer is self), in a
// family (IPv4, IPv6). Every combination that [Options] ask for gives one [Result], in a
// world of its own, which is gone before the next begins.
//
// A run that names two Linux ends among its players (the two Python programs of document
// 003) is also played by these, on a veth pair between two Linux hosts; the role is then
// none. Nothing of the appliance is in that world: the trace is a capture of the link, in
// which package infer tells both ends' states, and is judged by the same rows. Neither end's
// calls are in it, nor what no segment shows.
//
// What makes no sense is skipped, with the reason that configs/sequences/skips.yaml has
// for it (see [Skip]). A combination that cannot be played and that no entry there permits
// to skip fails.
//
// # A run
//
//  1. The end that listens starts. The other end's program, script, and any extra script,
//     start once it listens: its program has made its first listening socket, TCP or UDP.
//     Where no program listens, all start at once.
//  2. Each end's steps are done in order, the two ends concurrently. The first step that
//     fails ends the run and is the result's error.
//  3. The run is over when all programs and scripts have ended and every connection of the
//     appliance's stacks has its end in the trace, or has come into the state that the
//     file's "until" names for its end. A server of package apps that serves without end (no
//     count, or UDP) is not waited for.
//     Where both ends are Linux, the capture must show every connection in CLOSED or TIME-WAIT.
//  4. There the trace is cut. What closing the world then does (listeners that the program
//     left open, connections in a state of "until") is not part of it, and is neither
//     judged nor written. Nor are calls that are still in progress then: they are those of
//     servers that have no end. (Where a run failed, its trace has them.)
//  5. What is learned of Linux's end only afterwards is merged into the trace by time,
//     and the whole is numbered anew: that is what is judged, shown and written.
//
// # Time
//
// On the pipe, time is virtual unless asked otherwise: it moves to the next timer only
// when the whole process is at rest. "wait rest" ends at such a moment, before time
// moves. When nothing more can happen and a program still waits, the run fails at once
// and says which step waits. On a real clock a run has 30 seconds.
//
// # Waiting for what is in the trace
//
// "wait C STATE" ends when the trace has a change to that state, of that end's connection
// of the step's name; where the name has no connection yet, of any connection of that end. The
// states of an end that is not traced are inferred from the segments.
//
// "wait LABEL" ends when the segment of the row with that label is in the trace: at the
// receiver where that is a stack of the appliance's, else at the sender; where the row
// says ▶, ◀ or lost, there. All of the row's fields must hold, and the notes that change
// what a segment means must be the row's. Of rows that say the same of a segment, the
// second stands for the second such segment, and so on.
package scenario
