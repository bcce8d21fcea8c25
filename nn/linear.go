package nn

import (
	"sprat/device"
	"sprat/tensor"
)

// Linear is y = x·Wᵀ with W [out, in], and no bias, as everywhere in these models.
type Linear struct {
	W, G      tensor.Mat
	dev       device.Device
	precision device.Precision
}

// Linear makes a layer whose weight is the parameter name.
func (b *Builder) Linear(name string, out, in int) Linear {
	w, g := b.storage(out, in)
	b.view(name, w, g, 0, out)
	return Linear{W: w, G: g, dev: b.Dev, precision: b.Precision}
}

// Exact is l with float32 products whatever the model's precision: for the gate.
func (l Linear) Exact() Linear {
	l.precision = device.F32
	return l
}

// Core is l in bfloat16 where the model is in FP8: for the output head.
func (l Linear) Core() Linear {
	l.precision = l.precision.Core()
	return l
}

// Forward computes y [T, out] from x [T, in].
func (l Linear) Forward(y, x tensor.Mat) { l.dev.Linear(y, x, l.W, l.precision, false) }

// ForwardAdd adds x·Wᵀ to y.
func (l Linear) ForwardAdd(y, x tensor.Mat) { l.dev.Linear(y, x, l.W, l.precision, true) }

// Backward adds dy·W to dx and dyᵀ·x to G.
func (l Linear) Backward(dx, dy, x tensor.Mat) {
	l.dev.LinearBackward(dx, l.G, dy, x, l.W, l.precision)
}
