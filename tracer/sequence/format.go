package sequence

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"appliance/tracer"
	"appliance/tracer/strictyaml"
)

// words is a line in the making.
type words []string

func (w *words) add(s ...string) { *w = append(*w, s...) }

// number adds key and the condition c, unless nothing was written.
func (w *words) number(key string, c Number) {
	switch c.Op {
	case Unset:
	case Any, Equal:
		w.add(key + "=" + c.String())
	default:
		w.add(key + c.String())
	}
}

// text adds a keyword and a text in quotes, unless there is none.
func (w *words) text(keyword, text string) {
	if text != "" {
		w.add(keyword, strconv.Quote(text))
	}
}

// after adds a time, in the unit that was used.
// seconds is a duration as the RFCs write it: whole seconds in seconds, "240s", and else as
// Go does.
func seconds(d time.Duration) string {
	if d >= time.Second && d%time.Second == 0 {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	return strictyaml.Duration(d)
}

func (w *words) after(d time.Duration, msls int) {
	switch {
	case msls != 0:
		w.add("after", strconv.Itoa(msls)+"msl")
	case d != 0:
		w.add("after", seconds(d))
	}
}

func (w words) String() string { return strings.Join(w, " ") }

// of puts a connection's name, or a label, in front of a line.
func of(name, line string) string {
	if name == "" {
		return line
	}
	return name + ": " + line
}

// String returns the condition as the file has it: "5", ">0", "*"; "" where nothing was written.
func (c Number) String() string {
	switch c.Op {
	case Unset, Any:
		return string(c.Op)
	case Equal:
		return strconv.FormatUint(uint64(c.N), 10)
	default:
		return string(c.Op) + strconv.FormatUint(uint64(c.N), 10)
	}
}

// String returns "C" or "S.b".
func (a At) String() string {
	if a.Conn == "" {
		return string(a.End)
	}
	return string(a.End) + "." + a.Conn
}

// String returns the cause as it stands behind "by": "connect", "syn", "timer time-wait".
func (b By) String() string {
	switch {
	case b.Timer != "":
		return "timer " + b.Timer
	case b.Call != "":
		return b.Call
	case b.Label != "":
		return b.Label
	default:
		return string(b.Other)
	}
}

// String returns the rule as the file has it: "C→S drop SYN nth=1".
func (r LinkRule) String() string { return fmt.Sprintf("%s→%s %s", r.From, r.From.Other(), r.Rule) }

// flagList returns flags as the file has them: "SYN,ACK".
func flagList(f tracer.Flags) string {
	if f == 0 {
		return "none"
	}
	return strings.Join(f.Names(), ",")
}

// String returns the step's line as the file has it.
func (s Step) String() string {
	if s.Do == Together {
		lists := make([]string, len(s.Together))
		for i, steps := range s.Together {
			lists[i] = flowList(steps)
		}
		return fmt.Sprintf("{%s: [%s]}", Together, strings.Join(lists, ", "))
	}
	w := words{string(s.Do)}
	switch s.Do {
	case Listen:
		if s.Backlog != 0 {
			w.add("backlog=" + strconv.Itoa(s.Backlog))
		}
	case Connect:
		if s.Port != 0 {
			w.add("port=" + strconv.Itoa(int(s.Port)))
		}
	case Close:
		if s.Listener {
			w.add("listener")
		}
	case Send, Recv, UDPSend, UDPRecv:
		w.add(s.what()...)
	case Set:
		if s.Value == "" {
			w.add(s.Option)
		} else {
			w.add(s.Option + "=" + s.Value)
		}
	case Wait:
		w.add(s.event()...)
	case Pause:
		w.add(seconds(s.For))
	case App, Python:
		w.add(s.Text)
		for _, arg := range s.Args {
			w.add(quoteWord(arg))
		}
	default:
	}
	w.text("fails", s.Fails)
	w.text("prints", s.Prints)
	return of(s.Conn, w.String())
}

// what returns what is sent or received.
func (s Step) what() words {
	switch {
	case s.Text != "":
		return words{strconv.Quote(s.Text)}
	case s.EOF && s.Bytes < 0:
		return words{"all"}
	case s.EOF:
		return words{"EOF"}
	case s.Bytes < 0:
		return nil
	case s.By != 0:
		return words{strconv.Itoa(s.Bytes), "by", strconv.Itoa(s.By)}
	default:
		return words{strconv.Itoa(s.Bytes)}
	}
}

// event returns what is waited for.
func (s Step) event() words {
	switch {
	case s.End != "":
		return words{string(s.End), s.State.String()}
	case s.Label != "":
		return words{s.Label}
	default:
		return words{"rest"}
	}
}

// quoteWord quotes an argument where it would not be read back as the word that it is.
func quoteWord(s string) string {
	plain := s != "" && s != "fails" && s != "prints" && !strings.ContainsFunc(s, func(r rune) bool {
		return r == '"' || r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// String returns the frame's line as the file has it.
func (f Frame) String() string {
	w := words{string(f.Do)}
	if f.Do == FrameDelay {
		w.add(seconds(f.For))
		return of(f.Conn, w.String())
	}
	w.add(flagList(f.Flags))
	w.number("seq", f.Seq)
	w.number("ack", f.Ack)
	w.number("len", f.Len)
	if f.Text != "" {
		w.add(strconv.Quote(f.Text))
	}
	w.number("win", f.Win)
	if f.Opts.MSS != 0 {
		w.add("mss=" + strconv.Itoa(int(f.Opts.MSS)))
	}
	if f.Opts.HasWS {
		w.add("ws=" + strconv.Itoa(int(f.Opts.WS)))
	}
	if f.Opts.SACKOK {
		w.add("sack_ok")
	}
	if f.Opts.HasTS {
		w.add("ts")
	}
	if f.From != "" {
		w.add("from=" + f.From)
	}
	if f.To != "" {
		w.add("to=" + f.To)
	}
	if f.Times != 0 {
		w.add("times=" + strconv.Itoa(f.Times))
	}
	return of(f.Conn, w.String())
}
