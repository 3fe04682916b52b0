package infer_test

import (
	"testing"

	"appliance/tracer"
	"appliance/tracer/infer"
)

// TestMachine has what the figures have not.
func TestMachine(t *testing.T) {
	near := func(steps ...[2]string) [][2]string { // the numbers pass 2^32 on both sides
		return append([][2]string{
			{"> SYN seq=4294967294", "CLOSED → SYN-SENT by call 0 connect"},
			{"< SYN,ACK seq=4294967295 ack=4294967295", "SYN-SENT → ESTABLISHED by segment 2 SYN ACK"},
			{"> ACK seq=4294967295 ack=0", ""},
		}, steps...)
	}
	runMachine(t, []machineTest{
		{"wrap-around", infer.MachineOptions{}, near(
			[2]string{"> ACK seq=4294967295 ack=0 len=10", ""},
			[2]string{"< ACK seq=0 ack=9 len=5", ""},
			[2]string{"> FIN,ACK seq=9 ack=5", "ESTABLISHED → FIN-WAIT-1 by call 0 close or shutdown"},
			[2]string{"< ACK seq=5 ack=9", ""},
			[2]string{"< ACK seq=5 ack=10", "FIN-WAIT-1 → FIN-WAIT-2 by segment 8 ACK of our FIN"},
			[2]string{"< FIN,ACK seq=5 ack=10", "FIN-WAIT-2 → TIME-WAIT by segment 9 FIN"},
		)},
		{"refused", infer.MachineOptions{}, [][2]string{
			{"call connect", ""},
			{"> SYN seq=100", "CLOSED → SYN-SENT by call 1 connect"},
			{"< RST seq=0", ""},
			{"< RST,ACK seq=0 ack=100", ""},
			{"< RST,ACK seq=0 ack=102", ""},
			{"< RST,ACK seq=0 ack=101", "SYN-SENT → CLOSED by segment 6 RST"},
			{"> SYN seq=100", ""},
		}},
		{"the ACK of FIN must cover it", infer.MachineOptions{}, opened(
			[2]string{"> FIN,ACK seq=101 ack=301 len=10", "ESTABLISHED → FIN-WAIT-1 by call 0 close or shutdown"},
			[2]string{"< ACK seq=301 ack=111", ""},
			[2]string{"< ACK seq=301 ack=113", ""},
			[2]string{"< ACK seq=300 ack=112", ""},
			[2]string{"< FIN,ACK seq=301 ack=112", "FIN-WAIT-1 → TIME-WAIT by segment 8 FIN with the ACK of our FIN"},
		)},
		{"a FIN out of order", infer.MachineOptions{}, opened(
			[2]string{"< FIN,ACK seq=321 ack=101 len=5", ""},
			[2]string{"< ACK seq=311 ack=101 len=10", ""},
			[2]string{"< ACK seq=301 ack=101 len=5", ""},
			[2]string{"< ACK seq=304 ack=101 len=8", "ESTABLISHED → CLOSE-WAIT by segment 7 data that completes the stream up to the FIN"},
			[2]string{"< FIN,ACK seq=321 ack=101 len=5", ""},
		)},
		{"beyond the window", infer.MachineOptions{}, opened(
			[2]string{"> ACK seq=101 ack=301 win=10", ""},
			[2]string{"< FIN,ACK seq=1302 ack=101", ""},
			[2]string{"< RST seq=302", ""},
			[2]string{"< RST seq=300", ""},
		)},
		{"data on the third segment", listening, [][2]string{
			{"< SYN seq=100", "LISTEN → SYN-RECEIVED by segment 1 SYN"},
			{"> SYN,ACK seq=300 ack=101", ""},
			{"> SYN,ACK seq=300 ack=101", ""},
			{"< ACK seq=101 ack=300 len=5", ""},
			{"< ACK seq=101 ack=302 len=5", ""},
			{"< ACK seq=101 len=5 ack=301", "SYN-RECEIVED → ESTABLISHED by segment 6 ACK of our SYN"},
			{"< RST seq=101", "ESTABLISHED → CLOSED by segment 7 RST"}, // not yet acknowledged: RCV.NXT may be there
		}},
		{"a FIN on the third segment", listening, [][2]string{
			{"< SYN seq=100", "LISTEN → SYN-RECEIVED by segment 1 SYN"},
			{"> SYN,ACK seq=300 ack=101", ""},
			{
				"< FIN,ACK seq=101 ack=301",
				"SYN-RECEIVED → ESTABLISHED by segment 3 ACK of our SYN; ESTABLISHED → CLOSE-WAIT by segment 3 FIN",
			},
		}},
		{"closed before it was open", listening, [][2]string{
			{"< SYN seq=100", "LISTEN → SYN-RECEIVED by segment 1 SYN"},
			{"> SYN,ACK seq=300 ack=101", ""},
			{"call close", ""},
			{"> FIN,ACK seq=301 ack=101", "SYN-RECEIVED → FIN-WAIT-1 by call 3 close"},
		}},
		{"reset before it was open", listening, [][2]string{
			{"< ACK seq=100 ack=4", ""},
			{"> RST seq=4", ""},
			{"< RST seq=100", ""},
			{"< SYN seq=100", "LISTEN → SYN-RECEIVED by segment 4 SYN"},
			{"> SYN,ACK seq=300 ack=101", ""},
			{"< RST seq=102", ""},
			{"< RST seq=101", "SYN-RECEIVED → CLOSED by segment 7 RST"},
			{"< ACK seq=101 ack=301", ""},
		}},
		{"half-close", infer.MachineOptions{}, opened(
			[2]string{"call shutdown", ""},
			[2]string{"> FIN,ACK seq=101 ack=301", "ESTABLISHED → FIN-WAIT-1 by call 4 shutdown"},
			[2]string{"< ACK seq=301 ack=102 len=10", "FIN-WAIT-1 → FIN-WAIT-2 by segment 6 ACK of our FIN"},
			[2]string{"> ACK seq=102 ack=311", ""},
			[2]string{"< ACK seq=311 ack=102 len=10", ""},
			[2]string{"call close", ""}, // with something unread
			[2]string{"> RST,ACK seq=102 ack=321", "FIN-WAIT-2 → CLOSED by call 9 close"},
		)},
		{"data after close", infer.MachineOptions{}, opened(
			[2]string{"call close", ""},
			[2]string{"> FIN,ACK seq=101 ack=301", "ESTABLISHED → FIN-WAIT-1 by call 4 close"},
			[2]string{"< ACK seq=301 ack=101 len=10", ""},
			[2]string{"> RST seq=101", "FIN-WAIT-1 → CLOSED by segment 6 data after close"},
		)},
		{"aborted", infer.MachineOptions{}, opened(
			[2]string{"> RST,ACK seq=200 ack=301", ""},
			[2]string{"> RST,ACK seq=101 ack=301", "ESTABLISHED → CLOSED by call 0 abort"},
		)},
		{"CLOSED knows nobody", infer.MachineOptions{}, [][2]string{
			{"< SYN seq=100", ""},
			{"> RST,ACK seq=0 ack=101", ""},
		}},
		{"the record lacks the SYN", infer.MachineOptions{}, [][2]string{
			{"> SYN,ACK seq=300 ack=101", "LISTEN → SYN-RECEIVED by segment 0 SYN"},
			{"< ACK seq=101 ack=301", "SYN-RECEIVED → ESTABLISHED by segment 2 ACK of our SYN"},
		}},
		{"the record lacks the SYN ACK", infer.MachineOptions{}, [][2]string{
			{"> SYN seq=100", "CLOSED → SYN-SENT by call 0 connect"},
			{"> ACK seq=101 ack=301", "SYN-SENT → ESTABLISHED by segment 0 SYN ACK"},
			{"< FIN,ACK seq=301 ack=101", "ESTABLISHED → CLOSE-WAIT by segment 3 FIN"},
		}},
		{"the record lacks data before the FIN", infer.MachineOptions{}, opened(
			[2]string{"< FIN,ACK seq=311 ack=101", ""},
			[2]string{"> ACK seq=101 ack=312", "ESTABLISHED → CLOSE-WAIT by segment 4 FIN"},
		)},
	})
}

// TestWasOpen: of a connection that was open before the trace, no more is said than
// the evidence bears.
func TestWasOpen(t *testing.T) {
	const open = "CLOSED → ESTABLISHED by stack 0 already open when the trace began"
	runMachine(t, []machineTest{
		{"data both ways", infer.MachineOptions{}, [][2]string{
			{"> ACK seq=100 ack=300", ""},
			{"< ACK seq=300 ack=100 len=10", ""},
			{"< ACK seq=310 ack=100 len=10", ""},
			{"> ACK seq=100 ack=320 len=5", open},
			{"> FIN,ACK seq=105 ack=320", "ESTABLISHED → FIN-WAIT-1 by call 0 close or shutdown"},
			{"< FIN,ACK seq=320 ack=105", "FIN-WAIT-1 → CLOSING by segment 6 FIN"},
			{"< ACK seq=321 ack=106", "CLOSING → TIME-WAIT by segment 7 ACK of our FIN"},
		}},
		{"data one way, then the first FIN the other", infer.MachineOptions{}, [][2]string{
			{"< ACK seq=300 ack=100 len=10", ""},
			{"> ACK seq=100 ack=310", ""},
			{"> FIN,ACK seq=100 ack=310", open + "; ESTABLISHED → FIN-WAIT-1 by call 0 close or shutdown"},
			{"< ACK seq=310 ack=101", "FIN-WAIT-1 → FIN-WAIT-2 by segment 4 ACK of our FIN"},
		}},
		{"the other's FIN", infer.MachineOptions{}, [][2]string{
			{"< ACK seq=300 ack=100", ""},
			{"> ACK seq=100 ack=300 len=10", ""},
			{"< FIN,ACK seq=300 ack=110", open + "; ESTABLISHED → CLOSE-WAIT by segment 3 FIN"},
		}},
		{"data one way only", infer.MachineOptions{}, [][2]string{
			{"< ACK seq=300 ack=100 len=10", ""},
			{"> ACK seq=100 ack=310", ""},
			{"< FIN,ACK seq=310 ack=100", ""},
			{"> ACK seq=100 ack=311 len=5", ""},
			{"> FIN,ACK seq=105 ack=311", ""},
			{"< ACK seq=311 ack=106", ""},
		}},
		{"a FIN that may be a repeated one", infer.MachineOptions{}, [][2]string{
			{"< ACK seq=300 ack=100 len=10", ""},
			{"> FIN,ACK seq=100 ack=310", ""},
			{"> ACK seq=101 ack=310 len=5", ""},
		}},
		{"RST", infer.MachineOptions{}, [][2]string{
			{"< ACK seq=300 ack=100", ""},
			{"> RST seq=100", ""},
			{"< RST seq=300", ""},
		}},
	})
	m := infer.NewMachine(infer.MachineOptions{})
	if m.Received(1, &tracer.Segment{Flags: tracer.ACK}); m.Known() || m.State() != tracer.Closed {
		t.Errorf("%v, known %v", m.State(), m.Known())
	}
}
