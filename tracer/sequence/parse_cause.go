package sequence

import (
	"math"
	"slices"
	"strings"
	"time"

	"appliance/tracer"
)

// timer reads a timer's row, behind the word timer.
func (l *line) timer(at At) (RowBody, error) {
	row := TimerRow{At: at}
	var err error
	if row.Timer, err = l.timerName(); err != nil {
		return nil, err
	}
	if row.After, row.MSLs, err = l.after(); err != nil {
		return nil, err
	}
	return row, l.done()
}

func (l *line) timerName() (string, error) {
	t, err := l.take("a timer")
	if err != nil {
		return "", err
	}
	if !slices.Contains(timers, t.text) {
		return "", t.unknown("timer", timers)
	}
	return t.text, nil
}

// call reads a call's row, behind the call.
func (l *line) call(at At, name string) (RowBody, error) {
	row := CallRow{At: at, Call: name, Bytes: -1}
	var err error
	if row.Fails, err = l.tail("fails"); err != nil {
		return nil, err
	}
	t := l.peek()
	switch {
	case l.left() == 0:
	case name == "close" && l.is("listener"):
		row.Listener = true
	case name == "close":
		return nil, t.unknown("thing to close", []string{"listener"})
	case name == "recv" && l.is("EOF"):
		row.EOF, row.Bytes = true, 0
	case name == "recv" && l.is("all"):
		row.EOF = true
	case name == "send" || name == "recv":
		l.next++
		if row.Bytes, err = t.whole(t.text, name, 1, math.MaxInt32); err != nil {
			return nil, err
		}
		row.EOF = name == "recv" && l.is("EOF")
	}
	if row.Listener && at.Conn != "" {
		return nil, t.fail("a listener is of no connection: want %s close listener", at.End)
	}
	return row, l.done()
}

// state reads a state change, behind the state left.
func (l *line) state(at At, from token) (RowBody, error) {
	row := StateRow{At: at}
	var err error
	if row.From, err = from.state(); err != nil {
		return nil, err
	}
	if t := l.peek(); !l.is("→") {
		return nil, t.fail("want → (or ->) and the state entered behind %s", from.text)
	}
	to, err := l.take("the state entered")
	if err != nil {
		return nil, err
	}
	if row.To, err = to.state(); err != nil {
		return nil, err
	}
	if t := l.peek(); !l.is("by") {
		return nil, t.fail("want the cause: by connect (a call), by syn (a segment's label), by timer NAME, by icmp or by stack")
	}
	if row.By, err = l.by(); err != nil {
		return nil, err
	}
	if row.After, row.MSLs, err = l.after(); err != nil {
		return nil, err
	}
	return row, l.done()
}

// by reads a cause, behind the word by.
func (l *line) by() (By, error) {
	t, err := l.take("a cause")
	if err != nil {
		return By{}, err
	}
	switch {
	case t.text == "timer":
		name, err := l.timerName()
		return By{Timer: name}, err
	case t.text == string(tracer.CauseICMP), t.text == string(tracer.CauseStack):
		return By{Other: tracer.CauseKind(t.text)}, nil
	case slices.Contains(calls, t.text):
		return By{Call: t.text}, nil
	default:
		label, err := t.label(t.text)
		return By{Label: label}, err
	}
}

// maxMSLs bounds a time in MSLs.
const maxMSLs = 1000

// after reads "after 2s" or "after 2msl" where it stands.
func (l *line) after() (d time.Duration, msls int, err error) {
	if !l.is("after") {
		return 0, 0, nil
	}
	t, err := l.take("a time, such as 1s or 2msl,")
	if err != nil {
		return 0, 0, err
	}
	if digits, ok := strings.CutSuffix(t.text, "msl"); ok {
		msls, err = t.whole(digits, "after", 1, maxMSLs)
		return 0, msls, err
	}
	d, err = t.duration()
	return d, 0, err
}
