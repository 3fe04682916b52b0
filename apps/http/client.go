package http

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"strings"

	"appliance/apps/internal/serve"
)

// Run is the whole client over conn, which it closes: GET of target ("" means "/") by
// HTTP/1.0, so that the server closes first, and the reply's body to out. It fails
// with a *StatusError when the reply is not 2xx (its body is in out all the same),
// with ctx's cause when ctx ended, and with the connection's error.
func Run(ctx context.Context, conn net.Conn, out io.Writer, target string) error {
	defer serve.Watch(ctx, conn)()
	err := get(conn, out, target)
	if err != nil {
		err = fmt.Errorf("get %q from %v: %w", target, conn.RemoteAddr(), serve.Reason(ctx, err))
	}
	return serve.Close(conn, err)
}

// StatusError says that the server's reply was no success.
type StatusError struct {
	Code   int
	Status string // the code and its reason, such as "404 Not Found"
}

func (e *StatusError) Error() string { return "the server answered " + e.Status }

func get(conn net.Conn, out io.Writer, target string) error {
	if target == "" {
		target = "/"
	}
	if strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("a request target holds no space and no control character: escape them as %%20")
	}
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.0\r\nHost: %v\r\nUser-Agent: appliance\r\nAccept: text/plain, */*;q=0.5\r\n\r\n",
		target, conn.RemoteAddr())
	if err != nil {
		return err
	}
	r, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, r.Body); err != nil {
		return err
	}
	if err := awaitClose(conn, r); err != nil {
		return err
	}
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return &StatusError{Code: r.StatusCode, Status: r.Status}
	}
	return nil
}

// awaitClose leaves the active close to the server where the server said that it
// closes: a body with a length is read before the FIN arrives.
func awaitClose(conn net.Conn, r *nethttp.Response) error {
	if !r.Close {
		return nil
	}
	_, err := io.Copy(io.Discard, conn)
	return err
}
