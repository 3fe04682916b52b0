package link

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/faketime"
	"pgregory.net/rapid"

	"appliance/tracer"
)

func TestParseRule(t *testing.T) {
	for text, want := range map[string]Rule{
		"drop out FIN nth=2": {Action: Drop, Dir: tracer.Out, Set: tracer.FIN, Nth: 2},
		"drop out nth=2-2":   {Action: Drop, Dir: tracer.Out, Nth: 2},
		"delay in SYN 20ms":  {Action: Delay, Dir: tracer.In, Set: tracer.SYN, Delay: 20 * time.Millisecond},
		"drop in ACK payload=0 nth=1 state=ESTABLISHED": {
			Action: Drop, Dir: tracer.In, Set: tracer.ACK, Payload: Payload{Op: Equal}, Nth: 1,
			States: []tracer.State{tracer.Established},
		},
		"duplicate out PSH":        {Action: Duplicate, Dir: tracer.Out, Set: tracer.PSH},
		"drop out SYN,ACK nth=1-3": {Action: Drop, Dir: tracer.Out, Set: tracer.SYN | tracer.ACK, Nth: 1, Count: 3},
		"drop both !RST,FIN nth=2-": {
			Action: Drop, Set: tracer.FIN, Unset: tracer.RST, Nth: 2, Count: -1,
		},
		"  corrupt  in  payload>=100 ": {Action: Corrupt, Dir: tracer.In, Payload: Payload{Op: AtLeast, Len: 100}},
		`drop in contains="a \x00b" name=x`: {
			Action: Drop, Dir: tracer.In, Payload: Payload{Contains: []byte("a \x00b")}, Name: "x",
		},
		"reorder out 5ms by=2":       {Action: Reorder, Dir: tracer.Out, Delay: 5 * time.Millisecond, By: 2},
		"duplicate out copies=3":     {Action: Duplicate, Dir: tracer.Out, Copies: 3},
		"drop in contains=caf\u00e9": {Action: Drop, Dir: tracer.In, Payload: Payload{Contains: []byte("café")}},
	} {
		got, err := ParseRule(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

func TestParseRuleErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "want an action and a direction",
		"drop":                           "want an action and a direction",
		"lose out FIN":                   `unknown action "lose"`,
		"drop up FIN":                    `unknown direction "up"`,
		"drop out fin":                   `unknown TCP flag "fin"`,
		"drop out FIN ACK":               `"ACK": want a condition`,
		"drop out FIN,FIN":               "FIN stands twice",
		"drop out FIN,!FIN":              "can't be both set and unset",
		"drop out FIN,":                  `unknown TCP flag ""`,
		"drop out !":                     `unknown TCP flag ""`,
		"delay out FIN":                  "delay: want how long",
		"delay out FIN 0s":               "want more than 0",
		"delay out FIN 20":               "missing unit",
		"delay out FIN 3h":               "want more than 0, to 1h",
		"drop out FIN 20ms":              "drop takes none",
		"drop out 20ms FIN":              `"FIN": want a condition`,
		"drop out nth=0":                 "nth: \"0\": want a number, 1 or more",
		"drop out nth=-1":                "nth: \"\": want a number",
		"drop out nth=3-2":               "nth: \"2\": want a number, 3 or more",
		"drop out nth=+1":                "nth: \"+1\"",
		"drop out nth=1-2-3":             "nth: \"2-3\"",
		"drop out nth>1":                 "want nth=…",
		"drop out nth=1 nth=2":           "nth stands twice",
		"drop out nth":                   `unknown TCP flag "nth"`,
		"drop out payload":               `unknown TCP flag "payload"`,
		"drop out FIN payload":           `"payload": want a condition`,
		"drop out payload=":              "payload: \"\": want a number",
		"drop out payload<0":             "no length is below 0",
		"drop out payload=>1":            "payload: \">1\"",
		"drop out size=1":                "size: unknown condition",
		"drop out state=ESTAB":           `unknown TCP state "ESTAB"`,
		"drop out state=LISTEN,LISTEN":   "LISTEN stands twice",
		"drop out copies=2":              "drop takes none",
		"duplicate out copies=1000":      "want 1 to 100",
		"duplicate out by=2":             "duplicate takes none",
		"drop out contains=":             "contains: nothing given",
		`drop out contains=""`:           "contains: nothing given",
		`drop out contains="x`:           "no end",
		`drop out contains="\q"`:         "no Go string",
		`drop out contains="a"b`:         "no Go string",
		`drop out contains=a"b"`:         "want it in double quotes",
		"drop out contains=a\tb":         "want it in double quotes",
		"drop out nth=99999999999999999": "want a number",
	} {
		if r, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want an error with %q", text, r, err, want)
		}
	}
}

// drawRule draws any valid rule, in the form that ParseRule returns.
func drawRule(t *rapid.T) Rule {
	number := func(least, most int, name string) int { return rapid.IntRange(least, most).Draw(t, name) }
	r := Rule{
		Action: rapid.SampledFrom([]Action{Drop, Delay, Duplicate, Corrupt, Reorder}).Draw(t, "action"),
		Dir:    rapid.SampledFrom([]tracer.Direction{"", tracer.In, tracer.Out}).Draw(t, "dir"),
		Set:    tracer.Flags(rapid.Byte().Draw(t, "set")),
		Name:   rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[ "\\a\x00é]+`)).Draw(t, "name"),
	}
	r.Unset = tracer.Flags(rapid.Byte().Draw(t, "unset")) &^ r.Set
	if rapid.Bool().Draw(t, "with length") {
		r.Payload.Op = rapid.SampledFrom(comparisons).Draw(t, "op")
		r.Payload.Len = number(1, 100000, "len")
	}
	if b := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "contains"); len(b) > 0 {
		r.Payload.Contains = b
	}
	if r.Nth = number(0, 50, "nth"); r.Nth > 0 {
		r.Count = rapid.SampledFrom([]int{-1, 0, 2, 17}).Draw(t, "count")
	}
	states := rapid.SliceOfNDistinct(rapid.IntRange(0, int(tracer.TimeWait)), 0, 3, rapid.ID[int]).Draw(t, "states")
	for _, s := range states {
		r.States = append(r.States, tracer.State(s))
	}
	held := time.Duration(rapid.Int64Range(1, int64(maxHold)).Draw(t, "held"))
	switch r.Action {
	case Delay:
		r.Delay = held
	case Reorder:
		r.By = number(0, 9, "by")
		if rapid.Bool().Draw(t, "for so long") {
			r.Delay = held
		}
	case Duplicate:
		r.Copies = number(0, maxCopies, "copies")
	case Drop, Corrupt:
	}
	return r
}

func TestRuleStringRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := drawRule(rt)
		if err := r.Validate(); err != nil {
			rt.Fatalf("%+v: %v", r, err)
		}
		got, err := ParseRule(r.String())
		if err != nil || !reflect.DeepEqual(got, r) {
			rt.Fatalf("%s\ngot  %+v, %v\nwant %+v", r, got, err, r)
		}
	})
}

func FuzzParseRule(f *testing.F) {
	f.Add("drop out FIN nth=2")
	f.Add(`delay both SYN,!ACK 20ms payload!=0 contains="a b" nth=1-3 state=LISTEN name="x"`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q is %s, which is %+v, %v; not %+v", text, r, again, err, r)
		}
		if r.words() == "" || r.Validate() != nil {
			t.Fatalf("%q: no words, or not valid", text)
		}
	})
}

// TestImpairRules runs segments through rules; what passes is named by its seq.
func TestImpairRules(t *testing.T) {
	A, S, F, P, R := tracer.ACK, tracer.SYN, tracer.FIN, tracer.PSH, tracer.RST
	out := func(seq int, f tracer.Flags, payload ...string) testSeg {
		return testSeg{port: 1, flags: f, seq: uint32(seq), payload: []byte(strings.Join(payload, ""))}
	}
	in := func(seq int, f tracer.Flags) testSeg { return testSeg{in: true, port: 1, flags: f, seq: uint32(seq)} }
	other := func(seq int, f tracer.Flags) testSeg { return testSeg{port: 2, flags: f, seq: uint32(seq)} }
	tests := []struct {
		name   string
		rules  []string
		segs   []testSeg
		passed []int
	}{
		{"the second FIN", []string{"drop out FIN nth=2"}, []testSeg{out(1, F|A), out(2, A), out(3, F|A), out(4, F|A)}, []int{1, 2, 4}},
		{
			"counted per connection",
			[]string{"drop out FIN nth=2"},
			[]testSeg{out(1, F), other(2, F), out(3, F), other(4, F), out(5, F)},
			[]int{1, 2, 5},
		},
		{
			"counted per direction",
			[]string{"drop both FIN nth=2"},
			[]testSeg{out(1, F), in(2, F), in(3, F), out(4, F), in(5, F)},
			[]int{1, 2, 5},
		},
		{"the other direction is let be", []string{"drop in FIN"}, []testSeg{out(1, F), in(2, F)}, []int{1}},
		{"a range", []string{"drop out SYN nth=2-3"}, []testSeg{out(1, S), out(1, S), out(1, S), out(1, S)}, []int{1, 1}},
		{"from there on", []string{"drop out ACK nth=3-"}, []testSeg{out(1, A), out(2, A), out(3, A), out(4, A)}, []int{1, 2}},
		{"each", []string{"drop out ACK"}, []testSeg{out(1, A), out(2, A), out(3, S)}, []int{3}},
		{"unset", []string{"drop out SYN,!ACK"}, []testSeg{out(1, S), out(2, S|A), out(3, A)}, []int{2, 3}},
		{"all of the flags", []string{"drop out PSH,ACK"}, []testSeg{out(1, A), out(2, P|A), out(3, P)}, []int{1, 3}},
		{"no payload", []string{"drop out ACK payload=0"}, []testSeg{out(1, A), out(2, A, "x")}, []int{2}},
		{"payload", []string{"drop out payload>0"}, []testSeg{out(1, A), out(2, A, "x")}, []int{1}},
		{
			"length",
			[]string{"drop out payload>=3", "drop out payload<2"},
			[]testSeg{out(1, A, "x"), out(2, A, "xy"), out(3, A, "xyz")},
			[]int{2},
		},
		{"contains", []string{`drop out contains=bye`}, []testSeg{out(1, A, "hello"), out(2, A, "goodbye!"), out(3, A, "by"), out(4, A)}, []int{1, 3, 4}},
		{"both rules count all", []string{"drop out ACK nth=1", "drop out ACK nth=2"}, []testSeg{out(1, A), out(2, A), out(3, A)}, []int{3}},
		{"a SYN retransmitted counts on", []string{"drop out SYN nth=2"}, []testSeg{out(7, S), out(7, S), out(7, S)}, []int{7, 7}},
		{
			"another SYN starts anew",
			[]string{"drop out ACK nth=1"},
			[]testSeg{out(1, S), out(2, A), out(3, A), out(100, S), out(101, A), out(102, A)},
			[]int{1, 3, 100, 102},
		},
		{
			"a SYN of the peer's starts anew",
			[]string{"drop out FIN nth=1"},
			[]testSeg{in(1, S), out(2, S|A), out(3, F), out(4, F), in(50, S), out(51, S|A), out(52, F), out(53, F)},
			[]int{1, 2, 4, 50, 51, 53},
		},
		{
			"simultaneous open goes on",
			[]string{"drop out SYN nth=2"},
			[]testSeg{out(1, S), in(2, S), out(1, S|A), out(1, S|A)},
			[]int{1, 2, 1},
		},
		{
			"after RST a SYN starts anew",
			[]string{"drop out ACK nth=1"},
			[]testSeg{in(1, S), out(2, R|A), out(3, A), out(4, S), out(5, A), out(6, A)},
			[]int{1, 3, 4, 6},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			im, lower, up := impaired(t, ImpairOptions{Rules: mustRules(t, tt.rules...)})
			defer im.Close()
			passed := []int{}
			for _, s := range tt.segs {
				if s.in {
					lower.inject(s.proto(), s.wire())
				} else {
					sendOut(t, im, s)
				}
				passed = append(passed, seqs(append(lower.take(), up.take()...))...)
			}
			if !slices.Equal(passed, tt.passed) {
				t.Errorf("passed %v, want %v", passed, tt.passed)
			}
		})
	}
}

func TestImpairRuleStates(t *testing.T) {
	im, lower, up := impaired(t, ImpairOptions{Rules: mustRules(t, "drop both state=ESTABLISHED,CLOSE-WAIT nth=1-2 name=mine")})
	defer im.Close()
	out := testSeg{port: 1, flags: tracer.ACK, seq: 1}
	in := testSeg{port: 1, in: true, flags: tracer.ACK, seq: 2}
	pass := func() int {
		sendOut(t, im, out)
		lower.inject(in.proto(), in.wire())
		return len(lower.take()) + len(up.take())
	}
	if pass() != 2 {
		t.Error("without a watcher the rule matched")
	}
	remote := netip.AddrPortFrom(theirs4, 1)
	w := &fakeWatcher{up: up, states: map[netip.AddrPort]tracer.State{}}
	im.SetWatcher(w)
	if pass() != 2 {
		t.Error("without an endpoint the rule matched")
	}
	w.states[remote] = tracer.SynReceived
	if pass() != 2 {
		t.Error("in SYN-RECEIVED the rule matched")
	}
	w.states[remote] = tracer.Established
	if pass() != 0 {
		t.Error("in ESTABLISHED the rule did not match")
	}
	w.states[remote] = tracer.CloseWait
	if pass() != 0 {
		t.Error("in CLOSE-WAIT the rule did not match")
	}
	if pass() != 2 {
		t.Error("the third match was dropped")
	}
	want := Verdict{Drop: `impairment: rule "mine"`, Rule: "mine"}
	if len(w.dropped) != 2 || w.dropped[0].Drop != want.Drop || w.dropped[0].Rule != want.Rule {
		t.Errorf("watcher was told %+v, want %+v twice", w.dropped, want)
	}
}

func TestImpairRulesCombine(t *testing.T) {
	im, _, _ := impaired(t, ImpairOptions{Clock: faketime.NewManualClock(), Rules: mustRules(t,
		"delay out ACK 5ms", "delay out ACK 7ms", "duplicate out ACK copies=2", "corrupt out ACK name=bad")})
	defer im.Close()
	pkt := testSeg{port: 1, flags: tracer.ACK}.out()
	defer pkt.DecRef()
	v := im.Plan(tracer.Out, pkt)
	rule := "delay out ACK 5ms; delay out ACK 7ms; duplicate out ACK copies=2; bad"
	if v.Delay != 12*time.Millisecond || v.Copies != 2 || !v.Corrupt || v.Drop != "" || v.Rule != rule {
		t.Errorf("got %+v", v)
	}
}

func TestRuleSetForgetsTheQuietest(t *testing.T) {
	s := newRuleSet(mustRules(t, "drop out nth=2"))
	fire := func(port int) bool {
		p := packet{tcp: true, flow: flow{remote: netip.AddrPortFrom(theirs4, uint16(port)), proto: uint8(port >> 16)}}
		return len(s.fire(tracer.Out, &p, nil)) > 0
	}
	for i := range maxConnections + 10 {
		fire(i)
		fire(0) // never quiet
	}
	if len(s.conns) != maxConnections || s.quiet.Len() != maxConnections {
		t.Errorf("%d connections kept, want %d", len(s.conns), maxConnections)
	}
	if fire(1) {
		t.Error("connection 1 should have been forgotten")
	}
	if !fire(maxConnections + 9) {
		t.Error("the newest connection was forgotten")
	}
}

func TestRuleMutationAfterNew(t *testing.T) {
	r := mustRules(t, "drop out contains=abc")
	im, lower, _ := impaired(t, ImpairOptions{Rules: r})
	defer im.Close()
	copy(r[0].Payload.Contains, bytes.Repeat([]byte("z"), 3))
	sendOut(t, im, testSeg{port: 1, seq: 5, flags: tracer.ACK, payload: []byte("abc")})
	wantSeqs(t, "out", lower.take())
}

func ExampleParseRule() {
	r, err := ParseRule("drop out FIN nth=2")
	fmt.Println(r, err)
	fmt.Println(ImpairOptions{Rules: []Rule{r}, Out: Impairment{Loss: 0.1}, Seed: 7})
	_, err = ParseRule("drop out FIN 20ms")
	fmt.Println(err)
	// Output:
	// drop out FIN nth=2 <nil>
	// out: loss 10 %; drop the 2nd FIN out; seed 7
	// rule "drop out FIN 20ms": time 20ms: drop takes none
}
