package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

const marshalHead = `# A configuration of the appliance, for "appliance run -c FILE".
# What is left out has its default; "appliance config default" prints them all.
`

// Marshal returns c as YAML, each key explained by a comment above it. A key that
// has no value stands there as a comment with an example. Parse reads the same
// configuration back.
func (c *Config) Marshal() []byte {
	w := writer{documented: make(map[reflect.Type]bool)}
	w.buf.WriteString(marshalHead)
	w.mapping(reflect.ValueOf(c).Elem(), reflect.ValueOf(base()).Elem(), 0, false)
	return w.buf.Bytes()
}

// A writer writes commented YAML.
type writer struct {
	buf        bytes.Buffer
	documented map[reflect.Type]bool // types whose keys have been explained
}

// mapping writes the keys of struct v; def are the values that Parse starts from. An
// item of a list has its first key behind the list's dash.
func (w *writer) mapping(v, def reflect.Value, indent int, item bool) {
	t := v.Type()
	explain := !w.documented[t]
	w.documented[t] = true
	for i := range t.NumField() {
		key := t.Field(i).Tag.Get("yaml")
		d := docOf(t, key)
		pad := strings.Repeat(" ", indent)
		lead := pad + key + ":"
		if item && i == 0 {
			pad = pad[:indent-2]
			lead = pad + "- " + key + ":"
		}
		if indent == 0 {
			w.buf.WriteByte('\n')
		}
		if explain {
			w.comment(pad, d.text)
		}
		if d.example != "" && v.Field(i).IsZero() && def.Field(i).IsZero() {
			if explain {
				fmt.Fprintf(&w.buf, "%s# %s: %s\n", pad, key, d.example)
			}
			continue
		}
		w.field(lead, v.Field(i), def.Field(i), indent)
	}
}

// field writes one key's value after lead, which ends in the colon.
func (w *writer) field(lead string, v, def reflect.Value, indent int) {
	switch {
	case isScalar(v):
		fmt.Fprintf(&w.buf, "%s %s\n", lead, scalarText(v))
	case v.Kind() == reflect.Struct:
		w.buf.WriteString(lead + "\n")
		w.mapping(v, def, indent+2, false)
	case v.Len() == 0 || isScalar(v.Index(0)):
		items := make([]string, v.Len())
		for i := range items {
			items[i] = scalarText(v.Index(i))
		}
		fmt.Fprintf(&w.buf, "%s [%s]\n", lead, strings.Join(items, ", "))
	default:
		w.buf.WriteString(lead + "\n")
		for i := range v.Len() {
			w.mapping(v.Index(i), reflect.Zero(v.Type().Elem()), indent+4, true)
		}
	}
}

// width is that of the written lines' comments.
const width = 80

// comment writes text as lines of a comment, long ones wrapped.
func (w *writer) comment(pad, text string) {
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := pad + "#"
		for _, word := range strings.Fields(paragraph) {
			if len(line)+1+len(word) > width && !strings.HasSuffix(line, "#") {
				w.buf.WriteString(line + "\n")
				line = pad + "#"
			}
			line += " " + word
		}
		w.buf.WriteString(line + "\n")
	}
}

// scalarText returns v as decodeScalar reads it, quoted where YAML needs it.
func scalarText(v reflect.Value) string {
	text := fmt.Sprint(v.Interface())
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			text = string(b)
		}
	}
	return quote(text)
}

// plain matches what needs no quotes, in a flow sequence too.
var plain = regexp.MustCompile(`^[A-Za-z0-9./]([A-Za-z0-9._/:%+-]*[A-Za-z0-9._/%+-])?$`)

// quote returns s so that YAML reads it as the text s.
func quote(s string) string {
	if plain.MatchString(s) && !strings.EqualFold(s, "null") {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(fmt.Sprintf("encode %q: %v", s, err)) // a string has a JSON form
	}
	return strings.TrimSpace(b.String()) // YAML's double-quoted form holds JSON's
}
