package optim

import (
	"math"

	"sprat/device"
	"sprat/tensor"
)

// adamW is one parameter's state of Adam with decoupled weight decay (arXiv 1711.05101).
type adamW struct {
	param *tensor.Param
	m, v  tensor.Mat // moments
}

func newAdamW(dev device.Device, p *tensor.Param) adamW {
	return adamW{p, dev.Alloc(p.W.Rows, p.W.Cols, tensor.F32), dev.Alloc(p.W.Rows, p.W.Cols, tensor.F32)}
}

func (o *Optimizer) stepAdamW(lr, scale float64) {
	s := device.AdamWStep{
		LR: float32(lr), Beta1: float32(o.Beta1), Beta2: float32(o.Beta2), Eps: float32(o.Eps),
		Correction1: float32(1 / (1 - math.Pow(o.Beta1, float64(o.Steps)))),
		Correction2: float32(1 / (1 - math.Pow(o.Beta2, float64(o.Steps)))),
		GradScale:   float32(scale),
	}
	for _, a := range o.adamW {
		s.WeightDecay = 0
		if a.param.IsMatrix() {
			s.WeightDecay = float32(o.WeightDecay)
		}
		o.dev.AdamW(a.param.W, a.m, a.v, a.param.G, s)
	}
}
