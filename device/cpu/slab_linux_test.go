package cpu

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"sprat/device"
)

// TestWeightsAreFreed: memory that no weight refers to goes back to the system, and what a weight still lies in does not.
func TestWeightsAreFreed(t *testing.T) {
	d := New(1)
	defer d.Close()
	kept := d.NewWeight(1, 1024, 64, device.FormatF32) // in a slab with others
	x := make([]float32, 1024*64)
	for i := range x {
		x[i] = float32(i)
	}
	d.FillWeight(kept, 0, 0, device.Values{Rows: 1024, Cols: 64, F32: x})
	before := addressSpace(t)
	for range 8 {
		d.NewWeight(64, 1024, 1024, device.FormatInt4)
	}
	const each = 64 * 1024 * 1024 * 9 / 16
	for range 100 {
		runtime.GC()
		if addressSpace(t) < before+2*each { // the last one may be what the next weight comes from
			break
		}
		time.Sleep(10 * time.Millisecond) // cleanups run on a goroutine of their own
	}
	if after := addressSpace(t); after > before+2*each {
		t.Errorf("8 weights of %d bytes are gone, and the process is %d bytes larger", each, after-before)
	}
	got := make([]float32, len(x))
	d.ReadWeight(got, kept, 0, 0, 1024)
	for i, v := range got {
		if v != x[i] {
			t.Fatalf("element %d of a weight that was kept is %v, want %v", i, v, x[i])
		}
	}
}

// addressSpace is the size of what the process has mapped.
func addressSpace(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	pages := 0
	if _, err := fmt.Sscan(string(text), &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestWeightMemory: weights begin at cache lines, are zero, and don't overlap, whatever their sizes.
func TestWeightMemory(t *testing.T) {
	d := New(1)
	defer d.Close()
	var all [][]byte
	var slabs []*slab
	for _, n := range []int{1, 63, 65, smallest - 1, smallest, smallest + 1, 1 << 20, slabBytes - 100, slabBytes + 1, 3} {
		b, s := d.reserveBytes(n)
		if len(b) != n || cap(b) != n && n < smallest || uintptr(unsafe.Pointer(&b[0]))%cacheLine != 0 || (s != nil) != (n >= smallest) {
			t.Errorf("%d bytes: %d at %p, slab %v", n, len(b), &b[0], s != nil)
		}
		for _, v := range b {
			if v != 0 {
				t.Fatalf("%d bytes are not zero", n)
			}
		}
		for i := range b {
			b[i] = byte(len(all) + 1)
		}
		all, slabs = append(all, b), append(slabs, s)
	}
	for i, b := range all {
		if b[0] != byte(i+1) || b[len(b)-1] != byte(i+1) {
			t.Errorf("memory %d of %d bytes was written by another", i, len(b))
		}
	}
	runtime.KeepAlive(slabs)
}
