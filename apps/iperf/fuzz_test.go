package iperf

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"appliance/apps/internal/apptest"
)

// FuzzParams: no message makes the parameters' reader panic, and what it takes is
// within the bounds that everything after it relies on.
func FuzzParams(f *testing.F) {
	for _, seed := range []string{
		goodParams, `{}`, `{"udp":true}`, `{"tcp":1,"num":1e+15,"parallel":4}`, `{"parallel":18446744073709551615}`,
		`{"tcp":true,"omit":1,"server_affinity":1,"time":1,"num":0,"MSS":1000,"nodelay":true,"parallel":2,"bidirectional":true,"window":204800,"len":131072,"bandwidth":10000000,"TOS":8,"title":"hi"}`,
		`{"blockcount":-1,"len":0}`, `[`, `{"fqrate":1,"bandwidth":2,"reverse":null}`,
	} {
		f.Add([]byte(framed(seed)))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		b, err := readMessage(strings.NewReader(string(msg)), maxParams)
		if err != nil {
			return
		}
		if len(b) > maxParams {
			t.Fatalf("a message of %d bytes", len(b))
		}
		var p params
		if json.Unmarshal(b, &p) != nil {
			return
		}
		p.setDefaults()
		if r := p.check(); r != nil {
			if r.Code == 0 || r.Detail == "" || !strings.Contains(r.Error(), codeTexts[r.Code]) {
				t.Fatalf("a refusal without a reason: %+v", r)
			}
			return
		}
		if n := p.streams(); n < 1 || n > 2*MaxParallel {
			t.Fatalf("%d streams", n)
		}
		if p.limit() < 0 || p.rate() < 0 || p.Window < 0 || bytesOverdue(&p, time.Second) < 0 {
			t.Fatalf("below 0: %+v", p)
		}
		if x := newTransfer(&p, p.limit(), true); len(x.payload) < 1 || len(x.payload) > MaxLength || x.length > maxReceive {
			t.Fatalf("blocks of %d, buffers of %d bytes", len(x.payload), x.length)
		}
		if _, err := json.Marshal(&p); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzResults: what check takes has each stream once.
func FuzzResults(f *testing.F) {
	for _, seed := range []string{
		`{"cpu_util_total":1,"cpu_util_user":0,"cpu_util_system":1,"sender_has_retransmits":18446744073709551615,"congestion_used":"bbr","streams":[{"id":1,"bytes":262144,"retransmits":18446744073709551615,"jitter":0,"errors":0,"packets":0,"start_time":0,"end_time":0.000202},{"id":3,"bytes":1}]}`,
		`{"streams":[{"id":1},{"id":1}]}`, `{"streams":[{"id":3,"bytes":-1},{"id":1}]}`, `{"streams":null}`,
		`{"cpu_util_total":1e308,"streams":[{"id":1,"bytes":9e18,"start_time":-1e308,"end_time":1e308},{"id":3,"bytes":9e18,"end_time":1e-320}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r results
		if json.Unmarshal(b, &r) != nil {
			return
		}
		x := newTransfer(&params{Length: 1}, 0, true)
		x.streams = []*stream{{id: 1, sends: true}, {id: 3}}
		if r.check(x.streams) != nil {
			return
		}
		if len(r.Streams) != 2 || r.of(1).Bytes < 0 || r.of(3).Bytes < 0 {
			t.Fatalf("taken: %+v", r)
		}
		m := meter{t: x, out: &printer{}}
		m.conclude(m.results(""), &r)
		m.out.summary(&m.report)
		if _, err := json.Marshal(&m.report); err != nil {
			t.Fatal(err)
		}
	})
}

// pipes is a listener whose connections are made by dial, in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// FuzzServer: whatever comes on two connections, in any pieces, the server ends their
// life soon and lives on.
func FuzzServer(f *testing.F) {
	test := goodCookie + framed(goodParams)
	for _, seed := range [][2]string{
		{"", ""},
		{goodCookie, goodCookie},
		{test, goodCookie + "data"},
		{test + "\x04" + framed(`{"streams":[{"id":1,"bytes":4}]}`) + "\x10", goodCookie + "data"},
		{test + "\x0c", goodCookie},
		{goodCookie + framed(`{"tcp":true,"reverse":true,"time":1,"parallel":1,"len":1}`) + "\x04", goodCookie},
		{goodCookie + "\xff\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		l := newPipes()
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		s := Server{Timeout: 20 * time.Millisecond, Grace: -1}
		go func() { served <- s.Serve(ctx, l) }()
		var wg sync.WaitGroup
		for _, data := range [][]byte{first, second} {
			c, err := l.dial(apptest.Context(t), "", "")
			if err != nil {
				t.Fatal(err)
			}
			_ = c.SetDeadline(time.Now().Add(apptest.Timeout))
			wg.Go(func() {
				_, _ = c.Write(data) // the server may have had enough
				_ = c.Close()
			})
			wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
		}
		wg.Wait()
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(apptest.Timeout):
			t.Fatal("the server has not returned")
		}
	})
}

// FuzzClient: whatever a server says, the client returns, with an error unless that was
// a whole test.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{
		"", "\xff", "\x09", "\x09\x0a\x01\x02\x0d", "\x09\x0a\x01\x02\x0d" + framed(`{"streams":[{"id":1,"bytes":1}]}`) + "\x0e",
		"\x09\xfe\x00\x00\x00\x01\x00\x00\x00\x02", "\x09\x0a\x01\x02\x0d\xff\xff\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		l := newPipes()
		var wg sync.WaitGroup
		wg.Go(func() {
			for first := true; ; first = false {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_ = c.SetDeadline(time.Now().Add(apptest.Timeout))
				wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
				if first {
					wg.Go(func() {
						_, _ = c.Write(script) // the client may have had enough
						_ = c.Close()
					})
				}
			}
		})
		c := Client{Params: Params{Bytes: 1, Length: 1}, Timeout: 20 * time.Millisecond}
		r, err := c.Run(apptest.Context(t), l.dial, "fuzz")
		if err == nil && len(r.End.Streams) != 1 || err != nil && r.Error == "" {
			t.Errorf("error %v, report %+v", err, r)
		}
		_ = l.Close()
		wg.Wait()
	})
}
