package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func drainConn(_ context.Context, c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

func TestConnsGrace(t *testing.T) {
	tests := []struct {
		name  string
		grace time.Duration
		busy  time.Duration // after the stop, until the client closes; 0: it never does
		took  time.Duration // from the stop to the return
		cut   bool
	}{
		{name: "default, idle client", took: DefaultGrace, cut: true},
		{name: "three seconds, idle client", grace: 3 * time.Second, took: 3 * time.Second, cut: true},
		{name: "none", grace: -1, cut: true},
		{name: "client ends within it", grace: 3 * time.Second, busy: 2 * time.Second, took: 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := pipe(t)
				l := newFakeListener(server)
				var log logged
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- Conns(ctx, l, Options{Grace: tt.grace, Log: log.log}, drainConn) }()
				synctest.Wait()

				stopped := time.Now()
				cancel()
				synctest.Wait()
				if !l.isClosed() {
					t.Error("the listener is open after the stop")
				}
				if tt.busy > 0 {
					time.AfterFunc(tt.busy, func() { _ = client.Close() })
				}
				if err := <-done; err != nil {
					t.Errorf("returned %v", err)
				}
				if d := time.Since(stopped); d != tt.took {
					t.Errorf("took %v, want %v", d, tt.took)
				}
				if _, err := client.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("write to the served connection: %v, want a closed one", err)
				}
				if lines := log.all(); (len(lines) == 1) != tt.cut || len(lines) > 1 {
					t.Errorf("logged %q", lines)
				}
			})
		})
	}
}

func TestConnsHandlerContextEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := pipe(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		err := Conns(ctx, newFakeListener(server), Options{}, func(ctx context.Context, _ net.Conn) error {
			<-ctx.Done()
			return nil
		})
		if err != nil || time.Since(start) != time.Minute {
			t.Errorf("returned %v after %v, want nil after a minute and no grace", err, time.Since(start))
		}
	})
}

func TestConnsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s1, c1 := pipe(t)
		s2, c2 := pipe(t)
		s3, _ := pipe(t)
		l := newFakeListener(s1, s2, s3)
		done := make(chan error, 1)
		var served atomic.Int32
		go func() {
			done <- Conns(t.Context(), l, Options{Count: 2}, func(ctx context.Context, c net.Conn) error {
				served.Add(1)
				return drainConn(ctx, c)
			})
		}()
		_ = c2.Close()
		synctest.Wait()
		if l.isClosed() {
			t.Error("the listener closed before the last connection was served")
		}
		_ = c1.Close()
		if err := <-done; err != nil {
			t.Errorf("returned %v", err)
		}
		if !l.isClosed() || served.Load() != 2 {
			t.Errorf("listener closed: %v; served %d, want 2", l.isClosed(), served.Load())
		}
		_ = s3.Close()
	})
}

func TestConnsConnectionErrorIsLoggedAndPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s1, _ := pipe(t)
		s2, _ := pipe(t)
		l := newFakeListener(s1, passingError{}, s2)
		var log logged
		err := Conns(t.Context(), l, Options{Count: 2, Log: log.log}, func(context.Context, net.Conn) error {
			return errOdd
		})
		if err != nil {
			t.Errorf("returned %v", err)
		}
		got := 0
		for _, line := range log.all() {
			if strings.Contains(line, errOdd.Error()) {
				got++
			}
		}
		if got != 2 {
			t.Errorf("logged %d connection errors, want 2: %q", got, log.all())
		}
	})
}

func TestConnsListenerError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := pipe(t)
		l := newFakeListener(append([]any{server}, times(maxStrange, errOdd)...)...)
		err := Conns(t.Context(), l, Options{Grace: time.Second}, drainConn)
		if !errors.Is(err, errOdd) {
			t.Errorf("returned %v, want the listener's error", err)
		}
		if !l.isClosed() {
			t.Error("the listener is open")
		}
	})
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipe(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stop := Watch(ctx, a)
		_, err := a.Read(make([]byte, 1))
		if got := Reason(ctx, err); !errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("read gave %v, reason %v", err, got)
		}
		stop()
		stop()
		_ = a.Close()

		b, peer := pipe(t)
		ctx, cancel = context.WithCancel(t.Context())
		Watch(ctx, b)()
		cancel()
		go func() { _, _ = peer.Write([]byte{1}) }()
		if _, err := b.Read(make([]byte, 1)); err != nil {
			t.Errorf("read after stop: %v", err)
		}
		if got := Reason(ctx, io.EOF); !errors.Is(got, io.EOF) {
			t.Errorf("an error of the connection's own became %v", got)
		}
		_ = b.Close()
	})
}
