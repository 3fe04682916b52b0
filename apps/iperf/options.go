package iperf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// An option is a setting by iperf3's long name, as NAME or NAME=VALUE.
type option struct {
	name string
	form string // of the value; "" for none
	// client and server set it; nil where that side has no such option.
	client func(c *Client, value string) error
	server func(s *Server, value string) error
}

// options are all of them, in the order of a list.
var options = []option{
	{name: "time", form: "seconds, or a time such as 1m", client: func(c *Client, v string) (err error) {
		c.Time, err = seconds(v)
		return err
	}},
	{name: "bytes", form: "a number, or one with K, M, G or T", client: func(c *Client, v string) (err error) {
		c.Bytes, err = scaled(v, 1024)
		return err
	}},
	{name: "blockcount", form: "a number, or one with K, M, G or T", client: func(c *Client, v string) (err error) {
		c.Blocks, err = scaled(v, 1024)
		return err
	}},
	{name: "parallel", form: "a number", client: func(c *Client, v string) (err error) {
		c.Parallel, err = strconv.Atoi(v)
		return err
	}},
	{name: "reverse", client: func(c *Client, _ string) error { c.Reverse = true; return nil }},
	{name: "bidir", client: func(c *Client, _ string) error { c.Bidirectional = true; return nil }},
	{name: "omit", form: "seconds, or a time such as 1m", client: func(c *Client, v string) (err error) {
		c.Omit, err = seconds(v)
		return err
	}},
	{name: "length", form: "a number, or one with K or M", client: func(c *Client, v string) error {
		n, err := scaled(v, 1024)
		c.Length = int(n)
		return err
	}},
	{name: "bitrate", form: "bits a second, or a number with K, M, G or T", client: func(c *Client, v string) (err error) {
		c.Bitrate, err = scaled(v, 1000)
		return err
	}},
	{name: "window", form: "a number, or one with K or M", client: func(c *Client, v string) error {
		n, err := scaled(v, 1024)
		c.Window = int(n)
		return err
	}},
	{name: "no-delay", client: func(c *Client, _ string) error { c.NoDelay = true; return nil }},
	{name: "repeating-payload", client: func(c *Client, _ string) error { c.RepeatingPayload = true; return nil }},
	{name: "get-server-output", client: func(c *Client, _ string) error { c.ServerOutput = true; return nil }},
	{
		name: "interval", form: "seconds, or a time such as 500ms; 0 for no lines while the test runs",
		client: func(c *Client, v string) (err error) { c.Interval, err = interval(v); return err },
		server: func(s *Server, v string) (err error) { s.Interval, err = interval(v); return err },
	},
	{
		name:   "json",
		client: func(c *Client, _ string) error { c.JSON = true; return nil },
		server: func(s *Server, _ string) error { s.JSON = true; return nil },
	},
}

// Set sets the client as options say, each NAME or NAME=VALUE with iperf3's long names,
// and checks that they make sense together.
func (c *Client) Set(settings []string) error {
	err := set(settings, func(o option) func(string) error {
		if o.client == nil {
			return nil
		}
		return func(v string) error { return o.client(c, v) }
	})
	if err == nil {
		_, err = c.wire()
	}
	return err
}

// Set sets the server as options say, each NAME or NAME=VALUE.
func (s *Server) Set(settings []string) error {
	return set(settings, func(o option) func(string) error {
		if o.server == nil {
			return nil
		}
		return func(v string) error { return o.server(s, v) }
	})
}

// set sets each of settings by what side gives for its option; nil is an option that
// the side does not have.
func set(settings []string, side func(option) func(string) error) error {
	given := make(map[string]bool)
	for _, text := range settings {
		name, value, hasValue := strings.Cut(text, "=")
		var apply func(string) error
		var o option
		for _, o = range options {
			if o.name == name {
				apply = side(o)
				break
			}
		}
		switch {
		case apply == nil:
			return fmt.Errorf("option %q is unknown: want %s", name, strings.Join(names(side), ", "))
		case given[name]:
			return fmt.Errorf("option %q is given twice", name)
		case o.form == "" && hasValue:
			return fmt.Errorf("option %q: %s has no value: write %s", text, name, name)
		case o.form != "" && value == "":
			return fmt.Errorf("option %q: a value is missing: want %s=%s", text, name, o.form)
		}
		given[name] = true
		if err := apply(value); err != nil {
			return fmt.Errorf("option %q: %q is not what it takes: want %s", text, value, o.form)
		}
	}
	return nil
}

func names(side func(option) func(string) error) []string {
	var list []string
	for _, o := range options {
		if side(o) != nil {
			list = append(list, o.name)
		}
	}
	return list
}

// seconds reads a whole number of seconds, or a time with its unit.
func seconds(text string) (time.Duration, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		if n < 0 {
			return 0, strconv.ErrRange
		}
		return time.Duration(n) * time.Second, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		return 0, strconv.ErrRange
	}
	return d, err
}

// interval reads the time between lines; none is below 0, as Client and Server have it.
func interval(text string) (time.Duration, error) {
	d, err := seconds(text)
	switch {
	case err != nil:
		return 0, err
	case d == 0:
		return -1, nil
	case d < minInterval:
		return 0, strconv.ErrRange
	}
	return d, nil
}

// scaled reads a number with or without a K, M, G or T behind it, each step times more.
func scaled(text string, step float64) (int64, error) {
	factor := 1.0
	if n := len(text); n > 0 {
		if i := strings.IndexByte("KMGT", text[n-1]&^0x20); i >= 0 {
			factor, text = math.Pow(step, float64(i+1)), text[:n-1]
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, err
	}
	if f *= factor; f < 0 || f >= 1<<63 || f != f { //nolint:staticcheck // not a number is not itself
		return 0, strconv.ErrRange
	}
	return int64(f), nil
}
