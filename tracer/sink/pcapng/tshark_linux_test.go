package pcapng

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
)

// tool runs one of Wireshark's and returns what it prints. A word on standard error is an
// error, but for what it says to root.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s (Debian's packages tshark and wireshark-common)", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=", "LC_ALL=C.UTF-8")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if !strings.HasPrefix(line, `Running as user "root"`) {
			t.Errorf("%s %q warns: %s", name, args, line)
		}
	}
	return out.String()
}

// traces are the files of testdata, as pcapng.
func traces(t *testing.T) map[string]string {
	t.Helper()
	found, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(found) == 0 {
		t.Fatalf("no traces: %v", err)
	}
	all := map[string]string{}
	for _, path := range found {
		name := strings.TrimSuffix(filepath.Base(path), ".jsonl")
		out := filepath.Join(t.TempDir(), name+".pcapng")
		s, err := Create(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Start(headerOf(t, path)), s.Write(load(t, path)), s.Close()); err != nil {
			t.Fatal(err)
		}
		all[name] = out
	}
	return all
}

func headerOf(t *testing.T, path string) tracer.Header {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := tracer.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return r.Header()
}

// strict are the settings under which tshark looks at everything that it can check.
var strict = []string{"-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"}

func fields(t *testing.T, path, filter string, names ...string) []string {
	t.Helper()
	args := append([]string{"-r", path, "-T", "fields", "-E", "separator=|", "-E", "aggregator=;"}, strict...)
	for _, n := range names {
		args = append(args, "-e", n)
	}
	if filter != "" {
		args = append(args, "-Y", filter)
	}
	out := strings.TrimSuffix(tool(t, "tshark", args...), "\n")
	if out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

// TestWiresharkReadsAll: no warning, every event is a frame, every packet an event's, every
// other one a row of the journal with its line of the story.
func TestWiresharkReadsAll(t *testing.T) {
	for name, path := range traces(t) {
		events := load(t, "testdata/"+name+".jsonl")
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		packets := capture(t, file)
		info := tool(t, "capinfos", "-M", path)
		for _, want := range []string{
			fmt.Sprintf("Number of packets:   %d\n", len(packets)), "File timestamp precision:  nanoseconds (9)",
			"Capture comment:     " + tracer.Schema, "Capture application: appliance",
		} {
			if !strings.Contains(info, want) {
				t.Errorf("%s: capinfos has no %q:\n%s", name, want, info)
			}
		}
		rows := fields(t, path, "", "frame.packet_id", "_ws.col.Protocol", "_ws.col.Info", "_ws.malformed", "_ws.short")
		if len(rows) != len(events) {
			t.Fatalf("%s: %d rows of %d events", name, len(rows), len(events))
		}
		teller := newEncoder("")
		for i := range events {
			row := strings.Split(rows[i], "|")
			if row[0] != "" {
				if row[0] != fmt.Sprint(events[i].N) || row[3] != "" {
					t.Errorf("%s: event %d is %q", name, events[i].N, rows[i])
				}
				continue
			}
			if want := string(teller.tell(nil, &events[i])); row[1] != "systemd Journal" || row[2] != want {
				t.Errorf("%s: event %d is %q, want %q", name, events[i].N, rows[i], want)
			}
		}
	}
}

// TestWiresharkComments: frame.comment finds the packets that changed a state, or of which
// there is something to say.
func TestWiresharkComments(t *testing.T) {
	got := fields(t, traces(t)["demo"], "frame.comment && tcp", "frame.packet_id", "frame.interface_name", "frame.packet_flags_direction", "frame.comment")
	want := []string{
		"34|server|0x00000001|server.9 ● LISTEN → SYN-RECEIVED  by SYN #34",
		"37|client|0x00000001|client.8 ● SYN-SENT → ESTABLISHED  by SYN ACK #37, after 0.431 ms",
		"40|server|0x00000001|server.9 ● SYN-RECEIVED → ESTABLISHED  by ACK of our SYN #40, after 0.084 ms",
		"69|server|0x00000001|server.9 ● ESTABLISHED → CLOSE-WAIT  by FIN #69, after 0.472 ms",
		"72|client|0x00000001|client.8 ● FIN-WAIT-1 → FIN-WAIT-2  by ACK of our FIN #72, after 0.039 ms",
		"79|client|0x00000001|client.8 ● FIN-WAIT-2 → TIME-WAIT  by FIN #79, after 0.055 ms",
		"82|server|0x00000001|server.9 ● LAST-ACK → CLOSED  by ACK of our FIN #82, after 0.026 ms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWiresharkAnalysis: what Wireshark's analysis of TCP makes of a trace is what happened,
// and of a connection without loss it has nothing to say.
func TestWiresharkAnalysis(t *testing.T) {
	all := traces(t)
	for _, name := range []string{"demo", "one-end", "udp"} {
		if got := fields(t, all[name], "tcp.analysis.flags || _ws.expert.severity >= 0x600000 || tcp.checksum.status == 0 || ip.checksum.status == 0 || udp.checksum.status == 0",
			"frame.packet_id", "_ws.expert.message", "_ws.col.Info"); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	// One segment lost, three duplicate ACKs, one fast retransmission.
	counts := map[string]int{
		"tcp.analysis.duplicate_ack": 3, "tcp.analysis.fast_retransmission": 1, "tcp.analysis.retransmission": 1,
		"tcp.analysis.ack_lost_segment": 0, "tcp.analysis.lost_segment": 0, "tcp.analysis.out_of_order": 0,
		"tcp.analysis.spurious_retransmission": 0, "_ws.malformed": 0,
	}
	names := slices.Sorted(maps.Keys(counts))
	got := map[string]int{}
	for _, row := range fields(t, all["lost"], "tcp", names...) {
		for i, value := range strings.Split(row, "|") {
			if got[names[i]] += 0; value != "" {
				got[names[i]]++
			}
		}
	}
	if diff := cmp.Diff(counts, got); diff != "" {
		t.Errorf("lost: frames with (-want +got):\n%s", diff)
	}
	// Relative numbers and windows are the trace's.
	var want []string
	for _, e := range load(t, "testdata/demo.jsonl") {
		if s, ok := e.Body.(*tracer.Segment); ok && s.Dir == tracer.In {
			want = append(want, fmt.Sprintf("%d|%d|%d|%d|%d", e.N, s.RelSeq, s.RelAck, s.Len, s.Win))
		}
	}
	if diff := cmp.Diff(want, fields(t, all["demo"], "tcp", "frame.packet_id", "tcp.seq", "tcp.ack", "tcp.len", "tcp.window_size")); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// TestWiresharkWritesAnew: what Wireshark saves is the trace still.
func TestWiresharkWritesAnew(t *testing.T) {
	for name, path := range traces(t) {
		again := filepath.Join(t.TempDir(), "again.pcapng")
		tool(t, "tshark", "-r", path, "-w", again)
		f, err := os.Open(again)
		if err != nil {
			t.Fatal(err)
		}
		h, got, err := read(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in := "testdata/" + name + ".jsonl"
		checkSame(t, headerOf(t, in), load(t, in), h, got)
	}
}

// TestKilled kills a process that writes: what it left is read up to the last whole block.
func TestKilled(t *testing.T) {
	if path := os.Getenv("PCAPNG_TEST_WRITE"); path != "" {
		writeUntilKilled(path)
	}
	path := filepath.Join(t.TempDir(), "trace.pcapng")
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "PCAPNG_TEST_WRITE="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("batch\n")*3)); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the writer ended by itself")
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, events := wholeBlocks(file)
	_, got, err := read(bytes.NewReader(file))
	if uint64(len(got)) != events || events == 0 || err != nil && (whole == len(file) || !errors.Is(err, ErrTruncated)) {
		t.Errorf("%d events of %d, %d of %d bytes whole: %v", len(got), events, whole, len(file), err)
	}
	if whole == len(file) {
		tool(t, "capinfos", path)
	}
	// Whatever a kill may leave: Wireshark reads to the last whole block.
	if err := os.WriteFile(path, file[:min(len(file), 5000)], 0o600); err != nil {
		t.Fatal(err)
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("needs tshark")
	}
	rows, err := exec.Command(tshark, "-r", path, "-T", "fields", "-e", "frame.number").Output()
	_, events = wholeBlocks(file[:5000])
	if n := bytes.Count(rows, []byte("\n")); uint64(n) != events || err == nil {
		t.Errorf("tshark reads %d of %d events, %v", n, events, err)
	}
}

func writeUntilKilled(path string) {
	s, err := Create(path)
	if err == nil {
		err = s.Start(tracer.Header{})
	}
	for i := 0; err == nil && i < 10000; i++ {
		err = s.Write(changes(1000))
		fmt.Println("batch")
	}
	fmt.Fprintln(os.Stderr, "not killed:", err)
	os.Exit(1)
}

// TestWiresharkLongEvents: what is too long for an option or a journal entry is a row too.
func TestWiresharkLongEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.pcapng")
	long := strings.Repeat("x", 300_000)
	events := slices.Concat(transfer(2), []tracer.Event{
		packetEvent(3, "server", tracer.In, &tracer.Segment{Dropped: long[:70_000]}),
		packetEvent(4, "server", tracer.In, &tracer.Segment{Dropped: long[:60_000]}),
		{N: 5, Body: &tracer.Timer{Name: long}},
		{N: 6, Body: &tracer.Timer{Name: long[:200_000]}},
	})
	if err := os.WriteFile(path, write(t, tracer.Header{}, events, 10), 0o600); err != nil {
		t.Fatal(err)
	}
	if rows := fields(t, path, "", "frame.number"); len(rows) != len(events) {
		t.Errorf("%d rows, want %d", len(rows), len(events))
	}
}
