package importpcap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// The block types of pcapng (draft-ietf-opsawg-pcapng, section 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
)

var sectionMagic = []byte{0x0a, 0x0d, 0x0d, 0x0a}

const (
	// maxBlock is the longest block that is looked into, bytes: a packet and its options.
	maxBlock = maxPacket + 1<<20
	// maxInterfaces is how many a section may have.
	maxInterfaces = 1 << 14
)

// pcapng is the format of blocks.
type pcapng struct {
	order      binary.ByteOrder // nil before the first section
	interfaces []iface
}

// iface is an interface that packets were captured on.
type iface struct {
	link    linkType
	snap    uint32 // 0 for no limit
	units   uint64 // of time in a second
	seconds int64  // to be added
}

func (p *pcapng) next(f *fileReader) (packet, error) {
	for {
		kind, body, err := p.block(f)
		if err != nil {
			return packet{}, err
		}
		if len(body) == 0 {
			continue
		}
		switch kind {
		case blockInterface:
			if err := p.describe(body); err != nil {
				return packet{}, err
			}
		case blockEnhanced:
			return p.enhanced(body, 4)
		case blockPacket:
			return p.enhanced(body, 2)
		case blockSimple:
			return p.simple(body)
		}
	}
}

// block reads a block: the body of those that are looked into, nothing of others.
func (p *pcapng) block(f *fileReader) (kind uint32, body []byte, err error) {
	const head, tail = 8, 4
	f.start = f.offset
	h, err := f.read(head)
	if err != nil {
		return 0, nil, err
	}
	if string(h[:4]) == string(sectionMagic) {
		return blockSection, nil, p.section(f, [4]byte(h[4:8]))
	}
	if p.order == nil {
		return 0, nil, errors.New("no section header")
	}
	kind, total := p.order.Uint32(h), p.order.Uint32(h[4:])
	if total < head+tail || total%4 != 0 {
		return 0, nil, fmt.Errorf("a block of %d bytes: the file is damaged", total)
	}
	switch kind {
	case blockInterface, blockEnhanced, blockPacket, blockSimple:
	default:
		return kind, nil, f.skip(int64(total) - head)
	}
	if total > maxBlock {
		return 0, nil, fmt.Errorf("a block of %d bytes: want at most %d: the file is damaged", total, maxBlock)
	}
	body, err = f.rest(int(total) - head)
	if err != nil {
		return 0, nil, err
	}
	body = body[:len(body)-tail]
	if again := p.order.Uint32(body[len(body) : len(body)+tail]); again != total {
		return 0, nil, fmt.Errorf("a block of %d bytes ends as one of %d: the file is damaged", total, again)
	}
	return kind, body, nil
}

// section reads what is left of a section header, whose length stands in raw.
func (p *pcapng) section(f *fileReader, raw [4]byte) error {
	const least = 28
	b, err := f.rest(8) // the magic and the version
	if err != nil {
		return err
	}
	switch magic := binary.LittleEndian.Uint32(b); magic {
	case 0x1a2b3c4d:
		p.order = binary.LittleEndian
	case bits.ReverseBytes32(0x1a2b3c4d):
		p.order = binary.BigEndian
	default:
		return fmt.Errorf("a section with the byte-order magic %#x: the file is damaged", magic)
	}
	if major := p.order.Uint16(b[4:]); major != 1 {
		return fmt.Errorf("a section of version %d: want 1", major)
	}
	total := p.order.Uint32(raw[:])
	if total < least || total%4 != 0 {
		return fmt.Errorf("a section header of %d bytes: the file is damaged", total)
	}
	p.interfaces = p.interfaces[:0]
	return f.skip(int64(total) - 16)
}

// describe reads an interface description.
func (p *pcapng) describe(b []byte) error {
	const fixed = 8
	if len(b) < fixed {
		return fmt.Errorf("an interface description of %d bytes: the file is damaged", len(b))
	}
	if len(p.interfaces) == maxInterfaces {
		return fmt.Errorf("more than %d interfaces: the file is damaged", maxInterfaces)
	}
	i := iface{link: linkType(p.order.Uint16(b)), snap: p.order.Uint32(b[4:]), units: 1e6}
	const resolution, offset = 9, 14
	for b = b[fixed:]; len(b) >= 4; {
		code, length := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		padded := (length + 3) &^ 3
		if code == 0 || 4+padded > len(b) {
			break
		}
		value := b[4 : 4+length]
		switch {
		case code == resolution && length == 1:
			units, ok := unitsOf(value[0])
			if !ok {
				return fmt.Errorf("an interface with times of resolution %#x: want 1 ns at the finest", value[0])
			}
			i.units = units
		case code == offset && length == 8:
			i.seconds = int64(p.order.Uint64(value)) //nolint:gosec // it is signed
		}
		b = b[4+padded:]
	}
	p.interfaces = append(p.interfaces, i)
	return nil
}

// unitsOf reads if_tsresol: a power of ten or, with the first bit set, of two.
func unitsOf(b byte) (units uint64, ok bool) {
	exponent := uint(b & 0x7f)
	if b&0x80 != 0 {
		return 1 << (exponent & 63), exponent < 64
	}
	if exponent > 19 {
		return 0, false
	}
	units = 1
	for range exponent {
		units *= 10
	}
	return units, true
}

// time is a packet's; zero for one that no clock shows.
func (i *iface) time(high, low uint32) time.Time {
	ticks := uint64(high)<<32 | uint64(low)
	whole, part := ticks/i.units, ticks%i.units
	hi, lo := bits.Mul64(part, uint64(time.Second))
	frac, _ := bits.Div64(hi, lo, i.units) // part is below units, so that it fits
	if whole > maxSeconds || i.seconds > maxSeconds || i.seconds < -maxSeconds {
		return time.Time{}
	}
	at := time.Unix(int64(whole)+i.seconds, int64(frac)) //nolint:gosec // both are bounded
	if at.Year() > 9999 || at.Year() < 1 {
		return time.Time{}
	}
	return at
}

// maxSeconds bounds the times that are believed: a trace's header has four digits for the year.
const maxSeconds = 1 << 40

// enhanced reads a packet block; its interface's number has so many bytes.
func (p *pcapng) enhanced(b []byte, wide int) (packet, error) {
	const fixed = 20
	if len(b) < fixed {
		return packet{}, fmt.Errorf("a packet block of %d bytes: the file is damaged", len(b))
	}
	n := uint32(p.order.Uint16(b))
	if wide == 4 {
		n = p.order.Uint32(b)
	}
	if uint64(n) >= uint64(len(p.interfaces)) {
		return packet{}, fmt.Errorf("a packet of interface %d: the section describes %d", n, len(p.interfaces))
	}
	i := &p.interfaces[n]
	captured, length := p.order.Uint32(b[12:]), p.order.Uint32(b[16:])
	if uint64(captured) > uint64(len(b)-fixed) || captured > maxPacket {
		return packet{}, fmt.Errorf("a packet of %d bytes in a block of %d: the file is damaged", captured, len(b))
	}
	return packet{
		at: i.time(p.order.Uint32(b[4:]), p.order.Uint32(b[8:])), link: i.link,
		data: b[fixed : fixed+captured], length: int(max(length, captured)),
	}, nil
}

// simple reads a packet block without a time.
func (p *pcapng) simple(b []byte) (packet, error) {
	if len(b) < 4 || len(p.interfaces) == 0 {
		return packet{}, errors.New("a simple packet block without an interface or a length: the file is damaged")
	}
	i := &p.interfaces[0]
	length := p.order.Uint32(b)
	captured := min(length, uint32(len(b)-4)) //nolint:gosec // a block is bounded
	if i.snap != 0 {
		captured = min(captured, i.snap)
	}
	if length > math.MaxInt32 {
		return packet{}, fmt.Errorf("a packet of %d bytes: the file is damaged", length)
	}
	return packet{link: i.link, data: b[4 : 4+captured], length: int(length)}, nil
}
