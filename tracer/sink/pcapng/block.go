package pcapng

import (
	"encoding/binary"
	"unicode/utf8"
)

// The blocks, by draft-ietf-opsawg-pcapng, 4 and 11.1.
const (
	blockSection   = 0x0A0D0D0A
	blockInterface = 1
	blockPacket    = 6 // the enhanced one
	blockJournal   = 9 // systemd Journal Export
	blockCustom    = 0x0BAD
)

const (
	byteOrderMagic = 0x1A2B3C4D
	versionMajor   = 1
	versionMinor   = 0
	linkRaw        = 101 // LINKTYPE_RAW: IPv4 or IPv6, told apart by the version
)

// The options' codes: draft-ietf-opsawg-pcapng, 3.5, 4.1, 4.2 and 4.3.
const (
	optEnd         = 0
	optComment     = 1
	optHardware    = 2 // of a section
	optOS          = 3
	optApplication = 4
	optName        = 2 // of an interface
	optDescription = 3
	optResolution  = 9
	optFlags       = 2 // of a packet
	optPacketID    = 5
	optCustomText  = 2988 // a text of the enterprise whose number comes first; may be copied
)

// maxOption is how many bytes an option holds, at most: its length has 16 bits.
const maxOption = 1<<16 - 1

var le = binary.LittleEndian

// begin appends a block's type, and room for its length. It returns where the block starts.
func begin(dst []byte, typ uint32) ([]byte, int) {
	start := len(dst)
	dst = le.AppendUint32(dst, typ)
	return append(dst, 0, 0, 0, 0), start
}

// finish pads and ends the block at start.
func finish(dst []byte, start int) []byte {
	dst = pad(dst, start)
	n := uint32(len(dst) - start + 4) //nolint:gosec // the callers bound what a block holds
	le.PutUint32(dst[start+4:], n)
	return le.AppendUint32(dst, n)
}

// pad appends zeros up to the next multiple of 4, counted from start.
func pad(dst []byte, start int) []byte {
	for (len(dst)-start)%4 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// appendOption appends an option; the value is cut to what one holds.
func appendOption(dst []byte, code uint16, value string) []byte {
	value = clamp(value, maxOption)
	dst = le.AppendUint16(dst, code)
	dst = le.AppendUint16(dst, uint16(len(value))) //nolint:gosec // clamped
	start := len(dst)
	return pad(append(dst, value...), start)
}

// clamp cuts a text to n bytes, not through a character.
func clamp(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func appendOption32(dst []byte, code uint16, value uint32) []byte {
	dst = le.AppendUint16(dst, code)
	dst = le.AppendUint16(dst, 4)
	return le.AppendUint32(dst, value)
}

func appendOption64(dst []byte, code uint16, value uint64) []byte {
	dst = le.AppendUint16(dst, code)
	dst = le.AppendUint16(dst, 8)
	return le.AppendUint64(dst, value)
}

func appendEnd(dst []byte) []byte { return append(dst, optEnd, 0, 0, 0) }

// newSection returns a section header, of a section whose length is not told.
func newSection(application, system, comment string) []byte {
	dst, start := begin(nil, blockSection)
	dst = le.AppendUint32(dst, byteOrderMagic)
	dst = le.AppendUint16(dst, versionMajor)
	dst = le.AppendUint16(dst, versionMinor)
	dst = le.AppendUint64(dst, 1<<64-1)
	dst = appendOption(dst, optOS, system)
	dst = appendOption(dst, optApplication, application)
	dst = appendOption(dst, optComment, comment)
	return finish(appendEnd(dst), start)
}

// appendInterface appends an interface whose packets have nanoseconds.
func appendInterface(dst []byte, name, description string) []byte {
	dst, start := begin(dst, blockInterface)
	dst = le.AppendUint16(dst, linkRaw)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint32(dst, 0) // no limit of its own to a packet's length
	dst = appendOption(dst, optName, name)
	dst = appendOption(dst, optDescription, description)
	dst = appendOption(dst, optResolution, "\x09")
	return finish(appendEnd(dst), start)
}

// appendJournal appends a journal entry: fields, a line each.
func appendJournal(dst []byte, micros int64, message []byte, line []byte) []byte {
	dst, start := begin(dst, blockJournal)
	dst = append(dst, "__REALTIME_TIMESTAMP="...)
	dst = appendMicros(dst, micros)
	dst = append(dst, "\nMESSAGE="...)
	dst = append(dst, message...)
	dst = append(dst, '\n')
	dst = append(dst, fieldEvent...)
	dst = append(dst, line...)
	dst = append(dst, '\n')
	return finish(dst, start)
}

// appendCustom appends a block of our own, which Wireshark lists without knowing it.
func appendCustom(dst []byte, line []byte) []byte {
	dst, start := begin(dst, blockCustom)
	dst = le.AppendUint32(dst, enterprise)
	dst = append(dst, fieldEvent...)
	dst = append(dst, line...)
	return finish(dst, start)
}
