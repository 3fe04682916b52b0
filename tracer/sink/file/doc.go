// Package file is where a trace's sinks write: a file that holds whole units (lines of JSON,
// blocks of pcapng), and that others follow when it is full.
//
// # Whole units
//
// A sink gathers whole units and gives them to [File.Put]. When a write fails half-way, the
// half unit is cut off a regular file again, so that what a full disk leaves can be read.
//
// # Rotation
//
// With Options.Size no file grows above that size, unless one event alone does. The file
// that is written always has the name that was given; when it is full it becomes x.1.jsonl,
// what was x.1.jsonl becomes x.2.jsonl, and so on, as logrotate does it, but with the ending
// kept, which tells the form. Options.Count files are kept, the oldest is removed. Each file
// is a trace by itself: the sink writes the header at the start of each, and n goes on.
//
// # FIFOs
//
// Opening a FIFO waits for its reader, until Options.Context ends. A reader that leaves is
// an error of the next write.
package file
