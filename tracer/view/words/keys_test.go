package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// speakers are where the views' words are.
var speakers = []string{"../../view", "../../sink/text", "../../../cmd/appliance"}

// keys are the literal keys in the source, with where each stands.
func keys(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	files := token.NewFileSet()
	for _, root := range speakers {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, k := range fileKeys(t, files, file) {
				found[k.text] = k.at
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

type key struct{ text, at string }

// fileKeys are the keys in one file. A key that is neither a literal nor comes out of a
// table whose entries are marked by Key could be any: it fails the test.
func fileKeys(t *testing.T, files *token.FileSet, file *ast.File) []key {
	var found []key
	imports := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"appliance/tracer/view/words"` })
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !slices.Contains([]string{"T", "F", "Key"}, sel.Sel.Name) {
			return true
		}
		at := files.Position(call.Pos()).String()
		text, literal := literalOf(call.Args[0])
		pkg, _ := sel.X.(*ast.Ident)
		switch {
		case literal:
			found = append(found, key{text, at})
		case sel.Sel.Name == "Key" && pkg != nil && pkg.Name == "words" && imports:
			t.Errorf("%s: the argument of words.Key is no literal", at)
		}
		return true
	})
	return found
}

// literalOf is the value of a string literal, or of several joined by +.
func literalOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, ok1 := literalOf(e.X)
		right, ok2 := literalOf(e.Y)
		return left + right, ok1 && ok2
	default:
		return "", false
	}
}

// TestChineseIsWhole holds the table to the keys that the views use, both ways.
func TestChineseIsWhole(t *testing.T) {
	used := keys(t)
	if len(used) < 10 {
		t.Fatalf("only %d keys found: is the source where it was?", len(used))
	}
	for _, k := range slices.Sorted(maps.Keys(used)) {
		if _, ok := chinese[k]; !ok {
			t.Errorf("%s: no Chinese for %q", used[k], k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(chinese)) {
		if _, ok := used[k]; !ok {
			t.Errorf("the Chinese for %q is used nowhere", k)
		}
	}
}

var verb = regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[\d.*]*[a-zA-Z]`)

// verbs are a format's verbs, sorted, without the numbers of their arguments.
func verbs(format string) []string {
	var list []string
	for _, v := range verb.FindAllStringSubmatch(strings.ReplaceAll(format, "%%", ""), -1) {
		list = append(list, strings.Replace(v[0], v[1], "", 1))
	}
	slices.Sort(list)
	return list
}

// TestTranslationsFillIn holds each translation to its key's verbs, and to visible
// characters.
func TestTranslationsFillIn(t *testing.T) {
	for english, text := range chinese {
		english, _, _ = strings.Cut(english, "|")
		if !slices.Equal(verbs(english), verbs(text)) {
			t.Errorf("%q has the verbs %q, its translation %q has %q", english, verbs(english), text, verbs(text))
		}
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }) {
			t.Errorf("the translation of %q is empty or not all visible: %q", english, text)
		}
	}
}

func TestParse(t *testing.T) {
	for name, want := range map[string]Lang{"en": English, "zh": Chinese} {
		if got, err := Parse(name); got != want || err != nil {
			t.Errorf("Parse(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "EN", "de"} {
		if got, err := Parse(name); err == nil {
			t.Errorf("Parse(%q) = %q, and no error", name, got)
		}
	}
}

// TestEnglishIsTheKey: what tells meanings apart is never shown.
func TestEnglishIsTheKey(t *testing.T) {
	for _, l := range []Lang{"", English, Chinese} {
		if got := l.T("close|of a window, nowhere"); got != "close" {
			t.Errorf("%q: T = %q", l, got)
		}
		if got := l.F("%d nowhere %s", 1, "x"); got != "1 nowhere x" {
			t.Errorf("%q: F = %q", l, got)
		}
	}
}
