package tcpstate

import (
	"regexp"
	"testing"

	"appliance/tracer"
)

var all = []tracer.State{
	tracer.Closed, tracer.Listen, tracer.SynSent, tracer.SynReceived, tracer.Established, tracer.FinWait1,
	tracer.FinWait2, tracer.CloseWait, tracer.Closing, tracer.LastAck, tracer.TimeWait,
}

var kinds = []tracer.CauseKind{tracer.CauseSegment, tracer.CauseCall, tracer.CauseTimer, tracer.CauseICMP, tracer.CauseStack}

// clauses are the clauses of RFC 9293 that tell of changes of state, with the kinds of
// events that each is about.
var clauses = map[string][]tracer.CauseKind{
	"3.8.3":    {tracer.CauseTimer},
	"3.9.2.2":  {tracer.CauseICMP},
	"3.10.1":   {tracer.CauseCall},
	"3.10.2":   {tracer.CauseCall},
	"3.10.4":   {tracer.CauseCall, tracer.CauseSegment, tracer.CauseTimer}, // a CLOSE is queued behind data
	"3.10.5":   {tracer.CauseCall},
	"3.10.7.2": {tracer.CauseSegment},
	"3.10.7.3": {tracer.CauseSegment},
	"3.10.7.4": {tracer.CauseSegment},
	"3.10.8":   {tracer.CauseTimer},
}

// figure5 is RFC 9293's figure 5, arrow by arrow.
var figure5 = []struct {
	from, to tracer.State
	kind     tracer.CauseKind
	clause   string
	label    string
}{
	{tracer.Closed, tracer.Listen, tracer.CauseCall, "3.10.1", "passive OPEN / create TCB"},
	{tracer.Listen, tracer.Closed, tracer.CauseCall, "3.10.4", "CLOSE / delete TCB"},
	{tracer.Closed, tracer.SynSent, tracer.CauseCall, "3.10.1", "active OPEN / create TCB, snd SYN"},
	{tracer.SynSent, tracer.Closed, tracer.CauseCall, "3.10.4", "CLOSE / delete TCB"},
	{tracer.Listen, tracer.SynReceived, tracer.CauseSegment, "3.10.7.2", "rcv SYN / snd SYN,ACK"},
	{tracer.Listen, tracer.SynSent, tracer.CauseCall, "3.10.2", "SEND / snd SYN"},
	{tracer.SynSent, tracer.SynReceived, tracer.CauseSegment, "3.10.7.3", "rcv SYN / snd SYN,ACK"},
	{tracer.SynReceived, tracer.Listen, tracer.CauseSegment, "3.10.7.4", "rcv RST (note 1)"},
	{tracer.SynReceived, tracer.Established, tracer.CauseSegment, "3.10.7.4", "rcv ACK of SYN"},
	{tracer.SynSent, tracer.Established, tracer.CauseSegment, "3.10.7.3", "rcv SYN,ACK / snd ACK"},
	{tracer.SynReceived, tracer.FinWait1, tracer.CauseCall, "3.10.4", "CLOSE / snd FIN"},
	{tracer.Established, tracer.FinWait1, tracer.CauseCall, "3.10.4", "CLOSE / snd FIN"},
	{tracer.Established, tracer.CloseWait, tracer.CauseSegment, "3.10.7.4", "rcv FIN / snd ACK"},
	{tracer.FinWait1, tracer.FinWait2, tracer.CauseSegment, "3.10.7.4", "rcv ACK of FIN"},
	{tracer.FinWait1, tracer.Closing, tracer.CauseSegment, "3.10.7.4", "rcv FIN / snd ACK"},
	{tracer.FinWait2, tracer.TimeWait, tracer.CauseSegment, "3.10.7.4", "rcv FIN / snd ACK"},
	{tracer.FinWait1, tracer.TimeWait, tracer.CauseSegment, "3.10.7.4", "rcv FIN, ACK of FIN / snd ACK (note 2)"},
	{tracer.Closing, tracer.TimeWait, tracer.CauseSegment, "3.10.7.4", "rcv ACK of FIN"},
	{tracer.CloseWait, tracer.LastAck, tracer.CauseCall, "3.10.4", "CLOSE / snd FIN"},
	{tracer.LastAck, tracer.Closed, tracer.CauseSegment, "3.10.7.4", "rcv ACK of FIN"},
	{tracer.TimeWait, tracer.Closed, tracer.CauseTimer, "3.10.8", "Timeout=2MSL / delete TCB"},
}

func TestFigure5(t *testing.T) {
	for _, a := range figure5 {
		got, ok := Lookup(a.from, a.to, a.kind)
		if !ok || got.Source != rfc9293 || got.Clause != a.clause || Clause(a.from, a.to, a.kind) != a.clause {
			t.Errorf("%v → %v by %s (%s): %+v, %v; want clause %s", a.from, a.to, a.kind, a.label, got, ok, a.clause)
		}
		if !Legal(a.from, a.to) {
			t.Errorf("%v → %v is not legal", a.from, a.to)
		}
	}
}

// pairs are the changes that there are besides figure 5: aborts, resets, time-outs,
// and what is between its lines.
var pairs = map[[2]tracer.State]bool{
	{tracer.Listen, tracer.Established}:    true, // SYN cookie
	{tracer.SynReceived, tracer.CloseWait}: true, // FIN with the ACK of the SYN
	{tracer.SynReceived, tracer.Closed}:    true,
	{tracer.Established, tracer.Closed}:    true,
	{tracer.FinWait1, tracer.Closed}:       true,
	{tracer.FinWait2, tracer.Closed}:       true,
	{tracer.CloseWait, tracer.Closed}:      true,
	{tracer.Closing, tracer.Closed}:        true,
}

// TestEveryPair holds that the table has what the figure and the list above have, and
// nothing else.
func TestEveryPair(t *testing.T) {
	want := map[[2]tracer.State]bool{}
	for p := range pairs {
		want[p] = true
	}
	for _, a := range figure5 {
		want[[2]tracer.State{a.from, a.to}] = true
	}
	for _, from := range all {
		for _, to := range all {
			if got := Legal(from, to); got != want[[2]tracer.State{from, to}] {
				t.Errorf("Legal(%v, %v) = %v", from, to, got)
			}
			found := false
			for _, k := range kinds {
				tr, ok := Lookup(from, to, k)
				found = found || ok
				if ok && (tr.From != from || tr.To != to || tr.Kind != k) {
					t.Errorf("Lookup(%v, %v, %s) = %+v", from, to, k, tr)
				}
				if !ok && (tr != Transition{} || Clause(from, to, k) != "") {
					t.Errorf("Lookup(%v, %v, %s) is not ok, but %+v", from, to, k, tr)
				}
			}
			if found != Legal(from, to) {
				t.Errorf("%v → %v: legal %v, found %v", from, to, Legal(from, to), found)
			}
		}
	}
}

func TestTableIsSound(t *testing.T) {
	seen := map[key]bool{}
	sentence := regexp.MustCompile(`^.{5,}[^.]$`)
	last := tracer.Closed
	for _, r := range Transitions() {
		k := key{r.From, r.To, r.Kind}
		if seen[k] {
			t.Errorf("%v → %v by %s: twice", r.From, r.To, r.Kind)
		}
		seen[k] = true
		if r.From == r.To || r.From < last {
			t.Errorf("%v → %v: no change, or not in order", r.From, r.To)
		}
		last = r.From
		if !sentence.MatchString(r.Sentence) {
			t.Errorf("%v → %v by %s: sentence %q", r.From, r.To, r.Kind, r.Sentence)
		}
		switch r.Source {
		case "":
			if r.Clause != "" || r.Citation() != "" {
				t.Errorf("%v → %v by %s: clause %q of nothing", r.From, r.To, r.Kind, r.Clause)
			}
		case rfc4987:
			if r.Citation() != "RFC 4987, 3.6" {
				t.Errorf("citation %q", r.Citation())
			}
		default:
			fits := false
			for _, about := range clauses[r.Clause] {
				fits = fits || about == r.Kind
			}
			if r.Source != rfc9293 || !fits || r.Citation() != r.Clause {
				t.Errorf("%v → %v by %s: %s %s is not about that", r.From, r.To, r.Kind, r.Source, r.Clause)
			}
		}
		// A segment is handled by the clause of the state that it arrives in.
		if r.Kind == tracer.CauseSegment && r.Source == rfc9293 && r.Clause != closeCall {
			want := map[tracer.State]string{tracer.Listen: inListen, tracer.SynSent: inSynSent}[r.From]
			if want == "" {
				want = inOther
			}
			if r.Clause != want {
				t.Errorf("%v → %v: clause %s, want %s", r.From, r.To, r.Clause, want)
			}
		}
	}
}

// TestEveryStateCanEnd: from each state that is not CLOSED, each way of dying is there
// that a stack may show.
func TestEveryStateCanEnd(t *testing.T) {
	for _, from := range all[2:] {
		for _, k := range kinds {
			_, ok := Lookup(from, tracer.Closed, k)
			// What waits for 2 MSL only has nobody to tell of an ICMP error.
			if want := from != tracer.TimeWait || k != tracer.CauseICMP; ok != want {
				t.Errorf("%v → CLOSED by %s: %v", from, k, ok)
			}
		}
	}
}

func TestNotInAnyRFC(t *testing.T) {
	r, ok := Lookup(tracer.FinWait2, tracer.Closed, tracer.CauseTimer)
	if !ok || r.Source != "" || r.Citation() != "" {
		t.Errorf("FIN-WAIT-2's time-out: %+v, %v", r, ok)
	}
	if got := Clause(tracer.Listen, tracer.Established, tracer.CauseSegment); got != "RFC 4987, 3.6" {
		t.Errorf("SYN cookie: %q", got)
	}
	Transitions()[0].Clause = "x"
	if Clause(tracer.Closed, tracer.Listen, tracer.CauseCall) != "3.10.1" {
		t.Error("Transitions gave away the table")
	}
}
