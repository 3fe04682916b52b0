package hello

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRepr(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `b''`},
		{"hello", `b'hello'`},
		{"byebye", `b'byebye'`},
		{"it's", `b"it's"`},
		{`say "hi"`, `b'say "hi"'`},
		{`"it's"`, `b'"it\'s"'`},
		{`back\slash`, `b'back\\slash'`},
		{"\t\n\r", `b'\t\n\r'`},
		{"\x00\x07\x1b\x7f", `b'\x00\x07\x1b\x7f'`},
		{"é\xff", `b'\xc3\xa9\xff'`},
		{" ~", `b' ~'`},
	}
	for _, tt := range tests {
		if got := Repr([]byte(tt.in)); got != tt.want {
			t.Errorf("Repr(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

// TestReprIsPythons compares Repr with Python's own print.
func TestReprIsPythons(t *testing.T) {
	python := startPython(t)
	for c := range 256 {
		for _, s := range [][]byte{{byte(c)}, {byte(c), '\''}, {byte(c), '"'}, {'\'', byte(c), '"'}, {'\\', byte(c)}} {
			if got, want := Repr(s), python(s); got != want {
				t.Fatalf("Repr(%q) = %s, Python prints %s", s, got, want)
			}
		}
	}
	one := rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte(`'"\tnx`+"\t\n\r\x00~ \x7f")))
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.SliceOfN(one, 0, 40).Draw(rt, "bytes")
		if got, want := Repr(s), python(s); got != want {
			rt.Fatalf("Repr(%q) = %s, Python prints %s", s, got, want)
		}
	})
}

// startPython gives a function that asks one Python process how it prints bytes.
func startPython(t *testing.T) func([]byte) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3 to compare with: ", err)
	}
	cmd := exec.Command(path, "-c", "import sys\nfor l in sys.stdin: print(bytes.fromhex(l), flush=True)")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("python3: %v", err)
		}
	})
	answers := bufio.NewReader(out)
	return func(b []byte) string {
		if _, err := fmt.Fprintln(in, hex.EncodeToString(b)); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(line, "\n")
	}
}
