// Package devicetest is the suite that every implementation of device.Device must pass. A device's own test runs it:
//
//	func TestDevice(t *testing.T) {
//		d := cpu.New(0)
//		defer d.Close()
//		devicetest.Run(t, d)
//	}
//
// What is checked of each operation:
//
//   - Forward against the same equation in float64 (reference.go), written as plainly as it can be.
//   - Backward against central differences of that reference, not against derivatives written by the same hand.
//   - That Forward overwrites what it does not add to, and that Backward adds: results start as NaN, gradients as noise.
//   - That a gradient left out (the zero Mat) changes no bit of the others.
//   - All of it on dense matrices and on views into larger ones, whose other elements, as the inputs, must stay.
//   - That a row comes out the same, bit for bit, alone and in a batch.
//
// And of some: the golden values of routing, ties, borders of sequences, ignored targets, rounding to bfloat16, wrong shapes.
//
// Tolerances are relative to a matrix's largest element. Float32 keeps 6e-8; with some tens of summands of order one, and
// exponentials good to a few units in the last place, errors stay below 1e-5 of the largest. Formula errors, such as a
// missing factor or a row off by one, show at 1e-2 and above. The references' differences themselves are good to 1e-8.
package devicetest

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"testing"

	"sprat/device"
)

// Run fails t for every operation of d that breaks the rules, each in a subtest of its own.
func Run(t *testing.T, d device.Device) {
	for name, check := range checks() {
		t.Run(name, func(t *testing.T) {
			if err := check(d); err != nil {
				t.Error(err)
			}
		})
	}
}

// Check is Run outside of a test, for the checks whose names contain match. It joins the errors, each with its check's name.
func Check(d device.Device, match string) error {
	var errs []error
	for name, check := range checks() {
		if !strings.Contains(name, match) {
			continue
		}
		if err := check(d); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Same fails t for every operation whose results on a and on b differ in a bit.
func Same(t *testing.T, a, b device.Device) {
	for _, o := range operations(large) {
		t.Run(o.name, func(t *testing.T) {
			ra, rb := newBench(a, o, dense), newBench(b, o, dense)
			ra.forward()
			rb.forward()
			ra.backward()
			rb.backward()
			if err := sameBits(ra, rb); err != nil {
				t.Error(err)
			}
		})
	}
}

// Calls yields each operation as a function that runs it on d with the same matrices every time, for tests of allocation
// and for benchmarks.
func Calls(d device.Device) iter.Seq2[string, func()] {
	return func(yield func(string, func()) bool) {
		for _, o := range operations(medium) {
			b := newBench(d, o, dense)
			b.forward()
			if !yield(o.name, b.forward) {
				return
			}
			if o.backward != nil && !yield(o.name+" backward", b.backward) {
				return
			}
		}
	}
}

// checks yields everything that Run checks.
func checks() iter.Seq2[string, func(device.Device) error] {
	return func(yield func(string, func(device.Device) error) bool) {
		for _, s := range []sizes{small, medium} {
			for _, o := range operations(s) {
				if !yield(s.name+" "+o.name, o.check) {
					return
				}
			}
		}
		for _, c := range exact {
			if !yield(c.name, c.check) {
				return
			}
		}
	}
}

// sameBits compares results and gradients.
func sameBits(a, b *bench) error {
	for i, o := range a.op.out {
		if err := equal(o.name, a.read(a.out[i]), b.read(b.out[i])); err != nil {
			return err
		}
	}
	for i, o := range a.op.in {
		if o.diff {
			if err := equal("d"+o.name, a.read(a.din[i]), b.read(b.din[i])); err != nil {
				return err
			}
		}
	}
	return nil
}

// equal compares bits; float32 and int32 both fit a float64.
func equal(name string, got, want []float64) error {
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			return fmt.Errorf("%s: element %d of %d is %v, want the same bits as %v", name, i, len(want), got[i], want[i])
		}
	}
	return nil
}

// near compares with a tolerance relative to the largest element wanted, or to floor where all are smaller.
func near(name string, got, want []float64, tolerance, floor float64) error {
	largest := floor
	for _, w := range want {
		largest = max(largest, math.Abs(w))
	}
	for i, w := range want {
		if diff := math.Abs(got[i] - w); !(diff <= tolerance*largest) {
			return fmt.Errorf("%s: element %d of %d is %.8g, want %.8g: off by %.2g of the largest", name, i, len(want), got[i], w, diff/largest)
		}
	}
	return nil
}
