package quant

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"sprat/kernel"
)

// Moments are the second moments of a linear layer's inputs x on a text, H = Σ x·xᵀ, in the form that Calibrated uses. A change e of
// a row of the weight changes the outputs on that text by Σ (e·x)² = e·H·eᵀ, which is |e·R|² where H = R·Rᵀ with R upper triangular.
type Moments struct {
	k int
	// Column j of R over R_jj, without that 1: what the columns before j add to the change in output component j.
	above  []float32 // [k, k], column j of R being row j
	weight []float32 // [k] R_jj²
}

// dampings are what is added to H's diagonal, in units of its mean, so that what the text never shows does not go astray: the first
// with which H is positive definite.
var dampings = []float64{0.01, 0.1, 1}

// NewMoments factors h [k, k].
func NewMoments(h []float32, k int) (*Moments, error) {
	if len(h) != k*k || k < 1 {
		panic(fmt.Sprintf("quant: %d second moments of %d inputs", len(h), k))
	}
	mean := 0.0
	for i := range k {
		mean += float64(h[i*k+i]) / float64(k)
	}
	if !(mean > 0 && mean <= math.MaxFloat64) {
		return nil, errors.New("the layer's inputs are 0, or not numbers")
	}
	// Cholesky's factor is lower triangular: that of H with both axes turned round is R turned round.
	turned := mat.NewSymDense(k, nil)
	for i := range k {
		for j := i; j < k; j++ {
			turned.SetSym(k-1-i, k-1-j, float64(h[i*k+j]))
		}
	}
	var c mat.Cholesky
	added := 0.0
	for _, d := range dampings {
		for i := range k {
			turned.SetSym(i, i, turned.At(i, i)+(d-added)*mean)
		}
		if added = d; c.Factorize(turned) {
			return momentsOf(&c, k), nil
		}
	}
	return nil, errors.New("the layer's inputs have no positive definite second moments")
}

func momentsOf(c *mat.Cholesky, k int) *Moments {
	m := &Moments{k: k, above: make([]float32, k*k), weight: make([]float32, k)}
	u := c.RawU() // the lower factor's transpose
	for j := range k {
		diagonal := u.At(k-1-j, k-1-j)
		m.weight[j] = float32(diagonal * diagonal)
		for i := range j {
			m.above[j*k+i] = float32(u.At(k-1-j, k-1-i) / diagonal)
		}
	}
	return m
}

// Calibrated rounds x [rows, cols] so that the layer's outputs change little, by GPTQ (Frantar et al., arXiv 2210.17323): column
// after column, and each makes up for the changes that the columns before it make. In the terms of Moments, of (x - q)·R all
// components are made small in turn.
func Calibrated(x []float32, rows, cols, bits, group int, h *Moments) (*Ints, error) {
	m := newInts(rows, cols, bits, group)
	if h.k != cols {
		panic(fmt.Sprintf("quant: moments of %d inputs for %d columns", h.k, cols))
	}
	m.eachRow(func(r int) { m.calibrateRow(r, x[r*cols:(r+1)*cols], h) })
	return m, m.check()
}

func (m *Ints) calibrateRow(r int, x []float32, h *Moments) {
	k, q, f := m.Cols, m.Q[r*m.Cols:(r+1)*m.Cols], m.format()
	change := make([]float32, k) // x - scale·q
	aim := make([]float32, m.Group)
	for g := range m.groups() {
		lo, hi := g*m.Group, min((g+1)*m.Group, k)
		for j := lo; j < hi; j++ {
			aim[j-lo] = x[j] + kernel.Dot(h.above[j*k:j*k+lo], change[:lo])
		}
		scale := f.Scale(aim[:hi-lo], h.weight[lo:hi])
		m.Scale[r*m.groups()+g] = scale
		for j := lo; j < hi; j++ {
			aim[j-lo] += kernel.Dot(h.above[j*k+lo:j*k+j], change[lo:j])
			f.Round(q[j:j+1], aim[j-lo:j-lo+1], scale)
			change[j] = x[j] - scale*float32(q[j])
		}
	}
}
