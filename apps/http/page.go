package http

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"mime"
	nethttp "net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what a client is told.
type page struct {
	Remote, Local string
	Nth           uint64 // which request of its connection this is, from 1
	Closes        bool   // the server closes after this reply
	Method        string
	Line          string   // the request line
	Headers       []header // sorted by name
	Body          int64    // the request body's bytes; -1 where it did not say
}

type header struct{ Name, Value string }

func newPage(r *nethttp.Request) page {
	p := page{
		Remote: r.RemoteAddr, Method: r.Method, Body: r.ContentLength,
		Line:    fmt.Sprintf("%s %s %s", r.Method, r.RequestURI, r.Proto),
		Headers: []header{{"Host", r.Host}},
	}
	if a, ok := r.Context().Value(nethttp.LocalAddrContextKey).(fmt.Stringer); ok {
		p.Local = a.String()
	}
	for name, values := range r.Header {
		for _, v := range values {
			p.Headers = append(p.Headers, header{name, v})
		}
	}
	slices.SortStableFunc(p.Headers, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return p
}

// Closing says in words who closes the connection.
func (p page) Closing() string {
	if p.Closes {
		return "the server closes first, after this reply"
	}
	return "the connection stays open for another request"
}

func (p page) text(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "you are   %s\n", p.Remote)
	fmt.Fprintf(&b, "i am      %s\n", p.Local)
	fmt.Fprintf(&b, "request   %d on this connection, by %s\n", p.Nth, p.Method)
	fmt.Fprintf(&b, "then      %s\n", p.Closing())
	fmt.Fprintf(&b, "\n%s\n", p.Line)
	for _, h := range p.Headers {
		fmt.Fprintf(&b, "%s: %s\n", h.Name, h.Value)
	}
	switch {
	case p.Body > 0:
		fmt.Fprintf(&b, "\n(and a body of %d bytes)\n", p.Body)
	case p.Body < 0:
		fmt.Fprint(&b, "\n(and a body of a length it did not say)\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p page) html(w io.Writer) error { return pageTemplate.Execute(w, p) }

// wantsHTML says whether an Accept header names text/html and prefers it to
// text/plain (RFC 9110, 12.5.1). A wildcard alone, as curl sends, gets text.
func wantsHTML(accept []string) bool {
	html, plain := 0.0, 0.0
	for _, field := range accept {
		for item := range strings.SplitSeq(field, ",") {
			kind, params, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			q := 1.0
			if s, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(s, 64); err != nil {
					continue
				}
			}
			switch kind {
			case "text/html":
				html = q
			case "text/plain":
				plain = q
			}
		}
	}
	return html > 0 && html >= plain
}
