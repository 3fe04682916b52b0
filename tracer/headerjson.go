package tracer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// AppendHeader appends a trace's first line, without a newline, and returns the
// longer slice.
func AppendHeader(dst []byte, h Header) []byte {
	dst = append(dst, `{"type":"trace"`...)
	dst = appendString(dst, "schema", Schema)
	dst = appendKey(dst, "started")
	dst = append(dst, '"')
	dst = h.Started.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	dst = appendString(dst, "appliance", h.Appliance)
	dst = appendString(dst, "gvisor", h.GVisor)
	dst = appendString(dst, "go", h.Go)
	dst = appendObject(dst, "link", h.Link)
	dst = appendObject(dst, "tcp", h.TCP)
	return append(dst, '}')
}

// appendObject writes a struct of strings and numbers, which cannot fail to encode.
func appendObject(dst []byte, key string, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // "a -> b" stays readable
	if err := enc.Encode(v); err != nil {
		return dst
	}
	return append(appendKey(dst, key), bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// magics are the first bytes of files that people take for a trace.
var magics = []struct{ prefix, what string }{
	{"\x0a\x0d\x0d\x0a", "a pcapng capture"},
	{"\xd4\xc3\xb2\xa1", "a pcap capture"},
	{"\xa1\xb2\xc3\xd4", "a pcap capture"},
	{"\x4d\x3c\xb2\xa1", "a pcap capture"},
	{"\xa1\xb2\x3c\x4d", "a pcap capture"},
	{"\x1f\x8b", "gzip: unpack it first (gzip -d)"},
	{"\x28\xb5\x2f\xfd", "zstd: unpack it first (zstd -d)"},
	{"PAR1", "a Parquet file"},
	{"\x1e", "a JSON text sequence such as qlog's"},
}

// parseHeader reads the first line. Its errors tell what was found instead.
func parseHeader(line []byte) (Header, error) {
	const want = "want a first line with schema \"" + Schema + "\""
	for _, m := range magics {
		if bytes.HasPrefix(line, []byte(m.prefix)) {
			return Header{}, fmt.Errorf("not a trace: found %s; %s", m.what, want)
		}
	}
	var h struct {
		Type, Schema          *string
		Started               time.Time
		Appliance, GVisor, Go string
		Link                  LinkInfo
		TCP                   TCPInfo
	}
	if !json.Valid(line) {
		return Header{}, fmt.Errorf("not a trace: found %s; %s", excerpt(line), want)
	}
	err := json.Unmarshal(line, &h)
	switch {
	case h.Type == nil && h.Schema == nil && err != nil:
		return Header{}, fmt.Errorf("not a trace: found %s; %s", excerpt(line), want)
	case h.Schema == nil:
		return Header{}, fmt.Errorf("no schema in the header: found %s; %s", excerpt(line), want)
	case *h.Schema != Schema:
		by := ""
		if h.Appliance != "" {
			by = fmt.Sprintf(", written by appliance %q", clip(h.Appliance))
		}
		return Header{}, fmt.Errorf("found schema %q%s; want %q: read it with a version that knows it",
			clip(*h.Schema), by, Schema)
	case h.Type == nil || *h.Type != "trace":
		return Header{}, fmt.Errorf("no header: found %s; want \"type\":\"trace\"", excerpt(line))
	case err != nil:
		return Header{}, fmt.Errorf("bad header: %w", err)
	}
	return Header{h.Started, h.Appliance, h.GVisor, h.Go, h.Link, h.TCP}, nil
}

// excerpt quotes the beginning of a line for an error.
func excerpt(line []byte) string {
	return fmt.Sprintf("%q", clip(string(line[:min(len(line), 200)])))
}

func clip(s string) string {
	const limit = 60
	s = strings.ToValidUTF8(s, "\ufffd")
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}
