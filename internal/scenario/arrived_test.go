package scenario

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"testing"
	"time"

	"appliance/tracer"
	"appliance/tracer/sequence"
)

// TestArrived: a program of Linux's waits until the kernel has the segment, not only until
// the appliance has sent it.
func TestArrived(t *testing.T) {
	local, remote := netip.MustParseAddrPort("192.168.12.53:9000"), netip.MustParseAddrPort("192.168.12.1:40000")
	segment := func(flags tracer.Flags, dropped string, notes ...string) tracer.Event {
		return tracer.Event{Stack: serverStack, Local: local, Remote: remote, Body: &tracer.Segment{
			Dir: tracer.Out, Flags: flags, RelAck: 21, RelSeq: 1, Dropped: dropped, Notes: notes,
		}}
	}
	other := segment(tracer.ACK, "")
	other.Remote = netip.MustParseAddrPort("192.168.12.1:40001")
	synack, ack := segment(tracer.SYN|tracer.ACK, ""), segment(tracer.ACK, "")
	row := func(line string) sequence.Row {
		r, err := sequence.ParseRow(line)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	gone := errors.New("too long")
	for _, c := range []struct {
		name   string
		row    string
		events []tracer.Event
		took   []uint32 // what Linux says, one time after the other; then it has no such connection
		asked  int
	}{
		{"at once", "S → C ACK seq=1 ack=21", []tracer.Event{synack, ack}, []uint32{2}, 1},
		{"in a while", "S → C ACK seq=1 ack=21", []tracer.Event{synack, ack}, []uint32{1, 1, 2}, 3},
		{"only up to it", "S → C ACK seq=1 ack=21", []tracer.Event{synack, ack, segment(tracer.RST, "")}, []uint32{2}, 1},
		{"one SYN of two", "S → C ACK seq=1 ack=21", []tracer.Event{synack, synack, ack}, []uint32{2}, 1},
		{"what is lost", "S → C ACK seq=1 ack=21", []tracer.Event{synack, segment(tracer.FIN, "loss"), segment(tracer.FIN, "", "corrupted"), ack}, []uint32{1, 2}, 2},
		{"another connection's", "S → C ACK seq=1 ack=21", []tracer.Event{other, synack, ack}, []uint32{1, 2}, 2},
		{"closed meanwhile", "S → C ACK seq=1 ack=21", []tracer.Event{synack, ack}, []uint32{1}, 2},
		{"its sending only", "S ▶ ACK seq=1 ack=21", []tracer.Event{synack, ack}, nil, 0},
		{"its own", "C → S ACK seq=1 ack=21", []tracer.Event{synack, ack}, nil, 0},
	} {
		asked := 0
		s := &stage{
			players: sequence.Players{sequence.Client: sequence.Linux, sequence.Server: sequence.Stack},
			run:     &sequence.Run{}, names: newNames(func() {}), journal: newJournal(),
			took: func(at, of netip.AddrPort) (uint32, bool, error) {
				if at != remote && at != other.Remote || of != local {
					t.Errorf("%s: asked for %s – %s", c.name, at, of)
				}
				asked++
				if asked > len(c.took) {
					return 0, false, nil
				}
				return c.took[asked-1], true, nil
			},
		}
		_ = s.journal.Write(c.events)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, gone)
		w := &segmentWait{stage: s, row: row(c.row)}
		if c.name == "another connection's" {
			w.after = 1
		}
		err := (&program{stage: s, end: sequence.Client}).arrived(ctx, w)
		cancel()
		if err != nil || asked != c.asked {
			t.Errorf("%s: asked %d times, want %d; error %v", c.name, asked, c.asked, err)
		}
	}
}

// TestWaitInferred: a state of Linux's end is waited for until the kernel has the segment that
// makes it, not only until the appliance has sent that.
func TestWaitInferred(t *testing.T) {
	local, remote := netip.MustParseAddrPort("192.168.12.1:40000"), netip.MustParseAddrPort("192.168.12.53:9000")
	segment := func(n uint64, dir tracer.Direction, flags tracer.Flags, seq, ack uint32) tracer.Event {
		return tracer.Event{N: n, Stack: clientStack, Conn: 1, Local: local, Remote: remote, Body: &tracer.Segment{
			Dir: dir, Flags: flags, Seq: seq, Ack: ack, RelSeq: seq, RelAck: ack, Win: 1000,
		}}
	}
	handshake := []tracer.Event{
		segment(3, tracer.Out, tracer.SYN, 0, 0), segment(5, tracer.In, tracer.SYN|tracer.ACK, 0, 1),
		segment(7, tracer.Out, tracer.ACK, 1, 1), segment(8, tracer.Out, tracer.ACK|tracer.PSH, 1, 1),
	}
	for _, c := range []struct {
		state tracer.State
		took  []uint32 // what Linux says, one time after the other
		asked int
	}{
		{tracer.Established, []uint32{2}, 1},
		{tracer.Established, []uint32{0, 0, 2}, 3},
		{tracer.SynReceived, nil, 0}, // half-open: there is no count
	} {
		asked := 0
		s := &stage{
			players: sequence.Players{sequence.Client: sequence.Stack, sequence.Server: sequence.Linux},
			run:     &sequence.Run{}, names: newNames(func() {}), journal: newJournal(),
			took: func(at, of netip.AddrPort) (uint32, bool, error) {
				if at != remote || of != local {
					t.Errorf("asked for %s – %s", at, of)
				}
				asked++
				return c.took[asked-1], true, nil
			},
		}
		_ = s.journal.Write(handshake)
		err := (&program{stage: s, end: sequence.Client}).wait(t.Context(), &sequence.Step{Do: sequence.Wait, End: sequence.Server, State: c.state})
		if err != nil || asked != c.asked {
			t.Errorf("%s: asked %d times, want %d; error %v", c.state, asked, c.asked, err)
		}
	}
}

// TestAllTaken: at a run's end Linux has what each connection sent last, and what it will
// never get is not waited for without end.
func TestAllTaken(t *testing.T) {
	local, first, second := netip.MustParseAddrPort("192.168.12.53:9000"), netip.MustParseAddrPort("192.168.12.1:40000"), netip.MustParseAddrPort("192.168.12.1:40001")
	segment := func(remote netip.AddrPort, flags tracer.Flags) tracer.Event {
		return tracer.Event{Stack: serverStack, Conn: 1, Local: local, Remote: remote, Body: &tracer.Segment{Dir: tracer.Out, Flags: flags}}
	}
	synack, ack := tracer.SYN|tracer.ACK, tracer.ACK
	for _, c := range []struct {
		name   string
		events []tracer.Event
		want   map[netip.AddrPort]uint32 // how many segments Linux was waited for to have
	}{
		{"nothing sent", nil, nil},
		{
			"two connections",
			[]tracer.Event{segment(first, synack), segment(second, synack), segment(first, ack), segment(second, ack), segment(first, ack)},
			map[netip.AddrPort]uint32{first: 3, second: 2},
		},
		{
			"the newer one of the same ends",
			[]tracer.Event{segment(first, synack), segment(first, ack), segment(first, ack), segment(first, synack), segment(first, ack)},
			map[netip.AddrPort]uint32{first: 2},
		},
		{"half-open", []tracer.Event{segment(first, synack), segment(first, synack)}, nil},
	} {
		got := map[netip.AddrPort]uint32{}
		s := &stage{journal: newJournal(), took: func(at, of netip.AddrPort) (uint32, bool, error) {
			if of != local {
				t.Errorf("%s: asked for %s – %s", c.name, at, of)
			}
			got[at]++
			return got[at], got[at] <= c.want[at]+2, nil // one more each time; in the end it has no such connection
		}}
		_ = s.journal.Write(c.events)
		if err := s.allTaken(t.Context()); err != nil || !maps.Equal(got, c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%s: waited for %v, want %v; error %v", c.name, got, c.want, err)
		}
	}
	s := &stage{journal: newJournal(), took: func(netip.AddrPort, netip.AddrPort) (uint32, bool, error) { return 1, true, nil }}
	_ = s.journal.Write([]tracer.Event{segment(first, synack), segment(first, ack)})
	if err := s.allTaken(t.Context()); err != nil {
		t.Errorf("a segment that Linux does not get: %v", err)
	}
	gone := errors.New("too long")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if err := s.allTaken(ctx); !errors.Is(err, gone) {
		t.Errorf("the run's time is over: %v", err)
	}
	failed := errors.New("no sock_diag")
	s.took = func(netip.AddrPort, netip.AddrPort) (uint32, bool, error) { return 0, false, failed }
	if err := s.allTaken(t.Context()); !errors.Is(err, failed) {
		t.Errorf("sock_diag fails: %v", err)
	}
}
