package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON Schema (draft 2020-12) of the configuration, for editors
// that complete and check YAML. It knows keys, types, forms and defaults; what makes
// no sense together only Validate knows.
func Schema() ([]byte, error) {
	r := jsonschema.Reflector{
		Anonymous:                  true,
		ExpandedStruct:             true,
		RequiredFromJSONSchemaTags: true,
		FieldNameTag:               "yaml",
		Mapper:                     scalarSchema,
		LookupComment: func(t reflect.Type, field string) string {
			if t.Kind() != reflect.Struct {
				return ""
			}
			if f, ok := t.FieldByName(field); ok {
				return docOf(t, f.Tag.Get("yaml")).text
			}
			return ""
		},
	}
	s := r.Reflect(&Config{})
	s.Title = "appliance configuration"
	s.Description = "A TCP/IP stack on a link, its programs and its trace."
	setDefaults(s, s.Definitions, reflect.ValueOf(base()).Elem())
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("configuration schema: %w", err)
	}
	return append(b, '\n'), nil
}

// setDefaults gives the properties of s, and of the sections it refers to, the
// values that v has.
func setDefaults(s *jsonschema.Schema, defs jsonschema.Definitions, v reflect.Value) {
	for i := range v.NumField() {
		key := v.Type().Field(i).Tag.Get("yaml")
		property, ok := s.Properties.Get(key)
		if !ok {
			continue
		}
		f := v.Field(i)
		switch {
		case isScalar(f):
			if !f.IsZero() || docOf(v.Type(), key).example == "" {
				property.Default = scalarJSON(f)
			}
		case f.Kind() == reflect.Struct:
			if section, ok := defs[f.Type().Name()]; ok {
				setDefaults(section, defs, f)
			}
		}
	}
}

// scalarJSON returns v as JSON writes it: numbers and truth values as such, the rest
// as text.
func scalarJSON(v reflect.Value) any {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if b, err := m.MarshalText(); err == nil {
			return string(b)
		}
	}
	return v.Interface()
}

// scalarSchema describes the types that are written as one value; nil leaves a type
// to the reflector.
func scalarSchema(t reflect.Type) *jsonschema.Schema {
	text := func(pattern string, examples ...any) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Examples: examples}
	}
	zeroOr := func(s *jsonschema.Schema) *jsonschema.Schema {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Const: 0}, s}}
	}
	switch v := reflect.Zero(t).Interface().(type) {
	case Duration:
		return zeroOr(text(`^(0|\+?([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|ms|s|m|h))+$`, "20ms", "30s", "2m"))
	case Size:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "integer", Minimum: "0"},
			text(`^[0-9]+ *(B|KiB|MiB|GiB|kB|MB|GB)?$`, "64KiB"),
		}}
	case Percent:
		return zeroOr(text(`^(0|[0-9.]+ *%)$`, "10%", "0.5%"))
	case Rate:
		return zeroOr(text(`^(0|[0-9]+ *[kMG]?bit(/s)?)$`, "10Mbit"))
	case MAC:
		return text("", "02:00:00:00:12:53")
	case netip.Prefix:
		return text(`^[0-9a-fA-F.:]+/[0-9]+$`, "192.168.12.53/24", "fd00:12::53/64")
	case netip.Addr:
		return text("", "192.168.12.1", "fd00:12::1")
	case netip.AddrPort:
		return text(`:[0-9]+$`, "192.168.12.1:9000")
	case enum:
		s := &jsonschema.Schema{}
		for _, value := range v.values() {
			s.Enum = append(s.Enum, value)
		}
		if _, ok := v.(aliased); ok {
			s.Enum = append(s.Enum, true, false)
		}
		return s
	}
	return nil
}
