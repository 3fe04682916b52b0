package kernel

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// tracefsDirs are where tracefs is mounted, where it is.
var tracefsDirs = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// tracefs is the kernel's tracing directory.
type tracefs struct {
	dir   string
	mount *os.File // a mount of our own, which goes with the descriptor; nil for the system's
}

// openTracefs finds tracefs, or mounts it for this process alone: a mount without a place
// in the file system, so that nothing is left of it and nobody else's is touched.
func openTracefs() (*tracefs, error) {
	for _, dir := range tracefsDirs {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err == nil && int64(st.Type) == unix.TRACEFS_MAGIC {
			return &tracefs{dir: dir}, nil
		}
	}
	fsfd, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount tracefs: %w: needs root and a kernel with tracing", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return nil, fmt.Errorf("mount tracefs: %w: needs root of the host, not of a user namespace", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	return &tracefs{dir: "/proc/self/fd/" + strconv.Itoa(fd), mount: os.NewFile(uintptr(fd), "tracefs")}, nil
}

func (t *tracefs) close() error {
	if t.mount == nil {
		return nil
	}
	return t.mount.Close()
}

// instancePrefix begins the names of our instances: then comes the process's number and
// something random.
const instancePrefix = "appliance-"

// instance is a ring buffer of our own, with its own settings.
type instance struct {
	dir   string
	pipes []int // trace_pipe_raw of each CPU, without Go's poller: one poll(2) waits for all
}

// newInstance makes an instance whose name nobody has.
func (t *tracefs) newInstance() (*instance, error) {
	name := fmt.Sprintf("%s%d-%s", instancePrefix, os.Getpid(), strings.ToLower(rand.Text()[:8]))
	i := &instance{dir: filepath.Join(t.dir, "instances", name)}
	if err := os.Mkdir(i.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make an instance of tracefs: %w", err)
	}
	return i, nil
}

// removeStale removes the instances that processes of ours left when they were killed.
// What it cannot remove is in use, or goes another time.
func (t *tracefs) removeStale() {
	dirs, _ := filepath.Glob(filepath.Join(t.dir, "instances", instancePrefix+"*"))
	for _, dir := range dirs {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), instancePrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || pid <= 0 || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		// An instance whose files a process of another PID namespace has open stays (EBUSY).
		_ = unix.Rmdir(dir)
	}
}

// write sets a file of the instance.
func (i *instance) write(file, value string) error {
	f, err := os.OpenFile(filepath.Join(i.dir, file), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	_, err = f.WriteString(value)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("trace: write %q to %s: %w", value, file, err)
	}
	return nil
}

// openPipes opens the CPUs' buffers.
func (i *instance) openPipes() error {
	paths, err := filepath.Glob(filepath.Join(i.dir, "per_cpu", "cpu*", "trace_pipe_raw"))
	if err != nil || len(paths) == 0 {
		return fmt.Errorf("trace: no trace_pipe_raw in %s: %w", i.dir, errors.Join(err, fs.ErrNotExist))
	}
	for _, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return &fs.PathError{Op: "open", Path: path, Err: err}
		}
		i.pipes = append(i.pipes, fd)
	}
	return nil
}

// remove closes and removes the instance.
func (i *instance) remove() error {
	var err error
	for _, p := range i.pipes {
		err = errors.Join(err, os.NewSyscallError("close", unix.Close(p)))
	}
	i.pipes = nil
	if e := unix.Rmdir(i.dir); e != nil {
		err = errors.Join(err, &fs.PathError{Op: "rmdir", Path: i.dir, Err: e})
	}
	return err
}

// stateEvent is the tracepoint's directory in an instance.
const stateEvent = "events/sock/inet_sock_set_state"

// bufferKiB is each CPU's ring buffer: some five thousand changes.
const bufferKiB = "512"

// start sets the instance up and turns the tracepoint on; it returns what reads its pages.
func (i *instance) start(filter string) (*decoder, error) {
	for _, set := range [][2]string{
		{"trace_clock", "mono"},
		{"buffer_size_kb", bufferKiB},
		// 0: readers are woken by the first event, not when the buffer is half full.
		{"buffer_percent", "0"},
		{stateEvent + "/filter", filter},
	} {
		if err := i.write(set[0], set[1]); err != nil {
			return nil, err
		}
	}
	header, err := os.ReadFile(filepath.Join(i.dir, "events", "header_page"))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	format, err := os.ReadFile(filepath.Join(i.dir, stateEvent, "format"))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	d, err := newDecoder(string(header), string(format))
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	if err := i.openPipes(); err != nil {
		return nil, err
	}
	return d, i.write(stateEvent+"/enable", "1")
}

// drain reads all that the CPUs' buffers hold and gives it page by page.
func (i *instance) drain(page []byte, each func([]byte) error) error {
	var errs error
	for _, fd := range i.pipes {
		errs = errors.Join(errs, drainPipe(fd, page, each))
	}
	return errs
}

func drainPipe(fd int, page []byte, each func([]byte) error) error {
	for {
		n, err := unix.Read(fd, page)
		switch {
		case err == unix.EAGAIN, err == nil && n == 0: //nolint:errorlint // unix returns it bare
			return nil
		case err == unix.EINTR: //nolint:errorlint // unix returns it bare
			continue
		case err != nil:
			return os.NewSyscallError("read trace_pipe_raw", err)
		}
		if err := each(page[:n]); err != nil {
			return err
		}
	}
}

// netNS is the inode of a thread's network namespace; 0 where it cannot be told.
func netNS(tid int) uint64 {
	if tid <= 0 {
		return 0
	}
	return inode(fmt.Sprintf("/proc/%d/ns/net", tid))
}

func inode(path string) uint64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return sys.Ino
}

// firstPIDNamespace tells whether this process counts processes as the tracepoint does.
func firstPIDNamespace() bool {
	const procPIDInitIno = 0xEFFFFFFC // include/linux/proc_ns.h
	return inode("/proc/self/ns/pid") == procPIDInitIno
}
