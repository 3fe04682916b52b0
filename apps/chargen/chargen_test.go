package chargen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

// RFC 864 shows these as the start of the pattern.
const (
	line0 = ` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`abcdefg\r\n"
	line1 = `!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`abcdefgh\r\n"
)

func TestLine(t *testing.T) {
	tests := []struct {
		n    int
		want string
	}{
		{0, line0},
		{1, line1},
		{23, line0[23:72] + "hijklmnopqrstuvwxyz{|}~" + "\r\n"},
		{24, line0[24:72] + "hijklmnopqrstuvwxyz{|}~ " + "\r\n"},
		{94, "~" + line0[:71] + "\r\n"},
		{95, line0},
	}
	for _, tt := range tests {
		if got := string(Line(tt.n)); got != tt.want {
			t.Errorf("line %d:\n got %q\nwant %q", tt.n, got, tt.want)
		}
	}
}

func TestStream(t *testing.T) {
	s := apptest.Start(t, (&Server{Log: t.Logf}).Serve)
	for _, lines := range []int{0, 1, 94, 95, 96, 5000} {
		var out bytes.Buffer
		r, err := Run(apptest.Context(t), apptest.Dial(t, "tcp", s.Addr), &out, lines)
		if err != nil || r.Bytes != lines*LineLen || out.Len() != r.Bytes {
			t.Fatalf("%d lines: %d bytes, %d written, %v", lines, r.Bytes, out.Len(), err)
		}
		for n, line := range bytes.SplitAfter(out.Bytes(), []byte("\n")) {
			if len(line) > 0 && !bytes.Equal(line, Line(n)) {
				t.Fatalf("line %d is %q", n, line)
			}
		}
	}
}

// TestInputIsIgnored: the client sends, and closes its sending side, and still gets lines.
func TestInputIsIgnored(t *testing.T) {
	s := apptest.Start(t, (&Server{Log: t.Logf}).Serve)
	conn := apptest.Dial(t, "tcp", s.Addr).(*net.TCPConn)
	if _, err := conn.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(apptest.Context(t), conn, io.Discard, 20_000); err != nil {
		t.Error(err)
	}
}

// TestStopEndsTheStream: neither a client that reads nor one that does not keeps the
// server up for the grace.
func TestStopEndsTheStream(t *testing.T) {
	var log apptest.Buffer
	server := &Server{Grace: apptest.Timeout, Log: func(f string, _ ...any) { _, _ = log.Write([]byte(f)) }}
	s := apptest.Start(t, server.Serve)
	idle := apptest.Dial(t, "tcp", s.Addr)
	if _, err := io.ReadFull(idle, make([]byte, LineLen)); err != nil {
		t.Fatal(err)
	}
	busy := apptest.Dial(t, "tcp", s.Addr)
	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, busy)
		read <- err
	}()
	s.Stop()
	start := time.Now()
	if err := s.Wait(t); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > apptest.Timeout/2 {
		t.Errorf("the stop took %v", d)
	}
	_ = busy.Close()
	<-read //nolint:errcheck // how the copy ended is the stop's business
	if log.String() != "" {
		t.Errorf("logged %q", log.String())
	}
}

func TestDatagrams(t *testing.T) {
	s := apptest.StartPacket(t, (&Server{Log: t.Logf}).ServePacket)
	conn := apptest.Dial(t, "udp", s.Addr)
	line := 0
	for range 40 { // more than a round of the pattern
		if _, err := conn.Write(nil); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1024)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n > 512 {
			t.Fatalf("%d characters; RFC 864 allows 512", n)
		}
		for _, got := range strings.SplitAfter(string(buf[:n]), "\n") {
			if got == "" {
				continue
			}
			if want := string(Line(line)); got != want {
				t.Fatalf("line %d is %q, want %q", line, got, want)
			}
			line++
		}
	}
	if line != 40*datagramLines {
		t.Errorf("%d lines", line)
	}
	var out bytes.Buffer
	if r, err := Run(apptest.Context(t), conn, &out, 1); err != nil || r.Bytes != out.Len() || r.Bytes != datagramLines*LineLen {
		t.Errorf("client: %+v, %d written, %v", r, out.Len(), err)
	}
}

func TestRunFails(t *testing.T) {
	tests := []struct {
		name, sends string
		ctx         time.Duration
		want        error  // or
		text        string // part of the error
	}{
		{name: "closed early", sends: line0 + line1[:10], want: io.ErrUnexpectedEOF},
		{name: "wrong line", sends: line0 + line0 + line0, text: "byte 74 is"},
		{name: "wrong byte", sends: line0[:40] + "x" + line0[41:] + line1, text: `byte 40 is 'x' where the pattern has 'H'`},
		{name: "no line of the pattern", sends: "\x00" + line0 + line1, text: "begins no line"},
		{name: "short line", sends: line0[:72] + "\n" + line1 + line1, text: "byte 72 is"},
		{name: "silent", ctx: 20 * time.Millisecond, want: context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer server.Close()
				_, _ = io.WriteString(server, tt.sends)
				if tt.ctx > 0 {
					_, _ = server.Read(make([]byte, 1)) // until the client closes
				}
			}()
			ctx := apptest.Context(t)
			if tt.ctx > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.ctx)
				defer cancel()
			}
			_, err := Run(ctx, client, io.Discard, 2)
			<-done
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestAnyStartingLine(t *testing.T) {
	for start := range Printing {
		var c checker
		for n := range 2 * Printing {
			if err := c.check(Line(start + n)); err != nil {
				t.Fatalf("from line %d: %v", start, err)
			}
		}
	}
}
