package http

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

func start(t *testing.T, s *Server) *apptest.Server {
	t.Helper()
	if s.Log == nil {
		s.Log = t.Logf
	}
	return apptest.Start(t, s.Serve)
}

// ask sends request, with \n for CR LF, and reads one reply.
func ask(t *testing.T, conn net.Conn, r *bufio.Reader, request string) (*nethttp.Response, string) {
	t.Helper()
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := nethttp.ReadResponse(r, &nethttp.Request{Method: strings.Fields(request)[0]})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestPage(t *testing.T) {
	const firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	tests := []struct {
		name, request string
		kind          string
		has           []string
		not           string
		empty, closes bool
	}{
		{
			name: "curl", request: "GET /who?x=1 HTTP/1.1\nHost: me\nUser-Agent: curl/8\nAccept: */*\n\n",
			kind: "text/plain", has: []string{"request   1 on this connection, by GET\n", "stays open", "\nGET /who?x=1 HTTP/1.1\nAccept: */*\nHost: me\nUser-Agent: curl/8\n"},
		},
		{name: "browser", request: "GET / HTTP/1.1\nHost: me\nAccept: " + firefox + "\n\n", kind: "text/html", has: []string{"<!doctype html>", "GET / HTTP/1.1"}},
		{
			name: "no markup from the request", kind: "text/html", has: []string{"&lt;script&gt;"}, not: "<script>",
			request: "GET / HTTP/1.1\nHost: me\nX: <script>alert(1)</script>\nAccept: text/html\n\n",
		},
		{name: "prefers text", request: "GET / HTTP/1.1\nHost: me\nAccept: text/html;q=0.5, text/plain\n\n", kind: "text/plain"},
		{name: "post", request: "POST /x HTTP/1.1\nHost: me\nContent-Length: 3\n\nabc", kind: "text/plain", has: []string{"by POST", "a body of 3 bytes"}},
		{name: "post of unknown length", request: "POST / HTTP/1.1\nHost: me\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n", kind: "text/plain", has: []string{"a length it did not say"}},
		{name: "head", request: "HEAD / HTTP/1.1\nHost: me\n\n", kind: "text/plain", empty: true},
		{name: "1.1 that closes", request: "GET / HTTP/1.1\nHost: me\nConnection: close\n\n", kind: "text/plain", has: []string{"the server closes first"}, closes: true},
		{name: "1.0", request: "GET / HTTP/1.0\n\n", kind: "text/plain", has: []string{"the server closes first", "GET / HTTP/1.0\n"}, closes: true},
		{name: "1.0 with keep-alive", request: "GET / HTTP/1.0\nConnection: keep-alive\n\n", kind: "text/plain", has: []string{"stays open"}},
	}
	s := start(t, &Server{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := apptest.Dial(t, "tcp", s.Addr)
			r := bufio.NewReader(conn)
			resp, body := ask(t, conn, r, tt.request)
			if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), tt.kind) {
				t.Errorf("%s, %s", resp.Status, resp.Header.Get("Content-Type"))
			}
			if tt.empty != (body == "") {
				t.Errorf("body %q", body)
			}
			for _, want := range append(tt.has, conn.LocalAddr().String(), s.Addr) {
				if !tt.empty && !strings.Contains(body, want) {
					t.Errorf("no %q in:\n%s", want, body)
				}
			}
			if tt.not != "" && strings.Contains(body, tt.not) {
				t.Errorf("%q in:\n%s", tt.not, body)
			}
			if resp.Close != tt.closes {
				t.Errorf("the reply says that it closes: %v", resp.Close)
			}
			if tt.closes {
				// The client sends no FIN: only the server's own close ends this.
				if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
					t.Errorf("after the reply: %q, %v", rest, err)
				}
				return
			}
			if _, again := ask(t, conn, r, "GET / HTTP/1.1\nHost: me\n\n"); !strings.Contains(again, "request   2 on this connection") {
				t.Errorf("the second reply:\n%s", again)
			}
		})
	}
}

// TestClosesAreSaid reads the replies' headers as they are on the wire.
func TestClosesAreSaid(t *testing.T) {
	s := start(t, &Server{})
	tests := []struct {
		request string
		says    bool
	}{
		{"GET / HTTP/1.0\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: me\r\n\r\n", false},
	}
	for _, tt := range tests {
		conn := apptest.Dial(t, "tcp", s.Addr)
		if _, err := io.WriteString(conn, tt.request); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		said := false
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if line == "\r\n" {
				break
			}
			said = said || line == "Connection: close\r\n"
		}
		if said != tt.says {
			t.Errorf("%q: said Connection: close: %v", tt.request, said)
		}
	}
}

func TestWantsHTML(t *testing.T) {
	tests := []struct {
		accept []string
		want   bool
	}{
		{nil, false},
		{[]string{"*/*"}, false},
		{[]string{"text/html"}, true},
		{[]string{"TEXT/HTML; charset=utf-8"}, true},
		{[]string{"application/json", "text/html;q=0.1"}, true},
		{[]string{"text/html;q=0"}, false},
		{[]string{"text/html;q=0.4, text/plain;q=0.5"}, false},
		{[]string{"text/html;q=high"}, false},
		{[]string{",;,text/html"}, true},
	}
	for _, tt := range tests {
		if got := wantsHTML(tt.accept); got != tt.want {
			t.Errorf("%q: %v", tt.accept, got)
		}
	}
}

func TestCount(t *testing.T) {
	s := start(t, &Server{Count: 2})
	for range 2 {
		conn := apptest.Dial(t, "tcp", s.Addr)
		r := bufio.NewReader(conn)
		_, body := ask(t, conn, r, "GET / HTTP/1.1\nHost: me\n\n")
		if !strings.Contains(body, "the server closes first") {
			t.Errorf("reply:\n%s", body)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Errorf("after the reply: %v, want the server's close", err)
		}
	}
	if err := s.Wait(t); err != nil {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	tests := []struct {
		name  string
		grace time.Duration
		send  string
		quick bool // the stop does not take the grace
	}{
		{name: "idle between requests", grace: apptest.Timeout, send: "GET / HTTP/1.1\r\nHost: me\r\n\r\n", quick: true},
		{name: "half a request", grace: 50 * time.Millisecond, send: "GET / HTTP/1.1\r\nHo"},
		{name: "no request, no grace", grace: -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, &Server{Grace: tt.grace})
			conn := apptest.Dial(t, "tcp", s.Addr)
			r := bufio.NewReader(conn)
			if _, err := io.WriteString(conn, tt.send); err != nil {
				t.Fatal(err)
			}
			if tt.quick {
				if _, err := nethttp.ReadResponse(r, nil); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			s.Stop()
			if err := s.Wait(t); err != nil {
				t.Error(err)
			}
			if d := time.Since(start); d > apptest.Timeout/2 {
				t.Errorf("the stop took %v", d)
			}
			if _, err := io.Copy(io.Discard, r); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

// TestStopBeforeServe: a context that has ended already.
func TestStopBeforeServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := (&Server{}).Serve(ctx, l); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
}

func TestListenerClosedBySomeoneElse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := (&Server{}).Serve(context.Background(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("returned %v", err)
	}
}

func TestRun(t *testing.T) {
	s := start(t, &Server{})
	var out bytes.Buffer
	conn := apptest.Dial(t, "tcp", s.Addr)
	if err := Run(apptest.Context(t), conn, &out, ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"you are   " + conn.LocalAddr().String(), "GET / HTTP/1.0\n", "Host: " + s.Addr, "the server closes first"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if err := Run(apptest.Context(t), apptest.Dial(t, "tcp", s.Addr), io.Discard, "/a b"); err == nil {
		t.Error("a target with a space passed")
	}
}

func TestRunFails(t *testing.T) {
	tests := []struct {
		name, reply string
		check       func(error) bool
	}{
		{"not found", "HTTP/1.0 404 Not Found\r\n\r\nno", func(err error) bool {
			var status *StatusError
			return errors.As(err, &status) && status.Code == 404
		}},
		{"cut short", "HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nno", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"no reply", "", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"not HTTP", "hello\r\n\r\n", func(err error) bool { return err != nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server, client := net.Pipe()
			done := make(chan error, 1)
			go func() {
				defer server.Close()
				_, err := nethttp.ReadRequest(bufio.NewReader(server))
				fmt.Fprint(server, tt.reply)
				done <- err
			}()
			if err := Run(apptest.Context(t), client, io.Discard, "/"); !tt.check(err) {
				t.Errorf("error %v", err)
			}
			if err := <-done; err != nil {
				t.Errorf("the request: %v", err)
			}
		})
	}
}
