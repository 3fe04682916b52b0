package report

import (
	"bufio"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"strings"

	"appliance/tracer/sink/text"
	"appliance/tracer/view"
	"appliance/tracer/view/draw"
	"appliance/tracer/view/words"
)

// Options are a report's settings; the zero value is ready: English, all connections, a
// title made of the trace.
type Options struct {
	Lang words.Lang
	// Title stands at the top and is the name of the file's window. "" names what was traced.
	Title string
	// Conns limits the report to these connections, with their other ends, what their
	// listeners did for them and what caused their events. None means the whole trace.
	Conns []uint32
	// Pictures is of how many connections pictures are made, the first of those in the
	// report; 0 means [DefaultPictures], and a negative number none.
	Pictures int
	// Notes stand above everything else: what a reader must know first.
	Notes []string
	// File is the name, without its ending, that the page proposes when the trace is
	// saved; "" means "trace".
	File string
}

// DefaultPictures is of how many connections pictures are made where nothing else is said.
const DefaultPictures = 20

// MaxEvents is how many events a report may have: browsers lay out lists of some 16 million
// pixels' height.
const MaxEvents = 500_000

// maxRows is how many connections the table lists.
const maxRows = 1000

// ErrTooLarge is what [Write] wraps where a trace has more events than a browser can list.
var ErrTooLarge = errors.New("the trace is too large for a report")

//go:embed assets
var assets embed.FS

var frame = template.Must(template.ParseFS(assets, "assets/page.html.tmpl"))

// Write writes the report of t as one HTML file. It errs where a connection of o.Conns is
// not in the trace, with [ErrTooLarge], and where w does.
func Write(w io.Writer, t *view.Trace, o Options) error {
	part, err := only(t, o.Conns)
	if err != nil {
		return fmt.Errorf("make the report: %w", err)
	}
	if len(part.Events) > MaxEvents {
		return fmt.Errorf("make the report: %w: it has %d events, and %d can be shown: choose connections with --conn (trace summary lists them)",
			ErrTooLarge, len(part.Events), MaxEvents)
	}
	buf := bufio.NewWriterSize(w, 64<<10)
	if err := compose(buf, part, o); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	if err := buf.Flush(); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// compose writes the parts of the page in their order.
func compose(w io.Writer, t *view.Trace, o Options) error {
	b, err := newBook(t, o)
	if err != nil {
		return err
	}
	style, script := styleSheet(b.rules), javaScript()
	lang := o.Lang
	if lang == "" {
		lang = words.English
	}
	head := fmt.Sprintf("<!doctype html>\n<html lang=%q>\n<head>\n<meta charset=\"utf-8\">\n"+
		"<meta http-equiv=\"Content-Security-Policy\" content=\"%s\">\n"+
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"+
		"<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"+
		"<title>%s</title>\n<style>%s</style>\n</head>\n",
		lang, policy(style, script), template.HTMLEscapeString(b.Title), style)
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	if err := frame.Execute(w, b); err != nil {
		return err
	}
	if err := b.writePictures(w); err != nil {
		return err
	}
	if err := writeData(w, t, b.script.Stacks, o); err != nil {
		return err
	}
	// encoding/json escapes <, > and &: no text can end the element.
	data, err := json.Marshal(b.script)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "<script type=\"application/json\" id=\"page\">%s</script>\n<script>%s</script>\n</body>\n</html>\n", data, script)
	return err
}

// policy is the page's Content-Security-Policy: its own style and script, by their hashes,
// and nothing else: no network, no frame, no form, no other script however it came in.
func policy(style, script string) string {
	return "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(style) +
		"; base-uri 'none'; form-action 'none'"
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// styleSheet is the pictures' palette and the page's own style.
func styleSheet(rules []draw.Rule) string {
	return draw.CSS(rules...) + stateVariables() + asset("assets/page.css")
}

// javaScript is the page's script: the files of assets in the order of their names.
func javaScript() string {
	names, err := fs.Glob(assets, "assets/*.js")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	var b strings.Builder
	b.WriteString("'use strict';\n(() => {\n")
	for _, name := range names {
		b.WriteString("// " + path.Base(name) + "\n" + asset(name))
	}
	b.WriteString("})();\n")
	return b.String()
}

func asset(name string) string {
	data, err := assets.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return string(data)
}

// story is how package text tells an event here.
func (o Options) story() text.Options {
	return text.Options{Lang: o.Lang, Color: true, Width: storyWidth, Conns: text.ConnsAlways}
}
