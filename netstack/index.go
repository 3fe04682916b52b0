package netstack

import (
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"unsafe"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// index finds the records of endpoints: get takes no lock and writes nothing, so that
// connections on several processors do not wait for each other. All else is called
// with the observer's mu held.
type index[K comparable] struct {
	hash  func(K) uint64
	table atomic.Pointer[[]bucket[K]] // its length is a power of two
	count int
}

// bucket is a list of entries, none of which changes once it is in the list.
type bucket[K comparable] struct {
	first atomic.Pointer[indexed[K]]
}

type indexed[K comparable] struct {
	key  K
	c    *tracked
	next *indexed[K]
}

const minIndex = 64

func newIndex[K comparable](hash func(K) uint64) *index[K] {
	ix := &index[K]{hash: hash}
	table := make([]bucket[K], minIndex)
	ix.table.Store(&table)
	return ix
}

// get returns the record of key; nil for none.
func (ix *index[K]) get(key K) *tracked {
	table := *ix.table.Load()
	for e := table[ix.hash(key)&uint64(len(table)-1)].first.Load(); e != nil; e = e.next {
		if e.key == key {
			return e.c
		}
	}
	return nil
}

// put makes c the record of key. Who looks meanwhile finds the old record or the new.
func (ix *index[K]) put(key K, c *tracked) {
	table := *ix.table.Load()
	if b := &table[ix.hash(key)&uint64(len(table)-1)]; b.has(key) {
		b.first.Store(b.without(key, &indexed[K]{key: key, c: c}))
		return
	}
	if ix.count >= len(table) {
		table = ix.grow(table)
	}
	b := &table[ix.hash(key)&uint64(len(table)-1)]
	b.first.Store(&indexed[K]{key: key, c: c, next: b.first.Load()})
	ix.count++
}

// grow doubles the table. Who reads the old one meanwhile finds what was in it.
func (ix *index[K]) grow(old []bucket[K]) []bucket[K] {
	table := make([]bucket[K], 2*len(old))
	for i := range old {
		for e := old[i].first.Load(); e != nil; e = e.next {
			b := &table[ix.hash(e.key)&uint64(len(table)-1)]
			b.first.Store(&indexed[K]{key: e.key, c: e.c, next: b.first.Load()})
		}
	}
	ix.table.Store(&table)
	return table
}

// remove forgets key. The entries before its own are copied, as a reader may be at any.
func (ix *index[K]) remove(key K) {
	table := *ix.table.Load()
	b := &table[ix.hash(key)&uint64(len(table)-1)]
	if !b.has(key) {
		return
	}
	b.first.Store(b.without(key, nil))
	ix.count--
}

// has tells whether the list has an entry for key.
func (b *bucket[K]) has(key K) bool {
	for e := b.first.Load(); e != nil; e = e.next {
		if e.key == key {
			return true
		}
	}
	return false
}

// without returns a list of the other entries, and of one more where it is not nil.
func (b *bucket[K]) without(key K, more *indexed[K]) *indexed[K] {
	list := more
	for e := b.first.Load(); e != nil; e = e.next {
		if e.key != key {
			list = &indexed[K]{key: e.key, c: e.c, next: list}
		}
	}
	return list
}

// all returns every record.
func (ix *index[K]) all() []*tracked {
	list := make([]*tracked, 0, ix.count)
	table := *ix.table.Load()
	for i := range table {
		for e := table[i].first.Load(); e != nil; e = e.next {
			list = append(list, e.c)
		}
	}
	return list
}

// hashSeed keeps a peer from choosing connections that meet in one bucket.
var hashSeed = rand.Uint64()

// mix spreads the bits of h (the finalizer of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

func hashEndpoint(ep *tcp.Endpoint) uint64 {
	return mix(uint64(uintptr(unsafe.Pointer(ep)))) // Go's heap does not move
}

// hashTuple hashes the ports and the remote address: a stack has few of its own.
func hashTuple(id tuple) uint64 {
	h := hashSeed ^ uint64(id.LocalPort)<<16 ^ uint64(id.RemotePort)
	switch id.RemoteAddress.Len() {
	case header.IPv4AddressSize:
		a := id.RemoteAddress.As4()
		h ^= uint64(binary.LittleEndian.Uint32(a[:])) << 32
	case header.IPv6AddressSize:
		a := id.RemoteAddress.As16()
		h = mix(h^binary.LittleEndian.Uint64(a[:8])) ^ binary.LittleEndian.Uint64(a[8:])
	}
	return mix(h)
}
