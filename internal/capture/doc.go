// Package capture takes what passes on a link and reads it as a trace: the same
// segments, with the same relative numbers, notes and states, as two traced stacks
// would have told, for two ends of which none is ours.
//
// [Open] captures an interface's frames, of both directions, through an AF_PACKET
// socket. [Read] makes a trace of frames, wherever they are from: a capture, or a
// file. What only a stack knows is not in it: calls, timers and the reason of a
// retransmission.
//
// Each segment stands in the trace twice, as sent by one end and as received by the
// other, at the time when it was seen: the ends are the stacks "client", which sent the
// first SYN, and "server". Their states come from [tracer/infer], whose documentation says
// what is claimed and what is not. As in a stack's trace a SYN belongs to the listener
// that took it, and what follows to the listener's child.
//
// On a veth pair the offloads of both ends must be off, or the capture shows segments
// of up to 64 KB that no wire would carry: see [DisableOffload].
package capture
