package cpu

import (
	"fmt"
	"math"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// muonElements is about how many weights Muon works on at a time: enough small matrices for all cores, in little memory.
const muonElements = 1 << 21

// muonJob is a run of matrices of one shape and the space to make them orthogonal. With s = min(rows, cols), each has
//
//	x, y [rows, cols]   the iterate and the next        a, q, r [s, s]   A = XXᵀ (of tall matrices XᵀX), cA + bI, q·A + aI
//
// so that an iteration is X = r·X (of tall ones X·r), three products for each of the matrices together.
type muonJob struct {
	span           // of one matrix's rows
	square    span // of the rows of one of a, q, r
	w, m, g   []tensor.Mat
	step      device.MuonStep
	c         [3]float32 // of the iteration
	cols, s   int
	x, y      []float32
	a, q, r   []float32
	squareSum []float64 // [matrices · parts] of x²
}

// Muon implements device.Device.
func (d *Device) Muon(w, m, g []tensor.Mat, s device.MuonStep) {
	if len(m) != len(w) || len(g) != len(w) {
		panic(fmt.Sprintf("cpu: Muon: %d matrices with %d momenta and %d gradients", len(w), len(m), len(g)))
	}
	if len(w) == 0 || w[0].Rows*w[0].Cols == 0 {
		return
	}
	rows, cols := w[0].Rows, w[0].Cols
	for i := range w {
		want("Muon", "w", w[i], rows, cols)
		want("Muon", "m", m[i], rows, cols)
		want("Muon", "g", g[i], rows, cols)
	}
	together := max(1, muonElements/(rows*cols))
	for lo := 0; lo < len(w); lo += together {
		hi := min(lo+together, len(w))
		d.muon(w[lo:hi], m[lo:hi], g[lo:hi], s)
	}
}

func (d *Device) muon(w, m, g []tensor.Mat, step device.MuonStep) {
	j := &d.jobs.muon
	j.w, j.m, j.g, j.step = w, m, g, step
	j.cols, j.s = w[0].Cols, min(w[0].Rows, w[0].Cols)
	j.span, j.square = spanOf(w[0].Rows, j.cols), spanOf(j.s, j.s)
	n := len(w)
	grow(&j.x, n*j.rows*j.cols)
	grow(&j.y, n*j.rows*j.cols)
	for _, s := range []*[]float32{&j.a, &j.q, &j.r} {
		grow(s, n*j.s*j.s)
	}
	grow(&j.squareSum, n*j.parts())

	d.pool.Run((*muonMomentum)(j), n*j.parts())
	d.pool.Run((*muonNormalize)(j), n*j.parts())
	for _, j.c = range step.Polynomials {
		d.muonProducts(j, j.a, gram)
		d.pool.Run((*muonPolynomial)(j), n*j.square.parts())
		d.muonProducts(j, j.r, square)
		d.muonProducts(j, j.y, apply)
		j.x, j.y = j.y, j.x
	}
	d.pool.Run((*muonApply)(j), n*j.parts())
	j.w, j.m, j.g = nil, nil, nil
}

// muonProduct is one of an iteration's three products.
type muonProduct int

const (
	gram   muonProduct = iota // a = X·Xᵀ
	square                    // r += q·a
	apply                     // y = r·X
)

// muonProducts computes one product, to c, for every matrix.
func (d *Device) muonProducts(j *muonJob, c []float32, which muonProduct) {
	tall, s, size := j.rows > j.s, j.s, j.rows*j.cols
	op := kernel.NN
	d.products = d.products[:0]
	for i := range j.w {
		x, r := j.x[i*size:(i+1)*size], j.r[i*s*s:(i+1)*s*s]
		var p kernel.Product
		switch {
		case which == square:
			p = kernel.Product{M: s, N: s, K: s, A: j.q[i*s*s:], LDA: s, B: j.a[i*s*s:], LDB: s, C: c[i*s*s:], LDC: s, Accumulate: true}
		case which == gram && tall:
			op, p = kernel.TN, kernel.Product{M: s, N: s, K: j.rows, A: x, LDA: j.cols, B: x, LDB: j.cols, C: c[i*s*s:], LDC: s}
		case which == gram:
			op, p = kernel.NT, kernel.Product{M: s, N: s, K: j.cols, A: x, LDA: j.cols, B: x, LDB: j.cols, C: c[i*s*s:], LDC: s}
		case tall:
			p = kernel.Product{M: j.rows, N: s, K: s, A: x, LDA: j.cols, B: r, LDB: s, C: c[i*size:], LDC: j.cols}
		default:
			p = kernel.Product{M: s, N: j.cols, K: s, A: r, LDA: s, B: x, LDB: j.cols, C: c[i*size:], LDC: j.cols}
		}
		d.products = append(d.products, p)
	}
	d.gemm(op, j.step.Precision)
}

// part is a matrix's number, and the rows [lo, hi) of it, of a part of the job.
func (j *muonJob) part(part int) (i, lo, hi int) {
	i = part / j.parts()
	lo, hi = j.of(part % j.parts())
	return i, lo, hi
}

// row is row r of matrix i of x.
func (j *muonJob) row(i, r int) []float32 { return j.x[(i*j.rows+r)*j.cols:][:j.cols] }

type muonMomentum muonJob

// Do computes m = μ·m + g and x = g + μ·m, and sums x².
func (k *muonMomentum) Do(_, part int) {
	j := (*muonJob)(k)
	i, lo, hi := j.part(part)
	m, g, sum := view(j.m[i]), view(j.g[i]), 0.0
	for r := lo; r < hi; r++ {
		kernel.Scale(m.row(r), j.step.Momentum)
		kernel.Axpy(m.row(r), j.step.GradScale, g.row(r))
		x := j.row(i, r)
		copy(x, m.row(r))
		kernel.Scale(x, j.step.Momentum)
		kernel.Axpy(x, j.step.GradScale, g.row(r))
		sum += kernel.SumSquares(x)
	}
	j.squareSum[part] = sum
}

type muonNormalize muonJob

// Do divides x by its norm.
func (k *muonNormalize) Do(_, part int) {
	j := (*muonJob)(k)
	i, lo, hi := j.part(part)
	sum := 0.0
	for _, s := range j.squareSum[i*j.parts():][:j.parts()] {
		sum += s
	}
	kernel.Scale(j.x[(i*j.rows+lo)*j.cols:(i*j.rows+hi)*j.cols], float32(1/(math.Sqrt(sum)+1e-7)))
}

type muonPolynomial muonJob

// Do computes q = c·A + b·I and r = a·I.
func (k *muonPolynomial) Do(_, part int) {
	j := (*muonJob)(k)
	i, n := part/j.square.parts(), j.s
	lo, hi := j.square.of(part % j.square.parts())
	lo, hi = i*n+lo, i*n+hi
	a, q, r := j.a[lo*n:hi*n], j.q[lo*n:hi*n], j.r[lo*n:hi*n]
	copy(q, a)
	kernel.Scale(q, j.c[2])
	clear(r)
	for row := range hi - lo {
		diagonal := row*n + (lo+row)%n
		q[diagonal] += j.c[1]
		r[diagonal] = j.c[0]
	}
}

type muonApply muonJob

// Do moves the weights.
func (k *muonApply) Do(_, part int) {
	j := (*muonJob)(k)
	i, lo, hi := j.part(part)
	w := view(j.w[i])
	for r := lo; r < hi; r++ {
		kernel.Scale(w.row(r), 1-j.step.LR*j.step.WeightDecay)
		kernel.Axpy(w.row(r), -j.step.LR*j.step.Scale, j.row(i, r))
	}
}
