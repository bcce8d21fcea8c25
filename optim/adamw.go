// Package optim holds optimizers and learning-rate schedules.
package optim

import (
	"iter"
	"math"

	"sprat/device"
	"sprat/tensor"
)

// AdamW is Adam with decoupled weight decay (arXiv 1711.05101). Matrices decay; vectors, which are norms, do not.
type AdamW struct {
	Beta1, Beta2, Eps, WeightDecay float64

	dev    device.Device
	params []*tensor.Param
	m, v   []tensor.Mat // the moments of params
	steps  int
}

// NewAdamW makes an optimizer for the parameters that have a gradient. It allocates two numbers for each weight.
func NewAdamW(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64) *AdamW {
	a := &AdamW{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: weightDecay, dev: dev}
	for p := range params {
		if p.G.IsZero() {
			continue
		}
		a.params = append(a.params, p)
		a.m = append(a.m, dev.Alloc(p.W.Rows, p.W.Cols, tensor.F32))
		a.v = append(a.v, dev.Alloc(p.W.Rows, p.W.Cols, tensor.F32))
	}
	return a
}

// Step moves the weights by their gradients, which it first scales down so that their norm over all parameters is at most
// clip (0: not scaled). It returns the norm before that. A norm that is not finite leaves everything as it was.
func (a *AdamW) Step(lr, clip float64) (norm float64) {
	for _, p := range a.params {
		norm += a.dev.SumSquares(p.G)
	}
	norm = math.Sqrt(norm)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return norm
	}
	scale := 1.0
	if clip > 0 && norm > clip {
		scale = clip / norm
	}
	a.steps++
	s := device.AdamWStep{
		LR: float32(lr), Beta1: float32(a.Beta1), Beta2: float32(a.Beta2), Eps: float32(a.Eps),
		Correction1: float32(1 / (1 - math.Pow(a.Beta1, float64(a.steps)))),
		Correction2: float32(1 / (1 - math.Pow(a.Beta2, float64(a.steps)))),
		GradScale:   float32(scale),
	}
	for i, p := range a.params {
		s.WeightDecay = 0
		if p.IsMatrix() {
			s.WeightDecay = float32(a.WeightDecay)
		}
		a.dev.AdamW(p.W, a.m[i], a.v[i], p.G, s)
	}
	return norm
}
