// Package load makes a load on TCP and measures it: bulk in either direction, one
// byte there and back, connections opened and closed, connections held idle. One
// end is a [Server], the other a client; both run the same code on whatever
// sockets a [Network] has, so that two stacks may be compared.
//
// [RunPeerIfAsked] makes of this program a process that does nothing but be one such
// end on the kernel's sockets, told what to do by RPC on its standard input: its
// processor time is then nobody else's. [Peer] is the other side of that.
//
// It uses the standard library only.
package load
