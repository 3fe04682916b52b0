package scenario

import (
	"fmt"

	"appliance/internal/scenario/host"
	"appliance/tracer/sequence"
)

// piece is a stretch of a stream that is not of the pattern.
type piece struct {
	off  int
	text string
}

// stream is what an end sends on a connection, as far as its steps tell: the pattern,
// with the texts that stand in it.
type stream struct {
	client bool
	pieces []piece
}

// check compares what came at the offset with what was sent there.
func (s stream) check(off int, got []byte) error {
	want := host.Pattern(s.client, off, len(got))
	for _, p := range s.pieces {
		for i := range len(p.text) {
			if at := p.off + i - off; at >= 0 && at < len(want) {
				want[at] = p.text[i]
			}
		}
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("byte %d of the stream is %q, and %q was sent", off+i, got[i], want[i])
		}
	}
	return nil
}

// streamsOf returns what a program sends, by connection. What a program of package apps
// or Python sends, its steps do not tell: ok is then false.
func streamsOf(client bool, steps []sequence.Step) (all map[string]stream, ok bool) {
	all = map[string]stream{}
	sent := map[string]int{}
	ok = true
	for _, s := range flatten(steps) {
		switch s.Do {
		case sequence.App, sequence.Python:
			ok = false
		case sequence.Send:
			st := all[s.Conn]
			st.client = client
			if s.Text != "" {
				st.pieces = append(st.pieces, piece{off: sent[s.Conn], text: s.Text})
			}
			sent[s.Conn] += sendLen(&s)
			all[s.Conn] = st
		default:
		}
	}
	return all, ok
}

// scriptStreams returns what a script sends, by connection: its sequence numbers say where.
func scriptStreams(client bool, frames []sequence.Frame) map[string]stream {
	all := map[string]stream{}
	for i := range frames {
		f := &frames[i]
		if f.Do != sequence.FrameSend {
			continue
		}
		st := all[f.Conn]
		st.client = client
		if f.Text != "" && f.Seq.Op == sequence.Equal {
			st.pieces = append(st.pieces, piece{off: int(f.Seq.N) - 1, text: f.Text}) // the SYN took 0
		}
		all[f.Conn] = st
	}
	return all
}

// sendLen is how many bytes a step sends.
func sendLen(s *sequence.Step) int {
	if s.Text != "" {
		return len(s.Text)
	}
	return s.Bytes
}

// flatten returns steps with those that are done together one after the other.
func flatten(steps []sequence.Step) []sequence.Step {
	var all []sequence.Step
	for _, s := range steps {
		if s.Do != sequence.Together {
			all = append(all, s)
			continue
		}
		for _, list := range s.Together {
			all = append(all, flatten(list)...)
		}
	}
	return all
}
