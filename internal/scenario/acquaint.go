package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

const (
	// acquaintPort is one that nothing listens on: traceroute's.
	acquaintPort = 33434
	// acquaintTry is how long one datagram's answer is waited for, acquaintLimit how long
	// any: a link that has just come up may drop what comes too early.
	acquaintTry   = 100 * time.Millisecond
	acquaintLimit = 10 * time.Second
)

// acquaint has Linux and the appliance find each other on a link that is new: carrier, ARP
// and NDP take up to a second there, and a SYN that waits for them goes out twice. A
// datagram to a closed port comes back as ICMP once both ways work. What the trace has of
// it is dropped.
func (w *world) acquaint(ctx context.Context) error {
	if w.linux == nil || w.linux.end == "" || !w.traced(w.linux.end.Other()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, acquaintLimit)
	defer cancel()
	from, to := w.addrs[w.linux.end], netip.AddrPortFrom(w.addrs[w.linux.end.Other()], acquaintPort)
	if err := w.linux.reach(ctx, from, to); err != nil {
		return fmt.Errorf("wait for Linux and the appliance to reach each other on the %s link: %w", w.c.link, err)
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	w.journal.forget()
	return nil
}

// reach sends datagrams from the Linux side until one is refused.
func (s *linuxSide) reach(ctx context.Context, from netip.Addr, to netip.AddrPort) error {
	for {
		err := s.refused(from, to)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return nil
		case err == nil:
			return fmt.Errorf("%s is answered, and nothing listens there", to)
		case ctx.Err() != nil:
			return fmt.Errorf("%w: the last answer: %w", ctx.Err(), err)
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		default:
			return err
		}
	}
}

// refused sends one datagram and returns the error that comes of it.
func (s *linuxSide) refused(from netip.Addr, to netip.AddrPort) error {
	var c net.Conn
	err := s.lab.Do(func() (err error) {
		c, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.UDPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(acquaintTry)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("are you there?")); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}
