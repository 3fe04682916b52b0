package parquet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	pq "github.com/parquet-go/parquet-go"
	"pgregory.net/rapid"

	"appliance/tracer"
	"appliance/tracer/sink/parquet"
	"appliance/tracer/tracertest"
)

var sameAddr = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

// write makes a file of a trace, in runs of a few events.
func write(t testing.TB, h tracer.Header, events []tracer.Event) []byte {
	t.Helper()
	var buf bytes.Buffer
	s := parquet.New(&buf)
	if err := s.Start(h); err != nil {
		t.Fatal(err)
	}
	for run := range slices.Chunk(events, 700) {
		if err := s.Write(run); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

// readBack reads a file.
func readBack(t testing.TB, file []byte) (tracer.Header, []tracer.Event) {
	t.Helper()
	r, err := parquet.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var events []tracer.Event
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			if int64(len(events)) != r.NumEvents() {
				t.Errorf("%d events, the file says %d", len(events), r.NumEvents())
			}
			return r.Header(), events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// inOrder has the variables of each tcb in the order of the columns, as they are read back.
func inOrder(events []tracer.Event) []tracer.Event {
	order := map[string]int{}
	for i, name := range parquet.Variables() {
		order[name] = i + 1
	}
	out := slices.Clone(events)
	for i := range out {
		if b, ok := out[i].Body.(*tracer.TCB); ok {
			vars := slices.Clone(b.Vars)
			rank := func(v tracer.TCBVar) int {
				if at := order[v.Name]; at != 0 && (v.Name == "recovery") == (v.Text != "") {
					return at
				}
				return len(order) + 1
			}
			slices.SortStableFunc(vars, func(a, b tracer.TCBVar) int { return rank(a) - rank(b) })
			out[i].Body = &tracer.TCB{After: b.After, Vars: vars}
		}
	}
	return out
}

// TestRoundTrip: whatever a trace can hold comes back, field by field. The events are drawn
// into one file, as making a writer of so many columns takes longer than they do.
func TestRoundTrip(t *testing.T) {
	event, header := rapid.Custom(tracertest.DrawEvent), rapid.Custom(tracertest.DrawHeader)
	want := make([]tracer.Event, 3000)
	kinds := map[tracer.Type]int{}
	for i := range want {
		want[i] = event.Example(i)
		kinds[want[i].Body.Type()]++
	}
	if len(kinds) != 9 {
		t.Fatalf("%d types of events: %v", len(kinds), kinds)
	}
	for i, run := range [][]tracer.Event{want, nil} {
		h := header.Example(i)
		gotHeader, got := readBack(t, write(t, h, run))
		if d := cmp.Diff(h, gotHeader); d != "" {
			t.Errorf("header (-want +got)\n%s", d)
		}
		if len(got) != len(run) {
			t.Fatalf("%d events, want %d", len(got), len(run))
		}
		for j, w := range inOrder(run) {
			if d := cmp.Diff(w, got[j], sameAddr); d != "" {
				t.Fatalf("event %d (-want +got)\n%s", j, d)
			}
		}
	}
}

// traces are those of the repository that are there to be read.
func traces(t *testing.T) map[string]func() (tracer.Header, []tracer.Event) {
	t.Helper()
	files, err := filepath.Glob("../../infer/testdata/*.jsonl")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d traces, %v", len(files), err)
	}
	all := map[string]func() (tracer.Header, []tracer.Event){}
	for _, file := range files {
		all[filepath.Base(file)] = func() (tracer.Header, []tracer.Event) { return readTrace(t, file) }
	}
	return all
}

func readTrace(t *testing.T, path string) (tracer.Header, []tracer.Event) {
	t.Helper()
	return tracertest.Read(t, path)
}

// TestTraces: recorded traces come back, the order of their variables included.
func TestTraces(t *testing.T) {
	for name, load := range traces(t) {
		t.Run(name, func(t *testing.T) {
			h, want := load()
			gotHeader, got := readBack(t, write(t, h, want))
			if d := cmp.Diff(h, gotHeader); d != "" {
				t.Errorf("header (-want +got)\n%s", d)
			}
			if d := cmp.Diff(want, got, sameAddr); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// many are segments, more than a row group has.
func many() []tracer.Event {
	local, remote := netip.MustParseAddrPort("192.168.12.53:9000"), netip.MustParseAddrPort("192.168.12.1:51234")
	list := make([]tracer.Event, parquet.GroupRows+1000)
	for i := range list {
		list[i] = tracer.Event{
			N: uint64(i) + 1, T: time.Duration(i) * time.Microsecond, Stack: "server", Conn: 1, Local: local, Remote: remote,
			Body: &tracer.Segment{Dir: tracer.In, Flags: tracer.ACK, Seq: uint32(i), Ack: 7, Len: i % 1449, Opts: tracer.Options{HasTS: true, TSVal: uint32(i)}}, //nolint:gosec // a few
		}
	}
	return list
}

// TestRowGroups: a long trace has several row groups, none above the bound.
func TestRowGroups(t *testing.T) {
	want := many()
	file := write(t, tracer.Header{}, want)
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(f.RowGroups()); n != 2 {
		t.Errorf("%d row groups, want 2", n)
	}
	for _, g := range f.RowGroups() {
		if g.NumRows() > parquet.GroupRows {
			t.Errorf("a row group of %d rows", g.NumRows())
		}
	}
	_, got := readBack(t, file)
	if d := cmp.Diff(want, got, sameAddr); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// TestSchema: the columns are what the documentation says.
func TestSchema(t *testing.T) {
	file := write(t, tracer.Header{}, nil)
	f, err := pq.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	got := f.Schema().String()
	for _, want := range []string{
		"required int64 n (INT(64,false))", "required int64 t_ns (INT(64,true))",
		"optional int64 time (TIMESTAMP(isAdjustedToUTC=false,unit=NANOS))",
		"required binary type (STRING)", "optional binary phase (STRING)", "optional int32 conn (INT(32,false))",
		"optional group local", "required int32 port (INT(16,false))", "optional group flags (LIST)",
		"optional group args (LIST)", "optional group cause", "optional group tcb", "optional int64 srtt_ns (INT(64,true))",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if t.Failed() {
		return
	}
	// Every field of the schema's lines is a column, or part of one.
	for field := range fieldsOfLines(t) {
		name := map[string]string{"of (lost)": "lost_of"}[field]
		if name == "" {
			name = field
		}
		if !strings.Contains(got, " "+name+" ") {
			t.Errorf("no column for the field %s", field)
		}
	}
}

// fieldsOfLines are the names that lines of the recorded traces have.
func fieldsOfLines(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, load := range traces(t) {
		_, events := load()
		for i := range events {
			var line map[string]json.RawMessage
			if err := json.Unmarshal(tracer.AppendJSON(nil, &events[i]), &line); err != nil {
				t.Fatal(err)
			}
			for name := range line {
				names[name] = true
			}
		}
	}
	if len(names) < 40 {
		t.Fatalf("only %d fields in the traces", len(names))
	}
	return names
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

// TestErrors: what the output errs with is told, wherever it does.
func TestErrors(t *testing.T) {
	for _, room := range []int{0, 100, 20000} {
		s := parquet.New(&failing{left: room})
		err := errors.Join(s.Start(tracer.Header{}), s.Write(many()), s.Close())
		if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "write parquet") {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
	if err := parquet.New(io.Discard).Write(many()[:1]); err == nil {
		t.Error("Write before Start")
	}
	var other bytes.Buffer
	w := pq.NewGenericWriter[struct{ A int }](&other)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"empty": nil, "text": []byte(strings.Repeat("no file ", 10)), "another's": other.Bytes(), "cut": write(t, tracer.Header{}, many()[:9])[:500],
	} {
		if _, err := parquet.NewReader(bytes.NewReader(file), int64(len(file))); err == nil || !strings.Contains(err.Error(), "open parquet") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDuckDB: DuckDB, where it is installed, sees the same events.
func TestDuckDB(t *testing.T) {
	duckdb, err := exec.LookPath("duckdb")
	if err != nil {
		t.Skip("needs duckdb: ", err)
	}
	h, want := readTrace(t, "../../infer/testdata/two-connections.jsonl")
	path := filepath.Join(t.TempDir(), "t.parquet")
	if err := os.WriteFile(path, write(t, h, want), 0o600); err != nil {
		t.Fatal(err)
	}
	query := fmt.Sprintf(`SELECT n, t_ns, type, stack, coalesce("to", '') AS "to", coalesce(local.port, 0) AS port FROM '%s' ORDER BY n`, path)
	out, err := exec.Command(duckdb, "-json", "-c", query).Output() //nolint:gosec // the path is ours
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		N     uint64
		T     int64 `json:"t_ns"`
		Type  string
		Stack string
		To    string
		Port  uint16
	}
	if err := json.Unmarshal(out, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	for i, r := range rows {
		to := ""
		if s, ok := want[i].Body.(*tracer.StateChange); ok {
			to = s.To.String()
		}
		e := &want[i]
		if r.N != e.N || r.T != int64(e.T) || r.Type != string(e.Body.Type()) || r.Stack != e.Stack || r.To != to || r.Port != e.Local.Port() {
			t.Errorf("row %+v, event %+v", r, e)
		}
	}
}

// BenchmarkParquet is how many events are written a second, and what that takes of memory.
func BenchmarkParquet(b *testing.B) {
	list := many()
	b.ReportAllocs()
	for range b.N {
		s := parquet.New(io.Discard)
		if err := errors.Join(s.Start(tracer.Header{}), s.Write(list), s.Close()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(list))/b.Elapsed().Seconds(), "events/s")
}
