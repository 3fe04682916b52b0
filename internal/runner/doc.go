// Package runner makes an appliance of its configuration: the link, the impairment
// around it, the stack, the programs on it and the trace's sinks; runs it; and takes
// it down in the right order: programs, stack, bus, sinks.
package runner
