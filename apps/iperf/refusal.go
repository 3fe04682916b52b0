package iperf

import (
	"errors"
	"fmt"
	"syscall"
)

// The numbers of iperf3's errors that this server sends.
const (
	codeDuration      = 5
	codeStreams       = 6
	codeBlockSize     = 7
	codeBufferSize    = 8
	codeOmit          = 12
	codeUnimplemented = 13
	codeEndConditions = 16
	codeNoSCTP        = 18
	codeMessage       = 110
	codeRecvParams    = 114
	codeRecvResults   = 117
	codeSetNoDelay    = 122
	codeSetBuffer     = 124
	codeSetTOS        = 125
	codeSetFlowLabel  = 127
	codeProtocol      = 131
	codeAffinity      = 132
	codeCongestion    = 134
	codeStreamAccept  = 204
	codeStreamData    = 206
	codeStreamID      = 208
)

// codeTexts are iperf3's words for the errors that a server may report; each side has
// its own copy.
var codeTexts = map[int]string{
	codeDuration:      "test duration too long",
	codeStreams:       "number of parallel streams too large",
	codeBlockSize:     "block size too large",
	codeBufferSize:    "socket buffer size too large",
	codeOmit:          "bogus value for --omit",
	codeUnimplemented: "an option you are trying to set is not implemented yet",
	codeEndConditions: "only one test end condition (-t, -n, -k) may be specified",
	codeNoSCTP:        "no SCTP support available",
	27:                "total required bandwidth is larger than server limit",
	101:               "test initialization failed",
	106:               "unable to receive cookie at server",
	codeMessage:       "received an unknown control message",
	codeRecvParams:    "unable to receive parameters from client",
	115:               "unable to package results",
	116:               "unable to send results",
	codeRecvResults:   "unable to receive results",
	codeSetNoDelay:    "unable to set TCP/SCTP NODELAY",
	123:               "unable to set TCP/SCTP MSS",
	codeSetBuffer:     "unable to set socket buffer size",
	codeSetTOS:        "unable to set IP TOS",
	codeSetFlowLabel:  "unable to set IPv6 flow label",
	codeProtocol:      "protocol does not exist",
	codeAffinity:      "unable to set CPU affinity",
	codeCongestion:    "unable to set TCP_CONGESTION",
	140:               "unable to set socket pacing",
	142:               "test authorization failed",
	202:               "unable to start stream listener",
	codeStreamAccept:  "unable to accept stream connection",
	205:               "unable to write to stream socket",
	codeStreamData:    "unable to read from stream socket",
	codeStreamID:      "stream has an invalid id",
}

// ErrBusy says that the server is running another test.
var ErrBusy = errors.New("the server is busy running a test: try again later")

// ErrTerminated says that the other side ended the test early.
var ErrTerminated = errors.New("the other side ended the test")

// A Refusal is a server's word on why there is no test, or no more of it.
type Refusal struct {
	Code   int    // iperf3's number of the error
	Errno  int    // the server's system's, 0 for none
	Detail string // what the server itself knows besides; it stays there
}

// Error implements error.
func (r *Refusal) Error() string {
	text, ok := codeTexts[r.Code]
	if !ok {
		text = fmt.Sprintf("iperf3's error %d", r.Code)
	}
	if r.Errno != 0 {
		text += fmt.Sprintf(" (%v)", syscall.Errno(r.Errno)) //nolint:gosec // only its text is used
	}
	if r.Detail != "" {
		return fmt.Sprintf("refused: %s: %s", text, r.Detail)
	}
	return "the server refuses: " + text
}

// unsupported is iperf3's number of ENOTSUP on Linux, which is what it shows in words.
const unsupported = 95

// coded is an error with iperf3's number for it.
type coded struct {
	error
	code int
}

// Unwrap lets errors.Is and errors.As see what is inside.
func (c *coded) Unwrap() error { return c.error }

// withCode gives err the number by which a client is told of it; nil stays nil.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &coded{err, code}
}

// refusalFor is what a client is told of err.
func refusalFor(err error) *Refusal {
	var r *Refusal
	var c *coded
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &c):
		return &Refusal{Code: c.code}
	}
	return &Refusal{Code: codeMessage}
}
