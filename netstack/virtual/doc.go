// Package virtual is a clock for worlds that live in one process: stacks, links,
// impairments and programs whose only time is this clock's. Time stands still while
// anything runs; when the whole process is at rest it jumps to the next deadline. So
// 240 s of TIME-WAIT (RFC 9293, 3.6.1) take no time, happen at exactly 240 s, and
// nothing depends on how fast or how busy the machine is.
//
//	clock := virtual.New(time.Time{})
//	… give it to every netstack.Options.Clock, link.ImpairOptions.Clock and, as
//	clock.Elapsed, to tracer.BusOptions.Now; start the programs on goroutines …
//	err := clock.Run(ctx, func() bool { return finished.Load() })
//
// # The contract
//
// The process is at rest when every goroutine but the one that asks is blocked:
// on a channel, a lock, a condition, a wait group, and so on. A goroutine that runs, may
// run, or is in a system call is at work, and time waits for it, however long it takes.
//
// What comes from outside does not count as work, because nobody can tell whether it
// will come: a timer of the machine's (time.Sleep, time.After, a context's deadline), and
// input that the runtime's poller waits for (sockets of the kernel, pipes). A goroutine
// that waits for one of these is blocked like any other, and time passes it by.
// So nothing inside a virtual world may depend on them: programs sleep with
// [Clock.Sleep] and read with deadlines of their virtual connections. A context with a
// real deadline is good as the limit to how long a hung run may take.
//
// A goroutine that stays in a system call (a blocking read of a terminal, waiting for a
// child process) is at work for ever, and the process never rests; the error says which
// one it is. The runtime's own that wait for signals and for profiles are exempt.
//
// To be at rest is not to be synchronized, in the sense of Go's memory model: what a goroutine
// did before it blocked is done, but a variable that it shares needs a lock or sync/atomic all
// the same, also where it is read by Run's until.
//
// Goroutines of other worlds in the same process count too: one that computes holds
// time up everywhere. Clocks ask in turn.
//
// # What is the same in every run
//
// Which timers fire, when, and in which order, one at a time. With the clock in
// link.PipeOptions too, each frame on the pipe is delivered by a timer of its own; and
// netstack's blocking calls return one at a time (see [Clock.Turn]). So one thing happens
// after another, each only when all that the one before it caused is over, and the order
// of what a stack records is the same in every run. Programs that begin side by side should
// begin with [Clock.Go]. What is left to the scheduler is what goroutines do between
// themselves: those of one program that wake each other, or that the same event wakes.
package virtual
