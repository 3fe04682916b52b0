package sequence

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/tracer"
)

// TestRoundTrip: what String writes of any step, frame, rule and row is read as the same.
func TestRoundTrip(t *testing.T) {
	t.Run("step", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { roundTrip(t, drawStep(t, 2), ParseStep) })
	})
	t.Run("frame", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { roundTrip(t, drawFrame(t), ParseFrame) })
	})
	t.Run("rule", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			rule := LinkRule{
				From: drawEnd(t),
				Rule: rapid.SampledFrom(linkActions).Draw(t, "action") + rapid.SampledFrom([]string{"", " SYN", ` contains="→ x"`}).Draw(t, "rest"),
			}
			roundTrip(t, rule, ParseLinkRule)
		})
	})
	t.Run("row", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { roundTrip(t, Row{Body: drawBody(t, 3)}, ParseRow) })
	})
}

func roundTrip[T interface{ String() string }](t *rapid.T, v T, read func(string) (T, error)) {
	got, err := read(v.String())
	if err != nil {
		t.Fatalf("%s: %v", v.String(), err)
	}
	if diff := cmp.Diff(v, got, ignoreLines); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", v.String(), diff)
	}
	if got.String() != v.String() {
		t.Fatalf("%s is written as %s the second time", v.String(), got.String())
	}
}

// TestParts: a condition, a cause and an end read back from what String writes, where they do
// not stand in a row.
func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNumber(t, "number", false)
		if got, err := (token{}).number(n.String(), "n"); err != nil || got != n {
			t.Errorf("%s is read as %v, %v", n, got, err)
		}
		by, at := drawBy(t), drawAt(t)
		l, err := scan(by.String(), true)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.by(); err != nil || got != by || l.left() != 0 {
			t.Errorf("%s is read as %v, %v", by, got, err)
		}
		if got, err := (token{text: at.String()}).end(); err != nil || got != at {
			t.Errorf("%s is read as %v, %v", at, got, err)
		}
	})
	if got := (Number{}).String(); got != "" {
		t.Errorf("nothing written is written as %q", got)
	}
}

var (
	drawText  = rapid.StringOfN(rapid.Rune(), 1, 10, -1)
	drawName  = rapid.StringMatching(`[a-z0-9]{1,4}(-[a-z0-9]{1,3})?`)
	drawLabel = rapid.StringMatching(`[a-z0-9]{1,4}([-.][a-z0-9]{1,3})?`).Filter(func(s string) bool { return !slices.Contains(notLabels, s) })
)

// maybe draws a value or the zero one.
func maybe[T any](t *rapid.T, name string, g *rapid.Generator[T]) T {
	var zero T
	return rapid.OneOf(rapid.Just(zero), g).Draw(t, name)
}

func drawEnd(t *rapid.T) End { return rapid.SampledFrom([]End{Client, Server}).Draw(t, "end") }

func drawAt(t *rapid.T) At { return At{drawEnd(t), maybe(t, "conn", drawName)} }

func drawState(t *rapid.T) tracer.State {
	return rapid.Map(rapid.Uint8Range(0, uint8(tracer.TimeWait)), func(n uint8) tracer.State { return tracer.State(n) }).Draw(t, "state")
}

func drawFlags(t *rapid.T) tracer.Flags { return tracer.Flags(rapid.Uint8().Draw(t, "flags")) }

func drawTime(t *rapid.T) time.Duration {
	unit := rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Minute, time.Hour}).Draw(t, "unit")
	return time.Duration(rapid.Int64Range(1, 1000).Draw(t, "time")) * unit
}

func drawNumber(t *rapid.T, name string, unset bool) Number {
	ops := []Op{Any, Equal, More, Less, AtLeast, AtMost}
	if unset {
		ops = append(ops, Unset)
	}
	op := rapid.SampledFrom(ops).Draw(t, name+"'s op")
	if op == Unset || op == Any {
		return Number{Op: op}
	}
	return Number{op, rapid.Uint32Range(1, math.MaxUint32-1).Draw(t, name)}
}

func drawBy(t *rapid.T) By {
	return rapid.OneOf(
		rapid.Map(rapid.SampledFrom(calls), func(s string) By { return By{Call: s} }),
		rapid.Map(drawLabel, func(s string) By { return By{Label: s} }),
		rapid.Map(rapid.SampledFrom(timers), func(s string) By { return By{Timer: s} }),
		rapid.SampledFrom([]By{{Other: tracer.CauseICMP}, {Other: tracer.CauseStack}}),
	).Draw(t, "by")
}

func drawStep(t *rapid.T, depth int) Step {
	verbs := []Verb{
		Listen, Accept, Bind, Connect, Send, Recv, Shutdown, Close, Abort, Set, Wait, Pause, App, Python, Exit, Kill, UDPSend, UDPRecv,
	}
	if depth > 0 {
		verbs = append(verbs, Together)
	}
	s := Step{Do: rapid.SampledFrom(verbs).Draw(t, "verb")}
	if s.Do == Together {
		for range rapid.IntRange(2, 3).Draw(t, "lists") {
			var list []Step
			for range rapid.IntRange(1, 3).Draw(t, "steps") {
				list = append(list, drawStep(t, depth-1))
			}
			s.Together = append(s.Together, list)
		}
		return s
	}
	s.Conn = maybe(t, "conn", drawName)
	if !s.cannotFail() {
		s.Fails = maybe(t, "fails", drawText)
	}
	switch s.Do {
	case Listen:
		s.Backlog = rapid.IntRange(0, 65535).Draw(t, "backlog")
	case Connect:
		s.Port = rapid.Uint16().Draw(t, "port")
	case Close:
		s.Listener = rapid.Bool().Draw(t, "listener")
	case Send, Recv, UDPSend, UDPRecv:
		drawWhat(t, &s)
	case Set:
		o := rapid.SampledFrom(options).Draw(t, "option")
		s.Option, s.Value = o.name, map[string]string{"": "", "bytes": "4096", "time": "10s"}[o.value]
	case Wait:
		switch rapid.IntRange(0, 2).Draw(t, "for") {
		case 0:
			s.End, s.State = drawEnd(t), drawState(t)
		case 1:
			s.Label = drawLabel.Draw(t, "label")
		}
	case Pause:
		s.For = drawTime(t)
	case App, Python:
		s.Text = drawName.Draw(t, "name")
		if s.Do == Python {
			s.Text += ".py"
		}
		s.Prints = maybe(t, "prints", drawText)
		if args := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"fails", "a=b", "a->b", `"`})), 0, 3).Draw(t, "args"); len(args) > 0 {
			s.Args = args
		}
	default:
	}
	return s
}

// drawWhat draws what is sent or received.
func drawWhat(t *rapid.T, s *Step) {
	switch how := rapid.IntRange(0, 4).Draw(t, "what"); {
	case s.Do == UDPSend || s.Do == UDPRecv || how == 0:
		s.Text = drawText.Draw(t, "text")
		s.Bytes = len(s.Text)
	case s.Do == Send || how == 1:
		s.Bytes = rapid.IntRange(1, maxBytes).Draw(t, "bytes")
		if s.Do == Send {
			s.By = maybe(t, "by", rapid.IntRange(1, s.Bytes))
		}
	case how == 2:
		s.Bytes = -1
	case how == 3:
		s.EOF = true
	default:
		s.EOF, s.Bytes = true, -1
	}
}

func drawFrame(t *rapid.T) Frame {
	f := Frame{
		Conn: maybe(t, "conn", drawName), Do: rapid.SampledFrom([]FrameVerb{FrameSend, FrameAwait, FrameDelay}).Draw(t, "verb"),
	}
	equal := func(name string, most uint32) Number { return Number{Equal, rapid.Uint32Range(0, most).Draw(t, name)} }
	switch f.Do {
	case FrameDelay:
		f.For = drawTime(t)
	case FrameAwait:
		f.Flags, f.Seq, f.Len = drawFlags(t), drawNumber(t, "seq", true), drawNumber(t, "len", true)
		if f.Flags.Has(tracer.ACK) {
			f.Ack = drawNumber(t, "ack", true)
		}
	default:
		f.Flags, f.Seq = drawFlags(t), equal("seq", math.MaxUint32)
		if f.Flags.Has(tracer.ACK) {
			f.Ack = equal("ack", math.MaxUint32)
		}
		if f.Text = maybe(t, "text", drawText); f.Text == "" && rapid.Bool().Draw(t, "has len") {
			f.Len = equal("len", maxPayload)
		}
		if rapid.Bool().Draw(t, "has win") {
			f.Win = equal("win", math.MaxUint16)
		}
		f.Opts = tracer.Options{MSS: rapid.Uint16().Draw(t, "mss"), SACKOK: rapid.Bool().Draw(t, "sack_ok"), HasTS: rapid.Bool().Draw(t, "ts")}
		if rapid.Bool().Draw(t, "has ws") {
			f.Opts.HasWS, f.Opts.WS = true, rapid.Uint8().Draw(t, "ws")
		}
		f.Times = maybe(t, "times", rapid.IntRange(2, maxTimes))
		f.From = rapid.SampledFrom([]string{"", "192.168.12.7", "fd00:12::7", "[fd00:12::7]:80"}).Draw(t, "from")
		if f.Times > 1 && rapid.Bool().Draw(t, "flood") {
			f.From = "flood"
		}
		f.To = rapid.SampledFrom([]string{"", "broadcast", "multicast", "192.168.12.7:80"}).Draw(t, "to")
	}
	return f
}

func drawBody(t *rapid.T, depth int) RowBody {
	draws := []func(*rapid.T) RowBody{drawCall, drawChange, drawTimer, drawSegment, drawDatagram}
	if depth > 0 {
		draws = append(draws, func(t *rapid.T) RowBody { return drawGroup(t, depth-1) })
	}
	return rapid.SampledFrom(draws).Draw(t, "body")(t)
}

func drawCall(t *rapid.T) RowBody {
	row := CallRow{At: drawAt(t), Call: rapid.SampledFrom(calls).Draw(t, "call"), Bytes: -1, Fails: maybe(t, "fails", drawText)}
	if row.Call == "send" || row.Call == "recv" {
		row.Bytes = rapid.OneOf(rapid.Just(-1), rapid.IntRange(1, math.MaxInt32)).Draw(t, "bytes")
	}
	if row.Call == "recv" && rapid.Bool().Draw(t, "eof") {
		row.EOF = true
		if rapid.Bool().Draw(t, "eof alone") {
			row.Bytes = 0
		}
	}
	row.Listener = row.Call == "close" && row.At.Conn == "" && rapid.Bool().Draw(t, "listener")
	return row
}

// drawAfter draws a time in either unit, or none.
func drawAfter(t *rapid.T) (time.Duration, int) {
	switch rapid.IntRange(0, 2).Draw(t, "after") {
	case 0:
		return drawTime(t), 0
	case 1:
		return 0, rapid.IntRange(1, maxMSLs).Draw(t, "msls")
	default:
		return 0, 0
	}
}

func drawChange(t *rapid.T) RowBody {
	row := StateRow{At: drawAt(t), From: drawState(t), To: drawState(t), By: drawBy(t)}
	row.After, row.MSLs = drawAfter(t)
	return row
}

func drawTimer(t *rapid.T) RowBody {
	row := TimerRow{At: drawAt(t), Timer: rapid.SampledFrom(timers).Draw(t, "timer")}
	row.After, row.MSLs = drawAfter(t)
	return row
}

func drawWay(t *rapid.T) Ways { return rapid.SampledFrom([]Ways{Both, Sent, Arrives}).Draw(t, "way") }

func drawSegment(t *rapid.T) RowBody {
	row := SegmentRow{
		Label: maybe(t, "label", drawLabel), From: drawAt(t), Way: drawWay(t), Flags: drawFlags(t), Seq: drawNumber(t, "seq", false),
		Len: rapid.SampledFrom([]Number{{Op: Equal}, {Op: Any}, {More, 0}, {Equal, 20}}).Draw(t, "len"), Win: drawNumber(t, "win", true),
		Min: rapid.IntRange(0, 5).Draw(t, "min"),
	}
	if row.Flags.Has(tracer.ACK) {
		row.Ack = drawNumber(t, "ack", false)
	}
	if rapid.Bool().Draw(t, "limit") {
		row.Max = max(row.Min, 1) + rapid.IntRange(0, 5).Draw(t, "more")
	}
	row.Lost = row.Way == Both && rapid.Bool().Draw(t, "lost")
	if list := rapid.SliceOfNDistinct(rapid.SampledFrom(notes), 0, 3, rapid.ID[string]).Draw(t, "notes"); len(list) > 0 {
		row.Notes = list
	}
	if rapid.Bool().Draw(t, "has opts") {
		o := &Opts{
			MSS: rapid.Bool().Draw(t, "mss"), WS: rapid.Bool().Draw(t, "ws"), SACKOK: rapid.Bool().Draw(t, "sack_ok"),
			TS: rapid.Bool().Draw(t, "ts"), SACK: rapid.Bool().Draw(t, "sack"), WSValue: -1,
		}
		if o.MSS {
			o.MSSValue = rapid.Uint16().Draw(t, "mss value")
		}
		if o.WS {
			o.WSValue = rapid.IntRange(-1, 255).Draw(t, "ws value")
		}
		row.Opts = o
	}
	return row
}

func drawDatagram(t *rapid.T) RowBody {
	row := DatagramRow{Label: maybe(t, "label", drawLabel), From: drawAt(t), Way: drawWay(t), Len: drawNumber(t, "len", false)}
	row.Lost = row.Way == Both && rapid.Bool().Draw(t, "lost")
	return row
}

func drawGroup(t *rapid.T, depth int) RowBody {
	g := Group{Kind: rapid.SampledFrom([]GroupKind{AnyOrder, Either, Optional, Only}).Draw(t, "kind")}
	n := 1
	switch g.Kind {
	case Only:
		g.For = drawEnd(t)
		g.Players = rapid.SliceOfNDistinct(rapid.SampledFrom([]Player{Stack, Linux, Script}), 1, 3, rapid.ID[Player]).Draw(t, "players")
	case AnyOrder, Either:
		n = rapid.IntRange(2, 3).Draw(t, "lists")
	default:
	}
	for range n {
		var list []Row
		for range rapid.IntRange(1, 2).Draw(t, "rows") {
			list = append(list, Row{Body: drawBody(t, depth)})
		}
		g.Lists = append(g.Lists, list)
	}
	return g
}

// TestStringOfNothing: what has not been filled in is written without a panic.
func TestStringOfNothing(t *testing.T) {
	for _, s := range []interface{ String() string }{
		Row{},
		Step{},
		Frame{},
		LinkRule{},
		CallRow{},
		StateRow{},
		TimerRow{},
		SegmentRow{},
		DatagramRow{},
		Group{},
		Opts{},
		By{},
		At{},
		Group{Kind: Optional},
		Group{Kind: Only},
		Step{Do: Together},
		Players{},
	} {
		if got := s.String(); strings.Contains(got, "%!") {
			t.Errorf("%#v is written as %q", s, got)
		}
	}
}
