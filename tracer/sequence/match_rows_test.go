package sequence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rewritten judges a good trace by its sequence's file with some text replaced: pairs of old and
// new, each of which must stand there.
func rewritten(t *testing.T, trace string, pairs ...string) *Mismatch {
	t.Helper()
	g := loadTrace(t, filepath.Join(goodTraces, trace+".jsonl"))
	name := strings.Join(strings.Split(trace, "-")[:len(strings.Split(trace, "-"))-4], "-")
	data, err := os.ReadFile(filepath.Join(goodTraces, name+".yaml"))
	for err != nil && strings.Contains(name, "-") { // the rest is the run's name
		name = name[:strings.LastIndex(name, "-")]
		data, err = os.ReadFile(filepath.Join(goodTraces, name+".yaml"))
	}
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%s.yaml has no %q", name, pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	s, err := Parse(name+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Runs {
		if s.Runs[i].Name == g.in.Run.Name {
			g.in.Run = &s.Runs[i]
		}
	}
	return Match(g.in)
}

// replaced judges a good trace with a row, as [Row.String] has it, replaced by others: for what a
// file may not say.
func replaced(t *testing.T, trace, old string, rows ...string) *Mismatch {
	t.Helper()
	g := loadTrace(t, filepath.Join(goodTraces, trace+".jsonl"))
	var list []Row
	for _, text := range rows {
		r, err := ParseRow(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	run := *g.in.Run
	found := false
	run.Expect, found = replace(run.Expect, old, list)
	if !found {
		t.Fatalf("no row %q", old)
	}
	g.in.Run = &run
	return Match(g.in)
}

func replace(rows []Row, old string, by []Row) (list []Row, found bool) {
	for _, r := range rows {
		g, isGroup := r.Body.(Group)
		if isGroup {
			lists := make([][]Row, len(g.Lists))
			for i := range g.Lists {
				var in bool
				lists[i], in = replace(g.Lists[i], old, by)
				found = found || in
			}
			g.Lists = lists
			r.Body = g
		}
		if r.String() == old {
			found = true
			list = append(list, by...)
			continue
		}
		list = append(list, r)
	}
	return list, found
}

const (
	closing    = "close-four-segments-pipe-self-both-ipv4"
	reordering = "reordered-pipe-self-both-ipv4"
	losing     = "data-lost-rto-pipe-self-both-ipv4"
)

// TestRowsAgainstTraces holds what each form of a row takes and what it does not, by rewriting the rows of
// good traces. why is a part of what the mismatch says; "" where the trace must match.
func TestRowsAgainstTraces(t *testing.T) {
	for _, c := range []struct {
		name, trace string
		pairs       []string
		why         string
	}{
		{name: "any order, as it was", trace: closing, pairs: []string{
			"- 'fin-ack: S → C ACK seq=1 ack=2'\n      - C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack",
			"- any-order:\n          - 'fin-ack: S → C ACK seq=1 ack=2'\n          - C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack",
		}},
		{name: "any order, the other way round", trace: closing, pairs: []string{
			"- S recv EOF\n", "- any-order:\n          - [S close]\n          - [S recv EOF]\n", "      - S close\n      - S CLOSE-WAIT", "      - S CLOSE-WAIT",
		}},
		{name: "any order within any order", trace: closing, pairs: []string{
			"- S recv EOF\n", "- any-order:\n          - [{any-order: [S close, S recv EOF]}]\n          - [C timer time-wait]\n",
			"      - S close\n      - S CLOSE-WAIT", "      - S CLOSE-WAIT", "            - C timer time-wait\n", "",
		}, why: "it is something else"},
		{name: "another order", trace: closing, pairs: []string{
			"- S recv EOF\n", "- S close\n      - S recv EOF\n", "      - S close\n      - S CLOSE-WAIT", "      - S CLOSE-WAIT",
		}, why: "it is recv, not close"},
		{name: "the second alternative", trace: closing, pairs: []string{
			"- S recv EOF\n", "- either:\n          - [S recv 20, S recv EOF]\n          - [S recv EOF]\n",
		}},
		{name: "an alternative for others", trace: closing, pairs: []string{
			"- S recv EOF\n", "- either:\n          - [S recv EOF]\n          - [{only: {S@linux: [S shutdown]}}]\n",
		}},
		{name: "only an alternative for others would do", trace: closing, pairs: []string{
			"- S recv EOF\n", "- S recv EOF\n      - either:\n          - [S shutdown]\n          - [{only: {S@linux: [S shutdown]}}]\n",
		}, why: "it is close, not shutdown"},
		{name: "no alternative: the one that got furthest", trace: closing, pairs: []string{
			"- S recv EOF\n", "- either:\n          - [S recv 20]\n          - [S recv EOF, S shutdown]\n",
		}, why: "it is close, not shutdown"},
		{name: "an optional row that is there", trace: closing, pairs: []string{"- S recv EOF\n", "- optional: [S recv EOF]\n"}},
		{name: "an optional row that is not", trace: closing, pairs: []string{"- S recv EOF\n", "- optional: [S recv 20]\n      - S recv EOF\n"}},
		{name: "alternatives that contradict, each track content", trace: closing, pairs: []string{
			"- 'fin-ack: S → C ACK seq=1 ack=2'\n      - C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack\n      - S recv EOF\n",
			"- 'fin-ack: S → C ACK seq=1 ack=2'\n      - C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack\n" +
				"      - either:\n          - [S recv EOF, C shutdown]\n          - [S recv 20]\n",
		}, why: "of the alternatives, the ones that the rest of the trace takes"},
		{name: "a row for others", trace: closing, pairs: []string{"- S recv EOF\n", "- S recv EOF\n      - only: {S@linux: [S shutdown]}\n"}},
		{name: "a row that never comes", trace: closing, pairs: []string{"TIME-WAIT → CLOSED by timer time-wait after 2msl", "TIME-WAIT → CLOSED by timer time-wait after 2msl\n            - C timer keepalive"}, why: "it did not come"},
		{name: "a row too few", trace: closing, pairs: []string{"            - C timer time-wait\n", ""}, why: "allow: timers would let it pass"},
		{name: "a timer that is allowed", trace: closing, pairs: []string{"            - C timer time-wait\n", "", "    expect:", "    allow: [timers]\n    expect:"}},
		{name: "another time in a state", trace: closing, pairs: []string{"by timer time-wait after 2msl", "by timer time-wait after 239s"}, why: "after 4m0s in TIME-WAIT, not 3m59s"},
		{name: "another label", trace: closing, pairs: []string{"TIME-WAIT by server-fin", "TIME-WAIT by fin-ack"}, why: "not by the segment fin-ack"},
		{name: "a call that fails", trace: closing, pairs: []string{"- S recv EOF\n", "- S recv fails \"reset\"\n"}, why: "it succeeded, and should fail with reset"},
		{name: "other bytes", trace: closing, pairs: []string{"- S recv EOF\n", "- S recv 20\n"}, why: "it returned the end-of-file, after 0 of 20 bytes"},
		{name: "all bytes, of which there are none", trace: closing, pairs: []string{"- S recv EOF\n", "- S recv all\n"}},
		{name: "flags", trace: closing, pairs: []string{"'fin: C → S FIN,ACK", "'fin: C → S FIN,PSH,ACK"}, why: "its flags are FIN ACK, not FIN PSH ACK"},
		{name: "seq", trace: closing, pairs: []string{"'server-fin: S → C FIN,ACK seq=1", "'server-fin: S → C FIN,ACK seq=2"}, why: "seq is 1, not 2"},
		{name: "any seq", trace: closing, pairs: []string{"'server-fin: S → C FIN,ACK seq=1", "'server-fin: S → C FIN,ACK seq=*"}},
		{name: "ack", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack>2'"}, why: "ack is 2, not >2"},
		{name: "len", trace: losing, pairs: []string{"seq=1 ack=1 len=20", "seq=1 ack=1 len>20"}, why: "len is 20, not >20"},
		{name: "win", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack=2 win=0'"}, why: "win is 524160, not 0"},
		{name: "options", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack=2 opts=ts,sack'"}, why: "the option sack is missing"},
		{name: "no options", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack=2 opts=none'"}, why: "the option ts is not expected"},
		{name: "a note", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack=2 note=window-update'"}, why: "it does not bear the note window-update"},
		{name: "a note too few", trace: losing, pairs: []string{"len=20 note=retransmission", "len=20"}, why: "it bears the note retransmission, which the row does not list"},
		{name: "not lost, and was", trace: losing, pairs: []string{"len=20 lost", "len=20"}, why: "the row does not say that it is lost"},
		{name: "twice", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack=2 times=2'"}, why: "only 1 of the row's 2 came before it"},
		{name: "once or more", trace: closing, pairs: []string{"ACK seq=2 ack=2'", "ACK seq=2 ack=2 times=1+'"}},
		{name: "never or more", trace: closing, pairs: []string{
			"'fin-ack: S → C ACK seq=1 ack=2'", "'S → C ACK seq=1 ack=1 times=0+'\n      - 'fin-ack: S → C ACK seq=1 ack=2 times=0-3'",
		}},
		{name: "only its sending", trace: closing, pairs: []string{"'last-ack: C → S", "'last-ack: S ◀"}, why: "allow: acks would let it pass"},
		{name: "a half and a half", trace: closing, pairs: []string{"- 'last-ack: C → S ACK seq=2 ack=2'", "- 'C ▶ ACK seq=2 ack=2'\n      - 'last-ack: S ◀ ACK seq=2 ack=2'"}},
		{name: "segments of one row", trace: reordering, pairs: []string{
			"- 'S ◀ ACK seq=1001 ack=1 len=1000 note=out-of-order'\n            - 'S ◀ ACK seq=1 ack=1 len=1000'\n            - 'S ◀ ACK seq=2001 ack=1 len=1000'\n",
			"- 'S ◀ ACK seq=* ack=1 len=1000 times=3'\n",
		}},
		{name: "what is allowed and not", trace: reordering, pairs: []string{"allow: [acks]", "allow: [probes]"}, why: "allow: acks would let it pass"},
		{name: "check max_len", trace: losing, pairs: []string{"    until:", "    check: {max_len: {S: 19}}\n    until:"}, why: "it has 20"},
		{name: "check max_len that holds", trace: losing, pairs: []string{"    until:", "    check: {max_len: {S: 20, C: 1}}\n    until:"}},
		{name: "check established", trace: losing, pairs: []string{"    until:", "    check: {established: 2}\n    until:"}, why: "these are not as many"},
		{name: "check min_cookies", trace: losing, pairs: []string{"    until:", "    check: {min_cookies: 1}\n    until:"}, why: "these are too few"},
		{name: "check max_events", trace: losing, pairs: []string{"    until:", "    check: {max_events: 10}\n    until:"}, why: "the log drowns in them"},
		{name: "check tcb", trace: losing, pairs: []string{"    until:", "    check: {tcb: C}\n    until:"}, why: "the trace shows it nowhere"},
		{name: "check tcb of an end that sends nothing", trace: losing, pairs: []string{"    until:", "    check: {tcb: S}\n    until:"}, why: "the trace shows it nowhere"},
		{name: "check no_answer", trace: "refused-pipe-self-both-ipv4", pairs: []string{"    expect:", "    check: {no_answer: true}\n    expect:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := rewritten(t, c.trace, c.pairs...)
			switch {
			case c.why == "" && m != nil:
				t.Errorf("%v; want a match", m)
			case c.why != "" && m == nil:
				t.Errorf("it matches; want a mismatch with %q", c.why)
			case c.why != "" && !strings.Contains(m.Why, c.why):
				t.Errorf("%v; want %q in why", m, c.why)
			}
		})
	}
}

// TestRowsThatNoFileHas is the same for rows that Parse would refuse, and that a program may
// still make.
func TestRowsThatNoFileHas(t *testing.T) {
	for _, c := range []struct {
		name, trace, old string
		rows             []string
		why              string
	}{
		{"another cause", closing, "S ESTABLISHED → CLOSE-WAIT by fin", []string{"S ESTABLISHED → CLOSE-WAIT by timer retransmit"}, "not by the timer retransmit"},
		{"a cause of another kind", closing, "S ESTABLISHED → CLOSE-WAIT by fin", []string{"S ESTABLISHED → CLOSE-WAIT by icmp"}, "not by icmp"},
		{"another call as the cause", closing, "S CLOSE-WAIT → LAST-ACK by close", []string{"S CLOSE-WAIT → LAST-ACK by shutdown"}, "not by shutdown"},
		{"a cause listed behind", closing, "S close", nil, "no row is left for it"},
		{"another label", closing, "C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack", []string{"C FIN-WAIT-1 → FIN-WAIT-2 by syn-ack"}, "not by the segment syn-ack"},
		{"another connection", closing, "S recv EOF", []string{"S.b recv EOF"}, "it is of the connection"},
		{"lost, and was not", closing, "last-ack: C → S ACK seq=2 ack=2", []string{"last-ack: C → S ACK seq=2 ack=2 lost"}, "it is not dropped, and the row says that it is lost"},
		{"another state", closing, "C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack", []string{"C FIN-WAIT-1 → CLOSING by fin-ack"}, "it goes to FIN-WAIT-2, not to CLOSING"},
		{"a state too few", closing, "C FIN-WAIT-1 → FIN-WAIT-2 by fin-ack", nil, "it leaves FIN-WAIT-1, not FIN-WAIT-2"},
		{"another timer", closing, "C timer time-wait", []string{"C timer keepalive"}, "it is the timer time-wait, not keepalive"},
		{"the listener's close", closing, "S close", []string{"S close listener"}, "it is of the connection"},
		{"another failure", "syn-lost-all-pipe-self-both-ipv6", "C connect fails \"timed out\"", []string{"C connect fails \"refused\""}, "not refused"},
		{"no failure", "syn-lost-all-pipe-self-both-ipv6", "C connect fails \"timed out\"", []string{"C connect"}, "it failed: connection timed out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := replaced(t, c.trace, c.old, c.rows...)
			if m == nil || !strings.Contains(m.Why, c.why) {
				t.Errorf("%v; want %q in why", m, c.why)
			}
		})
	}
}
