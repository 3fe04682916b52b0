package tracefile

import (
	"io"

	"appliance/tracer/sink/pcapng"
)

func newPCAPNG(in io.Reader) (Reader, error) { return pcapng.NewReader(in) }
