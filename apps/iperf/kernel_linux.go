//go:build amd64 || arm64 || riscv64

package iperf

import (
	"bytes"
	"net"
	"syscall"
	"unsafe"
)

// getsockopt asks the kernel's socket behind conn for a TCP option; false where there
// is none behind it, or it does not know the option.
func getsockopt(conn net.Conn, option uintptr, value unsafe.Pointer, size uint32) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, option,
			uintptr(value), uintptr(unsafe.Pointer(&size)), 0)
	})
	return err == nil && errno == 0
}

func kernelRetransmits(conn net.Conn) int64 {
	var i syscall.TCPInfo
	if !getsockopt(conn, syscall.TCP_INFO, unsafe.Pointer(&i), uint32(unsafe.Sizeof(i))) {
		return unknown
	}
	return int64(i.Total_retrans)
}

func kernelCongestion(conn net.Conn) string {
	var name [16]byte
	if !getsockopt(conn, syscall.TCP_CONGESTION, unsafe.Pointer(&name), uint32(len(name))) {
		return ""
	}
	text, _, _ := bytes.Cut(name[:], []byte{0})
	return string(text)
}
