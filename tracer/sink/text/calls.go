package text

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"appliance/tracer"
	"appliance/tracer/view/words"
)

func durationOf(ns int64) time.Duration { return time.Duration(ns) }

// waits are the calls that, as a rule, wait for the peer: their enter says so.
var waits = []string{"accept", "connect", "recv"}

// moves are the calls that return a number of bytes.
var moves = []string{"send", "recv", "sendto", "recvfrom"}

// dataArg is the argument that is a preview of the payload: it stands behind the
// call, not among its arguments.
const dataArg = "data"

func (s *Sink) call(e *tracer.Event, c *tracer.Call) {
	var args []string
	data, hasData := "", false
	for _, a := range c.Args {
		text, isText := a.Value.(string)
		if a.Name == dataArg && isText {
			data, hasData = text, true
			continue
		}
		args = append(args, argument(a))
	}
	st := bold
	if c.Phase == tracer.PhaseReturn {
		st = plain
	}
	s.say(st, c.Name)
	s.say(plain, "("+strings.Join(args, ", ")+")")
	tail := ""
	if c.Phase == tracer.PhaseEnter && slices.Contains(waits, c.Name) {
		tail = " …"
	}
	if hasData {
		s.data(data, len(tail))
	}
	s.put(dim, tail)
	if c.Phase == tracer.PhaseEnter {
		return
	}
	s.result(e, c)
	if c.Phase == tracer.PhaseReturn && c.Of != 0 {
		s.by()
		s.put(dim, s.o.Lang.F("of #%d", c.Of))
		if c.Took > 0 {
			s.put(dim, s.o.Lang.F(", took %s", span(c.Took)))
		}
	}
}

// argument returns a call's argument, by its place and not its name.
func argument(a tracer.Arg) string {
	switch v := a.Value.(type) {
	case string:
		if v == "" || strings.ContainsAny(v, " ,()\"") {
			return strconv.Quote(v)
		}
		return v
	case bool:
		return a.Name + "=" + strconv.FormatBool(v)
	default:
		return fmt.Sprint(v)
	}
}

// result writes what a call returned.
func (s *Sink) result(e *tracer.Event, c *tracer.Call) {
	moved := c.Bytes > 0 || c.Bytes == 0 && slices.Contains(moves, c.Name)
	switch {
	case c.Error != "" && c.Bytes <= 0:
	case moved:
		s.put(plain, " = "+strconv.Itoa(c.Bytes))
		if c.Bytes == 0 && c.Name == "recv" {
			s.put(plain, s.o.Lang.T(", end of stream"))
		}
		if c.Result != "" {
			s.data(c.Result, words.Width(s.o.Lang.F("  of #%d, took %s", 1000, span(100*time.Millisecond))))
		}
	case c.Result != "":
		s.say(plain, " = "+c.Result)
		if c.Conn != 0 && s.labelled(e.Stack) {
			s.say(plain, s.o.Lang.F(" as %s", e.Stack+"."+strconv.FormatUint(uint64(c.Conn), 10)))
		}
	case c.Phase == tracer.PhaseReturn:
		s.put(plain, " = ok")
	}
	if c.Error != "" {
		s.say(bad, " ✗ "+c.Error)
	}
}

// data writes a preview of payload, which comes escaped as in Go and ends with … where
// the payload goes on. It is cut to the width, with room for what follows.
func (s *Sink) data(data string, follows int) {
	data, more := strings.CutSuffix(data, "…")
	data = clean(data, s.ascii)
	dots := 1
	if s.ascii {
		dots = 3
	}
	room := max(s.o.Width-s.col-len(` ""`)-follows-dots, 8)
	if whole := fits(data, room); whole < len(data) {
		data, more = data[:whole], true
	}
	s.raw(plain, ` "`+data+`"`)
	if more {
		s.put(plain, "…")
	}
}

// fits returns how much of an escaped text, in bytes, room columns hold without
// cutting through an escape.
func fits(text string, room int) int {
	at := 0
	for at < len(text) {
		_, size := utf8.DecodeRuneInString(text[at:])
		columns := 1
		if text[at] == '\\' {
			size = escapeLen(text[at:])
			columns = size
		}
		if room -= columns; room < 0 {
			break
		}
		at += size
	}
	return at
}

// escapeLen returns the length of the escape at the start of text.
func escapeLen(text string) int {
	n := 2
	if len(text) > 1 {
		switch text[1] {
		case 'x':
			n = 4
		case 'u':
			n = 6
		case 'U':
			n = 10
		}
	}
	return min(n, len(text))
}
