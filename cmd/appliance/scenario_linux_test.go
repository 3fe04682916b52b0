package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestScenarioInterrupted: SIGINT ends it in order, in a user namespace too; what it cut
// short has not failed.
func TestScenarioInterrupted(t *testing.T) {
	for _, flags := range [][]string{{"--clock", "real"}, {"--link", "veth"}} {
		t.Run(flags[1], func(t *testing.T) {
			u := unprivileged(t)
			if r := u.run(t, append(append([]string{"scenario", "run", "-q"}, flags...), "handshake")...); r.code == exitPrivilege {
				t.Skip("needs network namespaces: ", r.stderr)
			}
			p := u.start(t, append([]string{"scenario", "run", "--all"}, flags...)...)
			p.await(t, &p.stdout, "✓")
			p.signal(t, syscall.SIGINT)
			r := p.wait(t)
			r.want(t, exitRuntime, "^[0-9]+ passed, 0 failed, [0-9]+ skipped; interrupted: [0-9]+ not played$",
				"^appliance: scenario run: interrupted: all is removed again$")
			if strings.Contains(r.stdout, "✗") || strings.Contains(r.stderr, "lab: exec") {
				t.Errorf("it says that something failed:\n%s%s", r.stdout, r.stderr)
			}
		})
	}
}
