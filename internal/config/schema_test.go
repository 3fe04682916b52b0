package config

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// checkSchema returns the path of the first value of text that schema refuses, ""
// for none. It knows the keywords that Schema uses and fails on any other.
func checkSchema(t *testing.T, schema map[string]any, text string) string {
	t.Helper()
	var value any
	if err := yaml.Load([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	defs, _ := schema["$defs"].(map[string]any)
	c := checker{t, defs}
	bad, _ := c.check(schema, value, "")
	return bad
}

type checker struct {
	t    *testing.T
	defs map[string]any
}

// check returns the path of what is refused; ok when nothing is.
func (c checker) check(s map[string]any, v any, path string) (bad string, ok bool) {
	c.t.Helper()
	for keyword, arg := range s {
		switch keyword {
		case "$ref":
			name := strings.TrimPrefix(arg.(string), "#/$defs/")
			if bad, ok := c.check(c.defs[name].(map[string]any), v, path); !ok {
				return bad, false
			}
		case "anyOf":
			found := false
			for _, one := range arg.([]any) {
				_, fits := c.check(one.(map[string]any), v, path)
				found = found || fits
			}
			if !found {
				return path, false
			}
		case "items":
			for i, item := range v.([]any) {
				if bad, ok := c.check(arg.(map[string]any), item, fmt.Sprintf("%s[%d]", path, i)); !ok {
					return bad, false
				}
			}
		case "properties":
			if bad, ok := c.properties(s, v, path); !ok {
				return bad, false
			}
		case "$schema", "$defs", "title", "description", "default", "examples", "additionalProperties":
		default:
			if !c.simple(keyword, arg, v) {
				return path, false
			}
		}
	}
	return "", true
}

func (c checker) properties(s map[string]any, v any, path string) (bad string, ok bool) {
	m, isMap := v.(map[string]any)
	if !isMap {
		return path, false
	}
	if s["additionalProperties"] != false {
		c.t.Fatalf("%s: the schema allows unknown keys", path)
	}
	for key, value := range m {
		p, known := s["properties"].(map[string]any)[key]
		if !known {
			return join(path, key), false
		}
		if bad, ok := c.check(p.(map[string]any), value, join(path, key)); !ok {
			return bad, false
		}
	}
	return "", true
}

// simple judges the keywords that look at one value.
func (c checker) simple(keyword string, arg, v any) bool {
	c.t.Helper()
	switch keyword {
	case "type":
		switch v.(type) {
		case string:
			return arg == "string"
		case bool:
			return arg == "boolean"
		case int:
			return arg == "integer"
		case []any:
			return arg == "array"
		case map[string]any:
			return arg == "object"
		}
		return false
	case "enum":
		for _, allowed := range arg.([]any) {
			if allowed == v {
				return true
			}
		}
		return false
	case "const":
		return fmt.Sprint(arg) == fmt.Sprint(v)
	case "pattern":
		s, isString := v.(string)
		return !isString || regexp.MustCompile(arg.(string)).MatchString(s)
	case "minimum":
		n, isInt := v.(int)
		return !isInt || n >= int(arg.(float64))
	case "required":
		for _, key := range arg.([]any) {
			if m, isMap := v.(map[string]any); isMap {
				if _, has := m[key.(string)]; !has {
					return false
				}
			}
		}
		return true
	}
	c.t.Fatalf("unexpected keyword %q in the schema", keyword)
	return false
}
