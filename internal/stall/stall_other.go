//go:build !linux

package stall

import "time"

// start watches what processor there is.
func (w *Watch) start() {
	w.all.Add(1)
	go w.watch(time.Sleep)
}
