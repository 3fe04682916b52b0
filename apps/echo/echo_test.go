package echo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

func random(n int) []byte {
	r := rand.New(rand.NewPCG(862, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestEcho(t *testing.T) {
	s := &Server{Log: t.Logf}
	tcp := apptest.Start(t, s.Serve)
	udp := apptest.StartPacket(t, s.ServePacket)
	tests := []struct {
		name, network, addr string
		sizes               []int // one exchange each, on one connection
	}{
		{"tcp, one byte", "tcp", tcp.Addr, []int{1}},
		{"tcp, nothing", "tcp", tcp.Addr, []int{0}},
		{"tcp, several", "tcp", tcp.Addr, []int{20, 1460, 65536, 3}},
		{"tcp, more than the buffers hold", "tcp", tcp.Addr, []int{16 << 20}},
		{"udp, several", "udp", udp.Addr, []int{1, 512, 1472, 60000}},
		{"udp, empty", "udp", udp.Addr, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := apptest.Dial(t, tt.network, tt.addr)
			for _, size := range tt.sizes {
				data := random(size)
				r, err := Exchange(apptest.Context(t), conn, data)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(r.Data, data) {
					t.Fatalf("%d bytes came back, not the %d sent", len(r.Data), size)
				}
				if size > 0 && r.RTT <= 0 {
					t.Errorf("RTT %v", r.RTT)
				}
			}
		})
	}
}

func TestEchoAfterHalfClose(t *testing.T) {
	s := apptest.Start(t, (&Server{Log: t.Logf}).Serve)
	conn := apptest.Dial(t, "tcp", s.Addr).(*net.TCPConn)
	if _, err := io.WriteString(conn, "last words"); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil || string(got) != "last words" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestExchangeFails runs the client against servers that are no echo.
func TestExchangeFails(t *testing.T) {
	tests := []struct {
		name   string
		serve  func(c net.Conn, returned <-chan struct{})
		ctx    time.Duration // 0: as long as the test
		want   error
		offset int // of a mismatch; -1: none
	}{
		{
			name: "one byte differs", offset: 2,
			serve: func(c net.Conn, _ <-chan struct{}) {
				_, _ = io.CopyN(io.Discard, c, 5)
				_, _ = c.Write([]byte("heLlo"))
			},
		},
		{
			name: "closed early", want: io.ErrUnexpectedEOF, offset: -1,
			serve: func(c net.Conn, _ <-chan struct{}) { _, _ = io.CopyN(io.Discard, c, 5); _, _ = c.Write([]byte("he")) },
		},
		{
			name: "closed at once", want: io.ErrUnexpectedEOF, offset: -1,
			serve: func(c net.Conn, _ <-chan struct{}) { _, _ = io.CopyN(io.Discard, c, 5) },
		},
		{
			name: "silent", ctx: 20 * time.Millisecond, want: context.DeadlineExceeded, offset: -1,
			serve: func(c net.Conn, _ <-chan struct{}) { _, _ = io.Copy(io.Discard, c) },
		},
		{
			name: "not even reading", ctx: 20 * time.Millisecond, want: context.DeadlineExceeded, offset: -1,
			serve: func(_ net.Conn, returned <-chan struct{}) { <-returned },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := net.Pipe()
			done, returned := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				defer server.Close()
				tt.serve(server, returned)
			}()
			ctx := apptest.Context(t)
			if tt.ctx > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, tt.ctx)
				defer cancel()
			}
			_, err := Run(ctx, client, []byte("hello"))
			close(returned)
			var mismatch *MismatchError
			switch {
			case tt.offset >= 0 && (!errors.As(err, &mismatch) || mismatch.Offset != tt.offset):
				t.Errorf("error %v, want a mismatch at %d", err, tt.offset)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if _, err := client.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("Run left its connection open: write gave %v", err)
			}
			<-done
		})
	}
}

func TestLongerDatagramIsNoEcho(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, 64)
		n, from, err := pc.ReadFrom(buf)
		if err == nil {
			_, err = pc.WriteTo(append(buf[:n], '!'), from)
		}
		done <- err
	}()
	_, err = Run(apptest.Context(t), apptest.Dial(t, "udp", pc.LocalAddr().String()), []byte("ping"))
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) || mismatch.Offset != 4 {
		t.Errorf("error %v, want a mismatch at 4", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := pc.Close(); err != nil {
		t.Error(err)
	}
}
