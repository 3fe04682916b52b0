package importpcap

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"

	"appliance/internal/capture"
	"appliance/tracer"
	"appliance/tracer/infer"
)

// Options are how a capture is read; the zero value is ready.
type Options struct {
	// Name is the capture's, for the trace's header.
	Name string
	// Appliance is the program's version, for the header.
	Appliance string
	// Window is how many events are kept back; 0 means [capture.Window].
	Window int
}

// Summary is what was found in a capture.
type Summary struct {
	Packets  uint64 // all that the file has
	Segments uint64 // of TCP, those that are in the trace
	Events   uint64
	// Cut is how many segments were captured without their end: their length is known, their
	// options are those that were captured whole.
	Cut uint64
	// Skipped is how many packets are not in the trace, by the reason.
	Skipped map[string]uint64
	// Conns is how many ends of connections there are, without listeners; Open those
	// that were open before the first packet and turned out to be in ESTABLISHED; Unknown those of
	// whose states nothing is known.
	Conns, Open, Unknown int
}

// Import reads the capture in r and writes its trace to the sink: Start, Write and Write
// again; it does not close the sink. Where the file is cut off or damaged, all that comes
// before is written, and the error, a [*FileError], says where: it is an io.ErrUnexpectedEOF
// where the file was only cut off.
func Import(r io.Reader, sink tracer.Sink, o Options) (*Summary, error) {
	m := &importer{sink: sink, opts: o, sum: Summary{Skipped: map[string]uint64{}}, known: map[uint32]bool{}, listeners: map[uint32]bool{}}
	f, err := open(r)
	if err != nil {
		return &m.sum, fmt.Errorf("read capture: %w", err)
	}
	m.stream = capture.NewStream(m.write, capture.StreamOptions{
		Read: capture.ReadOptions{TCPOnly: true}, Window: o.Window, Ends: true,
	})
	err = m.packets(f)
	if !m.started && m.err == nil { // not one packet
		m.start(time.Time{})
	}
	if m.err == nil {
		_ = m.stream.Close() // m.write has kept its error
	}
	if m.err != nil {
		return &m.sum, m.err
	}
	for conn, known := range m.known {
		if m.listeners[conn] {
			continue
		}
		m.sum.Conns++
		if !known {
			m.sum.Unknown++
		}
	}
	if err != nil {
		return &m.sum, fmt.Errorf("read capture: %w", err)
	}
	return &m.sum, m.nothing()
}

// importer is an import in progress.
type importer struct {
	sink    tracer.Sink
	opts    Options
	stream  *capture.Stream
	sum     Summary
	started bool
	first   time.Time
	last    time.Duration
	buf     []byte
	err     error // of the sink, the first

	known     map[uint32]bool // whether there are states, by connection or listener
	listeners map[uint32]bool // those that have children
}

func (m *importer) packets(f *fileReader) error {
	for {
		p, err := f.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !m.started {
			m.start(p.at)
		}
		m.packet(p)
		if m.err != nil {
			return nil // told by Import
		}
	}
}

// start writes the header. The trace begins with the first packet.
func (m *importer) start(at time.Time) {
	m.started, m.first = true, at
	m.err = m.sink.Start(tracer.Header{
		Started: at, Appliance: m.opts.Appliance, Go: runtime.Version(),
		Link: tracer.LinkInfo{Kind: "capture", Name: m.opts.Name},
	})
}

// packet takes a packet.
func (m *importer) packet(p packet) {
	m.sum.Packets++
	if !p.link.known() {
		m.sum.Skipped[skipLink]++
		return
	}
	frame, ok := p.link.frame(m.buf, p.data)
	if p.link != linkEthernet {
		m.buf = frame
	}
	missing := p.length - len(p.data)
	cut := missing > 0
	if !ok {
		m.sum.Skipped[shortOf(cut)]++
		return
	}
	mend(frame, missing)
	if cut {
		frame = fillOptions(frame)
	}
	got, ok, err := m.stream.Add(capture.Frame{T: m.time(p.at), Data: frame})
	switch {
	case err != nil:
	case !ok:
		m.sum.Skipped[reasonOf(frame, cut)]++
	case !got.TCP:
		m.sum.Skipped[skipNotTCP]++
	default:
		m.sum.Segments++
		if cut {
			m.sum.Cut++
		}
	}
}

// time is a packet's in the trace: one without, or from before the first, counts as seen
// with the one before.
func (m *importer) time(at time.Time) time.Duration {
	if !at.IsZero() {
		if d := at.Sub(m.first); d < math.MaxInt64 {
			m.last = max(m.last, d)
		}
	}
	return m.last
}

// write passes events on to the sink.
func (m *importer) write(events []tracer.Event) error {
	m.sum.Events += uint64(len(events))
	for i := range events {
		e := &events[i]
		c, isState := e.Body.(*tracer.StateChange)
		if e.Conn != 0 && (isState || !m.known[e.Conn]) {
			m.known[e.Conn] = isState
		}
		if e.Parent != 0 {
			m.listeners[e.Parent] = true
		}
		if isState && c.Cause.What == infer.WasOpen {
			m.sum.Open++
		}
	}
	if err := m.sink.Write(events); err != nil {
		m.err = err
	}
	return m.err
}

// nothing errs where a capture has packets, and none of them could be read for its link.
func (m *importer) nothing() error {
	if n := m.sum.Skipped[skipLink]; n > 0 && n == m.sum.Packets {
		return fmt.Errorf("read capture: all of its links are of types that are not read: want %s", knownLinks)
	}
	return nil
}

// String tells a summary in one line: "12 packets: 10 segments, 4 ends of connections; skipped: 2 not TCP".
func (s *Summary) String() string {
	text := fmt.Sprintf("%s: %s, %s", counted(s.Packets, "packet", "packets"), counted(s.Segments, "segment", "segments"),
		counted(s.Conns, "end of a connection", "ends of connections"))
	if s.Cut > 0 {
		text += "; " + counted(s.Cut, "segment captured without its end", "segments captured without their end")
	}
	if len(s.Skipped) > 0 {
		var parts []string
		for _, why := range slices.Sorted(maps.Keys(s.Skipped)) {
			parts = append(parts, fmt.Sprintf("%d %s", s.Skipped[why], why))
		}
		text += "; skipped: " + strings.Join(parts, ", ")
	}
	if s.Open > 0 {
		text += "; " + counted(s.Open, "end was open before the first packet", "ends were open before the first packet")
	}
	if s.Unknown > 0 {
		text += fmt.Sprintf("; of %s no state is known: what the capture has does not show it", counted(s.Unknown, "end", "ends"))
	}
	return text
}

// counted is so many of a thing.
func counted[N int | uint64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
