package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"

	"appliance/apps/iperf"
	"appliance/tracer"
)

// iperfReport reads what iperf3 -J, or the appliance's client with json, has printed.
func iperfReport(t *testing.T, r result) iperf.Report {
	t.Helper()
	var report iperf.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatalf("%q: %v:\n%s\n%s", r.args, err, r.stdout, r.stderr)
	}
	return report
}

// wantTransfer checks that both sides tell of that many streams, and of data.
func wantTransfer(t *testing.T, r iperf.Report, streams int) {
	t.Helper()
	e := r.End
	if r.Error != "" || len(e.Streams) != streams || e.SumSent.Bytes == 0 || e.SumReceived.Bytes == 0 || e.CPU.RemoteTotal == 0 {
		t.Errorf("%q; %d streams, want %d; sent %+v, received %+v, processor %+v", r.Error, len(e.Streams), streams, e.SumSent, e.SumReceived, e.CPU)
	}
	if e.SenderCongestion == "" || e.ReceiverCongestion == "" || e.SumSent.Retransmits == nil {
		t.Errorf("congestion control %q and %q, retransmissions %v", e.SenderCongestion, e.ReceiverCongestion, e.SumSent.Retransmits)
	}
}

// TestIperf3: Linux's iperf3 measures the appliance, which then goes on.
func TestIperf3(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			args := append([]string{"run", "--app", "iperf", "--level", "states", "-o", "off", "-w", "t.jsonl"}, runFlags(lab, s.run)...)
			p := u.start(t, args...)
			p.await(t, &p.stderr, "iperf on tcp port 5201")
			for args, streams := range map[string]int{
				"-t 2":                            1,
				"-t 1 -R":                         1,
				"-n 20M -P 4":                     4,
				"-n 20M -P 4 -R":                  4,
				"-t 1 --bidir":                    2,
				"-n 20M -Z -N -l 64K":             1,
				"-n 20M -w 512K -R":               1,
				"-6 -c fd00:12::53 -n 20M":        1,
				"-t 1 -b 10M --get-server-output": 1,
			} {
				t.Run(args, func(t *testing.T) {
					if !strings.Contains(args, "-c ") {
						args = "-c 192.168.12.53 " + args
					}
					r := u.exec(t, lab, append([]string{"iperf3", "-J"}, strings.Fields(args)...)...)
					r.want(t, 0, "", "")
					wantTransfer(t, iperfReport(t, r), streams)
				})
			}
			t.Run("-u", func(t *testing.T) {
				u.exec(t, lab, "iperf3", "-c", "192.168.12.53", "-u", "-t", "1").want(t, 1, "", "^iperf3: error - protocol does not exist$")
			})
			p.signal(t, syscall.SIGTERM)
			p.wait(t).want(t, 0, `^\[SUM\].* receiver$`, "^appliance: connections: 0 opened, [0-9]+ accepted")
			last := map[uint32]tracer.State{}
			events := readTrace(t, u.path("t.jsonl"), false)
			for _, e := range events {
				if change, ok := e.Body.(*tracer.StateChange); ok {
					last[e.Conn] = change.To
				}
			}
			for _, c := range servedConns(events, iperf.Port) {
				if last[c] != tracer.Closed {
					t.Errorf("connection %d ends in %v", c, last[c])
				}
			}
		})
	}
}

// TestIperfClient: the appliance measures the way to Linux's iperf3, and ends by itself.
func TestIperfClient(t *testing.T) {
	for _, s := range settings() {
		t.Run(s.name, func(t *testing.T) {
			u, lab := s.up(t)
			for options, streams := range map[string]int{
				"time=1,parallel=4": 4, "time=1,reverse": 1, "time=1,bidir,omit=1": 2,
			} {
				t.Run(options, func(t *testing.T) {
					server := u.startExec(t, lab, "iperf3", "-s", "-1", "--forceflush")
					server.await(t, &server.stdout, "Server listening on 5201")
					args := append([]string{"run", "--level", "states", "-o", "off", "--connect", "iperf=192.168.12.1:5201,json," + options}, runFlags(lab, s.run)...)
					r := u.run(t, args...)
					r.want(t, 0, "", "^appliance: connections: [0-9]+ opened, 0 accepted")
					wantTransfer(t, iperfReport(t, r), streams)
					server.wait(t).want(t, 0, "Accepted connection from 192.168.12.53", "")
				})
			}
			u.run(t, append([]string{"run", "-o", "off", "--connect", "iperf=192.168.12.1:5201"}, runFlags(lab, s.run)...)...).
				want(t, 1, "", "^appliance: iperf: iperf with 192.168.12.1:5201: .*refused")
		})
	}
}
