package link

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestImpairOptionsString(t *testing.T) {
	o := ImpairOptions{
		Seed: 7,
		Out:  Impairment{Loss: 0.1, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond},
		In:   Impairment{Duplicate: 0.07, Reorder: 1, ReorderBy: 3, ReorderHold: time.Minute, Corrupt: 0.005, Rate: 1_500_000, RateBuffer: 9000},
		Rules: mustRules(t, "drop out FIN nth=2", "delay in SYN,!ACK 1m30s", "drop in ACK payload=0 nth=1 state=ESTABLISHED,CLOSE-WAIT",
			"duplicate both PSH payload>0 copies=2", "reorder out 7ms nth=11-13 by=3",
			"corrupt out contains=hello nth=3-"),
	}
	want := "in: duplicate 7 %, reorder 100 % by 3 within 1m, corrupt 0.5 %, rate 1500 kbit/s with 9000 bytes waiting; " +
		"out: loss 10 %, delay 20ms±5ms; drop the 2nd FIN out; delay each SYN without ACK in by 1m30s; " +
		"drop the 1st ACK without payload in while ESTABLISHED or CLOSE-WAIT; duplicate each PSH with payload in and out 2 times; " +
		"reorder the 11th to 13th segment out by 3 within 7ms; corrupt from the 3rd on each segment with \"hello\" out; seed 7"
	if got := o.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (ImpairOptions{Seed: 3}).String(); got != "" {
		t.Errorf("nothing to do is %q", got)
	}
	if got := (ImpairOptions{Seed: 3, Out: Impairment{Delay: time.Second}}).String(); got != "out: delay 1s" {
		t.Errorf("no chance in it, but %q", got)
	}
}

func TestImpairOptionsValidate(t *testing.T) {
	if err := (ImpairOptions{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	for _, tt := range []struct {
		o    ImpairOptions
		want string
	}{
		{ImpairOptions{In: Impairment{Loss: 1.5}}, "impairment: in: loss 1.5: want a probability"},
		{ImpairOptions{Out: Impairment{Corrupt: math.NaN()}}, "impairment: out: corrupt NaN"},
		{ImpairOptions{Out: Impairment{Duplicate: -0.1}}, "out: duplicate -0.1"},
		{ImpairOptions{Out: Impairment{Reorder: 2}}, "out: reorder 2"},
		{ImpairOptions{In: Impairment{Delay: -1}}, "in: delay -1ns"},
		{ImpairOptions{In: Impairment{Jitter: 2 * time.Hour}}, "in: jitter 2h0m0s: want 0 to 1h"},
		{ImpairOptions{In: Impairment{Rate: -5}}, "in: rate -5"},
		{ImpairOptions{In: Impairment{Rate: 5, RateBuffer: -5}}, "in: rate buffer -5"},
		{ImpairOptions{In: Impairment{RateBuffer: 5}}, "want a rate with it"},
		{ImpairOptions{In: Impairment{ReorderBy: -1}}, "in: reorder by -1"},
		{ImpairOptions{Rules: []Rule{{Action: Drop}, {}}}, `rule 2: unknown action ""`},
	} {
		err := tt.o.Validate()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.o, err, tt.want)
		}
		if _, err := NewImpair(&fakeLower{}, tt.o); err == nil {
			t.Errorf("NewImpair took %+v", tt.o)
		}
	}
	two := ImpairOptions{In: Impairment{Loss: 2}, Out: Impairment{Loss: 3}}.Validate()
	if s := fmt.Sprint(two); !strings.Contains(s, "in: loss 2") || !strings.Contains(s, "out: loss 3") {
		t.Errorf("want both errors, got %v", two)
	}
}

func TestVerdictNotes(t *testing.T) {
	for _, tt := range []struct {
		v    Verdict
		want []string
	}{
		{Verdict{}, nil},
		{Verdict{exempt: true, Rule: "r"}, nil},
		{Verdict{Drop: "impairment: loss", Delay: 1}, nil},
		{Verdict{Delay: 20 * time.Millisecond}, []string{"delayed 20ms"}},
		{Verdict{Delay: 20*time.Millisecond + 123456}, []string{"delayed 20.123ms"}},
		{Verdict{Delay: 40}, []string{"delayed 40ns"}},
		{Verdict{named: "idle"}, nil},
		{Verdict{Delay: time.Second, named: "late; later"}, []string{"delayed 1s", `rule "late; later"`}},
		{Verdict{Copies: 3, Reorder: true, Corrupt: true}, []string{"duplicated 3 times", "reordered", "corrupted"}},
	} {
		if got := tt.v.Notes(); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.v, got, tt.want)
		}
		if zero := tt.v.Zero(); zero != (tt.want == nil && tt.v.Drop == "") {
			t.Errorf("%+v: Zero() = %v", tt.v, zero)
		}
	}
}
