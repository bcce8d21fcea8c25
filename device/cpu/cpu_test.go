package cpu

import (
	"testing"

	"sprat/device/devicetest"
)

func TestDevice(t *testing.T) {
	d := New(2)
	defer d.Close()
	devicetest.Run(t, d)
}

// TestThreads holds every operation to its promise that the number of threads changes no bit.
func TestThreads(t *testing.T) {
	one, two, five := New(1), New(2), New(5)
	defer one.Close()
	defer two.Close()
	defer five.Close()
	devicetest.Same(t, two, one)
	devicetest.Same(t, five, one)
}

func TestNoAllocations(t *testing.T) {
	d := New(2)
	defer d.Close()
	for name, call := range devicetest.Calls(d) {
		if n := testing.AllocsPerRun(3, call); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
