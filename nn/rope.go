package nn

import (
	"math"

	"sprat/device"
	"sprat/tensor"
)

// RoPE turns pair (2i, 2i+1) of a vector at position t by the angle t·f_i. The pairs are adjacent (interleaved), as in
// DeepSeek's own program and in the published weights.
type RoPE struct {
	cos, sin tensor.Mat // [positions, R/2]
	dev      device.Device
}

// NewRoPE makes the tables for positions [0, positions). Frequencies are in radians a position, YaRN applied where the
// model has it; magnitude multiplies cos and sin, and is 1 in every published model.
func NewRoPE(dev device.Device, frequencies []float64, magnitude float64, positions int) RoPE {
	n := len(frequencies)
	cos, sin := make([]float32, positions*n), make([]float32, positions*n)
	for t := range positions {
		for i, f := range frequencies {
			s, c := math.Sincos(float64(t) * f)
			cos[t*n+i], sin[t*n+i] = float32(c*magnitude), float32(s*magnitude)
		}
	}
	r := RoPE{cos: dev.Alloc(positions, n, tensor.F32), sin: dev.Alloc(positions, n, tensor.F32), dev: dev}
	dev.Upload(r.cos, cos)
	dev.Upload(r.sin, sin)
	return r
}

// Positions is the number of positions that the tables hold.
func (r RoPE) Positions() int { return r.cos.Rows }

// Forward turns, in place, columns [off, off+R) of every headDim columns of x [T, ·] to the positions pos [T, 1] I32.
func (r RoPE) Forward(x tensor.Mat, headDim, off int, pos tensor.Mat) {
	r.dev.RoPE(x, headDim, off, pos, r.cos, r.sin, false)
}

// Backward turns the gradient back, in place: a rotation's derivative is its transpose.
func (r RoPE) Backward(dx tensor.Mat, headDim, off int, pos tensor.Mat) {
	r.dev.RoPE(dx, headDim, off, pos, r.cos, r.sin, true)
}
