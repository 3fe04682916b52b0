package importpcap

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxPacket is the longest packet that is taken, bytes: twice what tcpdump does.
const maxPacket = 1 << 19

// packet is what a file has of a packet. Its data is valid until the next is read.
type packet struct {
	at     time.Time // zero where the file does not say
	link   linkType
	data   []byte
	length int // on the link; data may be shorter
}

// FileError is an error about a place in a capture file.
type FileError struct {
	Packet uint64 // how many packets came before
	Offset int64  // bytes from the file's start (of what it holds, where it is packed)
	Err    error
}

// Error implements error: "packet 3, at offset 1234: …".
func (e *FileError) Error() string {
	return fmt.Sprintf("packet %d, at offset %d: %v", e.Packet+1, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// errCut is of a file that ends in the middle of a packet: its writer was stopped.
var errCut = fmt.Errorf("the file ends in the middle of a packet: %w", io.ErrUnexpectedEOF)

// fileReader reads packets.
type fileReader struct {
	in     *bufio.Reader
	offset int64 // of the next byte
	start  int64 // of the packet or block being read
	count  uint64
	format interface {
		next(*fileReader) (packet, error)
	}
	buf []byte
}

// open tells the format by the first bytes.
func open(r io.Reader) (*fileReader, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	magic, err := in.Peek(4)
	if len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		in = bufio.NewReaderSize(z, 256<<10)
		magic, err = in.Peek(4)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("unpack: %w", err)
		}
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f := &fileReader{in: in}
	switch {
	case len(magic) == 0:
		return nil, errors.New("the input is empty")
	case bytes.Equal(magic, sectionMagic):
		f.format = &pcapng{}
	default:
		f.format, err = newPCAP(f, magic)
	}
	return f, err
}

// next reads the next packet; io.EOF at the end. Any other error is a *FileError.
func (f *fileReader) next() (packet, error) {
	p, err := f.format.next(f)
	switch {
	case errors.Is(err, io.EOF):
		return p, io.EOF
	case err != nil:
		return p, &FileError{f.count, f.start, err}
	}
	f.count++
	return p, nil
}

// read reads n bytes, into a buffer that is used again. Its error is io.EOF where there
// is none at all, and errCut where there are fewer.
func (f *fileReader) read(n int) ([]byte, error) {
	if cap(f.buf) < n {
		f.buf = make([]byte, max(n, 4096))
	}
	b := f.buf[:n]
	got, err := io.ReadFull(f.in, b)
	f.offset += int64(got)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return b, err
}

// rest is read for what must be there.
func (f *fileReader) rest(n int) ([]byte, error) {
	b, err := f.read(n)
	if errors.Is(err, io.EOF) && n > 0 {
		err = errCut
	}
	return b, err
}

// skip passes over n bytes.
func (f *fileReader) skip(n int64) error {
	got, err := io.CopyN(io.Discard, f.in, n)
	f.offset += got
	if errors.Is(err, io.EOF) {
		return errCut
	}
	return err
}

// pcap is the classic format.
type pcap struct {
	order binary.ByteOrder
	unit  time.Duration // of the fraction of a second
	link  linkType
}

// newPCAP reads the file's header.
func newPCAP(f *fileReader, magic []byte) (*pcap, error) {
	p := &pcap{}
	for _, m := range []struct {
		magic string
		order binary.ByteOrder
		unit  time.Duration
	}{
		{"\xd4\xc3\xb2\xa1", binary.LittleEndian, time.Microsecond},
		{"\xa1\xb2\xc3\xd4", binary.BigEndian, time.Microsecond},
		{"\x4d\x3c\xb2\xa1", binary.LittleEndian, time.Nanosecond},
		{"\xa1\xb2\x3c\x4d", binary.BigEndian, time.Nanosecond},
	} {
		if string(magic) == m.magic {
			p.order, p.unit = m.order, m.unit
		}
	}
	if p.order == nil {
		return nil, fmt.Errorf("found %q; want a capture, pcap or pcapng: tcpdump -w FILE makes one", magic)
	}
	const size = 24
	h, err := f.rest(size)
	if err != nil {
		return nil, fmt.Errorf("the file's header: %w", err)
	}
	if major := p.order.Uint16(h[4:]); major != 2 {
		return nil, fmt.Errorf("the file's header: version %d.%d; want 2.4", major, p.order.Uint16(h[6:]))
	}
	p.link = linkType(p.order.Uint32(h[20:]) & 0xffff) // above are flags, of the frame check sequence
	if !p.link.known() {
		return nil, fmt.Errorf("links of type %d are not read: want %s", p.link, knownLinks)
	}
	return p, nil
}

func (p *pcap) next(f *fileReader) (packet, error) {
	const size = 16
	f.start = f.offset
	h, err := f.read(size)
	if err != nil {
		return packet{}, err
	}
	sec, frac := p.order.Uint32(h), p.order.Uint32(h[4:])
	captured, length := p.order.Uint32(h[8:]), p.order.Uint32(h[12:])
	if captured > maxPacket {
		return packet{}, fmt.Errorf("a packet of %d bytes: want at most %d: the file is damaged", captured, maxPacket)
	}
	data, err := f.rest(int(captured))
	if err != nil {
		return packet{}, err
	}
	at := time.Unix(int64(sec), 0).Add(time.Duration(frac) * p.unit)
	return packet{at: at, link: p.link, data: data, length: int(max(length, captured))}, nil
}
