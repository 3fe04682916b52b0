package netstack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exactDeadline bounds the run of the tests over the scratch copy, its build included.
const exactDeadline = 9 * time.Minute

// TestExactness holds the trace to an independent account of the same run. It makes
// a scratch copy of the pinned gVisor whose setEndpointState logs every change, and
// runs this package's tests of build tag "exactness" over it. Nothing of the copy is
// kept, and the product is built from the module as it is.
func TestExactness(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a scratch copy of gVisor: not with -short")
	}
	module := exactModule(t)
	scratch := t.TempDir()
	exactCopy(t, module, filepath.Join(scratch, "gvisor"))
	exactPatchAll(t, filepath.Join(scratch, "gvisor"))
	modfile := exactModFile(t, scratch)

	binary := filepath.Join(scratch, "exact.test")
	args := []string{"test", "-c", "-o", binary, "-mod=mod", "-modfile=" + modfile, "-tags=exactness", "-vet=off"}
	if exactRace {
		args = append(args, "-race")
	}
	ctx, cancel := context.WithTimeout(context.Background(), exactDeadline)
	defer cancel()
	build := exec.CommandContext(ctx, "go", append(args, ".")...)
	build.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests over the scratch copy of gVisor: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.run=^TestExact[A-Z]", "-test.timeout="+exactDeadline.String())
	cmd.WaitDelay = 5 * time.Second
	out := &exactOutput{t: t}
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	out.flush()
	if err != nil {
		t.Errorf("the tests over the scratch copy of gVisor: %v; see their output above", err)
	}
	if out.ran == 0 {
		t.Error("no test ran over the scratch copy of gVisor")
	}
}

// exactOutput hands a command's output to the test's log, a line at a time.
type exactOutput struct {
	t    *testing.T
	part []byte
	ran  int // tests that passed or failed
}

func (o *exactOutput) Write(b []byte) (int, error) {
	o.part = append(o.part, b...)
	for {
		i := bytes.IndexByte(o.part, '\n')
		if i < 0 {
			return len(b), nil
		}
		o.line(string(o.part[:i]))
		o.part = o.part[i+1:]
	}
}

func (o *exactOutput) line(s string) {
	if strings.HasPrefix(s, "--- PASS") || strings.HasPrefix(s, "--- FAIL") {
		o.ran++
	}
	o.t.Log(s)
}

func (o *exactOutput) flush() {
	if len(o.part) > 0 {
		o.line(string(o.part))
	}
	o.part = nil
}

// exactGo runs the go command for its output.
func exactGo(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOPROXY=off")
	out, err := cmd.Output()
	if ee, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it bare
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(ee.Stderr))
	}
	return out, err
}

// exactModule returns the directory of the pinned gVisor in the module cache.
func exactModule(t *testing.T) string {
	t.Helper()
	out, err := exactGo("list", "-m", "-json", "gvisor.dev/gvisor")
	if err != nil {
		t.Skipf("cannot find the pinned gVisor: go list: %v", err)
	}
	var m struct{ Version, Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		t.Fatalf("go list -m -json: %v", err)
	}
	if m.Dir == "" {
		t.Skipf("gvisor.dev/gvisor %s is not in the module cache: run go mod download", m.Version)
	}
	return m.Dir
}

// exactPackages returns the directories of gVisor that this package's tests need.
func exactPackages(t *testing.T, module string) []string {
	t.Helper()
	out, err := exactGo("list", "-deps", "-test", "-tags=exactness", "-f={{.Dir}}", ".")
	if err != nil {
		t.Fatalf("list what the tests import: %v", err)
	}
	var dirs []string
	seen := map[string]bool{}
	for _, dir := range strings.Fields(string(out)) {
		if strings.HasPrefix(dir, module+string(filepath.Separator)) && !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		t.Fatalf("the tests import nothing of %s", module)
	}
	return dirs
}

// exactCopy copies what the tests need of the module, writable.
func exactCopy(t *testing.T, module, to string) {
	t.Helper()
	files := []string{filepath.Join(module, "go.mod")}
	for _, dir := range exactPackages(t, module) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Type() == fs.FileMode(0) && !strings.HasSuffix(e.Name(), "_test.go") {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	for _, from := range files {
		rel, err := filepath.Rel(module, from)
		if err != nil {
			t.Fatal(err)
		}
		body, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		exactWrite(t, filepath.Join(to, rel), body)
	}
}

func exactWrite(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

// exactModFile writes a copy of this module's go.mod that takes gVisor from the
// scratch copy, with its go.sum beside it, and returns its path.
func exactModFile(t *testing.T, scratch string) string {
	t.Helper()
	out, err := exactGo("env", "GOMOD")
	if err != nil {
		t.Fatal(err)
	}
	mod := strings.TrimSpace(string(out))
	body, err := os.ReadFile(mod)
	if err != nil {
		t.Fatal(err)
	}
	body = fmt.Appendf(body, "\nreplace gvisor.dev/gvisor => %s\n", filepath.Join(scratch, "gvisor"))
	exactWrite(t, filepath.Join(scratch, "go.mod"), body)
	sum, err := os.ReadFile(strings.TrimSuffix(mod, ".mod") + ".sum")
	if err != nil {
		t.Fatal(err)
	}
	exactWrite(t, filepath.Join(scratch, "go.sum"), sum)
	return filepath.Join(scratch, "go.mod")
}
