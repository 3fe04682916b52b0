package qlog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/sink/qlog"
	"appliance/tracer/tracertest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func readTrace(t testing.TB, path string) (tracer.Header, []tracer.Event) {
	t.Helper()
	return tracertest.Read(t, path)
}

func write(h tracer.Header, events []tracer.Event) ([]byte, error) {
	var buf bytes.Buffer
	s := qlog.New(&buf)
	err := errors.Join(s.Start(h), s.Write(events), s.Close())
	return buf.Bytes(), err
}

// split takes a JSON text sequence apart (RFC 7464): every text between a RS and a LF.
func split(file []byte) ([][]byte, error) {
	var texts [][]byte
	for len(file) > 0 {
		if file[0] != 0x1e {
			return texts, fmt.Errorf("%q begins no text", file[:min(len(file), 20)])
		}
		text, rest, ok := bytes.Cut(file[1:], []byte{'\n'})
		if !ok || bytes.IndexByte(text, 0x1e) >= 0 {
			return texts, fmt.Errorf("%q does not end", text)
		}
		texts, file = append(texts, text), rest
	}
	return texts, nil
}

// events makes events of records again: nothing may be missing.
func eventOf(o map[string]any, line []byte) (string, error) {
	var r struct {
		N    uint64          `json:"n"`
		Name string          `json:"name"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return "", err
	}
	category, word, _ := strings.Cut(r.Name, ":")
	fields := r.Data
	kind := map[string]string{
		"socket": "call", "network": "icmp", "trace": "lost", "tcp": "timer",
		"transport:packet_sent": "segment", "transport:packet_received": "segment", "transport:packet_dropped": "segment",
		"connectivity:server_listening": "state", "connectivity:connection_state_updated": "state",
		"connectivity:connection_closed": "end", "recovery:metrics_updated": "tcb", "recovery:loss_timer_updated": "timer",
		"transport:datagrams_sent": "datagram", "transport:datagrams_received": "datagram", "transport:datagram_dropped": "datagram",
	}
	typ := kind[category]
	if typ == "" {
		if typ = kind[category+":"+word]; typ == "" {
			return "", nil // it tells nothing that the next does not
		}
		var data struct{ Trace json.RawMessage }
		if err := json.Unmarshal(r.Data, &data); err != nil {
			return "", err
		}
		fields = data.Trace
	}
	out := fmt.Sprintf(`{"n":%d,"t_ns":0,"type":%q`, r.N, typ)
	for _, name := range []string{"stack", "conn", "parent", "local", "remote"} {
		if v, ok := o[name]; ok {
			b, err := json.Marshal(v)
			if err != nil {
				return "", err
			}
			out += fmt.Sprintf(",%q:%s", name, b)
		}
	}
	if rest := strings.TrimPrefix(string(fields), "{"); rest != "}" {
		return out + "," + rest, nil
	}
	return out + "}", nil
}

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// verify checks a file against the draft's rules, and that it has every event.
func verify(file []byte, h tracer.Header, want []tracer.Event) error {
	texts, err := split(file)
	if err != nil {
		return err
	}
	var v validator
	lines := string(tracer.AppendHeader(nil, h)) + "\n"
	for i, text := range texts {
		o, err := v.record(text)
		if err != nil {
			return fmt.Errorf("record %d: %w\n%s", i, err, text)
		}
		if i == 0 {
			continue
		}
		line, err := eventOf(o, text)
		if err != nil {
			return err
		}
		if line != "" {
			lines += line + "\n"
		}
	}
	r, err := tracer.NewReader(strings.NewReader(lines))
	if err != nil {
		return err
	}
	for i := range want {
		got, err := r.Next()
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		w := want[i]
		w.T = 0
		if d := cmp.Diff(w, got, sameAddr); d != "" {
			return fmt.Errorf("event %d (-want +got)\n%s", i, d)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last event: %w", err)
	}
	return nil
}

// TestRules: what is written of recorded traces keeps the rules of the draft, and has
// every field of every event.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("../../infer/testdata/*.jsonl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	seen := map[string]int{}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			h, events := readTrace(t, path)
			file, err := write(h, events)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify(file, h, events); err != nil {
				t.Fatal(err)
			}
			for name := range eventRules {
				seen[name] += bytes.Count(file, []byte(`"name":"`+name+`"`))
			}
		})
	}
	for _, name := range []string{
		"transport:packet_sent", "transport:packet_received", "recovery:packet_lost", "recovery:marked_for_retransmit",
		"recovery:loss_timer_updated", "connectivity:connection_started",
		"connectivity:connection_state_updated", "connectivity:connection_closed", "connectivity:server_listening",
	} {
		if seen[name] == 0 {
			t.Errorf("no trace makes a %s", name)
		}
	}
}

// TestAnyEvents: no event, however odd, breaks the form or loses a field.
func TestAnyEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := tracertest.DrawHeader(t)
		events := rapid.SliceOfN(rapid.Custom(tracertest.DrawEvent), 0, 10).Draw(t, "events")
		for i := range events { // what a recorder never writes: the draft's members have no place for it
			switch b := events[i].Body.(type) {
			case *tracer.Segment:
				b.Len &= 0xffff
			case *tracer.Datagram:
				b.Len &= 0xffff
			default:
			}
			// A JSON number of qlog's readers has 53 bits.
			events[i].N &= 1<<53 - 1
		}
		file, err := write(h, events)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(file, h, events); err != nil {
			t.Fatal(err)
		}
	})
}

// story is a connection whose every segment has its place in the mapping.
func story() (tracer.Header, []tracer.Event) {
	a, b := netip.MustParseAddrPort("192.168.12.1:40000"), netip.MustParseAddrPort("192.168.12.53:9000")
	var events []tracer.Event
	add := func(at time.Duration, body tracer.Body) {
		events = append(events, tracer.Event{N: uint64(len(events) + 1), T: at, Stack: "client", Conn: 1, Local: a, Remote: b, Body: body})
	}
	seg := func(dir tracer.Direction, flags tracer.Flags, seq, ack uint32, length int, notes ...string) *tracer.Segment {
		return &tracer.Segment{Dir: dir, Flags: flags, Seq: seq, Ack: ack, Len: length, Win: 1000, Notes: notes, HasRel: true}
	}
	top := uint32(1<<32 - 100) // so that the numbers go round
	add(0, &tracer.Call{Name: "connect", Phase: tracer.PhaseEnter, Bytes: -1, Args: []tracer.Arg{{Name: "address", Value: b.String()}}})
	add(1000, &tracer.StateChange{From: tracer.Closed, To: tracer.SynSent, Cause: tracer.Cause{Kind: tracer.CauseCall, N: 1, What: "connect"}})
	add(2000, seg(tracer.Out, tracer.SYN, top, 0, 0))
	add(3000, seg(tracer.In, tracer.SYN|tracer.ACK, 500, top+1, 0))
	add(4000, seg(tracer.Out, tracer.ACK, top+1, 501, 0))
	add(5000, seg(tracer.Out, tracer.ACK, top+1, 501, 60))
	add(6000, seg(tracer.Out, tracer.ACK, top+61, 501, 60))
	add(7000, seg(tracer.Out, tracer.ACK, top+121, 501, 60))
	sack := seg(tracer.In, tracer.ACK, 501, top+1, 0, "dup-ack")
	sack.Opts.SACK = []tracer.SACKBlock{{Left: top + 61, Right: top + 181}}
	add(8000, sack)
	add(9000, &tracer.Timer{Name: "retransmit", What: "fired", RTO: time.Second})
	add(9500, seg(tracer.Out, tracer.ACK, top+1, 501, 60, "retransmission"))
	add(10000, seg(tracer.In, tracer.ACK, 501, top+181, 0))
	add(10500, &tracer.TCB{After: 12, Vars: []tracer.TCBVar{
		{Name: "cwnd", Value: 14480}, {Name: "inflight", Value: 0}, {Name: "srtt_ns", Value: 1500000}, {Name: "recovery", Text: "fast"},
	}})
	bad := seg(tracer.In, tracer.ACK, 501, 0, 10)
	bad.Dropped = "bad checksum"
	add(11000, bad)
	add(12000, seg(tracer.In, tracer.FIN|tracer.ACK, 501, top+181, 10))
	add(13000, seg(tracer.Out, tracer.RST|tracer.ACK, top+181, 512, 0))
	add(13000, &tracer.End{Role: tracer.Active, How: tracer.HowAborted, Duration: 13000, SegmentsOut: 6})
	h := tracer.Header{Started: time.Date(2026, 11, 20, 21, 6, 0, 123456789, time.UTC), Appliance: "1.0", Link: tracer.LinkInfo{Kind: "pipe"}}
	return h, events
}

// TestGolden: the mapping, record by record.
func TestGolden(t *testing.T) {
	h, events := story()
	file, err := write(h, events)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(file, h, events); err != nil {
		t.Error(err)
	}
	const golden = "testdata/story.sqlog"
	if *update {
		if err := os.WriteFile(golden, file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(file), "\n")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// failing errs after some bytes.
type failing struct{ left int }

var errFull = errors.New("no space left on device")

func (f *failing) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// TestErrors: what the output errs with is told, and a trace without events is a file.
func TestErrors(t *testing.T) {
	_, events := story()
	for len(events) < 2000 {
		events = append(events, events...)
	}
	for _, room := range []int{0, 100000} {
		s := qlog.New(&failing{left: room})
		if err := errors.Join(s.Start(tracer.Header{}), s.Write(events), s.Close()); !errors.Is(err, errFull) || !strings.Contains(err.Error(), "write qlog") {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
	file, err := write(tracer.Header{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(file, tracer.Header{}, nil); err != nil {
		t.Error(err)
	}
	s := qlog.New(io.Discard)
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	if err := s.Write(events[:1]); err == nil {
		t.Error("Write after Close")
	}
}
