// Package kernel is the Linux end of a sequence: TCP and UDP sockets of the kernel's in a
// lab's namespace, each call recorded as it happens ([Host]); a process of its own that
// ends without closing ([Process]); and the kernel's own account of its sockets' states.
//
// That account has two sources. [States] reads the tracepoint sock:inet_sock_set_state
// through a tracefs instance of its own, in nanoseconds; [Diag] asks sock_diag what states
// there are now. Two states the tracepoint never shows: TIME-WAIT, where it says CLOSE,
// as the socket becomes a smaller thing of another kind; and SYN-RECEIVED of a connection
// that has not been made yet, as there is only a request and no socket. [Reconcile] joins
// the tracepoint's account with the states that the segments tell (package tracer/infer).
//
// It is Linux's alone: elsewhere everything that opens something errs with
// errors.ErrUnsupported.
package kernel
