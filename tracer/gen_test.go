package tracer_test

import (
	"net/netip"
	"strings"
	"time"

	"pgregory.net/rapid"

	"appliance/tracer"
)

// text draws a string of UTF-8, with what JSON must escape well represented.
func text() *rapid.Generator[string] {
	return rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("ab\"\\/\n\r\t\x00\x1f\x7f\u2028\u2029\ufffd€漢😀<>&"))))
}

func duration() *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.Int64(), func(v int64) time.Duration { return time.Duration(v) })
}

func addr(t *rapid.T, label string) netip.AddrPort {
	port := rapid.Uint16().Draw(t, label+" port")
	switch rapid.IntRange(0, 4).Draw(t, label+" kind") {
	case 0:
		return netip.AddrPort{}
	case 1:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(bytesOf(t, label, 4))), port)
	case 2:
		zone := rapid.StringMatching(`[a-z0-9"\\é%\n]{1,8}`).Draw(t, label+" zone")
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(bytesOf(t, label, 16))).Unmap(), port).Addr().WithZone(zone).port(port)
	default:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(bytesOf(t, label, 16))), port)
	}
}

func bytesOf(t *rapid.T, label string, n int) []byte {
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, label)
}
