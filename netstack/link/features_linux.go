package link

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file speaks ethtool's ioctls (linux/ethtool.h): an interface's features by
// the names that `ethtool -k` shows.

const (
	ethSSFeatures   = 4    // ETH_SS_FEATURES
	ethGStringLen   = 32   // ETH_GSTRING_LEN
	maxFeatures     = 1024 // far above what any kernel has; bounds an allocation
	featureBits     = 32   // of one block
	getBlockSize    = 16   // struct ethtool_get_features_block: available, requested, active, never_changed
	setBlockSize    = 8    // struct ethtool_set_features_block: valid, requested
	featuresHdrSize = 8    // cmd, size
)

// ethtoolRequest is struct ifreq with its pointer to ethtool's data.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ethtool does one ethtool ioctl with data on the interface.
func ethtool(ctl int, ifname string, data []byte) error {
	var req ethtoolRequest
	if len(ifname) >= len(req.name) {
		return unix.ENODEV
	}
	copy(req.name[:], ifname)
	req.data = unsafe.Pointer(&data[0])
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(ctl), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return os.NewSyscallError("ioctl SIOCETHTOOL", errno)
	}
	return nil
}

// featureNames lists the features in the order of their bits.
func featureNames(ctl int, ifname string) ([]string, error) {
	// struct ethtool_sset_info: cmd, reserved, sset_mask (64 bits), data[1].
	info := make([]byte, 24)
	binary.NativeEndian.PutUint32(info, unix.ETHTOOL_GSSET_INFO)
	binary.NativeEndian.PutUint64(info[8:], 1<<ethSSFeatures)
	if err := ethtool(ctl, ifname, info); err != nil {
		return nil, fmt.Errorf("count the features of %s: %w", ifname, err)
	}
	count := binary.NativeEndian.Uint32(info[16:])
	if count == 0 || count > maxFeatures {
		return nil, fmt.Errorf("count the features of %s: the kernel says %d", ifname, count)
	}
	// struct ethtool_gstrings: cmd, string_set, len, data[].
	b := make([]byte, 12+int(count)*ethGStringLen)
	binary.NativeEndian.PutUint32(b, unix.ETHTOOL_GSTRINGS)
	binary.NativeEndian.PutUint32(b[4:], ethSSFeatures)
	binary.NativeEndian.PutUint32(b[8:], count)
	if err := ethtool(ctl, ifname, b); err != nil {
		return nil, fmt.Errorf("name the features of %s: %w", ifname, err)
	}
	var names []string
	for s := range slices.Chunk(b[12:], ethGStringLen) {
		s, _, _ = bytes.Cut(s, []byte{0})
		names = append(names, string(s))
	}
	return names, nil
}

// features are an interface's, 32 to a block.
type features struct {
	requested, active, fixed []uint32
}

func getFeatures(ctl int, ifname string, count int) (features, error) {
	blocks := (count + featureBits - 1) / featureBits
	b := make([]byte, featuresHdrSize+blocks*getBlockSize)
	binary.NativeEndian.PutUint32(b, unix.ETHTOOL_GFEATURES)
	binary.NativeEndian.PutUint32(b[4:], uint32(blocks))
	if err := ethtool(ctl, ifname, b); err != nil {
		return features{}, fmt.Errorf("read the features of %s: %w", ifname, err)
	}
	var f features
	for block := range slices.Chunk(b[featuresHdrSize:], getBlockSize) {
		word := func(i int) uint32 { return binary.NativeEndian.Uint32(block[4*i:]) }
		f.requested = append(f.requested, word(1))
		f.active = append(f.active, word(2))
		f.fixed = append(f.fixed, ^word(0)|word(3))
	}
	return f, nil
}

// setFeatures requests, of the features in mask, those in wanted and no others.
func setFeatures(ctl int, ifname string, mask, wanted []uint32) error {
	b := make([]byte, featuresHdrSize+len(mask)*setBlockSize)
	binary.NativeEndian.PutUint32(b, unix.ETHTOOL_SFEATURES)
	binary.NativeEndian.PutUint32(b[4:], uint32(len(mask)))
	for i := range mask {
		binary.NativeEndian.PutUint32(b[featuresHdrSize+i*setBlockSize:], mask[i])
		binary.NativeEndian.PutUint32(b[featuresHdrSize+i*setBlockSize+4:], wanted[i])
	}
	if err := ethtool(ctl, ifname, b); err != nil {
		return fmt.Errorf("change the features of %s: %w", ifname, err)
	}
	return nil
}

// featureChange is what switchOff did to an interface.
type featureChange struct {
	mask []uint32 // the features that were requested, and no longer are
}

// switchOff turns the named features off, reads them back, and tells which stayed
// on. Names that the kernel does not know are skipped.
func switchOff(ctl int, ifname string, off []string) (featureChange, []string, error) {
	names, err := featureNames(ctl, ifname)
	if err != nil {
		return featureChange{}, nil, err
	}
	before, err := getFeatures(ctl, ifname, len(names))
	if err != nil {
		return featureChange{}, nil, err
	}
	change := featureChange{mask: make([]uint32, len(before.active))}
	todo := false
	for i, name := range names {
		block, bit := i/featureBits, uint32(1)<<(i%featureBits)
		if slices.Contains(off, name) && before.requested[block]&bit != 0 && before.fixed[block]&bit == 0 {
			change.mask[block] |= bit
			todo = true
		}
	}
	if todo {
		if err := setFeatures(ctl, ifname, change.mask, make([]uint32, len(change.mask))); err != nil {
			return featureChange{}, nil, err
		}
	}
	after, err := getFeatures(ctl, ifname, len(names))
	if err != nil {
		return change, nil, err
	}
	var still []string
	for i, name := range names {
		if slices.Contains(off, name) && after.active[i/featureBits]>>(i%featureBits)&1 != 0 {
			still = append(still, name)
		}
	}
	return change, still, nil
}

// restore requests again what switchOff turned off, and checks that it is.
func (c featureChange) restore(ctl int, ifname string) error {
	if !slices.ContainsFunc(c.mask, func(m uint32) bool { return m != 0 }) {
		return nil
	}
	if err := setFeatures(ctl, ifname, c.mask, c.mask); err != nil {
		return err
	}
	now, err := getFeatures(ctl, ifname, len(c.mask)*featureBits)
	if err != nil {
		return err
	}
	for i, m := range c.mask {
		if now.requested[i]&m != m {
			return fmt.Errorf("change the features of %s: the kernel did not take all of them back", ifname)
		}
	}
	return nil
}
