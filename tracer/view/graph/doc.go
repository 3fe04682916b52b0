// Package graph draws one direction of one connection against time, as SVG: its sequence
// numbers in tcptrace's form, the variables that govern its sender, its round-trip times,
// and its throughput.
//
// What is drawn is what the data's sender saw, on its own clock, where it is traced; else
// what the receiver saw. Thousands of points stay light: what falls on the same pixel is
// drawn once, but every repeated segment, and every one that is known to be lost, has a
// mark of its own.
package graph
