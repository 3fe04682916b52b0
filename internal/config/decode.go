package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"appliance/tracer/strictyaml"
)

// position is where in a file a key or value stands.
type position struct{ line, column int }

// A decoder fills a Config from YAML's nodes. It does what the YAML package's own
// strict decoding does (no unknown key, no key twice, no value of the wrong type),
// but in words that name keys instead of Go's types, with a suggestion for a
// misspelt key, and it remembers where each value stands, so that errors found
// later, in Validate, have a line too.
type decoder struct {
	problems []Problem
	at       map[string]position // each value's, by its path
	bad      map[string]bool     // paths whose values could not be read
}

func (d *decoder) decode(root *yaml.Node, c *Config) {
	d.value(root, reflect.ValueOf(c).Elem(), "")
}

// fail records that the value at path is wrong.
func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) {
	d.bad[path] = true
	d.problem(n, path, format, args...)
}

func (d *decoder) problem(n *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{
		Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...),
	})
}

// isBad tells whether path, or what it is part of, could not be read.
func (d *decoder) isBad(path string) bool {
	for path != "" {
		if d.bad[path] {
			return true
		}
		path = parentPath(path)
	}
	return d.bad[""]
}

// locate returns p with the position of its key, or of the nearest thing around it
// that the file has.
func (d *decoder) locate(p Problem) Problem {
	for path := p.Path; ; path = parentPath(path) {
		if at, ok := d.at[path]; ok {
			p.Line, p.Column = at.line, at.column
			return p
		}
		if path == "" {
			return p
		}
	}
}

// parentPath returns "apps[1]" for "apps[1].port", "apps" for "apps[1]", "" for
// "apps".
func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// join returns the path of key in the mapping at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// value decodes n into v, whose type decides what n must be.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	d.at[path] = position{n.Line, n.Column}
	at := n
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		d.fail(at, path, "has the tag %q: want the value without a tag", n.Tag)
		return
	}
	switch {
	case isScalar(v):
		if n.Kind != yaml.ScalarNode {
			d.fail(at, path, "is %s: want a single value", strictyaml.KindName(n))
			return
		}
		if n.Tag == "!!null" {
			d.fail(at, path, "has no value: give it one, or remove the key to get the default")
			return
		}
		if err := decodeScalar(n.Value, v); err != nil {
			d.fail(at, path, "%s", err)
		}
	case v.Kind() == reflect.Slice:
		d.list(n, at, v, path)
	default:
		d.mapping(n, at, v, path)
	}
}

// list decodes a sequence; no value at all is an empty one.
func (d *decoder) list(n, at *yaml.Node, v reflect.Value, path string) {
	if n.Tag == "!!null" {
		v.Set(reflect.Zero(v.Type()))
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(at, path, "is %s: want a list%s", strictyaml.KindName(n), listHint(n, v.Type().Elem()))
		return
	}
	s := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	if len(n.Content) == 0 {
		s = reflect.Zero(v.Type()) // so that an empty list equals none
	}
	v.Set(s)
	for i, item := range n.Content {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
}

// listHint says how to write the list of item that n should be.
func listHint(n *yaml.Node, item reflect.Type) string {
	switch {
	case !isScalar(reflect.New(item).Elem()):
		return " of items with the keys " + strings.Join(keysOf(item), ", ")
	case n.Kind == yaml.ScalarNode:
		return fmt.Sprintf(": write [%s]", n.Value)
	default:
		return ""
	}
}

// mapping decodes keys and values into a struct; no value at all changes nothing.
func (d *decoder) mapping(n, at *yaml.Node, v reflect.Value, path string) {
	if n.Tag == "!!null" && !strings.HasSuffix(path, "]") {
		return // a section whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		d.fail(at, path, "is %s: want keys and values; the keys here are %s",
			strictyaml.KindName(n), strings.Join(keysOf(v.Type()), ", "))
		return
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode {
			d.problem(key, path, "a key is %s: want a word; the keys here are %s",
				strictyaml.KindName(key), strings.Join(keysOf(v.Type()), ", "))
			continue
		}
		field, ok := fieldOf(v, key.Value)
		if !ok || key.Value == "" {
			d.problem(key, path, "%s", unknownKey(key.Value, v.Type()))
			continue
		}
		if line, twice := seen[key.Value]; twice {
			d.problem(key, join(path, key.Value), "given twice: line %d has it already", line)
			continue
		}
		seen[key.Value] = key.Line
		d.value(n.Content[i+1], field, join(path, key.Value))
	}
}

// unknownKey says what is wrong with a key that t does not have.
func unknownKey(key string, t reflect.Type) string {
	known := keysOf(t)
	if c, ok := strictyaml.Nearest(key, known); ok {
		return fmt.Sprintf("unknown key %q: did you mean %q?", key, c)
	}
	message := fmt.Sprintf("unknown key %q: the keys here are %s", key, strings.Join(known, ", "))
	if place := placeOf(key); place != "" {
		message += fmt.Sprintf("; %s is a key of %s", key, place)
	}
	return message
}

// placeOf returns the section that has a key of that name, "" for none.
func placeOf(key string) string {
	place := ""
	walkKeys(reflect.TypeFor[Config](), "", func(path string, _ reflect.Type, _ reflect.StructField) {
		if parent := parentPath(path); place == "" && parent != "" && path[len(parent)+1:] == key {
			place = parent
		}
	})
	return place
}

// walkKeys calls f for every key that t and what it holds have, with the key's path
// ("link.mtu", "apps.port"), in the order of the fields.
func walkKeys(t reflect.Type, path string, f func(path string, parent reflect.Type, field reflect.StructField)) {
	for i := range t.NumField() {
		field := t.Field(i)
		p := join(path, field.Tag.Get("yaml"))
		f(p, t, field)
		inner := field.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !isScalar(reflect.New(inner).Elem()) {
			walkKeys(inner, p, f)
		}
	}
}

// keysOf returns the YAML keys of a struct type.
func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}

// fieldOf returns the field of struct v whose YAML key is key.
func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// isScalar tells whether v is written as a single value. v must be addressable.
func isScalar(v reflect.Value) bool {
	if _, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return true
	}
	return v.Kind() != reflect.Struct && v.Kind() != reflect.Slice
}

// decodeScalar sets v to what text says.
func decodeScalar(text string, v reflect.Value) error {
	switch p := v.Addr().Interface().(type) {
	case *netip.Prefix:
		return decodePrefix(text, p)
	case *netip.Addr:
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("%q is not an address: want one such as 192.168.12.1 or fd00:12::1", text)
		}
		*p = a
		return nil
	case *netip.AddrPort:
		a, err := netip.ParseAddrPort(text)
		if err != nil {
			return fmt.Errorf("%q is not an address with a port: want one such as 192.168.12.1:9000 or [fd00:12::1]:9000", text)
		}
		*p = a
		return nil
	case encoding.TextUnmarshaler:
		return p.UnmarshalText([]byte(text))
	}
	if e, ok := v.Interface().(enum); ok {
		return decodeEnum(text, e, v)
	}
	return decodePlain(text, v)
}

// decodePlain sets a bool, whole number or string.
func decodePlain(text string, v reflect.Value) error {
	switch {
	case v.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(text == "true")
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return fmt.Errorf("%q is not a whole number, 0 or more", text)
		}
		v.SetUint(n)
	default:
		v.SetString(text)
	}
	return nil
}

// decodeEnum sets v to text if that is one of e's values.
func decodeEnum(text string, e enum, v reflect.Value) error {
	if a, ok := e.(aliased); ok {
		if value, ok := a.aliases()[text]; ok {
			text = value
		}
	}
	for _, value := range e.values() {
		if text == value {
			v.SetString(text)
			return nil
		}
	}
	return fmt.Errorf("%q is unknown: want %s%s", text, strictyaml.List(e.values()), strictyaml.DidYouMean(text, e.values()))
}

// decodePrefix reads an address with its prefix length.
func decodePrefix(text string, p *netip.Prefix) error {
	prefix, err := netip.ParsePrefix(text)
	if err == nil {
		*p = prefix
		return nil
	}
	if text == "default" {
		return fmt.Errorf("%q is no network: write 0.0.0.0/0 for all of IPv4, ::/0 for all of IPv6", text)
	}
	if a, addrErr := netip.ParseAddr(text); addrErr == nil && a.Zone() == "" {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		return fmt.Errorf("%q has no prefix length: write %s/%d if that is the network", text, text, bits)
	}
	return fmt.Errorf("%q is not an address with a prefix length: want one such as 192.168.12.53/24 or fd00:12::53/64", text)
}
