package scenario

import (
	"strconv"
	"strings"

	"appliance/tracer/sequence"
)

// describe writes a step as the file has it, for errors.
func describe(s *sequence.Step) string {
	words := []string{string(s.Do)}
	add := func(w ...string) { words = append(words, w...) }
	switch s.Do {
	case sequence.Listen:
		if s.Backlog != 0 {
			add("backlog=" + strconv.Itoa(s.Backlog))
		}
	case sequence.Connect:
		if s.Port != 0 {
			add("port=" + strconv.Itoa(int(s.Port)))
		}
	case sequence.Send, sequence.Recv, sequence.UDPSend, sequence.UDPRecv:
		add(describeData(s)...)
	case sequence.Close:
		if s.Listener {
			add("listener")
		}
	case sequence.Set:
		if s.Value != "" {
			add(s.Option + "=" + s.Value)
		} else {
			add(s.Option)
		}
	case sequence.Wait:
		switch {
		case s.Label != "":
			add(s.Label)
		case s.End != "":
			add(string(s.End), s.State.String())
		default:
			add("rest")
		}
	case sequence.Pause:
		add(s.For.String())
	case sequence.App, sequence.Python:
		add(s.Text)
		add(s.Args...)
	default:
	}
	line := strings.Join(words, " ")
	if s.Conn != "" {
		line = s.Conn + ": " + line
	}
	return line
}

func describeData(s *sequence.Step) []string {
	switch {
	case s.EOF && s.Bytes < 0:
		return []string{"all"}
	case s.EOF:
		return []string{"EOF"}
	case s.Text != "":
		return []string{strconv.Quote(s.Text)}
	case s.Bytes <= 0:
		return nil
	case s.By > 0:
		return []string{strconv.Itoa(s.Bytes), "by", strconv.Itoa(s.By)}
	default:
		return []string{strconv.Itoa(s.Bytes)}
	}
}
