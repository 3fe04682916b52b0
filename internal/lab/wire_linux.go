package lab

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// The protocol between a holder and its clients: on a Unix stream socket, frames of a
// 4-byte big-endian length and that many bytes of JSON; files go with a frame's
// first byte (SCM_RIGHTS). A connection carries one request:
//
//	info, up   ← reply with info
//	down       ← reply when all has ended; then the holder ends
//	exec       (files: stdin, stdout, stderr, working directory) ← reply "started",
//	           → signal frames, ← reply with the exit code; a client that goes away
//	           ends the command
//	open       ← reply with meta and files; when the client closes, the holder
//	           releases; before, the client may ask for it (frame "release") and
//	           gets a reply
//
// Either side closes the connection to say that it is done.
const (
	wireVersion = 1
	frameMax    = 4 << 20
	filesMax    = 16

	opInfo    = "info"
	opUp      = "up"
	opDown    = "down"
	opExec    = "exec"
	opOpen    = "open"
	opRelease = "release"
	opSignal  = "signal"
)

// request is a frame from the client.
type request struct {
	V      int             `json:"v"`
	Op     string          `json:"op"`
	Want   *spec           `json:"want,omitempty"`
	Path   string          `json:"path,omitempty"`
	Argv   []string        `json:"argv,omitempty"`
	Env    []string        `json:"env"`
	Signal int             `json:"signal,omitempty"`
	Args   json.RawMessage `json:"args,omitempty"`
}

// reply is a frame from the holder.
type reply struct {
	V        int             `json:"v"`
	Error    string          `json:"error,omitempty"`
	Info     *Info           `json:"info,omitempty"`
	Changes  []string        `json:"changes,omitempty"`
	Warnings []string        `json:"warnings,omitempty"`
	Started  bool            `json:"started,omitempty"`
	Exit     *int            `json:"exit,omitempty"`
	Meta     json.RawMessage `json:"meta,omitempty"`
}

// writeFrame sends v, and the files with it.
func writeFrame(c *net.UnixConn, v any, files ...*os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > frameMax {
		return fmt.Errorf("message of %d bytes is too long", len(body))
	}
	msg := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	if len(files) == 0 {
		_, err = c.Write(msg)
		return err
	}
	if len(files) > filesMax {
		return fmt.Errorf("%d files are too many for a message", len(files))
	}
	fds := make([]int, len(files))
	for i, f := range files {
		// Not f.Fd(): that would make a socket of a link blocking.
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return err
		}
	}
	n, _, err := c.WriteMsgUnix(msg[:4], unix.UnixRights(fds...), nil)
	runtime.KeepAlive(files)
	if err == nil {
		_, err = c.Write(msg[n:])
	}
	return err
}

// readFrame receives into v; the files that came with it are the caller's, none
// when there is an error. io.EOF means that the other side is done.
func readFrame(c *net.UnixConn, v any) (files []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	var length [4]byte
	oob := make([]byte, unix.CmsgSpace(filesMax*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(length[:], oob)
	// First of all the files, so that none is lost whatever comes next.
	files, ferr := parseFiles(oob[:oobn])
	if err != nil {
		return files, err
	}
	if n == 0 {
		return files, io.EOF
	}
	if ferr != nil {
		return files, ferr
	}
	if flags&unix.MSG_CTRUNC != 0 {
		return files, errors.New("more files than the protocol allows, or than this process may open")
	}
	if _, err := io.ReadFull(c, length[n:]); err != nil {
		return files, fmt.Errorf("cut short: %w", err)
	}
	size := binary.BigEndian.Uint32(length[:])
	if size > frameMax {
		return files, fmt.Errorf("message of %d bytes is too long", size)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return files, fmt.Errorf("cut short: %w", err)
	}
	return files, json.Unmarshal(body, v)
}

func parseFiles(oob []byte) (files []*os.File, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // another kind of control message
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// peer tells who is at the other end, as this process's namespaces number it; uid is
// checked to be this user's.
func peer(c *net.UnixConn) (pid int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) {
		cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if cerr != nil {
		return 0, fmt.Errorf("ask who is at the other end: %w", cerr)
	}
	if int(cred.Uid) != os.Geteuid() {
		return 0, fmt.Errorf("the other end is user %d's, not this user's", cred.Uid)
	}
	return int(cred.Pid), nil
}
