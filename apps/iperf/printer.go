package iperf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// maxCopy bounds the copy of what a server prints that a client may ask for.
const maxCopy = 1 << 20

// A printer prints a test as iperf3 does: as text while it runs, or as JSON at its end.
// The first error ends the printing and is kept.
type printer struct {
	to     io.Writer // nil for nobody
	json   bool
	client bool
	quiet  bool // no intervals
	copy   *bytes.Buffer
	rtx    bool // there is a column of retransmissions
	bidir  bool
	err    error

	intervals int // printed
}

const (
	separator = "- - - - - - - - - - - - - - - - - - - - - - - - -\n"
	rule      = "-----------------------------------------------------------\n"
)

// printf prints lines of text.
func (p *printer) printf(format string, args ...any) {
	if p.json && p.copy == nil || p.to == nil && p.copy == nil {
		return
	}
	text := fmt.Appendf(nil, format, args...)
	if p.copy != nil && p.copy.Len()+len(text) <= maxCopy {
		p.copy.Write(text)
	}
	if p.to != nil && !p.json && p.err == nil {
		_, p.err = p.to.Write(text)
	}
}

// connected prints the streams' connections, and the heading of the intervals.
func (p *printer) connected(streams []*stream, bidir bool) {
	p.bidir = bidir
	for _, s := range streams {
		local, remote := endpoint(s.local), endpoint(s.remote)
		p.printf("[%3d] local %s port %d connected to %s port %d\n", s.id, local.Host, local.Port, remote.Host, remote.Port)
		p.rtx = p.rtx || s.sends && s.rtxNow() >= 0
	}
	p.heading()
}

func (p *printer) heading() {
	roles, rtx := "", ""
	if p.bidir {
		roles = "[Role]"
	}
	if p.rtx {
		rtx = "         Retr"
	}
	p.printf("[ ID]%s Interval           Transfer     Bitrate%s\n", roles, rtx)
}

// role is how a bidirectional test's lines tell the ways apart.
func (p *printer) role(sender bool) string {
	if !p.bidir {
		return ""
	}
	way, side := "RX", "S"
	if sender {
		way = "TX"
	}
	if p.client {
		side = "C"
	}
	return "[" + way + "-" + side + "]"
}

// flow prints a line; what is behind its numbers.
func (p *printer) flow(f Flow, what string) {
	id := fmt.Sprintf("%3d", f.Socket)
	if f.Socket == 0 {
		id = "SUM"
	}
	rtx := ""
	if p.rtx {
		rtx = "     "
		if f.Retransmits != nil {
			rtx = fmt.Sprintf("%5d", *f.Retransmits)
		}
	}
	if f.Omitted {
		what = "(omitted)"
	}
	line := fmt.Sprintf("[%s]%s %6.2f-%-6.2f sec  %ss  %ss/sec%s  %s", id, p.role(f.Sender), f.Start, f.End,
		bytesText(float64(f.Bytes)), bitsText(f.BitsPerSecond), rtx, what)
	p.printf("%s\n", bytes.TrimRight([]byte(line), " "))
}

// interval prints what went in one.
func (p *printer) interval(i Interval) {
	if p.quiet {
		return
	}
	several := p.several(len(i.Streams))
	if several && p.intervals > 0 {
		p.printf(separator)
	}
	p.intervals++
	for _, f := range i.Streams {
		p.flow(f, "")
	}
	if several {
		p.flow(i.Sum, "")
		if i.SumReverse != nil {
			p.flow(*i.SumReverse, "")
		}
	}
}

// several tells whether so many streams are more than one each way.
func (p *printer) several(streams int) bool { return streams > 1 && (!p.bidir || streams > 2) }

// summary prints the result.
func (p *printer) summary(r *Report) {
	e := &r.End
	p.printf(separator)
	for _, s := range e.Streams {
		p.rtx = p.rtx || s.Sender.Retransmits != nil
	}
	p.heading()
	for _, s := range e.Streams {
		p.flow(s.Sender, "sender")
		p.flow(s.Receiver, "receiver")
	}
	if p.several(len(e.Streams)) {
		p.flow(e.SumSent, "sender")
		p.flow(e.SumReceived, "receiver")
		if e.SumSentReverse != nil && e.SumReceivedReverse != nil {
			p.flow(*e.SumSentReverse, "sender")
			p.flow(*e.SumReceivedReverse, "receiver")
		}
	}
}

// finish prints the report where JSON is wanted, and gives the printing's first error.
func (p *printer) finish(r *Report) error {
	if p.json && p.to != nil && p.err == nil {
		b, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
		_, p.err = p.to.Write(append(b, '\n'))
	}
	if p.err != nil {
		return fmt.Errorf("print the report: %w", p.err)
	}
	return nil
}

// bytesText is n in units of 1024, four characters and the unit.
func bytesText(n float64) string {
	return unitText(n, 1024, [...]string{"Byte", "KByte", "MByte", "GByte", "TByte"})
}

// bitsText is n in units of 1000.
func bitsText(n float64) string {
	return unitText(n, 1000, [...]string{"bit", "Kbit", "Mbit", "Gbit", "Tbit"})
}

func unitText(n, step float64, units [5]string) string {
	i := 0
	for n >= step && i < len(units)-1 {
		n /= step
		i++
	}
	switch {
	case n < 9.995:
		return fmt.Sprintf("%4.2f %s", n, units[i])
	case n < 99.95:
		return fmt.Sprintf("%4.1f %s", n, units[i])
	default:
		return fmt.Sprintf("%4.0f %s", n, units[i])
	}
}
