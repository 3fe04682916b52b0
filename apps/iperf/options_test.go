package iperf

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClientOptions(t *testing.T) {
	var c Client
	err := c.Set([]string{
		"time=90s", "parallel=4", "reverse", "omit=2", "length=64K", "bitrate=1.5M", "window=1M", "no-delay",
		"repeating-payload", "get-server-output", "interval=500ms", "json",
	})
	want := Client{
		Params: Params{
			Time: 90 * time.Second, Parallel: 4, Reverse: true, Omit: 2 * time.Second, Length: 64 << 10, Bitrate: 1_500_000,
			Window: 1 << 20, NoDelay: true, RepeatingPayload: true, ServerOutput: true,
		},
		JSON: true, Interval: 500 * time.Millisecond,
	}
	if err != nil || c != want {
		t.Errorf("%v, %+v\nwant %+v", err, c, want)
	}
	for text, want := range map[string]Params{
		"bytes=1g":           {Bytes: 1 << 30},
		"bytes=2T":           {Bytes: 2 << 40},
		"blockcount=2k":      {Blocks: 2048},
		"bidir":              {Bidirectional: true},
		"time=3":             {Time: 3 * time.Second},
		"bitrate=100":        {Bitrate: 100},
		"time=1m,parallel=2": {Time: time.Minute, Parallel: 2},
	} {
		var c Client
		if err := c.Set(strings.Split(text, ",")); err != nil || c.Params != want {
			t.Errorf("%s: %v, %+v", text, err, c.Params)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for text, want := range map[string]string{
		"":                 `option "" is unknown: want time, bytes, blockcount, parallel`,
		"tme=1":            `option "tme" is unknown`,
		"time":             `option "time": a value is missing: want time=seconds`,
		"time=":            `a value is missing`,
		"time=-1":          `"-1" is not what it takes`,
		"time=1500ms":      `time 1.5s: want whole seconds`,
		"time=25h":         `test duration too long`,
		"omit=11m":         `bogus value for --omit`,
		"bytes=x":          `option "bytes=x": "x" is not what it takes: want a number, or one with K, M, G or T`,
		"bytes=-5":         `is not what it takes`,
		"bytes=9e30":       `is not what it takes`,
		"bytes=NaN":        `is not what it takes`,
		"bytes=1,time=1":   `only one test end condition`,
		"length=2M":        `block size too large`,
		"parallel=0x":      `is not what it takes`,
		"parallel=-1":      `number of parallel streams too large`,
		"window=1G":        `socket buffer size too large`,
		"reverse,bidir":    `want one of them`,
		"json=yes":         `option "json=yes": json has no value: write json`,
		"json,json":        `option "json" is given twice`,
		"interval=10ms":    `is not what it takes`,
		"interval=1,tim=1": `option "tim" is unknown`,
	} {
		var c Client
		if err := c.Set(strings.Split(text, ",")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	var s Server
	if err := s.Set([]string{"json", "interval=0"}); err != nil || !s.JSON || s.Interval >= 0 {
		t.Errorf("%v, %+v", err, s)
	}
	if err := s.Set([]string{"parallel=2"}); err == nil || !strings.Contains(err.Error(), "want interval, json") {
		t.Error(err)
	}
}

// TestParamsOnTheWire: what a client sends has the form of iperf3's.
func TestParamsOnTheWire(t *testing.T) {
	w, err := Params{Parallel: 2, Reverse: true, Bitrate: 5}.wire()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(w)
	want := `{"tcp":true,"omit":0,"time":10,"num":0,"blockcount":0,"parallel":2,"reverse":true,"len":131072,"bandwidth":5,"client_version":"` + version + `"}`
	if err != nil || string(b) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b, want)
	}
	if p := (&params{Parallel: 1, FQRate: 7, Bandwidth: 9}); p.rate() != 7 {
		t.Errorf("rate %d", p.rate())
	}
	var ids []int
	for i := range 5 {
		ids = append(ids, streamID(i))
	}
	if !slices.Equal(ids, []int{1, 3, 4, 5, 6}) {
		t.Errorf("streams have the numbers %v", ids)
	}
}

func TestUnits(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0.00 Byte", 999: " 999 Byte", 1024: "1.00 KByte", 10 * 1024: "10.0 KByte", 131072: " 128 KByte",
		3.5 * (1 << 30): "3.50 GByte", 5000 * (1 << 40): "5000 TByte",
	} {
		if got := bytesText(n); got != want {
			t.Errorf("%g: %q, want %q", n, got, want)
		}
	}
	if got := bitsText(9.994e9); got != "9.99 Gbit" {
		t.Errorf("%q", got)
	}
}
