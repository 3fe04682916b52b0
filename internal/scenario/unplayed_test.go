package scenario

import (
	"strings"
	"testing"
)

// TestUnplayed: of what was asked for by name and skipped altogether, it says why and the
// least change that plays it.
func TestUnplayed(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{Names: []string{"handshake"}}, nil},
		{Options{Names: []string{"handshake"}, Peers: []string{Linux}}, []string{
			"handshake was not played: there is no kernel at the end of a pipe: say --link veth",
		}},
		{Options{Names: []string{"handshake", "full-duplex"}, Peers: []string{Script}}, []string{
			"full-duplex was not played: both ends are programs on whole stacks: there is nothing for a scripted end to play: leave out --peer script",
		}},
		{Options{Names: []string{"handshake"}, Peers: []string{Self}, Links: []string{Veth}}, []string{
			"handshake was not played: a lab has one end for the appliance; the pipe has two: leave out --peer self",
		}},
		{Options{Names: []string{"process-exit"}, Peers: []string{Script}}, []string{
			"process-exit was not played: both ends are programs on whole stacks: there is nothing for a scripted end to play: say --link veth and leave out --peer script",
		}},
		{Options{Names: []string{"syn-lost/all"}, Peers: []string{Self}, Clock: Real}, []string{
			"syn-lost/all was not played: gVisor gives up after 127 s, which only the virtual clock passes at once: leave out --clock real",
		}},
		{Options{Names: []string{"unicast-only"}, Peers: []string{Script}, Role: Client}, []string{
			"unicast-only was not played: no honest stack opens a connection to a broadcast or multicast address: leave out --role client",
		}},
	} {
		c.o.Sequences, c.o.Families, c.o.FirstPeer = documented(t), []int{4}, true
		report, err := Run(t.Context(), c.o)
		if err != nil {
			t.Fatal(err)
		}
		if got := Unplayed(c.o, report); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
