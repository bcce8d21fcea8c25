package cpu

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePage is the size of a large page on the processors that matter.
const hugePage = 2 << 20

// newSlab maps n bytes, beginning with a large page; nil where the system has no memory for it.
func newSlab(n int) *slab {
	whole, err := unix.Mmap(-1, 0, n+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	off := -int(uintptr(unsafe.Pointer(&whole[0]))) & (hugePage - 1)
	_ = unix.Madvise(whole, unix.MADV_HUGEPAGE) // without it all is well, but slower
	s := &slab{whole[off : off+n]}
	runtime.AddCleanup(s, func(b []byte) { _ = unix.Munmap(b) }, whole)
	return s
}
