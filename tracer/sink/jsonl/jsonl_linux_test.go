package jsonl

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"appliance/tracer"
)

func TestCreateMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "t")
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestDevFull(t *testing.T) {
	s, err := Create("/dev/full")
	if err != nil {
		t.Skipf("needs /dev/full: %v", err)
	}
	err = s.Start(tracer.Header{})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), `write trace file "/dev/full": no space left on device: 0 events were written; free some space`) {
		t.Errorf("Start: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestFullDisk fills a real file system.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a tmpfs of 256 KiB")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	path := filepath.Join(dir, "trace.jsonl")
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	reported := make(chan error, 1)
	bus, err := tracer.NewBus(tracer.Header{}, tracer.BusOptions{OnError: func(err error) { reported <- err }}, s)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events(5000) {
		bus.Record(e)
	}
	err = bus.Close()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the file ends with a whole line") {
		t.Errorf("Close: %v", err)
	}
	if first := <-reported; !errors.Is(first, syscall.ENOSPC) {
		t.Errorf("reported %v", first)
	}
	checkFile(t, path, -1)
	if st, err := os.Stat(path); err != nil || st.Size() < 200<<10 {
		t.Errorf("size %d, %v: too much was cut off", st.Size(), err)
	}
}

// TestKilled kills a process that writes and reads what it left.
func TestKilled(t *testing.T) {
	if path := os.Getenv("JSONL_TEST_WRITE"); path != "" {
		writeUntilKilled(path)
	}
	for i := range 5 {
		path := filepath.Join(t.TempDir(), "trace.jsonl")
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "JSONL_TEST_WRITE="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for in := bufio.NewScanner(out); i >= 0 && in.Scan(); { // so many batches
			i--
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the writer ended by itself")
		}
		checkKilled(t, path)
	}
}

// checkKilled allows no flaw but that the last line may not be whole.
func checkKilled(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := tracer.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(0); ; n++ {
		e, err := r.Next()
		if err != nil {
			if n == 0 || !endsWell(err) {
				t.Errorf("after %d events: %v", n, err)
			}
			return
		}
		if want := n%1000 + 1; e.N != want {
			t.Fatalf("n %d, want %d", e.N, want)
		}
	}
}

func endsWell(err error) bool {
	return errors.Is(err, tracer.ErrTruncated) || err.Error() == "EOF"
}

func writeUntilKilled(path string) {
	s, err := Create(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	err = s.Start(tracer.Header{})
	for i := 0; err == nil && i < 10000; i++ {
		err = s.Write(events(1000))
		fmt.Println("batch")
	}
	fmt.Fprintln(os.Stderr, "not killed:", err)
	os.Exit(1)
}
