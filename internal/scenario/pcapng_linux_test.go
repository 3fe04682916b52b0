package scenario_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"appliance/internal/scenario"
)

// TestWiresharkSeesTheSequences: Wireshark reads the scenarios' traces without a warning, finds
// the packets that changed states, and its analysis of TCP has nothing to say of a sequence
// in which nothing is lost.
func TestWiresharkSeesTheSequences(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark (Debian's package tshark)")
	}
	report, err := scenario.Run(t.Context(), scenario.Options{
		Sequences: documented(t), Dir: t.TempDir(), Form: "pcapng", Links: []string{scenario.Pipe}, Families: []int{4}, FirstPeer: true,
		Names: []string{"handshake", "close-three-segments", "half-close", "simultaneous-close", "request-reply", "full-duplex", "echo/tcp"},
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, res := range report.Results {
		if res.Trace == "" {
			continue
		}
		seen++
		run := func(filter string) string {
			cmd := exec.Command(tshark, "-r", res.Trace, "-o", "tcp.check_checksum:TRUE", "-Y", filter)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "LC_ALL=C.UTF-8")
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil {
				t.Fatalf("%s: %v: %s", res.Trace, err, errs.String())
			}
			for line := range strings.Lines(errs.String()) {
				if !strings.HasPrefix(line, `Running as user "root"`) {
					t.Errorf("%s: tshark warns: %s", res.Trace, line)
				}
			}
			return out.String()
		}
		if got := run("tcp.analysis.flags || tcp.checksum.status == 0 || _ws.malformed"); got != "" {
			t.Errorf("%s:\n%s", res.Name(), got)
		}
		if run(`frame.comment contains "ESTABLISHED"`) == "" {
			t.Errorf("%s: no packet tells that it changed a state", res.Name())
		}
	}
	if seen < 7 {
		t.Errorf("%d traces", seen)
	}
}
