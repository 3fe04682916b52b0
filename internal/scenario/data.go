package scenario

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"appliance/internal/scenario/host"
	"appliance/tracer/sequence"
)

// The sizes of a recv that names none.
const (
	recvSize = 1024
	bulkSize = 64 << 10
)

// send sends what a step says: its text, or so many bytes of the pattern.
func (c *connection) send(s *sequence.Step, client bool) error {
	data := []byte(s.Text)
	if s.Text == "" {
		data = host.Pattern(client, c.sent, s.Bytes)
	}
	by := s.By
	if by <= 0 {
		by = max(len(data), 1)
	}
	for len(data) > 0 {
		n, err := c.Send(data[:min(by, len(data))])
		c.sent += n
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// recv receives what a step says, and compares it with what the other end sends, where
// that is known.
func (c *connection) recv(s *sequence.Step, sends map[string]stream) error {
	switch {
	case s.EOF:
		return c.recvEOF(s, sends)
	case s.Text != "":
		return c.recvText(s.Text)
	case s.Bytes <= 0:
		_, err := c.recvSome(make([]byte, recvSize), sends)
		return err
	}
	for left := s.Bytes; left > 0; {
		n, err := c.recvSome(make([]byte, min(left, bulkSize)), sends)
		left -= n
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", s.Bytes-left, s.Bytes, err)
		}
	}
	return nil
}

// recvSome is one recv.
func (c *connection) recvSome(buf []byte, sends map[string]stream) (int, error) {
	n, err := c.Recv(buf)
	if n > 0 && sends != nil {
		if e := sends[c.name].check(c.got, buf[:n]); e != nil {
			return n, e
		}
	}
	c.got += n
	return n, err
}

// recvText receives exactly these bytes, in one recv or more.
func (c *connection) recvText(text string) error {
	got := make([]byte, len(text))
	for n := 0; n < len(got); {
		m, err := c.recvSome(got[n:], nil)
		n += m
		if err != nil {
			return fmt.Errorf("after %q: %w", got[:n], err)
		}
		if string(got[:n]) != text[:n] {
			return fmt.Errorf("got %q, want %q", got[:n], text)
		}
	}
	return nil
}

// recvEOF reads to the end-of-file. Bytes of -1 say that data may come before it.
func (c *connection) recvEOF(s *sequence.Step, sends map[string]stream) error {
	size := recvSize
	if s.Bytes < 0 {
		size = bulkSize
	}
	buf := make([]byte, size)
	for {
		n, err := c.recvSome(buf, sends)
		if n > 0 && s.Bytes == 0 {
			return fmt.Errorf("got %d bytes before the end-of-file: %q", n, buf[:min(n, 32)])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// datagrams is a UDP socket, connected (C's) or bound (S's).
type datagrams interface {
	send(b []byte) error
	recv(b []byte) (int, error)
}

// dialed is a connected socket.
type dialed struct{ c net.Conn }

func (d dialed) send(b []byte) error {
	_, err := d.c.Write(b)
	return err
}

func (d dialed) recv(b []byte) (int, error) { return d.c.Read(b) }

// served is a bound socket; it answers whom it has heard last.
type served struct {
	c    net.PacketConn
	peer net.Addr
}

func (d *served) send(b []byte) error {
	if d.peer == nil {
		return errors.New("nobody to send to: a server answers whom it has heard")
	}
	_, err := d.c.WriteTo(b, d.peer)
	return err
}

func (d *served) recv(b []byte) (int, error) {
	n, from, err := d.c.ReadFrom(b)
	if err == nil {
		d.peer = from
	}
	return n, err
}

// datagrams returns the UDP socket of a step's name; the first step makes it.
func (p *program) datagrams(name string) (datagrams, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.udp[name]; d != nil {
		return d, nil
	}
	if p.end == sequence.Client {
		c, err := p.host.DialUDP(netip.AddrPortFrom(p.addrs[sequence.Server], p.port))
		if err != nil {
			return nil, err
		}
		p.udp[name] = dialed{c}
		return p.udp[name], nil
	}
	c, err := p.host.ListenUDP(p.port)
	if err != nil {
		return nil, err
	}
	p.udp[name] = &served{c: c}
	p.listening()
	return p.udp[name], nil
}

func (p *program) udpSend(s *sequence.Step) error {
	d, err := p.datagrams(s.Conn)
	if err != nil {
		return err
	}
	data := []byte(s.Text)
	if s.Text == "" {
		data = host.Pattern(p.end == sequence.Client, 0, s.Bytes)
	}
	return d.send(data)
}

func (p *program) udpRecv(s *sequence.Step) error {
	d, err := p.datagrams(s.Conn)
	if err != nil {
		return err
	}
	buf := make([]byte, bulkSize)
	n, err := d.recv(buf)
	if err != nil {
		return err
	}
	want := s.Text
	if want == "" && s.Bytes > 0 {
		want = string(host.Pattern(p.end == sequence.Server, 0, s.Bytes))
	}
	if want != "" && string(buf[:n]) != want {
		return fmt.Errorf("got %q, want %q", buf[:n], want)
	}
	return nil
}
