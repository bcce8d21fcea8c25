package devicetest

import (
	"fmt"

	"sprat/device"
	"sprat/tensor"
)

// usual is the tolerance of float32; see the package's comment.
const usual = 1e-5

// noiseFloor is a gradient so small that rounding the sum with what was there before, 6e-8 of a number of order one, is
// more than the usual tolerance of it.
const noiseFloor = 0.02

// check checks all that the package's comment promises for every operation.
func (o *operation) check(d device.Device) error {
	if _, ok := d.(device.Inference); o.inference && !ok {
		return nil
	}
	for _, l := range []layout{dense, strided} {
		if err := o.checkLayout(d, l); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return o.checkRows(d)
}

func (o *operation) checkLayout(d device.Device, l layout) error {
	tolerance := o.tolerance
	if tolerance == 0 {
		tolerance = usual
	}
	b := newBench(d, o, l)
	b.forward()
	if err := o.checkForward(b, tolerance); err != nil {
		return err
	}
	b.backward()
	if err := o.checkBackward(b, tolerance); err != nil {
		return fmt.Errorf("backward: %w", err)
	}
	if err := o.checkOmitted(d, b, l); err != nil {
		return fmt.Errorf("backward: %w", err)
	}
	return b.checkBorders()
}

// checkForward compares the results with the reference.
func (o *operation) checkForward(b *bench, tolerance float64) error {
	for i, want := range o.reference(o.values()) {
		x, got := o.out[i], b.read(b.out[i])
		if x.adds {
			for j, v := range b.inside(b.results[i]) {
				want[j] += v
			}
		}
		if x.raises {
			for j, v := range b.inside(b.results[i]) {
				want[j] = max(want[j], v)
			}
		}
		if x.ints {
			if err := equal(x.name, got, want); err != nil {
				return err
			}
			continue
		}
		if err := near(x.name, got, want, tolerance, 0); err != nil {
			return err
		}
	}
	return nil
}

// values are copies of the inputs.
func (o *operation) values() [][]float64 {
	var v [][]float64
	for _, x := range o.in {
		v = append(v, append([]float64(nil), x.data...))
	}
	return v
}

// checkBackward compares the gradients with differences of the reference.
func (o *operation) checkBackward(b *bench, tolerance float64) error {
	if o.backward == nil {
		return nil
	}
	for i, x := range o.in {
		if !x.diff {
			continue
		}
		grad := b.read(b.din[i])
		if !x.overwrites {
			for j, v := range b.inside(b.grads[i]) {
				grad[j] -= v
			}
		}
		var got, want []float64
		for _, j := range o.sampled(b, len(grad)) {
			got = append(got, grad[j])
			want = append(want, o.difference(b, i, j))
		}
		if err := near("d"+x.name, got, want, tolerance, noiseFloor); err != nil {
			return err
		}
	}
	return nil
}

// sampled are the elements of a gradient that are checked.
func (o *operation) sampled(b *bench, n int) []int {
	order := b.rng.Perm(n)
	if o.samples > 0 {
		return order[:min(n, o.samples)]
	}
	return order
}

// difference is the derivative of the loss by element j of input i. The step's error is of its square, 1e-8 of the
// third derivative; float64's rounding is 1e-16 of the loss over the step.
func (o *operation) difference(b *bench, i, j int) float64 {
	const step = 1e-4
	in := o.values()
	at := in[i][j]
	in[i][j] = at + step
	above := o.total(b, in)
	in[i][j] = at - step
	return (above - o.total(b, in)) / (2 * step)
}

// total is the loss that Backward differentiates.
func (o *operation) total(b *bench, in [][]float64) float64 {
	sum := 0.0
	for i, out := range o.reference(in) {
		if o.out[i].diff {
			for j, c := range b.read(b.dout[i]) {
				sum += c * out[j]
			}
		}
	}
	if o.loss != nil {
		sum += o.loss(in)
	}
	return sum
}

// checkOmitted leaves out each gradient in turn, and then all.
func (o *operation) checkOmitted(d device.Device, all *bench, l layout) error {
	if o.backward == nil {
		return nil
	}
	for i := range len(o.in) + 1 {
		if i < len(o.in) && !o.in[i].diff {
			continue
		}
		b := newBench(d, o, l)
		b.forward()
		for j := range b.din {
			if i == j || i == len(o.in) {
				b.din[j] = tensor.Mat{}
			}
		}
		b.backward()
		for j, x := range o.in {
			if b.din[j].IsZero() {
				continue
			}
			if err := equal("d"+x.name, b.read(b.din[j]), all.read(all.din[j])); err != nil {
				return fmt.Errorf("without d%s: %w", o.in[i].name, err)
			}
		}
	}
	return nil
}

// checkBorders checks that nothing was written but results and gradients.
func (b *bench) checkBorders() error {
	for i, p := range b.inputs {
		if err := b.untouched(b.op.in[i].name, p, true); err != nil {
			return err
		}
	}
	for i, p := range b.results {
		if err := b.untouched(b.op.out[i].name, p, false); err != nil {
			return err
		}
		if b.op.out[i].diff {
			if err := b.untouched("d"+b.op.out[i].name, b.douts[i], true); err != nil {
				return err
			}
		}
	}
	for i, p := range b.grads {
		if b.op.in[i].diff {
			if err := b.untouched("d"+b.op.in[i].name, p, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRows runs single rows, and rows in two calls, against all rows in one.
func (o *operation) checkRows(d device.Device) error {
	if o.rows == 0 {
		return nil
	}
	all := newBench(d, o, dense)
	all.forward()
	all.backward()
	for _, r := range [][2]int{{0, 1}, {o.rows - 1, o.rows}, {o.rows / 2, o.rows/2 + 1}, {1, o.rows - 1}} {
		part := newBench(d, o, dense)
		part.slice(r[0], r[1])
		part.forward()
		part.backward()
		if err := o.compareRows(part, all, r[0], r[1]); err != nil {
			return fmt.Errorf("rows [%d, %d) of %d apart: %w", r[0], r[1], o.rows, err)
		}
	}
	return nil
}

// slice leaves rows [lo, hi) of the operands that are by row.
func (b *bench) slice(lo, hi int) {
	cut := func(x []operand, m []tensor.Mat) {
		for i := range m {
			if x[i].byRow && !m[i].IsZero() {
				m[i] = m[i].RowSlice(lo, hi)
			}
		}
	}
	cut(b.op.in, b.in)
	cut(b.op.in, b.din)
	cut(b.op.out, b.out)
	cut(b.op.out, b.dout)
}

func (o *operation) compareRows(part, all *bench, lo, hi int) error {
	for i, x := range o.out {
		if x.byRow {
			if err := equal(x.name, part.read(part.out[i]), all.read(all.out[i].RowSlice(lo, hi))); err != nil {
				return err
			}
		}
	}
	for i, x := range o.in {
		if x.byRow && x.diff {
			if err := equal("d"+x.name, part.read(part.din[i]), all.read(all.din[i].RowSlice(lo, hi))); err != nil {
				return err
			}
		}
	}
	return nil
}
