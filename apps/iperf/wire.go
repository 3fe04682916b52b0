package iperf

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"appliance/apps/internal/serve"
)

// Port is iperf3's.
const Port = 5201

// DefaultTimeout is how long a control message, or the next step of the protocol, may
// take to come.
const DefaultTimeout = 30 * time.Second

const (
	// maxParams bounds the parameters: iperf3's have a few hundred bytes, and a title
	// and extra data that the user chooses.
	maxParams = 64 << 10
	// maxResults bounds the results: a stream's have less than 300 bytes, and the
	// server's own output, which the client may ask for, is the rest.
	maxResults = 4 << 20
)

// state is a byte on the control connection.
type state int8

// The states that are in use.
const (
	testStart       state = 1
	testRunning     state = 2
	testEnd         state = 4
	paramExchange   state = 9
	createStreams   state = 10
	serverTerminate state = 11
	clientTerminate state = 12
	exchangeResults state = 13
	displayResults  state = 14
	iperfDone       state = 16
	accessDenied    state = -1
	serverError     state = -2
)

var stateNames = map[state]string{
	testStart: "TEST_START", testRunning: "TEST_RUNNING", testEnd: "TEST_END",
	paramExchange: "PARAM_EXCHANGE", createStreams: "CREATE_STREAMS",
	serverTerminate: "SERVER_TERMINATE", clientTerminate: "CLIENT_TERMINATE",
	exchangeResults: "EXCHANGE_RESULTS", displayResults: "DISPLAY_RESULTS",
	iperfDone: "IPERF_DONE", accessDenied: "ACCESS_DENIED", serverError: "SERVER_ERROR",
}

// String is iperf3's name of the state.
func (s state) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("unknown state %d", int8(s))
}

// unexpected says that the peer sent a state that has no place where it came.
func unexpected(s state, during string) error {
	return fmt.Errorf("%s: the peer sent %v: is it iperf3?", during, s)
}

// cookieLen is that of a cookie with the zero byte at its end.
const cookieLen = 37

// cookie tells which test a connection belongs to.
type cookie [cookieLen]byte

// newCookie makes one of iperf3's characters.
func newCookie() cookie {
	var secret [23]byte
	_, _ = rand.Read(secret[:]) // it never fails
	var c cookie
	copy(c[:cookieLen-1], strings.ToLower(base32.StdEncoding.EncodeToString(secret[:])))
	return c
}

// String is the cookie without its end.
func (c cookie) String() string {
	text, _, _ := bytes.Cut(c[:], []byte{0})
	return string(text)
}

// received is what a read of a state gave.
type received struct {
	state state
	err   error
}

// control is a control connection. One goroutine uses it.
type control struct {
	conn    net.Conn
	timeout time.Duration
	pending chan received // the read under way, if any
}

// limit gives the reads from now on the control connection's timeout, and none at all
// once ctx has ended.
func (c *control) limit(ctx context.Context) {
	_ = c.conn.SetReadDeadline(time.Now().Add(c.timeout)) // a dead connection's reads say so
	if ctx.Err() != nil {
		serve.Interrupt(c.conn)
	}
}

// unlimit takes the reads' time limit away: a test lasts as long as it lasts.
func (c *control) unlimit(ctx context.Context) {
	_ = c.conn.SetReadDeadline(time.Time{})
	if ctx.Err() != nil {
		serve.Interrupt(c.conn)
	}
}

// reason turns the error of a read or write into one that says what happened.
func (c *control) reason(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the peer closed the control connection")
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("nothing complete came from the peer for %v", c.timeout)
	}
	return err
}

// next is where the next state arrives, and stays until took is called.
func (c *control) next() <-chan received {
	if c.pending == nil {
		c.pending = make(chan received, 1)
		go func(to chan<- received) {
			var b [1]byte
			_, err := io.ReadFull(c.conn, b[:])
			to <- received{state(b[0]), err} //nolint:gosec // a state is signed
		}(c.pending)
	}
	return c.pending
}

// took says that what next promised was received.
func (c *control) took() { c.pending = nil }

// stop ends a read that is under way, and every later one.
func (c *control) stop() {
	serve.Interrupt(c.conn)
	if c.pending != nil {
		<-c.pending
		c.pending = nil
	}
}

// await waits for the next state.
func (c *control) await(ctx context.Context, during string) (state, error) {
	c.limit(ctx)
	r := <-c.next()
	c.took()
	if r.err != nil {
		return 0, fmt.Errorf("%s: %w", during, c.reason(ctx, r.err))
	}
	return r.state, nil
}

// hangUp closes this side's direction and reads what the peer has sent, for a while: to
// close with bytes unread would reset the connection, and what was said last be lost.
func (c *control) hangUp() {
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(lastWord))
	_, _ = io.CopyN(io.Discard, c.conn, maxResults)
}

// write sends b whole.
func (c *control) write(b []byte) error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.timeout))
	_, err := c.conn.Write(b)
	return err
}

// say sends a state.
func (c *control) say(s state) error {
	if err := c.write([]byte{byte(s)}); err != nil {
		return fmt.Errorf("send %v: %w", s, err)
	}
	return nil
}

// refuse sends SERVER_ERROR with what r says: iperf3's number of the error and the
// system's, which it shows behind the error's text.
func (c *control) refuse(r *Refusal) error {
	code := serverError
	b := []byte{byte(code)}
	b = binary.BigEndian.AppendUint32(b, uint32(r.Code))  //nolint:gosec // small numbers
	b = binary.BigEndian.AppendUint32(b, uint32(r.Errno)) //nolint:gosec // small numbers
	if err := c.write(b); err != nil {
		return fmt.Errorf("send %v: %w", serverError, err)
	}
	return nil
}

// refusal reads what follows SERVER_ERROR.
func (c *control) refusal(ctx context.Context) error {
	c.limit(ctx)
	var b [8]byte
	if _, err := io.ReadFull(c.conn, b[:]); err != nil {
		return fmt.Errorf("the server refuses, and does not say why: %w", c.reason(ctx, err))
	}
	return &Refusal{
		Code:  int(int32(binary.BigEndian.Uint32(b[:4]))), //nolint:gosec // it is signed
		Errno: int(int32(binary.BigEndian.Uint32(b[4:]))), //nolint:gosec // it is signed
	}
}

// readCookie reads the first bytes of a connection.
func (c *control) readCookie(ctx context.Context) (cookie, error) {
	var got cookie
	c.limit(ctx)
	if _, err := io.ReadFull(c.conn, got[:]); err != nil {
		return got, fmt.Errorf("read the cookie: %w", c.reason(ctx, err))
	}
	return got, nil
}

// sendJSON sends v behind its length.
func (c *control) sendJSON(what string, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		msg := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))) //nolint:gosec // bounded by what it is made of
		err = c.write(append(msg, b...))
	}
	if err != nil {
		return fmt.Errorf("send the %s: %w", what, err)
	}
	return nil
}

// readJSON reads a message of at most most bytes into v. Its memory grows with what
// has come, not with what the length promises.
func (c *control) readJSON(ctx context.Context, what string, most int, v any) error {
	c.limit(ctx)
	b, err := readMessage(c.conn, most)
	if err != nil {
		return fmt.Errorf("read the %s: %w", what, c.reason(ctx, err))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read the %s: %w", what, err)
	}
	return nil
}

// readMessage reads a length and that many bytes.
func readMessage(r io.Reader, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || uint64(n) > uint64(most) {
		return nil, fmt.Errorf("a length of %d bytes: want 1 to %d", n, most)
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
