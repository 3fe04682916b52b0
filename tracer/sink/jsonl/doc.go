// Package jsonl writes a trace as lines of JSON, the schema that package tracer
// documents: first the header, then one event a line.
//
// # Whole lines
//
// Every write to the file holds whole lines only, and what a failed write left of a
// line is cut off again where the output is a regular file. So a process that is
// killed, at any time, leaves a file whose every line is whole but perhaps the
// last, which [tracer.Reader] recognizes. Package file does that, and rotation.
package jsonl
