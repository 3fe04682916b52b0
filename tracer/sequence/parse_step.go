package sequence

import (
	"math"
	"path"
	"slices"
	"strings"

	"appliance/tracer/strictyaml"
)

// maxBytes bounds what a step sends or receives.
const maxBytes = 1 << 30

// stepWords are the words that a step begins with.
var stepWords = []string{
	"listen", "accept", "bind", "connect", "send", "recv", "shutdown", "close", "abort", "set", "wait", "pause",
	"app", "python", "exit", "kill", "udp",
}

// parseStep reads a step's line.
func parseStep(s string) (Step, error) {
	l, err := scan(s, false)
	if err != nil {
		return Step{}, err
	}
	var step Step
	if name, t := l.prefix(); t.text != "" && l.next > 0 {
		if step.Conn, err = t.conn(name); err != nil {
			return Step{}, err
		}
	}
	t, err := l.take("a step")
	if err != nil {
		return Step{}, err
	}
	step.Do = Verb(t.text)
	if t.text == "udp" {
		return step.udp(l)
	}
	if step.Do == App || step.Do == Python {
		// A program's output may be looked for; of what it is told, everything else goes to it.
		if step.Prints, err = l.tail("prints"); err != nil {
			return Step{}, err
		}
	}
	if !step.cannotFail() {
		if step.Fails, err = l.tail("fails"); err != nil {
			return Step{}, err
		}
	}
	if err := step.rest(t, l); err != nil {
		return Step{}, err
	}
	return step, l.done()
}

// cannotFail tells whether the step does nothing that may fail.
func (s *Step) cannotFail() bool {
	return s.Do == Wait || s.Do == Pause || s.Do == Exit || s.Do == Kill
}

// rest reads what stands behind the verb, t.
func (s *Step) rest(t token, l *line) (err error) {
	switch s.Do {
	case Accept, Bind, Shutdown, Abort, Exit, Kill:
		return nil
	case Listen:
		s.Backlog, err = l.option("backlog", 1, math.MaxUint16)
	case Connect:
		var port int
		port, err = l.option("port", 1, math.MaxUint16)
		s.Port = uint16(port) //nolint:gosec // option has bounded it
	case Close:
		if s.Listener = l.is("listener"); !s.Listener && l.left() > 0 {
			err = l.peek().unknown("thing to close", []string{"listener"})
		}
	case Send:
		err = s.send(l)
	case Recv:
		err = s.recv(l)
	case Set:
		err = s.set(l)
	case Wait:
		err = s.wait(l)
	case Pause:
		if t, err = l.take("a time, such as 1s,"); err == nil {
			s.For, err = t.duration()
		}
	case App, Python:
		err = s.program(l)
	default:
		return t.unknown("step", stepWords)
	}
	return err
}

// option reads key=N where it stands, else 0.
func (l *line) option(key string, low, high int) (int, error) {
	if l.left() == 0 {
		return 0, nil
	}
	t := l.peek()
	k, value, ok := t.field()
	if !ok || k != key {
		return 0, t.fail("%s: want nothing here, or %s=N%s", t.text, key, strictyaml.DidYouMean(k, []string{key}))
	}
	l.next++
	return t.whole(value, key, low, high)
}

// text takes a quoted text.
func (l *line) text() (string, error) {
	t, err := l.take("a text in quotes")
	if err != nil {
		return "", err
	}
	if !t.quoted || t.value == "" {
		return "", t.fail("%s: want a text in quotes, not an empty one", t.text)
	}
	return t.value, nil
}

func (s *Step) send(l *line) (err error) {
	if l.peek().quoted {
		s.Text, err = l.text()
		s.Bytes = len(s.Text)
		return err
	}
	t, err := l.take(`a number of bytes, or a text in quotes,`)
	if err != nil {
		return err
	}
	if s.Bytes, err = t.whole(t.text, "send", 1, maxBytes); err != nil || !l.is("by") {
		return err
	}
	if t, err = l.take("a number of bytes"); err == nil {
		s.By, err = t.whole(t.text, "send … by", 1, s.Bytes)
	}
	return err
}

func (s *Step) recv(l *line) (err error) {
	t := l.peek()
	switch {
	case l.left() == 0:
		s.Bytes = -1
	case t.quoted:
		s.Text, err = l.text()
		s.Bytes = len(s.Text)
	case l.is("EOF"):
		s.EOF = true
	case l.is("all"):
		s.EOF, s.Bytes = true, -1
	default:
		l.next++
		if s.Bytes, err = t.whole(t.text, "recv", 1, maxBytes); err != nil {
			return t.fail(`%s: want a number of bytes, a text in quotes, EOF, all, or nothing`, t.text)
		}
	}
	return err
}

// udp reads what stands behind the word udp.
func (s Step) udp(l *line) (Step, error) {
	t, err := l.take("send or recv")
	if err != nil {
		return Step{}, err
	}
	s.Do = Verb("udp " + t.text)
	if s.Do != UDPSend && s.Do != UDPRecv {
		return Step{}, t.unknown("step of UDP", []string{"send", "recv"})
	}
	if s.Fails, err = l.tail("fails"); err != nil {
		return Step{}, err
	}
	if s.Text, err = l.text(); err != nil {
		return Step{}, err
	}
	s.Bytes = len(s.Text)
	return s, l.done()
}

// options are what set knows: what each takes for a value.
var options = []struct{ name, value string }{
	{"nodelay", ""},
	{"cork", ""},
	{"uncork", ""},
	{"quickack", ""},
	{"noquickack", ""},
	{"rcvbuf", "bytes"},
	{"sndbuf", "bytes"},
	{"defer-accept", ""},
	{"keepalive", "time"},
}

func (s *Step) set(l *line) error {
	t, err := l.take("an option")
	if err != nil {
		return err
	}
	name, value, has := t.field()
	var known []string
	for _, o := range options {
		known = append(known, o.name)
		if o.name != name {
			continue
		}
		s.Option, s.Value = name, value
		switch {
		case o.value == "" && has:
			return t.fail("%s takes no value", name)
		case o.value == "bytes":
			_, err = t.whole(value, name, 1, maxBytes)
		case o.value == "time":
			_, err = token{text: value, at: t.at}.duration()
		}
		return err
	}
	return token{text: name, at: t.at}.unknown("option", known)
}

func (s *Step) wait(l *line) error {
	t, err := l.take("rest, a segment's label, or an end and a state,")
	if err != nil {
		return err
	}
	end, _, _ := strings.Cut(t.text, ".")
	if end == string(Client) || end == string(Server) || slices.Contains(stateNames, l.peek().text) {
		at, err := t.end()
		if err != nil {
			return err
		}
		if at.Conn != "" {
			return t.fail("%s: write the connection in front: %s: wait %s …", t.text, at.Conn, at.End)
		}
		s.End = at.End
		if t, err = l.take("a state"); err != nil {
			return err
		}
		s.State, err = t.state()
		return err
	}
	if t.text == "rest" {
		return nil
	}
	s.Label, err = t.label(t.text)
	return err
}

// program reads an app's or a script's name and its arguments.
func (s *Step) program(l *line) error {
	t, err := l.take("a program's name")
	if err != nil {
		return err
	}
	s.Text = t.text
	if s.Do == Python && (path.Base(t.text) != t.text || !strings.HasSuffix(t.text, ".py")) {
		return t.fail("%s: want the name of a file of scripts/, which ends in .py", t.text)
	}
	if s.Do == App && !connName.MatchString(t.text) {
		return t.fail("%s is not the name of a program of package apps", t.text)
	}
	for l.left() > 0 {
		s.Args = append(s.Args, l.peek().value)
		l.next++
	}
	return nil
}
