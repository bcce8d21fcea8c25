package optim

import (
	"iter"
	"slices"

	"sprat/device"
	"sprat/tensor"
)

// Average is an exponential moving average of all parameters, the gates' biases included, which stands in for the end of the
// learning rate's decay before that comes: V3 keeps one to judge a run early (its report, section 3.2.3).
type Average struct {
	Decay float64 // about 1 - 1/steps, of the steps that it remembers

	dev    device.Device
	params []*tensor.Param
	mean   []tensor.Mat
	spare  tensor.Mat // as large as the largest parameter
}

// NewAverage starts from the weights as they are.
func NewAverage(dev device.Device, params iter.Seq[*tensor.Param], decay float64) *Average {
	a := &Average{Decay: decay, dev: dev, params: slices.Collect(params)}
	largest := 0
	for _, p := range a.params {
		m := dev.Alloc(p.W.Rows, p.W.Cols, tensor.F32)
		dev.Copy(m, p.W)
		a.mean = append(a.mean, m)
		largest = max(largest, p.W.Rows*p.W.Cols)
	}
	a.spare = dev.Alloc(1, largest, tensor.F32)
	return a
}

// Update ends a step: mean = Decay·mean + (1-Decay)·w.
func (a *Average) Update() {
	for i, p := range a.params {
		a.dev.Mix(a.mean[i], p.W, float32(a.Decay), float32(1-a.Decay))
	}
}

// Swap exchanges weights and average: once before an evaluation, once after it.
func (a *Average) Swap() {
	for i, p := range a.params {
		spare := a.spare.ColSlice(0, p.W.Rows*p.W.Cols).Reshape(p.W.Rows, p.W.Cols)
		a.dev.Copy(spare, p.W)
		a.dev.Copy(p.W, a.mean[i])
		a.dev.Copy(a.mean[i], spare)
	}
}

// State yields the average of each parameter KEY as mean.KEY.
func (a *Average) State() iter.Seq2[string, tensor.Mat] {
	return func(yield func(string, tensor.Mat) bool) {
		for i, p := range a.params {
			if !yield("mean."+p.Name, a.mean[i]) {
				return
			}
		}
	}
}
