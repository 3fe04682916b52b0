package config

import (
	"fmt"
	"time"

	"appliance/netstack"
	"appliance/tracer"
)

// Stack returns the options of the stack that c describes. Recorder and Clock are
// the caller's to add. c must be valid.
func (c *Config) Stack() netstack.Options {
	o := netstack.Options{
		Name:      c.Name,
		Addresses: c.Addresses,
		TCP:       c.TCP.options(),
		Level:     c.Trace.Level.Tracer(),
	}
	for _, r := range c.Routes {
		o.Routes = append(o.Routes, netstack.Route{Destination: r.To, Gateway: r.Via})
	}
	return o
}

func (t TCP) options() netstack.TCPOptions {
	return netstack.TCPOptions{
		Congestion: string(t.Congestion),
		SACK:       &t.SACK,
		RACK:       &t.RACK,
		Nagle:      &t.Nagle,
		MSS:        t.MSS,
		SendBuffer: int(t.SendBuffer),
		RecvBuffer: int(t.ReceiveBuffer),
		Backlog:    t.Backlog,
		MSL:        time.Duration(t.MSL),
		FinWait2:   time.Duration(t.FinWait2),
		Keepalive:  t.Keepalive.options(),
		Retries:    t.Retries,
		MinRTO:     time.Duration(t.MinRTO),
	}
}

// options are none while keep-alives are off: the default has the other times ready.
func (k Keepalive) options() netstack.Keepalive {
	if k.Idle == 0 {
		return netstack.Keepalive{}
	}
	return netstack.Keepalive{Idle: time.Duration(k.Idle), Interval: time.Duration(k.Interval), Count: k.Count}
}

// Tracer returns the level as the tracer knows it. l must be one of the constants.
func (l Level) Tracer() tracer.Level {
	level, err := tracer.ParseLevel(string(l))
	if err != nil {
		panic(fmt.Sprintf("configuration: %v", err)) // a test holds the names equal
	}
	return level
}
