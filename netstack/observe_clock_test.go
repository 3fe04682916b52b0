package netstack

import (
	"reflect"
	"runtime"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// TestReceiver holds what the owner of a timer rests on: how Go makes a method value,
// and what it calls it.
func TestReceiver(t *testing.T) {
	ep, other := new(tcp.Endpoint), new(tcp.Endpoint)
	o := &observer{byEP: newIndex(hashEndpoint)}
	c := &tracked{ep: ep}
	o.byEP.put(ep, c)
	for name, tc := range map[string]struct {
		f    func()
		want *tracked
	}{
		"a method of a known endpoint":     {ep.Abort, c},
		"a method of one that is not":      {other.Abort, nil},
		"a closure":                        {func() { ep.Abort() }, nil},
		"a function that captures nothing": {func() {}, nil},
	} {
		if got := o.receiver(tc.f, runtime.FuncForPC(reflect.ValueOf(tc.f).Pointer()).Name()); got != tc.want {
			t.Errorf("%s: %p, want %p", name, got, tc.want)
		}
	}
}

// TestMark: a goroutine's mark is its own.
func TestMark(t *testing.T) {
	if marked() {
		t.Fatal("marked from the start")
	}
	outer := mark()
	inner := mark()
	elsewhere := make(chan bool)
	go func() { elsewhere <- marked() }()
	if <-elsewhere {
		t.Error("another goroutine has the mark")
	}
	if inner(); !marked() {
		t.Error("the inner mark's end took the outer off")
	}
	if outer(); marked() {
		t.Error("the mark stays")
	}
}
