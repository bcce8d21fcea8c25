// Package optim moves weights: the optimizers AdamW and Muon, the schedule of a run's settings, an average of the weights, and
// a watch for spikes of the loss. A step of training is
//
//	r := schedule.At(seen)                    // share of the run's tokens
//	loss := m.Gradients(state, batch, model.Objective{MTPWeight: r.MTPWeight, …})
//	norm := opt.Step(r.LR, 1)                 // clipped to a norm of 1
//	average.Update()
//
// Nothing here knows the model but through its parameters. All that a run must keep to go on as if it had never stopped is
// State's matrices, Optimizer.Steps and Spike's fields.
package optim

import (
	"iter"
	"math"

	"sprat/device"
	"sprat/tensor"
)

// Optimizer moves the parameters that have a gradient, by AdamW or by Muon. Its fields may be changed before the first step.
type Optimizer struct {
	Beta1, Beta2, Eps float64 // AdamW's: the moments' memory
	WeightDecay       float64 // of matrices; vectors, which are norms, do not decay
	Steps             int     // taken; a checkpoint holds it beside State

	dev    device.Device
	params []*tensor.Param // all, in the model's order
	adamW  []adamW
	muon   []*muon

	precision device.Precision // of Muon's products
}

// NewAdamW makes an optimizer that moves everything by AdamW. It allocates two numbers for each weight.
func NewAdamW(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64) *Optimizer {
	o := newOptimizer(dev, params, weightDecay)
	for _, p := range o.params {
		o.adamW = append(o.adamW, newAdamW(dev, p))
	}
	return o
}

func newOptimizer(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64) *Optimizer {
	o := &Optimizer{Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: weightDecay, dev: dev}
	for p := range params {
		if !p.G.IsZero() {
			o.params = append(o.params, p)
		}
	}
	return o
}

// Norm is the length of the gradient of all parameters as one vector. It reads from the device.
func (o *Optimizer) Norm() float64 {
	sum := 0.0
	for _, p := range o.params {
		sum += o.dev.SumSquares(p.G)
	}
	return math.Sqrt(sum)
}

// Step moves the weights by their gradients, which it first scales down so that their norm is at most clip (0: not scaled),
// and returns the norm before that. A norm that is not finite leaves everything as it was: the caller must look at it.
func (o *Optimizer) Step(lr, clip float64) (norm float64) {
	norm = o.Norm()
	if finite(norm) {
		o.Move(lr, clip, norm)
	}
	return norm
}

// Move is Step for a caller that has looked at the Norm already, and found it fit.
func (o *Optimizer) Move(lr, clip, norm float64) {
	scale := 1.0
	if clip > 0 && norm > clip {
		scale = clip / norm
	}
	o.Steps++
	o.stepMuon(lr, scale)
	o.stepAdamW(lr, scale)
}

// State yields the optimizer's own matrices, which are zero at first: m.KEY and, where AdamW moves the parameter KEY, v.KEY.
func (o *Optimizer) State() iter.Seq2[string, tensor.Mat] {
	return func(yield func(string, tensor.Mat) bool) {
		for _, u := range o.muon {
			for i, name := range u.names {
				if !yield("m."+name, u.m[i]) {
					return
				}
			}
		}
		for _, a := range o.adamW {
			if !yield("m."+a.param.Name, a.m) || !yield("v."+a.param.Name, a.v) {
				return
			}
		}
	}
}
