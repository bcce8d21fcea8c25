package cpu

import (
	"time"
	"unsafe"

	"sprat/kernel"
)

// ReadBandwidth measures how fast the threads read memory together, in bytes/s: each its own quarter of a GiB again and again, which no
// cache holds, in the memory that weights lie in.
func (d *Device) ReadBandwidth(t time.Duration) float64 {
	const each = 1 << 28
	rates := make(chan float64)
	for range d.Threads() {
		mem, keep := d.reserveBytes(each)
		for i := 0; i < each; i += 4096 {
			mem[i] = 1 // zeros that were never written share a page
		}
		go func() {
			rates <- kernel.ReadBandwidth(unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(mem))), each/4), t)
			_ = keep
		}()
	}
	sum := 0.0
	for range d.Threads() {
		sum += <-rates
	}
	return sum
}
