package kernel

import "appliance/tracer"

// callOf is an event's call; the zero Call where it is none.
func callOf(e tracer.Event) tracer.Call {
	if k, ok := e.Body.(*tracer.Call); ok {
		return *k
	}
	return tracer.Call{}
}
