// Package nn holds the layers that models share: one layer a file, its Forward and Backward side by side.
//
// There is no tape. Forward takes its results as arguments; whatever Backward needs again the caller keeps. Backward takes
// Forward's arguments in the same order with their gradients in front, adds to every gradient, and skips those given as the
// zero Mat.
//
// A Builder makes layers and, as it does, the list of parameters under their Hugging Face keys, which optimizer, checkpoint
// and gradient check walk.
package nn

import (
	"sprat/device"
	"sprat/tensor"
)

// Builder allocates the parameters of a model on a device.
type Builder struct {
	Dev       device.Device
	Precision device.Precision // of the products of every Linear made
	Train     bool             // allocate gradients too
	Params    []*tensor.Param  // in the order made
}

// storage is one allocation that several parameters may look into, and its gradient.
func (b *Builder) storage(rows, cols int) (w, g tensor.Mat) {
	w = b.Dev.Alloc(rows, cols, tensor.F32)
	if b.Train {
		g = b.Dev.Alloc(rows, cols, tensor.F32)
	}
	return w, g
}

// view names rows [lo, hi) of a storage as a parameter.
func (b *Builder) view(name string, w, g tensor.Mat, lo, hi int) {
	p := &tensor.Param{Name: name, Shape: []int{hi - lo, w.Cols}, W: w.RowSlice(lo, hi)}
	if b.Train {
		p.G = g.RowSlice(lo, hi)
	}
	b.Params = append(b.Params, p)
}

// Vector makes a parameter of n numbers, W being [1, n].
func (b *Builder) Vector(name string, n int) *tensor.Param {
	w, g := b.storage(1, n)
	p := &tensor.Param{Name: name, Shape: []int{n}, W: w, G: g}
	b.Params = append(b.Params, p)
	return p
}

// Buffer makes a vector that the checkpoint holds and no gradient reaches.
func (b *Builder) Buffer(name string, n int) tensor.Mat {
	p := &tensor.Param{Name: name, Shape: []int{n}, W: b.Dev.Alloc(1, n, tensor.F32), Frozen: true}
	b.Params = append(b.Params, p)
	return p.W
}
