package iperf

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

const (
	goodCookie = "abcdefghijklmnopqrstuvwxyz2345672345\x00"
	goodParams = `{"tcp":true,"omit":0,"time":1,"num":0,"blockcount":0,"parallel":1,"len":131072,"client_version":"3.12"}`
)

// framed is text behind its length.
func framed(text string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text
}

// A badClient is what a peer does wrong. Each step is sent once the state before it has
// come; the server's log then has want, and the peer is told the code, where it is above 0.
type badClient struct {
	name  string
	steps []step
	close bool // it closes its connection after the steps
	want  string
	code  int
}

type step struct {
	after state // 0 is nothing to wait for
	send  string
	// stream opens a connection of its own and sends that on it, before send.
	stream string
}

func badClients() []badClient {
	start := []step{{0, goodCookie, ""}}
	with := func(more ...step) []step { return append(append([]step{}, start...), more...) }
	params := func(text string) []step { return with(step{paramExchange, text, ""}) }
	test := func(more ...step) []step {
		return with(append([]step{{paramExchange, framed(goodParams), ""}, {createStreams, "", goodCookie}, {testStart, "", ""}}, more...)...)
	}
	end := func(text string) []step {
		return test(step{testRunning, string(rune(testEnd)), ""}, step{exchangeResults, text, ""})
	}
	return []badClient{
		{"says nothing", nil, false, "read the cookie: nothing complete came from the peer for 500ms", 0},
		{"closes at once", nil, true, "read the cookie: the peer closed the control connection", 0},
		{"half a cookie", []step{{0, goodCookie[:20], ""}}, false, "read the cookie: nothing complete came", 0},
		{"half a cookie, and closes", []step{{0, goodCookie[:20], ""}}, true, "read the cookie: the peer closed", 0},
		{"no parameters", with(), false, "read the parameters: nothing complete came", codeRecvParams},
		{"a length alone", params("\x00\x00\x00\x10"), false, "read the parameters: nothing complete came", codeRecvParams},
		{"a huge length", params("\xff\xff\xff\xff{"), false, "read the parameters: a length of 4294967295 bytes: want 1 to 65536", codeRecvParams},
		{"no length", params("\x00\x00\x00\x00"), false, "read the parameters: a length of 0 bytes", codeRecvParams},
		{"no JSON", params(framed("GET / HTTP/1.1")), false, "read the parameters: invalid character", codeRecvParams},
		{"no object", params(framed(`[1]`)), false, "read the parameters: json: cannot unmarshal array", codeRecvParams},
		{"a number of another kind", params(framed(`{"time":"long"}`)), false, `"long": want a whole number`, codeRecvParams},
		{"many streams", params(framed(`{"tcp":true,"parallel":1000000000}`)), false, "refused: number of parallel streams too large: 1000000000 streams: want 1 to 128", codeStreams},
		{"a huge block", params(framed(`{"tcp":true,"parallel":1,"len":1e18}`)), false, "block size too large", codeBlockSize},
		{"a long test", params(framed(`{"tcp":true,"parallel":1,"len":1,"time":1e9}`)), false, "test duration too long", codeDuration},
		{"a negative time", params(framed(`{"tcp":true,"parallel":1,"len":1,"time":-1}`)), false, "test duration too long", codeDuration},
		{"many blocks", params(framed(`{"tcp":true,"blockcount":9223372036854775807}`)), false, "blocks: want at most", codeEndConditions},
		{"two ends", params(framed(`{"tcp":true,"time":1,"num":1}`)), false, "only one test end condition", codeEndConditions},
		{"no streams", params(framed(goodParams)), false, "0 of 1 streams came in 500ms", codeStreamAccept},
		{"closes before its streams", params(framed(goodParams)), true, "waiting for the streams: ", 0},
		{"a state before its streams", with(step{paramExchange, framed(goodParams) + "\x7f", ""}), false, "waiting for the streams: the peer sent unknown state 127: is it iperf3?", codeMessage},
		{"garbage in the test", test(step{testRunning, "\x63", ""}), false, "during the test: the peer sent unknown state 99: is it iperf3?", codeMessage},
		{"closes in the test", test(step{testRunning, "", ""}), true, "during the test: the peer closed the control connection", 0},
		{"leaves", test(step{testRunning, string(rune(clientTerminate)), ""}), false, "the other side ended the test", 0},
		{"never ends", test(step{testRunning, "", ""}), false, "no TEST_END came 500ms after the end of the test", codeMessage},
		{"no results", end(""), false, "read the results: nothing complete came", codeRecvResults},
		{"huge results", end("\x7f\xff\xff\xff"), false, "read the results: a length of 2147483647 bytes", codeRecvResults},
		{"results of nothing", end(framed(`{}`)), false, "results of 0 streams: want 1", codeRecvResults},
		{"results of another stream", end(framed(`{"streams":[{"id":7}]}`)), false, "stream has an invalid id: results of stream 7", codeStreamID},
		{"results twice", end(framed(`{"streams":[{"id":1},{"id":1}]}`)), false, "results of stream 1, which is not there or has been told", codeStreamID},
		{"negative results", end(framed(`{"streams":[{"id":1,"bytes":-5}]}`)), false, "results of stream 1: -5 bytes", codeRecvResults},
	}
}

// TestBadClients: whatever a peer does, it is told in the protocol's words, the log says
// why, and the next client gets its test.
func TestBadClients(t *testing.T) {
	for _, c := range badClients() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, Server{Timeout: short})
			conn := apptest.Dial(t, "tcp", s.Addr)
			c.play(t, s.Addr, conn)
			if c.close {
				_ = conn.Close()
			}
			s.log.Await(t, c.want)
			if c.code > 0 {
				if code := refusedWith(t, conn); code != c.code {
					t.Errorf("the peer is told %d, want %d", code, c.code)
				}
			}
			_ = conn.Close()
			good := Client{Params: Params{Bytes: 1 << 20}}
			for {
				_, err := good.Run(apptest.Context(t), dial, s.Addr)
				if errors.Is(err, ErrBusy) {
					continue // the bad one's test has not let go yet
				}
				if err != nil {
					t.Errorf("the next client: %v", err)
				}
				return
			}
		})
	}
}

// TestRefusedComesBack: a client that is refused may come back at once.
func TestRefusedComesBack(t *testing.T) {
	s := startServer(t, Server{})
	refused := badClient{steps: []step{{0, goodCookie, ""}, {paramExchange, framed(`[1]`), ""}}}
	good := Client{Params: Params{Bytes: 1 << 10}}
	for range 50 {
		conn := apptest.Dial(t, "tcp", s.Addr)
		refused.play(t, s.Addr, conn)
		refusedWith(t, conn)
		if _, err := good.Run(apptest.Context(t), dial, s.Addr); err != nil {
			t.Fatal(err)
		}
	}
}

// play does the steps.
func (c badClient) play(t *testing.T, addr string, conn net.Conn) {
	t.Helper()
	var b [1]byte
	for _, st := range c.steps {
		if st.after != 0 {
			if _, err := io.ReadFull(conn, b[:]); err != nil || state(b[0]) != st.after {
				t.Fatalf("got %v, %v; want %v", state(b[0]), err, st.after)
			}
		}
		if st.stream != "" {
			if _, err := io.WriteString(apptest.Dial(t, "tcp", addr), st.stream); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(conn, st.send); err != nil {
			t.Fatal(err)
		}
	}
}

// refusedWith reads up to SERVER_ERROR, and its code.
func refusedWith(t *testing.T, conn net.Conn) int {
	t.Helper()
	for {
		var b [1]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Fatalf("no %v: %v", serverError, err)
		}
		if state(b[0]) != serverError {
			continue
		}
		var codes [8]byte
		if _, err := io.ReadFull(conn, codes[:]); err != nil {
			t.Fatal(err)
		}
		return int(binary.BigEndian.Uint32(codes[:4]))
	}
}

// TestBusy: a second client, a stream of another test and one that nobody waits for are
// told that the server is busy; the test goes on.
func TestBusy(t *testing.T) {
	s := startServer(t, Server{Interval: minInterval})
	ctx, cancel := context.WithCancel(apptest.Context(t))
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := (&Client{}).Run(ctx, dial, s.Addr)
		done <- err
	}()
	s.out.Await(t, "its/sec")
	if _, err := (&Client{}).Run(apptest.Context(t), dial, s.Addr); !errors.Is(err, ErrBusy) {
		t.Errorf("a second client: %v", err)
	}
	if r := iperf3OrNil(t, s.Addr); r != nil && !strings.Contains(r.Error, "the server is busy running a test") {
		t.Errorf("iperf3, the second: %q", r.Error)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the first client: %v", err)
	}
	s.log.Await(t, ErrTerminated.Error())
}

// iperf3OrNil is iperf3 where it is there.
func iperf3OrNil(t *testing.T, addr string) *Report {
	t.Helper()
	var r *Report
	t.Run("iperf3", func(t *testing.T) { r = iperf3(t, addr, "-t", "1") })
	return r
}

// TestManyWaiting: connections that say nothing are bounded, and do not keep a client out.
func TestManyWaiting(t *testing.T) {
	s := startServer(t, Server{})
	for range maxWaiting {
		apptest.Dial(t, "tcp", s.Addr)
	}
	apptest.Dial(t, "tcp", s.Addr)
	s.log.Await(t, "256 connections wait to say what they are for: refused")
	s.Stop()
	if err := s.Wait(t); err != nil {
		t.Error(err)
	}
}

// TestBadServers: whatever a server says, the client ends with an error that says it.
func TestBadServers(t *testing.T) {
	say := func(states ...state) string {
		b := make([]byte, len(states))
		for i, s := range states {
			b[i] = byte(s)
		}
		return string(b)
	}
	running := say(paramExchange, createStreams, testStart, testRunning)
	results := running + afterEnd + say(exchangeResults)
	for _, c := range []struct{ name, script, want string }{
		{"says nothing", "", "waiting for PARAM_EXCHANGE: nothing complete came from the peer for 500ms"},
		{"is another kind of server", "SSH-2.0", "waiting for PARAM_EXCHANGE: the peer sent unknown state 83: is it iperf3?"},
		{"is busy", say(accessDenied), ErrBusy.Error()},
		{"stops", say(serverTerminate), ErrTerminated.Error()},
		{"refuses", say(paramExchange, serverError) + "\x00\x00\x00\x8e\x00\x00\x00\x00", "the server refuses: test authorization failed"},
		{"refuses with a system's error", say(paramExchange, serverError) + "\x00\x00\x00\x7c\x00\x00\x00\x01", "the server refuses: unable to set socket buffer size (operation not permitted)"},
		{"refuses in numbers", say(paramExchange, serverError) + "\x00\x00\x27\x0f\x00\x00\x00\x00", "the server refuses: iperf3's error 9999"},
		{"refuses without a reason", say(paramExchange, serverError) + "\x00", "the server refuses, and does not say why"},
		{"skips a step", say(paramExchange, testRunning), "waiting for CREATE_STREAMS: the peer sent TEST_RUNNING"},
		{"stops in the test", running + say(serverTerminate), ErrTerminated.Error()},
		{"refuses in the test", running + say(serverError) + "\x00\x00\x00\xce\x00\x00\x00\x00", "the server refuses: unable to read from stream socket"},
		{"goes back in the test", running + say(createStreams), "during the test: the peer sent CREATE_STREAMS"},
		{"gives no results", results, "read the results: nothing complete came"},
		{"gives huge results", results + "\xff\xff\xff\xff", "read the results: a length of 4294967295 bytes: want 1 to 4194304"},
		{"gives no JSON", results + framed("{"), "read the results: unexpected end of JSON input"},
		{"gives another stream's results", results + framed(`{"streams":[{"id":2}]}`), "results of stream 2, which is not there or has been told"},
		{"gives no stream's results", results + framed(`{"streams":[]}`), "results of 0 streams: want 1"},
		{"ends without an end", results + framed(`{"streams":[{"id":1}]}`), "waiting for DISPLAY_RESULTS: nothing complete came"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addr := scripted(t, c.script)
			var out apptest.Buffer
			client := Client{Out: &out, Timeout: short}
			if strings.Contains(c.script, afterEnd) {
				client.Bytes = 1 << 20
			}
			r, err := client.Run(apptest.Context(t), dial, addr)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "iperf with "+addr+": ") {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if !strings.Contains(r.Error, c.want) {
				t.Errorf("the report's error is %q", r.Error)
			}
		})
	}
}

// afterEnd parts a script: what follows it is said once TEST_END has come.
const afterEnd = "\x00after the end\x00"

// scripted is a server that says script on its first connection, whatever else comes,
// and reads its others, all until the test ends.
func scripted(t *testing.T, script string) string {
	t.Helper()
	s := apptest.Start(t, func(ctx context.Context, l net.Listener) error {
		stop := context.AfterFunc(ctx, func() { _ = l.Close() })
		defer stop()
		var conns []net.Conn
		defer func() {
			for _, c := range conns {
				_ = c.Close()
			}
		}()
		for {
			c, err := l.Accept()
			if err != nil {
				return nil //nolint:nilerr // the test is over
			}
			conns = append(conns, c)
			if len(conns) == 1 {
				go follow(c, script)
				continue
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	})
	return s.Addr
}

// follow says script. TEST_END is the only byte of its kind in what a client sends.
func follow(c net.Conn, script string) {
	first, second, _ := strings.Cut(script, afterEnd)
	_, _ = io.WriteString(c, first) // the client says what is wrong
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		if state(b[0]) == testEnd {
			_, _ = io.WriteString(c, second)
		}
	}
}

// TestMessageMemory: a length that nothing follows takes no memory.
func TestMessageMemory(t *testing.T) {
	head := framed(strings.Repeat(" ", maxResults))[:4]
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readMessage(strings.NewReader(head+"{"), maxResults); !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
		}
	})
	if n := r.AllocedBytesPerOp(); n > 4096 {
		t.Errorf("%d bytes for a message of 1 byte that promises %d", n, maxResults)
	}
}

// TestSlowMessage: a message that drips does not last longer for it.
func TestSlowMessage(t *testing.T) {
	s := startServer(t, Server{Timeout: short})
	conn := apptest.Dial(t, "tcp", s.Addr)
	tick := time.NewTicker(short / 10)
	defer tick.Stop()
	for i := 0; !strings.Contains(s.log.String(), "read the cookie: nothing complete came"); i++ {
		if i == 30*cookieLen {
			t.Fatalf("the server still waits; its log:\n%s", s.log.String())
		}
		<-tick.C
		if i < cookieLen-1 {
			if _, err := conn.Write([]byte{'a'}); err != nil {
				break // it has hung up
			}
		}
	}
	s.log.Await(t, "read the cookie: nothing complete came")
}
