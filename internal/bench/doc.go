// Package bench measures the appliance beside the kernel, in one run: it makes labs of its
// own, lets Linux make the load, and compares what Linux's TCP and the appliance's make of
// it at the other end.
//
// Each measurement has a world of its own: fresh network namespaces, a fresh process that
// makes the load on the kernel's sockets, and either a fresh appliance in this process or a
// second such process at the other end. What is compared is measured one right after the
// other, in each round, the odd rounds in the opposite order: what slows the host down for a
// while slows all of it. Ratios are taken round by round.
//
// Package load makes the load, package report holds what came of it.
package bench
