package tracer_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
)

var (
	local  = netip.MustParseAddrPort("192.168.12.53:9000")
	remote = netip.MustParseAddrPort("192.168.12.1:51234")
	six    = netip.MustParseAddrPort("[fd00::1]:9000")
)

// lines are events and the lines of the schema that they must become.
var lines = []struct {
	e    tracer.Event
	want string
}{
	{
		tracer.Event{N: 1, T: 5, Stack: "server", Conn: 1, Local: local, Body: &tracer.Call{
			Name: "listen", Phase: tracer.PhaseEnter, Args: []tracer.Arg{{"backlog", int64(128)}, {"z", "s"}, {"a", true}}, Bytes: -1,
		}},
		`{"n":1,"t_ns":5,"type":"call","stack":"server","conn":1,"local":"192.168.12.53:9000","call":"listen","phase":"enter","args":{"backlog":128,"z":"s","a":true}}`,
	},
	{
		tracer.Event{N: 2, T: 6, Stack: "server", Body: &tracer.Call{
			Name: "recv", Phase: tracer.PhaseReturn, Of: 1, Bytes: 0, Took: 7,
		}},
		`{"n":2,"t_ns":6,"type":"call","stack":"server","call":"recv","phase":"return","of":1,"bytes":0,"took_ns":7}`,
	},
	{
		tracer.Event{N: 3, T: 6, Stack: "server", Body: &tracer.Call{
			Name: "accept", Phase: tracer.PhaseReturn, Of: 1, Bytes: -1, Result: "[::1]:1", Conn: 4, Error: "no", Took: 7,
		}},
		`{"n":3,"t_ns":6,"type":"call","stack":"server","call":"accept","phase":"return","of":1,"result":"[::1]:1","result_conn":4,"error":"no","took_ns":7}`,
	},
	{
		tracer.Event{N: 4, T: 12402000, Stack: "server", Conn: 2, Parent: 1, Local: local, Remote: remote, Body: &tracer.Segment{
			Dir: tracer.In, Flags: tracer.SYN, Seq: 1000, HasRel: true, Win: 64240,
			Opts: tracer.Options{MSS: 1460, HasWS: true, WS: 7, SACKOK: true, HasTS: true, TSVal: 9, NumOther: 1},
		}},
		`{"n":4,"t_ns":12402000,"type":"segment","stack":"server","conn":2,"parent":1,"local":"192.168.12.53:9000","remote":"192.168.12.1:51234","dir":"in","flags":["SYN"],"seq":1000,"rel_seq":0,"len":0,"win":64240,"opts":{"mss":1460,"ws":7,"sack_ok":true,"ts":[9,0],"other":1}}`,
	},
	{
		tracer.Event{N: 5, Stack: "s", Body: &tracer.Segment{
			Dir: tracer.Out, Flags: tracer.PSH | tracer.ACK, Seq: 1, Ack: 0, HasRelAck: true, RelAck: 3, Len: 5,
			Opts:  tracer.Options{SACK: []tracer.SACKBlock{{1, 2}, {3, 4}}},
			Notes: []string{"dup-ack", "x"}, Dropped: "loss", WireSegments: 2,
		}},
		`{"n":5,"t_ns":0,"type":"segment","stack":"s","dir":"out","flags":["PSH","ACK"],"seq":1,"ack":0,"rel_ack":3,"len":5,"win":0,"opts":{"sack":[[1,2],[3,4]]},"notes":["dup-ack","x"],"dropped":"loss","wire_segments":2}`,
	},
	{
		tracer.Event{N: 6, Stack: "s", Remote: six, Body: &tracer.Datagram{Dir: tracer.In, Len: 4, Notes: []string{"a"}, Dropped: "d"}},
		`{"n":6,"t_ns":0,"type":"datagram","stack":"s","remote":"[fd00::1]:9000","dir":"in","len":4,"notes":["a"],"dropped":"d"}`,
	},
	{
		tracer.Event{N: 7, Stack: "s", Body: &tracer.ICMP{Dir: tracer.In, Name: "echo request", Kind: 8, Len: 64}},
		`{"n":7,"t_ns":0,"type":"icmp","stack":"s","dir":"in","name":"echo request","icmp_type":8,"code":0,"len":64}`,
	},
	{
		tracer.Event{N: 8, Stack: "s", Body: &tracer.StateChange{
			From: tracer.FinWait1, To: tracer.Closed, Cause: tracer.Cause{Kind: tracer.CauseSegment, N: 41, What: "RST"},
			Via: "probe", Dwell: 3, RFC: "3.10.7.4", StackState: "ERROR", Error: "reset",
		}},
		`{"n":8,"t_ns":0,"type":"state","stack":"s","from":"FIN-WAIT-1","to":"CLOSED","cause":{"kind":"segment","n":41,"what":"RST"},"via":"probe","dwell_ns":3,"rfc":"3.10.7.4","stack_state":"ERROR","error":"reset"}`,
	},
	{
		tracer.Event{N: 9, Stack: "s", Body: &tracer.Timer{Name: "retransmit", What: "fired", RTO: 200 * time.Millisecond}},
		`{"n":9,"t_ns":0,"type":"timer","stack":"s","timer":"retransmit","what":"fired","rto_ns":200000000}`,
	},
	{
		tracer.Event{N: 10, Stack: "s", Body: &tracer.TCB{After: 9, Vars: []tracer.TCBVar{{Name: "cwnd", Value: 10}, {Name: "n", Value: 1}, {Name: "recovery", Text: "open"}, {Name: "srtt_ns"}}}},
		`{"n":10,"t_ns":0,"type":"tcb","stack":"s","after":9,"cwnd":10,"recovery":"open","srtt_ns":0}`,
	},
	{
		tracer.Event{N: 11, Stack: "s", Body: &tracer.End{Role: tracer.Active, Opened: 1, Duration: 2, BytesIn: 3, BytesOut: 4, SegmentsIn: 5, SegmentsOut: 6, Retransmits: 7, How: tracer.HowFIN}},
		`{"n":11,"t_ns":0,"type":"end","stack":"s","role":"active","opened_ns":1,"duration_ns":2,"bytes_in":3,"bytes_out":4,"segments_in":5,"segments_out":6,"retransmits":7,"how":"fin"}`,
	},
	{
		tracer.Event{N: 12, Stack: "s", Body: &tracer.Lost{Missed: 37, Of: tracer.TypeSegment}},
		`{"n":12,"t_ns":0,"type":"lost","stack":"s","missed":37,"of":"segment"}`,
	},
	{
		tracer.Event{N: 13, Stack: "s", Body: &tracer.Lost{Missed: 2}},
		`{"n":13,"t_ns":0,"type":"lost","stack":"s","missed":2}`,
	},
}

func TestAppendJSON(t *testing.T) {
	for _, l := range lines {
		got := string(tracer.AppendJSON([]byte("before "), &l.e))
		if diff := cmp.Diff("before "+l.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestAppendHeader(t *testing.T) {
	h := tracer.Header{
		Started:   time.Date(2026, 11, 20, 22, 6, 0, 123456789, time.FixedZone("CET", 3600)),
		Appliance: "1.0", GVisor: "v0", Go: "go1.26",
		Link: tracer.LinkInfo{Kind: "veth", Name: "app0", MTU: 1500, Impair: "drop 1 % <in>"},
		TCP:  tracer.TCPInfo{Congestion: "cubic", SACK: true, MSL: 30 * time.Second},
	}
	const want = `{"type":"trace","schema":"appliance-trace/1","started":"2026-11-20T21:06:00.123456789Z","appliance":"1.0","gvisor":"v0","go":"go1.26",` +
		`"link":{"kind":"veth","name":"app0","mtu":1500,"impair":"drop 1 % <in>"},"tcp":{"congestion":"cubic","sack":true,"rack":false,"nagle":false,"msl_ns":30000000000}}`
	if diff := cmp.Diff(want, string(tracer.AppendHeader(nil, h))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAppendJSONAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 4096)
	for _, l := range lines {
		if n := testing.AllocsPerRun(100, func() { buf = tracer.AppendJSON(buf[:0], &l.e) }); n != 0 {
			t.Errorf("%s: %v allocations", l.e.Body.Type(), n)
		}
	}
}

// FuzzAppendJSONStrings holds that any string becomes a JSON string which encoding/json
// reads back as the same, but for bytes that are no UTF-8.
func FuzzAppendJSONStrings(f *testing.F) {
	for _, s := range []string{"", "hello", "\"\\/\b\f\n\r\t\x00\x1f\x7f", "\u2028\u2029\ufffd", "\xff\xfe", "a\xe2\x80", "漢😀", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := tracer.Event{N: 1, Stack: s, Body: &tracer.Call{Name: s, Phase: tracer.PhaseDone, Args: []tracer.Arg{{s, s}}, Bytes: -1, Result: s, Error: s}}
		line := tracer.AppendJSON(nil, &e)
		if !utf8.Valid(line) || bytes.ContainsAny(line, "\n\r\u2028\u2029") {
			t.Fatalf("not one line of UTF-8: %q", line)
		}
		var got struct {
			Stack, Call, Result, Error string
			Args                       map[string]string
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		want := string([]rune(s)) // a byte that is no UTF-8 is U+FFFD
		if got.Stack != want || got.Call != want || got.Result != want || got.Error != want || got.Args[want] != want {
			t.Fatalf("got %q, want %q: %q", got, want, line)
		}
		if utf8.ValidString(s) && s != want {
			t.Fatalf("changed %q", s)
		}
		r, err := tracer.NewReader(strings.NewReader(string(tracer.AppendHeader(nil, tracer.Header{GVisor: s})) + "\n" + string(line)))
		if err != nil {
			t.Fatal(err)
		}
		back, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if r.Header().GVisor != want || back.Stack != want || back.Body.(*tracer.Call).Args[0] != (tracer.Arg{Name: want, Value: want}) {
			t.Fatalf("read back %+v, want %q", back, want)
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = tracer.AppendJSON(buf[:0], &lines[3].e)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkReader(b *testing.B) {
	var buf bytes.Buffer
	buf.Write(append(tracer.AppendHeader(nil, tracer.Header{}), '\n'))
	for range 1000 {
		buf.Write(append(tracer.AppendJSON(nil, &lines[3].e), '\n'))
	}
	b.ReportAllocs()
	b.SetBytes(int64(buf.Len()))
	for b.Loop() {
		r, err := tracer.NewReader(bytes.NewReader(buf.Bytes()))
		for err == nil {
			_, err = r.Next()
		}
	}
}
