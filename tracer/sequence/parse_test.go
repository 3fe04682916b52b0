package sequence

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"appliance/tracer"
)

// TestParse: a file with every key is read as what it says.
func TestParse(t *testing.T) {
	data, err := os.ReadFile("testdata/every-key.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("some/where/every-key.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	ack1, zero := Number{Equal, 1}, Number{Op: Equal}
	want := &Sequence{
		Name: "every-key", Title: "Every key", Shows: "That every key is read.",
		Sources: []Source{{"001", "part 1, segments 1 to 3"}, {"design card", "the programs"}},
		RFC:     []string{"RFC 9293, 3.5", "RFC 793"}, Differs: "Not at all.",
		Numbers: map[End]uint32{Client: 1000, Server: 4294967295},
		Runs: []Run{
			{
				Name: "first", Shows: "The first.", Port: 7, MSL: 30 * time.Second, RealMSL: 2 * time.Second, MTU: 1280,
				TCP: map[End]map[string]any{
					Client: {"sack": false, "mss": 1460}, Server: {"msl": "1s"}, "": {"congestion": "reno"},
				},
				Sysctl: map[string]string{"net.ipv4.tcp_sack": "0"},
				Programs: map[string][]Step{
					"C":       {{Do: Connect, Line: 26}, {Conn: "b", Do: Connect, Line: 26}, {Conn: "b", Do: Send, Bytes: 20, Line: 26}},
					"C@linux": {{Do: Python, Text: "client.py", Args: []string{"{host}", "{port}"}, Line: 27}},
					"S": {
						{Do: Listen, Backlog: 8, Line: 29},
						{Do: Accept, Line: 30},
						{Conn: "b", Do: Accept, Line: 31},
						{Do: Together, Together: [][]Step{{{Do: Close, Line: 32}}, {{Do: Close, Listener: true, Line: 32}}}, Line: 32},
					},
				},
				Scripts: map[End][]Frame{Server: {
					{Do: FrameAwait, Flags: tracer.SYN, Line: 35},
					{Conn: "b", Do: FrameSend, Flags: tracer.RST, Seq: zero, Line: 36},
				}},
				Extra:  []Frame{{Do: FrameDelay, For: time.Second, Line: 37}},
				Link:   []LinkRule{{Client, "drop SYN nth=1"}},
				Forced: map[string][]LinkRule{"S@stack": {{Server, "drop ACK,!FIN nth=2"}}},
				Expect: []Row{
					{Line: 41, Body: CallRow{At: At{End: Client}, Call: "connect", Bytes: -1}},
					{Line: 42, Body: StateRow{At: At{End: Client}, To: tracer.SynSent, By: By{Call: "connect"}}},
					{Line: 43, Body: SegmentRow{Label: "syn", From: At{End: Client}, Flags: tracer.SYN, Seq: zero, Len: zero, Min: 1, Max: 1}},
					{Line: 44, Body: Group{Kind: AnyOrder, Lists: [][]Row{
						{{Line: 45, Body: TimerRow{At: At{End: Client}, Timer: "retransmit", After: time.Second}}},
						{
							{Line: 46, Body: SegmentRow{
								From: At{Client, "b"}, Way: Arrives, Flags: tracer.ACK, Seq: ack1, Ack: ack1,
								Len: Number{More, 0}, Win: zero, Opts: &Opts{MSS: true, MSSValue: 1460, WSValue: -1, TS: true},
								Notes: []string{"keepalive"}, Min: 2,
							}},
							{Line: 47, Body: DatagramRow{From: At{End: Server}, Len: Number{Equal, 5}, Lost: true}},
						},
					}}},
					{Line: 48, Body: Group{Kind: Either, Lists: [][]Row{
						{{Line: 49, Body: CallRow{At: At{End: Client}, Call: "recv", Bytes: 20}}},
						{{Line: 50, Body: Group{Kind: Optional, Lists: [][]Row{
							{{Line: 50, Body: CallRow{At: At{End: Client}, Call: "recv", EOF: true, Fails: "reset"}}},
						}}}},
					}}},
					{Line: 52, Body: Group{Kind: Only, For: Server, Players: []Player{Stack, Script}, Lists: [][]Row{
						{{Line: 52, Body: CallRow{At: At{End: Server}, Call: "close", Bytes: -1}}},
					}}},
					{Line: 53, Body: Group{Kind: Only, For: Client, Players: []Player{Linux}, Lists: [][]Row{
						{{Line: 53, Body: CallRow{At: At{End: Server}, Call: "close", Listener: true, Bytes: -1}}},
					}}},
				},
				Allow: []Allowance{AllowACKs, AllowTimers, AllowProbes, AllowRetransmissions},
				Check: Checks{
					MaxLen: map[End]int{Client: 1024}, MaxHalfOpen: 8, MinCookies: 1, Established: 2, NoAnswer: true, MaxEvents: 1000, TCB: Client,
				},
				Until:   map[End]tracer.State{Client: tracer.SynSent},
				Players: []Players{{Client: Stack, Server: Stack}, {Client: Linux, Server: Script}},
			},
			{
				Name: "second", Programs: map[string][]Step{"C": {}, "S": {}},
				Expect: []Row{{Line: 60, Body: CallRow{At: At{End: Server}, Call: "listen", Bytes: -1}}},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	if got := got.Runs[0].Rows(Players{Client: Stack, Server: Linux}); len(got) != 5 {
		t.Errorf("%d rows with other players: %v", len(got), got)
	}
}

// TestOpening: the word stands for the rows of the handshake, and a second one for those of
// another connection, which the same listener takes.
func TestOpening(t *testing.T) {
	s, err := Parse("o", []byte(strings.ReplaceAll(head, "NAME", "o")+`
- programs: {C: [connect, "b: connect"], S: [listen, accept, "b: accept"]}
  expect:
    - opening
    - b: opening
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range s.Runs[0].Expect {
		got = append(got, row.String())
	}
	want := []string{
		"S listen",
		"S CLOSED → LISTEN by listen",
		"C connect",
		"C CLOSED → SYN-SENT by connect",
		"syn: C → S SYN seq=0",
		"S LISTEN → SYN-RECEIVED by syn",
		"syn-ack: S → C SYN,ACK seq=0 ack=1",
		"C SYN-SENT → ESTABLISHED by syn-ack",
		"ack: C → S ACK seq=1 ack=1",
		"S SYN-RECEIVED → ESTABLISHED by ack",
		"S accept",
		"C.b connect",
		"C.b CLOSED → SYN-SENT by connect",
		"b.syn: C.b → S.b SYN seq=0",
		"S.b LISTEN → SYN-RECEIVED by b.syn",
		"b.syn-ack: S.b → C.b SYN,ACK seq=0 ack=1",
		"C.b SYN-SENT → ESTABLISHED by b.syn-ack",
		"b.ack: C.b → S.b ACK seq=1 ack=1",
		"S.b SYN-RECEIVED → ESTABLISHED by b.ack",
		"S.b accept",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// TestPairings: everybody plays that has what it needs, unless players says who.
func TestPairings(t *testing.T) {
	for name, tt := range map[string]struct {
		run  string
		want string
	}{
		"programs": {
			"{programs: {C: [connect], S: [listen]}, expect: [S listen]}",
			"C@stack S@stack, C@stack S@linux, C@linux S@stack, C@linux S@linux",
		},
		"scripts": {
			"{programs: {C: [connect], S: [listen]}, scripts: {C: [await SYN], S: [await SYN]}, expect: [S listen]}",
			"C@stack S@stack, C@stack S@linux, C@stack S@script, C@linux S@stack, C@linux S@linux, C@linux S@script, " +
				"C@script S@stack, C@script S@linux",
		},
		"python": {
			`{programs: {C: [python x.py], S: [{together: [[listen], [kill]]}], "S@stack": []}, expect: [S listen]}`,
			"C@linux S@stack, C@linux S@linux",
		},
		"own": {
			`{programs: {"C@stack": [connect], "S@linux": [listen]}, expect: [S listen]}`,
			"C@stack S@linux",
		},
		"players": {
			`{programs: {C: [connect], S: [listen]}, players: [S@linux C@stack], expect: [S listen]}`,
			"C@stack S@linux",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Parse("p", []byte(strings.ReplaceAll(head, "NAME", "p")+"- "+tt.run))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range s.Runs[0].Pairings() {
				got = append(got, p.String())
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestRows: what is left of groups when the rows that are for others are gone.
func TestRows(t *testing.T) {
	s, err := Parse("r", []byte(strings.ReplaceAll(head, "NAME", "r")+`
- programs: {C: [], S: []}
  expect:
    - only: {C@stack: [C bind]}
    - only: {"C@stack,linux": [C accept]}
    - either:
        - [C connect]
        - [only: {C@linux: [C close]}]
    - any-order: [C send, only: {C@linux: [C recv]}]
    - optional: [only: {C@linux: [C shutdown, C bind]}]
    - optional: [C listen]
`))
	if err != nil {
		t.Fatal(err)
	}
	for player, want := range map[Player][]string{
		Stack: {"C bind", "C accept", "C connect", "C send", `{optional: ["C listen"]}`},
		Linux: {
			"C accept", `{either: [["C connect"], ["C close"]]}`, `{any-order: [["C send"], ["C recv"]]}`,
			`{optional: ["C shutdown", "C bind"]}`, `{optional: ["C listen"]}`,
		},
		Script: {"C connect", "C send", `{optional: ["C listen"]}`},
	} {
		var got []string
		for _, row := range s.Runs[0].Rows(Players{Client: player, Server: Stack}) {
			got = append(got, row.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", player, diff)
		}
	}
}

// TestLoad: all files of a directory, by name, but the list of skips; what is wrong is told of
// each file.
func TestLoad(t *testing.T) {
	file := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.ReplaceAll(head, "NAME", name) +
			"- {programs: {C: [], S: []}, expect: [S listen]}\n")}
	}
	fsys := fstest.MapFS{
		"b-c.yaml": file("b-c"), "b.yaml": file("b"), SkipsFile: {Data: []byte("- x")}, "README.md": {Data: []byte("#")},
		"sub/c.yaml": file("d"),
	}
	all, err := Load(fsys)
	if err != nil || len(all) != 2 || all[0].Name != "b" || all[1].Name != "b-c" {
		t.Errorf("Load = %v, %v", all, err)
	}
	if all, err := Load(fstest.MapFS{"sequences/b.yaml": file("b")}); err == nil || len(all) != 0 {
		t.Errorf("Load of nothing = %v, %v", all, err)
	}
	fsys["a.yaml"], fsys["z.yaml"] = file("not-a"), &fstest.MapFile{Data: []byte("{}")}
	fsys["dir.yaml"] = &fstest.MapFile{Mode: fs.ModeDir}
	all, err = Load(fsys)
	var e *Error
	if !errors.As(err, &e) || len(all) != 2 {
		t.Fatalf("Load = %d sequences, %v", len(all), err)
	}
	for _, want := range []string{"a.yaml:1:11: sequence: ", "z.yaml:1:1: runs: missing", "dir.yaml"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Load: no %q in:\n%v", want, err)
		}
	}
}

// TestTooLarge: no file is read without bounds.
func TestTooLarge(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"bytes": {strings.Repeat("#", maxFile+1), "larger than 1 MiB"},
		"nodes": {"runs: [" + strings.Repeat("{},", maxNodes) + "]", "is too much"},
		"aliases": {
			"rfc: &a [x, x, x, x, x, x, x, x, x, x]\nruns: [{expect: [" + strings.Repeat("optional: *a, ", maxNodes/10) + "]}]", "is too much",
		},
		"rows": {
			strings.ReplaceAll(head, "NAME", "rows") + "- {programs: {C: [], S: []}, expect: [" + strings.Repeat("C send, ", maxRows+1) + "]}",
			"has 501 rows: want at most 500",
		},
		"depth": {"runs: " + strings.Repeat("[", 20000), "not YAML"},
	} {
		_, err := Parse(name, []byte(tt.data))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Parse = %.200v, want %q", name, err, tt.want)
		}
	}
}
