package pcapng

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxBlock is the longest block that a Reader takes, in bytes; Wireshark's limit too.
const maxBlock = 16 << 20

// keepBuffer is how much memory a Reader keeps for the next block, in bytes.
const keepBuffer = 1 << 20

// block is one block; its body holds until the next.
type block struct {
	typ    uint32
	offset int64
	order  binary.ByteOrder
	body   []byte // without type and lengths
}

// blockReader takes blocks apart.
type blockReader struct {
	in     io.Reader
	offset int64            // of what comes next
	order  binary.ByteOrder // of the section
	head   [12]byte
	buf    bytes.Buffer
	limit  io.LimitedReader
}

// next returns the next block: io.EOF at the end, ErrTruncated in an *OffsetError where the
// block is not whole. After an error there is nothing more to read.
func (r *blockReader) next() (b block, err error) {
	b.offset = r.offset
	defer func() {
		if err != nil && !errors.Is(err, io.EOF) {
			err = &OffsetError{b.offset, err}
		}
	}()
	size, err := r.header(&b)
	if err != nil {
		return b, err
	}
	if r.buf.Cap() > keepBuffer {
		r.buf = bytes.Buffer{}
	}
	r.buf.Reset()
	if b.typ == blockSection {
		r.buf.Write(r.head[8:12]) // the byte order, which header has read
	}
	// By and by: a length that is not true costs no more memory than there is input.
	r.limit = io.LimitedReader{R: r.in, N: int64(size) - 8 - int64(r.buf.Len())}
	n, err := r.buf.ReadFrom(&r.limit)
	r.offset += n
	switch {
	case err != nil:
		return b, fmt.Errorf("read: %w", err)
	case r.limit.N > 0:
		return b, ErrTruncated
	}
	all := r.buf.Bytes()
	b.body = all[:len(all)-4]
	if last := b.order.Uint32(all[len(all)-4:]); last != size {
		return b, fmt.Errorf("a block's two lengths differ: %d and %d: the file is damaged", size, last)
	}
	return b, nil
}

// header reads a block's type and length, and of a section header also the byte order.
func (r *blockReader) header(b *block) (size uint32, err error) {
	if err := r.read(r.head[:8]); err != nil {
		return 0, err
	}
	if b.typ = le.Uint32(r.head[:]); b.typ == blockSection { // the same in both orders
		if err := r.read(r.head[8:12]); err != nil {
			return 0, notAtEnd(err)
		}
		switch {
		case le.Uint32(r.head[8:]) == byteOrderMagic:
			r.order = le
		case be.Uint32(r.head[8:]) == byteOrderMagic:
			r.order = be
		default:
			return 0, fmt.Errorf("a section header without a byte order: found % x: the file is damaged", r.head[8:12])
		}
	}
	if r.order == nil {
		return 0, fmt.Errorf("no pcapng: found % x: want a section header", r.head[:4])
	}
	b.order = r.order
	b.typ = r.order.Uint32(r.head[:])
	size = r.order.Uint32(r.head[4:])
	least := uint32(12)
	if b.typ == blockSection {
		least = 16
	}
	switch {
	case size < least || size%4 != 0:
		return 0, fmt.Errorf("a block of %d bytes: want a multiple of 4, and %d at least: the file is damaged", size, least)
	case size > maxBlock:
		return 0, fmt.Errorf("a block of %d bytes: no trace has one above %d: the file is damaged", size, maxBlock)
	}
	return size, nil
}

// read fills b. It returns io.EOF where there is nothing, ErrTruncated where there is not
// enough.
func (r *blockReader) read(b []byte) error {
	n, err := io.ReadFull(r.in, b)
	r.offset += int64(n)
	switch {
	case err == nil || errors.Is(err, io.EOF) && n == 0:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	default:
		return fmt.Errorf("read: %w", err)
	}
}

func notAtEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrTruncated
	}
	return err
}
