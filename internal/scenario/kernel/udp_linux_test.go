package kernel

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"appliance/tracer/tracertest"
)

func TestHostUDP(t *testing.T) {
	for _, at := range []netip.Addr{loopback4, loopback6} {
		t.Run(at.String(), func(t *testing.T) {
			rec := &tracertest.Recorder{}
			o := Options{Recorder: rec, Local4: at}
			if at.Is6() {
				o = Options{Recorder: rec, Local6: at}
			}
			h := newHost(t, newLab(t), o)
			server, err := h.ListenUDP(serverPort)
			must(t, "listen", err)
			client, err := h.DialUDP(netip.AddrPortFrom(at, serverPort))
			must(t, "dial", err)
			_, err = client.Write([]byte("hello"))
			must(t, "write", err)
			b := make([]byte, 100)
			n, from, err := server.ReadFrom(b)
			must(t, "read", err)
			_, err = server.WriteTo(b[:n], from)
			must(t, "write", err)
			if n, err = client.Read(b); err != nil || string(b[:n]) != "hello" {
				t.Errorf("back came %q, %v", b[:n], err)
			}
			must(t, "deadline", client.SetReadDeadline(time.Now()))
			if _, err = client.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after the deadline: %v", err)
			}
			must(t, "close", client.Close())
			must(t, "close", server.Close())
			family := map[bool]string{true: "AF_INET6", false: "AF_INET"}[at.Is6()]
			me := netip.AddrPortFrom(at, 9000).String()
			its := netip.AddrPortFrom(at, from.(*net.UDPAddr).AddrPort().Port()).String()
			r := strings.NewReplacer("FAMILY", family, "SERVER", me, "CLIENT", its)
			wantTold(t, told(rec, "peer"), r.Replace(`
			1 done socket family=FAMILY type=SOCK_DGRAM - -
			1 done bind address=SERVER SERVER -
			2 done socket family=FAMILY type=SOCK_DGRAM - -
			2 done connect address=SERVER CLIENT SERVER
			2 enter send bytes=5 data=hello CLIENT SERVER
			2 return send bytes 5 CLIENT SERVER
			1 enter recv bufsize=100 SERVER -
			1 return recv bytes 5 = hello SERVER -
			1 enter send bytes=5 data=hello SERVER -
			1 return send bytes 5 SERVER -
			2 enter recv bufsize=100 CLIENT SERVER
			2 return recv bytes 5 = hello CLIENT SERVER
			2 enter recv bufsize=100 CLIENT SERVER
			2 return recv bytes 0 fails "timed out" CLIENT SERVER
			2 enter close CLIENT SERVER
			2 return close CLIENT SERVER
			1 enter close SERVER -
			1 return close SERVER -
			`))
		})
	}
}
