package netstack

import (
	"runtime"
	"sync"
)

// frames tells what a place in the program is, by the name of the function that it is in:
// to find the names of a stack's functions costs more than to walk it.
type frames[T any] struct {
	of    func(function string) T
	known sync.Map // program counter, of runtime.Callers → T
}

// at is what the function at pc is.
func (f *frames[T]) at(pc uintptr) T {
	if is, known := f.known.Load(pc); known {
		return is.(T) //nolint:forcetypeassert // nothing else is stored
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	is := f.of(frame.Function)
	f.known.Store(pc, is)
	return is
}
