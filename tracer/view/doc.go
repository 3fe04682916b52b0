// Package view holds a trace in memory, indexed for the views that draw or tell it: which
// events are a connection's, which states it went through, which two connections are the
// two ends of one, and what an event caused.
//
// A view of its own package takes a [Trace] and knows nothing of files: ladder, states,
// graph, why and report. Views read a Trace and never change it, so one may be used by
// several goroutines.
package view
