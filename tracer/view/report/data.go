package report

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"

	"appliance/tracer"
	"appliance/tracer/sink/text"
	"appliance/tracer/view"
	"appliance/tracer/view/why"
)

// The page holds the events three times, each form packed by gzip and base64 into a
// block of its own, which no browser takes for script:
//
//   - columns: a JSON object of arrays, an entry an event: what filters and the list need;
//   - stories: a line an event, as package text tells it, with its styles;
//   - lines: the trace itself, header first, for the details and to be saved.
const (
	columnsID = "data-columns"
	storiesID = "data-stories"
	linesID   = "data-lines"
)

// types are the events' types; a column has the place in this list.
var types = []tracer.Type{
	tracer.TypeCall, tracer.TypeSegment, tracer.TypeState, tracer.TypeTimer, tracer.TypeTCB,
	tracer.TypeEnd, tracer.TypeDatagram, tracer.TypeICMP, tracer.TypeLost,
}

// storyWidth is how many columns a story keeps to; the page scrolls what is longer.
const storyWidth = 118

// packer writes a block of data: what is written to it is packed.
type packer struct {
	*bufio.Writer
	zip  *gzip.Writer
	b64  io.WriteCloser
	page io.Writer
}

// newPacker begins a block with that id.
func newPacker(page io.Writer, id string) (*packer, error) {
	if _, err := fmt.Fprintf(page, "<script type=\"application/gzip\" id=%q>", id); err != nil {
		return nil, err
	}
	b64 := base64.NewEncoder(base64.StdEncoding, page)
	zip := gzip.NewWriter(b64)
	return &packer{bufio.NewWriterSize(zip, 64<<10), zip, b64, page}, nil
}

// close ends the block.
func (p *packer) close() error {
	if err := p.Flush(); err != nil {
		return err
	}
	if err := p.zip.Close(); err != nil {
		return err
	}
	if err := p.b64.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(p.page, "</script>\n")
	return err
}

// pack writes a whole block.
func pack(page io.Writer, id string, fill func(w *bufio.Writer)) error {
	p, err := newPacker(page, id)
	if err != nil {
		return err
	}
	fill(p.Writer) // bufio keeps the first error until close
	return p.close()
}

// writeData writes the three blocks of the events.
func writeData(page io.Writer, t *view.Trace, stacks []string, o Options) error {
	if err := pack(page, columnsID, func(w *bufio.Writer) { writeColumns(w, t, stacks) }); err != nil {
		return err
	}
	if err := pack(page, storiesID, func(w *bufio.Writer) { writeStories(w, t, o) }); err != nil {
		return err
	}
	return pack(page, linesID, func(w *bufio.Writer) { writeLines(w, t) })
}

func writeLines(w *bufio.Writer, t *view.Trace) {
	buf := append(tracer.AppendHeader(nil, t.Header), '\n')
	_, _ = w.Write(buf) // the writer keeps its error
	for i := range t.Events {
		buf = append(tracer.AppendJSON(buf[:0], &t.Events[i]), '\n')
		_, _ = w.Write(buf)
	}
}

func writeStories(w *bufio.Writer, t *view.Trace, o Options) {
	s := text.New(io.Discard, o.story())
	for i := range t.Events {
		// Few fonts of even width have the clock; this one they have.
		_, _ = w.WriteString(strings.Replace(s.Story(&t.Events[i]), "⏱", "◷", 1))
		_ = w.WriteByte('\n')
	}
}

// writeColumns writes {"n":[…],"t":[…],…}. n and t are differences to the entry before,
// t in nanoseconds; type, stack and link are places in their lists; cause is the number of
// the event that this one follows from, 0 for none; state is 1 + the state that a change
// leads to, 0 for any other event.
func writeColumns(w *bufio.Writer, t *view.Trace, stacks []string) {
	causes := causes(t)
	typeAt, stackAt := places(types), places(stacks)
	column := func(name string, value func(i int) int64) {
		_, _ = w.WriteString(name)
		var buf []byte
		for i := range t.Events {
			buf = buf[:0]
			if i > 0 {
				buf = append(buf, ',')
			}
			_, _ = w.Write(strconv.AppendInt(buf, value(i), 10))
		}
	}
	before := func(i int) tracer.Event {
		if i == 0 {
			return tracer.Event{}
		}
		return t.Events[i-1]
	}
	column(`{"n":[`, func(i int) int64 { return int64(t.Events[i].N - before(i).N) })
	column(`],"t":[`, func(i int) int64 { return int64(t.Events[i].T - before(i).T) })
	column(`],"type":[`, func(i int) int64 { return typeAt[typeOf(&t.Events[i])] })
	column(`],"stack":[`, func(i int) int64 { return stackAt[t.Events[i].Stack] })
	column(`],"conn":[`, func(i int) int64 { return int64(t.Events[i].Conn) })
	column(`],"cause":[`, func(i int) int64 { return int64(causes[i].n) })
	column(`],"link":[`, func(i int) int64 { return causes[i].link })
	column(`],"state":[`, func(i int) int64 {
		if s, ok := t.Events[i].Body.(*tracer.StateChange); ok {
			return 1 + int64(s.To)
		}
		return 0
	})
	_, _ = w.WriteString("]}")
}

// cause is what an event follows from, by package why; zero for none.
type cause struct {
	n    uint64
	link int64 // the place of its why.Link in links
}

// links are how a cause is known; 0 stands for no cause.
var links = []why.Link{"", why.Recorded, why.Wire, why.Deduced}

// causes returns the cause of each event.
func causes(t *view.Trace) []cause {
	known, at := why.New(t), places(links)
	of := make([]cause, len(t.Events))
	for i := range t.Events {
		if n, link, ok := known.Cause(t.Events[i].N); ok {
			of[i] = cause{n, at[link]}
		}
	}
	return of
}

func typeOf(e *tracer.Event) tracer.Type {
	if e.Body == nil {
		return ""
	}
	return e.Body.Type()
}

func places[T comparable](list []T) map[T]int64 {
	at := make(map[T]int64, len(list))
	for i, v := range list {
		at[v] = int64(i)
	}
	return at
}

// stacksOf lists the stacks of the events, in order of first appearance.
func stacksOf(t *view.Trace) []string {
	list := []string{} // JSON's null is no list
	seen := map[string]bool{}
	for i := range t.Events {
		if s := t.Events[i].Stack; !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list
}
