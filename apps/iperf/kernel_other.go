//go:build !linux || !(amd64 || arm64 || riscv64)

package iperf

import "net"

func kernelRetransmits(net.Conn) int64 { return unknown }

func kernelCongestion(net.Conn) string { return "" }
