package serve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

type packet struct {
	data string
	addr string
}

// fakePackets hands out what it was made with (packets and errors), then blocks until
// it is closed; it keeps what is written to it.
type fakePackets struct {
	steps  []any
	closed chan struct{}
	once   sync.Once
	sent   []packet
	fail   error // of the next write
}

func (f *fakePackets) ReadFrom(p []byte) (int, net.Addr, error) {
	if len(f.steps) == 0 {
		<-f.closed
		return 0, nil, net.ErrClosed
	}
	s := f.steps[0]
	f.steps = f.steps[1:]
	if err, ok := s.(error); ok {
		return 0, nil, err
	}
	in := s.(packet)
	return copy(p, in.data), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(in.addr)), nil
}

func (f *fakePackets) WriteTo(p []byte, to net.Addr) (int, error) {
	if err := f.fail; err != nil {
		f.fail = nil
		return 0, err
	}
	f.sent = append(f.sent, packet{string(p), to.String()})
	return len(p), nil
}

func (f *fakePackets) Close() error { f.once.Do(func() { close(f.closed) }); return nil }

func (f *fakePackets) LocalAddr() net.Addr              { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7} }
func (f *fakePackets) SetDeadline(time.Time) error      { return nil }
func (f *fakePackets) SetReadDeadline(time.Time) error  { return nil }
func (f *fakePackets) SetWriteDeadline(time.Time) error { return nil }

func TestPackets(t *testing.T) {
	mirror := func(p []byte, _ net.Addr) []byte { return p }
	tests := []struct {
		name   string
		steps  []any
		fail   error
		answer func([]byte, net.Addr) []byte
		want   []packet
		err    error
	}{
		{
			name:   "answers, an empty datagram too",
			steps:  []any{packet{"a", "192.0.2.2:5000"}, packet{"", "[2001:db8::2]:5000"}},
			answer: mirror,
			want:   []packet{{"a", "192.0.2.2:5000"}, {"", "[2001:db8::2]:5000"}},
		},
		{
			name:   "nil is no answer",
			steps:  []any{packet{"a", "192.0.2.2:5000"}},
			answer: func([]byte, net.Addr) []byte { return nil },
		},
		{
			name: "never answers another answering service",
			steps: []any{
				packet{"a", "192.0.2.2:7"},
				packet{"a", "192.0.2.2:13"},
				packet{"a", "192.0.2.2:17"},
				packet{"a", "192.0.2.2:19"},
				packet{"a", "[2001:db8::2]:37"},
				packet{"b", "192.0.2.2:9"},
			},
			answer: mirror,
			want:   []packet{{"b", "192.0.2.2:9"}},
		},
		{
			name:   "an ICMP error of an earlier datagram passes, however often",
			steps:  append(times(3*maxStrange, syscall.ECONNREFUSED), packet{"a", "192.0.2.2:5000"}),
			answer: mirror,
			want:   []packet{{"a", "192.0.2.2:5000"}},
		},
		{
			name:   "a failed answer passes",
			steps:  []any{packet{"a", "192.0.2.2:5000"}, packet{"b", "192.0.2.2:5000"}},
			fail:   syscall.ENETUNREACH,
			answer: mirror,
			want:   []packet{{"b", "192.0.2.2:5000"}},
		},
		{name: "an odd error that stays", steps: times(maxStrange, errOdd), answer: mirror, err: errOdd},
		{name: "closed by someone else", steps: []any{net.ErrClosed}, answer: mirror, err: net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				pc := &fakePackets{steps: tt.steps, fail: tt.fail, closed: make(chan struct{})}
				if err := Packets(ctx, pc, nil, tt.answer); !errors.Is(err, tt.err) {
					t.Errorf("returned %v, want %v", err, tt.err)
				}
				if !slices.Equal(pc.sent, tt.want) {
					t.Errorf("sent %v, want %v", pc.sent, tt.want)
				}
				<-pc.closed
			})
		})
	}
}
