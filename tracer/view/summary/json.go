package summary

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"appliance/tracer"
)

// JSON writes a summary as one JSON object, a connection a line:
//
//	{"schema":"appliance-summary/1","started":…,
//	"connections":[
//	{…},
//	{…}
//	],
//	"duration_ns":…,"stacks":[{…}]}
type JSON struct {
	w    io.Writer
	some bool // a connection is written
	err  error
}

// SummarySchema names the form of what [JSON] writes.
const SummarySchema = "appliance-summary/1"

// NewJSON returns a JSON that writes to w, and writes what stands before the connections.
func NewJSON(w io.Writer, h tracer.Header) *JSON {
	j := &JSON{w: w}
	started, err := json.Marshal(h.Started.UTC().Format(time.RFC3339Nano))
	j.err = err
	j.printf("{\"schema\":%q,\"started\":%s,\n\"connections\":[", SummarySchema, started)
	return j
}

func (j *JSON) printf(format string, args ...any) {
	if j.err == nil {
		_, j.err = fmt.Fprintf(j.w, format, args...)
	}
}

// Conn writes a connection.
func (j *JSON) Conn(c *Conn) error {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	if j.some {
		j.printf(",")
	}
	j.some = true
	j.printf("\n%s", line)
	return j.err
}

// Totals writes the totals, and with them the end.
func (j *JSON) Totals(t Totals) error {
	stacks, err := json.Marshal(t.Stacks)
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	j.printf("\n],\n\"duration_ns\":%d,\"stacks\":%s}\n", t.Duration, stacks)
	return j.err
}
