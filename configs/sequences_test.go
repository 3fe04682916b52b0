package configs_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"appliance/configs"
	"appliance/netstack/link"
	"appliance/tracer/sequence"
)

// documented are the rows of the documented sequences, all of them.
var documented = []string{
	"close-four-segments", "close-three-segments", "data-lost", "echo", "fin-wait-2-timeout", "fin-with-data",
	"four-tuple", "full-duplex", "half-close", "handshake", "handshake-data-on-ack", "handshake-numbers", "mss",
	"process-exit", "refused", "reordered", "request-reply", "reset", "send-buffer", "server-closes-first",
	"simultaneous-close", "simultaneous-open", "socket-hello", "syn-flood", "syn-lost", "time-wait", "unicast-only",
	"zero-window",
}

// load returns the sequences.
func load(t *testing.T) []*sequence.Sequence {
	t.Helper()
	dir, err := fs.Sub(configs.Sequences, "sequences")
	if err != nil {
		t.Fatal(err)
	}
	all, err := sequence.Load(dir)
	if err != nil {
		t.Fatalf("not all of them parse:\n%v", err)
	}
	return all
}

// TestSequences: there is a file for each documented sequence and for nothing else, and
// each is valid as it stands.
func TestSequences(t *testing.T) {
	var names []string
	for _, s := range load(t) {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, documented) {
		t.Errorf("sequences:\n got %q\nwant %q", names, documented)
	}
}

// TestLinkRules: the link understands every rule, on either way.
func TestLinkRules(t *testing.T) {
	for _, s := range load(t) {
		for _, r := range s.Runs {
			rules := slices.Clone(r.Link)
			for _, forced := range r.Forced {
				rules = append(rules, forced...)
			}
			for _, rule := range rules {
				action, rest, _ := strings.Cut(rule.Rule, " ")
				for _, way := range []string{"in", "out"} {
					if _, err := link.ParseRule(action + " " + way + " " + rest); err != nil {
						t.Errorf("%s %s: %s: %v", s.Name, r.Name, rule, err)
					}
				}
			}
		}
	}
}
