// Package http is a web server over any listener, with one page: it tells its clients
// who they are. As text for curl, as HTML for browsers.
//
// An HTTP/1.0 client that asks for no keep-alive is told Connection: close, and the
// server closes first: the case in which the active close is the server's.
package http

import (
	"bytes"
	"context"
	"errors"
	"log"
	"net"
	nethttp "net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"appliance/apps/internal/serve"
)

// Port is HTTP's own.
const Port = 80

// errEnough ends net/http's accepting when Count connections have come.
var errEnough = errors.New("as many connections as were to be served")

// Server serves the page; the zero value is ready.
type Server struct {
	// Log takes the errors of connections, one line a call; nil means none.
	Log func(format string, args ...any)
	// Grace is how long requests under way may go on after the stop: 0 means a
	// second, below 0 means none.
	Grace time.Duration
	// Count is how many connections to serve before the listener is closed, each
	// closed by the server after its first reply; 0 means no limit.
	Count int
}

// Serve serves on l, which it closes. When ctx ends, idle connections are closed at
// once, requests under way get the grace, and what is left is closed. It returns
// nil once ctx has ended or Count connections are served, and every connection's
// goroutine has ended; else the listener's error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var open sync.WaitGroup
	srv := &nethttp.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(lines{s.Log}, "", 0),
		ConnContext:       withCounter,
		ConnState: func(_ net.Conn, state nethttp.ConnState) {
			// net/http's Close does not wait for the connections' goroutines: this does.
			switch state {
			case nethttp.StateNew:
				open.Add(1)
			case nethttp.StateClosed, nethttp.StateHijacked:
				open.Done()
			case nethttp.StateActive, nethttp.StateIdle:
			}
		},
	}
	stop := serve.OnDone(ctx, func() { s.shutdown(srv) })
	err := srv.Serve(&listener{Listener: l, ctx: ctx, log: s.Log, left: s.Count, limited: s.Count > 0})
	switch {
	case ctx.Err() != nil:
		stop() // ctx has ended: this waits for the shutdown
		err = nil
	case errors.Is(err, errEnough):
		err = nil // the clients that are left end by themselves, or with ctx
	default:
		s.shutdown(srv)
	}
	open.Wait()
	stop()
	return err
}

// shutdown gives requests under way the grace, then closes what is left.
func (s *Server) shutdown(srv *nethttp.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), serve.Patience(s.Grace))
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		// Shutdown's error is the grace's end, or the listener's second close.
		_ = srv.Close()
	}
}

// ServeHTTP writes the page, whatever the path and the method.
func (s *Server) ServeHTTP(w nethttp.ResponseWriter, r *nethttp.Request) {
	p := newPage(r)
	p.Nth = 1
	if n, ok := r.Context().Value(counterKey{}).(*atomic.Uint64); ok {
		p.Nth = n.Add(1)
	}
	// r.Close is HTTP/1.0 without keep-alive, or a client that asked for it.
	p.Closes = r.Close || s.Count > 0

	var body bytes.Buffer
	render, kind := p.text, "text/plain; charset=utf-8"
	if wantsHTML(r.Header.Values("Accept")) {
		render, kind = p.html, "text/html; charset=utf-8"
	}
	if err := render(&body); err != nil {
		nethttp.Error(w, err.Error(), nethttp.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.Closes {
		// net/http says it by itself to HTTP/1.1 clients only.
		h.Set("Connection", "close")
	}
	// An error here is the client's going; net/http closes the connection.
	_, _ = w.Write(body.Bytes())
}

// listener waits out the errors that may pass, and ends after a number of connections.
type listener struct {
	net.Listener
	ctx     context.Context // of the server, which is what the listener lives for
	log     serve.Logf
	limited bool
	left    int
}

func (l *listener) Accept() (net.Conn, error) {
	if l.limited && l.left == 0 {
		return nil, errEnough
	}
	l.left--
	return serve.Accept(l.ctx, l.Listener, l.log)
}

type counterKey struct{}

// withCounter gives each connection a count of its requests.
func withCounter(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, counterKey{}, new(atomic.Uint64))
}

// lines hands what net/http logs to a Log.
type lines struct{ log serve.Logf }

func (l lines) Write(p []byte) (int, error) {
	if l.log != nil {
		l.log("%s", strings.TrimSpace(string(p)))
	}
	return len(p), nil
}
