package tracer

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// scans tells whether a text is one JSON value by scanValue, and for an object also by the
// decoder's own walk.
func scans(t *testing.T, in []byte) bool {
	at := skipSpace(in, 0)
	n := scanValue(in[at:], 0)
	ok := n >= 0 && skipSpace(in, at+n) == len(in)
	if at < len(in) && in[at] == '{' {
		var d decoder
		_, m := d.object(in[at:], nil)
		if m != n || d.err != nil {
			t.Errorf("%q: the object is %d long by one walk and %d by the other, %v", in, n, m, d.err)
		}
	}
	return ok
}

// TestScanIsJSON holds the walk over a line to encoding/json's.
func TestScanIsJSON(t *testing.T) {
	for _, in := range []string{
		"", " ", "{}", "[]", " { } ", "[ ]", `{"a":1}`, `{"a":1,}`, `{"a":1 "b":2}`, `{"a" : [ 1 , 2 ] , "b" : { } }`,
		`{,}`, `{"a"}`, `{"a":}`, `{a:1}`, `{"a":1`, `{"a":1}}`, `{"a":1}x`, `[1,]`, `[,1]`, `[1 2]`, `[1`, `]`,
		`"`, `"a`, `"a\"`, `"\u12"`, `"\u12g4"`, `"\uD800"`, `"\x41"`, "\"\x01\"", "\"\x7f\xff\"", `"\/\b\f\n\r\t\\\""`,
		"0", "-0", "-", "01", "1.", "1.5", ".5", "1e", "1e+", "1e5", "1E-05", "1.5e+10", "--1", "+1", "1e1.5",
		"true", "false", "null", "nul", "nullx", "tru", "truefalse", "NaN", "Infinity",
		strings.Repeat("[", 9999) + strings.Repeat("]", 9999), strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
		strings.Repeat("[", 10001) + strings.Repeat("]", 10001), strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000),
		strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001), "\t\r\n{}\n", "\u00a0{}", "\xef\xbb\xbf{}",
	} {
		if got, want := scans(t, []byte(in)), json.Valid([]byte(in)); got != want {
			t.Errorf("%.60q: %v, want %v", in, got, want)
		}
	}
}

// FuzzScan holds the walk over a line to encoding/json's.
func FuzzScan(f *testing.F) {
	f.Add([]byte(`{"n":1,"type":"call","args":{"a":[1,-2.5e3,true,null,"\u00e9\n"]}}`))
	f.Add([]byte(" [ { } , [ ] ] "))
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, want := scans(t, bytes.Clone(in)), json.Valid(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	})
}
