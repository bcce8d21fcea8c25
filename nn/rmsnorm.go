package nn

import (
	"sprat/device"
	"sprat/tensor"
)

// RMSNorm is y = w ⊙ x / sqrt(mean(x²) + ε).
type RMSNorm struct {
	W, G tensor.Mat // [1, D]
	dev  device.Device
	eps  float32
}

// RMSNorm makes a layer whose weight is the parameter name, over rows of n.
func (b *Builder) RMSNorm(name string, n int, eps float64) RMSNorm {
	p := b.Vector(name, n)
	return RMSNorm{W: p.W, G: p.G, dev: b.Dev, eps: float32(eps)}
}

// Forward computes y [T, D] and keeps rstd [T, 1] = 1/sqrt(mean(x²) + ε).
func (l RMSNorm) Forward(y, rstd, x tensor.Mat) { l.dev.RMSNorm(y, rstd, x, l.W, l.eps) }

// Backward adds to dx and G. With x̂ = x·rstd and g = w ⊙ dy: dx = rstd·(g - x̂·mean(g ⊙ x̂)), dw = Σ_t dy ⊙ x̂.
func (l RMSNorm) Backward(dx, dy, x, rstd tensor.Mat) {
	l.dev.RMSNormBackward(dx, l.G, dy, x, rstd, l.W)
}
