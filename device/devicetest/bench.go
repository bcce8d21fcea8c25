package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"sprat/device"
	"sprat/tensor"
)

// operand is a matrix that an operation reads or makes.
type operand struct {
	name       string
	rows, cols int
	ints       bool
	data       []float64 // an input's values, row by row, each of them a float32 or an int32
	diff       bool      // an input with a gradient, or a result that Backward takes the gradient of
	adds       bool      // a result that Forward adds to
	raises     bool      // a result that Forward raises to at least the reference
	overwrites bool      // an input whose gradient Backward overwrites
	cotangent  []float64 // a result's gradient where it must be this; nil: random
	byRow      bool      // row t belongs to token t
}

// operation is a case of the suite: how to run an operation of a device, and what it should give.
type operation struct {
	name      string
	in, out   []operand
	forward   func(d device.Device, in, out []tensor.Mat)
	reference func(in [][]float64) (out [][]float64)
	// backward is given gradients for operands that have one, else zero Mats; nil where there is no Backward.
	backward func(d device.Device, din, dout, in, out []tensor.Mat)
	// loss is what Backward differentiates besides Σ dout·out; nil is none.
	loss      func(in [][]float64) float64
	tolerance float64 // 0: the usual
	samples   int     // elements of each gradient that are checked; 0: all
	inference bool    // it is for devices that implement device.Inference
	rows      int     // of the operands by row, where a row's result must not depend on the others; 0: not checked
}

// layout is how a matrix lies in memory.
type layout struct {
	name                     string
	top, left, bottom, right int // margins
}

var (
	dense   = layout{name: "dense"}
	strided = layout{"strided", 1, 2, 2, 3}
)

// place is a matrix on the device within its margins.
type place struct {
	whole, m tensor.Mat
	before   []float64 // the whole, as it was filled
}

// bench holds an operation's matrices on a device.
type bench struct {
	d       device.Device
	op      *operation
	rng     *rand.Rand
	inputs  []place
	results []place
	grads   []place
	douts   []place

	in, out, din, dout []tensor.Mat
}

// newBench fills the matrices: the same for the same operation on any device and in any layout.
func newBench(d device.Device, o *operation, l layout) *bench {
	b := &bench{d: d, op: o, rng: rand.New(rand.NewPCG(7, 7))}
	for _, x := range o.in {
		p := b.place(x, x.data, l)
		b.inputs = append(b.inputs, p)
		b.in = append(b.in, p.m)
	}
	for _, x := range o.out {
		p := b.place(x, b.garbage(x), l)
		b.results = append(b.results, p)
		b.out = append(b.out, p.m)
		var dp place
		if x.diff {
			dp = b.place(x, b.cotangent(x), l)
		}
		b.douts = append(b.douts, dp)
		b.dout = append(b.dout, dp.m)
	}
	for _, x := range o.in {
		var p place
		if x.diff {
			p = b.place(x, b.noise(x.rows*x.cols), l)
		}
		b.grads = append(b.grads, p)
		b.din = append(b.din, p.m)
	}
	return b
}

func (b *bench) forward() { b.op.forward(b.d, b.in, b.out) }

func (b *bench) backward() {
	if b.op.backward != nil {
		b.op.backward(b.d, b.din, b.dout, b.in, b.out)
	}
}

// garbage is what a result holds before: NaN, so that no one reads it, or noise to be added to.
func (b *bench) garbage(x operand) []float64 {
	noise := b.noise(x.rows * x.cols)
	for i := range noise {
		switch {
		case x.ints:
			noise[i] = -1
		case !x.adds && !x.raises:
			noise[i] = math.NaN()
		}
	}
	return noise
}

func (b *bench) cotangent(x operand) []float64 {
	c := b.noise(x.rows * x.cols)
	copy(c, x.cotangent)
	return c
}

func (b *bench) noise(n int) []float64 { return noise(b.rng, n) }

// noise is n normal values, each a float32.
func noise(rng *rand.Rand, n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = float64(float32(rng.NormFloat64()))
	}
	return s
}

const margin = 12345 // fills the margins

// place puts data onto the device.
func (b *bench) place(x operand, data []float64, l layout) place {
	kind := tensor.F32
	if x.ints {
		kind = tensor.I32
	}
	rows, cols := l.top+x.rows+l.bottom, l.left+x.cols+l.right
	p := place{whole: b.d.Alloc(rows, cols, kind), before: make([]float64, rows*cols)}
	for i := range p.before {
		p.before[i] = margin
	}
	for i := range x.rows {
		copy(p.before[(l.top+i)*cols+l.left:], data[i*x.cols:(i+1)*x.cols])
	}
	write(b.d, p.whole, p.before)
	p.m = p.whole.RowSlice(l.top, l.top+x.rows).ColSlice(l.left, l.left+x.cols)
	return p
}

// write uploads to a matrix of either type.
func write(d device.Device, m tensor.Mat, data []float64) {
	if m.DType == tensor.I32 {
		d.UploadInts(m, convert[int32](data))
		return
	}
	d.Upload(m, convert[float32](data))
}

func (b *bench) read(m tensor.Mat) []float64 { return read(b.d, m) }

// read reads a matrix of either type.
func read(d device.Device, m tensor.Mat) []float64 {
	if m.DType == tensor.I32 {
		s := make([]int32, m.Rows*m.Cols)
		d.ReadInts(s, m)
		return convert[float64](s)
	}
	s := make([]float32, m.Rows*m.Cols)
	d.Read(s, m)
	return convert[float64](s)
}

func convert[To, From int32 | float32 | float64](s []From) []To {
	r := make([]To, len(s))
	for i, v := range s {
		r[i] = To(v)
	}
	return r
}

// inside is the elements of before that are not margin.
func (b *bench) inside(p place) []float64 {
	var s []float64
	off := p.m.Off - p.whole.Off
	for i := range p.m.Rows {
		s = append(s, p.before[off+i*p.whole.Stride:][:p.m.Cols]...)
	}
	return s
}

// untouched checks that the margins are as they were, and the matrix too where it is an input.
func (b *bench) untouched(name string, p place, input bool) error {
	off := p.m.Off - p.whole.Off
	for i, v := range b.read(p.whole) {
		r, c := (i-off)/p.whole.Stride, (i-off)%p.whole.Stride
		within := i >= off && r < p.m.Rows && c < p.m.Cols
		if (input || !within) && v != p.before[i] {
			return fmt.Errorf("%s: element %d, %d from its first, was changed from %v to %v", name, r, c, p.before[i], v)
		}
	}
	return nil
}
