package iperf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"appliance/apps/internal/apptest"
)

// TestIperf3Client: the real client with this server, whose results are in the client's
// JSON.
func TestIperf3Client(t *testing.T) {
	for _, args := range []string{
		"-n 20M", "-n 20M -R", "-n 20M -P 4", "-n 20M -P 4 -R", "-t 2 -P 2",
		"-t 1 --bidir -P 3", "-k 200", "-k 200 -R", "-n 20M -Z", "-n 20M -N", "-n 20M -N -R",
		"-n 20M -w 256K", "-n 20M -w 256K -R", "-n 20M -M 1000", "-n 20M -l 1000", "-n 20M -l 1M -R",
		"-t 1 -b 20M", "-t 1 -b 20M -R", "-t 1 --fq-rate 20M -R", "-t 1 -O 1", "-t 1 -O 1 -R", "-n 20M -S 8", "-n 20M -C " + allowedCongestion(t),
		"-n 20M --repeating-payload", "-n 20M --repeating-payload -R", "-n 20M -T title --extra-data more", "-n 20M --get-server-output",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, Server{})
			r := iperf3(t, s.Addr, strings.Fields(args)...)
			if r.Error != "" {
				t.Fatalf("iperf3 says: %s", r.Error)
			}
			if log := s.log.String(); log != "" {
				t.Errorf("the server logged:\n%s", log)
			}
			agree(t, r, s.last(t))
			switch {
			case strings.Contains(args, "--get-server-output") && !strings.Contains(r.ServerOutputText, "Accepted connection from 127.0.0.1"):
				t.Errorf("the server's output is %q", r.ServerOutputText)
			case strings.Contains(args, "-T title") && (s.last(t).Title != "title" || s.last(t).ExtraData != "more"):
				t.Errorf("the server's title is %q, its extra data %q", s.last(t).Title, s.last(t).ExtraData)
			case strings.Contains(args, "20M -R") && strings.Contains(args, "-t") && r.End.SumReceived.BitsPerSecond > 40e6:
				t.Errorf("held to 20 Mbit/s, the server sent %g bits a second", r.End.SumReceived.BitsPerSecond)
			}
		})
	}
}

// allowedCongestion is a congestion control that anybody may set.
func allowedCongestion(t *testing.T) string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	names := strings.Fields(string(b))
	if err != nil || len(names) == 0 {
		t.Skipf("needs Linux's list of congestion controls: %v", err)
	}
	return names[0]
}

// agree checks that client and server tell the same, and something.
func agree(t *testing.T, client *Report, server Report) {
	t.Helper()
	if server.Error != "" {
		t.Fatalf("the server says: %s", server.Error)
	}
	c, s := client.End, server.End
	if len(c.Streams) == 0 || len(c.Streams) != len(s.Streams) || len(client.Start.Connected) != len(server.Start.Connected) {
		t.Fatalf("%d and %d streams", len(c.Streams), len(s.Streams))
	}
	// Which stream is which the ends need not agree about: of those that open at once, the
	// second may be accepted first.
	cs, ss := totals(c.Streams), totals(s.Streams)
	if cs != ss {
		t.Errorf("the client says %+v bytes, the server %+v", cs, ss)
	}
	// A receiver that starts its clock a moment earlier or later may count more.
	if client.Start.TestStart.Omit == 0 && cs.received > cs.sent {
		t.Errorf("%d bytes sent, %d received", cs.sent, cs.received)
	}
	if c.SumSent.Bytes == 0 || c.SumReceived.Bytes == 0 || c.CPU.RemoteTotal == 0 || c.CPU.HostTotal != s.CPU.RemoteTotal && s.CPU.HostTotal != c.CPU.RemoteTotal {
		t.Errorf("client: %+v %+v; server: %+v", c.SumReceived, c.CPU, s.CPU)
	}
	if c.SenderCongestion == "" || c.SumSent.Retransmits == nil {
		t.Errorf("congestion control %q; retransmissions %v", c.SenderCongestion, c.SumSent.Retransmits)
	}
}

// moved is what all streams have sent and received.
type moved struct{ sent, received int64 }

func totals(streams []StreamEnd) (m moved) {
	for i := range streams {
		m.sent += streams[i].Sender.Bytes
		m.received += streams[i].Receiver.Bytes
	}
	return m
}

// TestIperf3Refused: what this server does not do, the real client shows as an error, and
// the next client gets its test.
func TestIperf3Refused(t *testing.T) {
	for args, want := range map[string]string{
		"-t 1 -u":         "protocol does not exist",
		"-t 1 --sctp":     "no SCTP support available",
		"-t 1 -R -S 8":    "unable to set IP TOS: Operation not supported",
		"-t 1 -A 0,0":     "unable to set CPU affinity: Operation not supported",
		"-t 1 -R -C vega": "unable to set TCP_CONGESTION",
	} {
		t.Run(args, func(t *testing.T) {
			s := startServer(t, Server{})
			r := iperf3(t, s.Addr, strings.Fields(args)...)
			switch {
			case strings.Contains(r.Error, want):
			case r.Error != "" && (strings.Contains(r.Error, "this system") || ownRefusal(args, r.Error)):
				return // it may not even have come to the server
			default:
				t.Fatalf("iperf3 says %q, want %q", r.Error, want)
			}
			if r := iperf3(t, s.Addr, "-n", "1M"); r.Error != "" {
				t.Errorf("after the refusal: %s", r.Error)
			}
		})
	}
}

// ownRefusal says whether iperf3, as it was built, knows no such option itself.
func ownRefusal(args, text string) bool {
	if !strings.Contains(args, "--sctp") {
		return false
	}
	return strings.Contains(text, "not supported") || strings.Contains(text, "unrecognized option")
}

// TestIperf3Server: this client with the real server.
func TestIperf3Server(t *testing.T) {
	addr, out := iperf3Server(t)
	for i, options := range []string{
		"bytes=20M", "bytes=20M reverse", "bytes=20M parallel=4", "bytes=20M parallel=4 reverse", "time=1",
		"time=1 bidir parallel=2", "blockcount=200", "time=1 omit=1", "time=1 bitrate=20M reverse",
		"bytes=20M window=256K no-delay length=1000", "time=1 repeating-payload", "time=1 get-server-output",
	} {
		t.Run(options, func(t *testing.T) {
			out.Await(t, fmt.Sprintf("(test #%d)", i+1))
			var c Client
			if err := c.Set(strings.Fields(options)); err != nil {
				t.Fatal(err)
			}
			var printed apptest.Buffer
			c.Out = &printed
			r, err := c.Run(apptest.Context(t), dial, addr)
			if err != nil {
				t.Fatalf("%v\nthe server printed:\n%s", err, out)
			}
			if r.End.SumSent.Bytes == 0 || r.End.SumReceived.Bytes == 0 || r.End.CPU.RemoteTotal == 0 || r.End.SumSent.Retransmits == nil {
				t.Errorf("%+v", r.End)
			}
			if c.Bytes > 0 && !c.Reverse && r.End.SumSent.Bytes < c.Bytes {
				t.Errorf("%d bytes sent, want %d", r.End.SumSent.Bytes, c.Bytes)
			}
			if !strings.HasSuffix(printed.String(), "\niperf Done.\n") {
				t.Errorf("printed:\n%s", printed.String())
			}
			if (r.ServerOutputText != "") != c.ServerOutput && c.ServerOutput {
				t.Errorf("the server's output is %q", r.ServerOutputText)
			}
		})
	}
}

// TestIperf3Terminated: who leaves says so, and the real one understands.
func TestIperf3Terminated(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		addr, out := iperf3Server(t)
		ctx, cancel := context.WithCancelCause(apptest.Context(t))
		gone := errors.New("had enough")
		var printed apptest.Buffer
		done := make(chan error, 1)
		go func() {
			c := Client{Out: &printed, Interval: minInterval}
			_, err := c.Run(ctx, dial, addr)
			done <- err
		}()
		printed.Await(t, "its/sec") // data goes
		cancel(gone)
		if err := <-done; !errors.Is(err, gone) {
			t.Errorf("the client: %v", err)
		}
		out.Await(t, "the client has terminated")
	})
	t.Run("server", func(t *testing.T) {
		needIperf3(t)
		s := startServer(t, Server{Interval: minInterval})
		var printed apptest.Buffer
		host, port, _ := strings.Cut(s.Addr, ":")
		cmd := exec.CommandContext(apptest.Context(t), "iperf3", "-c", host, "-p", port, "-t", "60")
		cmd.Stdout, cmd.Stderr = &printed, &printed
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.out.Await(t, "its/sec")
		s.Stop()
		if err := s.Wait(t); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || !strings.Contains(printed.String(), "the server has terminated") {
			t.Errorf("iperf3: %v:\n%s", err, printed.String())
		}
	})
}
