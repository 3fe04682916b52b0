package capture

import "time"

// Options are a Capture's settings; the zero value is ready.
type Options struct {
	// Started is the time that frames are stamped from; zero means now. A frame of
	// before bears 0.
	Started time.Time
	// Read is how Events and Wait read the frames.
	Read ReadOptions
}
