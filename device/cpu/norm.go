package cpu

import (
	"fmt"

	"sprat/kernel"
	"sprat/tensor"
)

type normJob struct {
	span
	y, rstd, x matrix
	w          []float32
	eps        float32
}

// RMSNorm implements device.Device.
func (d *Device) RMSNorm(y, rstd, x, w tensor.Mat, eps float32) {
	want("RMSNorm", "x", x, x.Rows, x.Cols)
	want("RMSNorm", "y", y, x.Rows, x.Cols)
	want("RMSNorm", "rstd", rstd, x.Rows, 1)
	want("RMSNorm", "w", w, 1, x.Cols)
	j := &d.jobs.norm
	*j = normJob{spanOf(x.Rows, x.Cols), view(y), view(rstd), view(x), view(w).row(0), eps}
	d.pool.Run(j, j.parts())
}

// Do norms one part's rows.
func (j *normJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		j.rstd.row(t)[0] = kernel.RMSNorm(j.y.row(t), j.x.row(t), j.w, j.eps)
	}
}

// normRows is how many rows share a buffer for dw: a fixed number, so that dw's order of summation is fixed.
const normRows = 64

type normBackwardJob struct {
	span
	dev             *Device
	dx, dy, x, rstd matrix
	w               []float32
	partial         matrix // [parts, D] of dw
}

// RMSNormBackward implements device.Device.
//
//	x̂ = x·rstd    dw += Σ_t dy ⊙ x̂    dx += rstd·(w ⊙ dy - x̂·mean(w ⊙ dy ⊙ x̂))
func (d *Device) RMSNormBackward(dx, dw, dy, x, rstd, w tensor.Mat) {
	want("RMSNormBackward", "x", x, x.Rows, x.Cols)
	want("RMSNormBackward", "dy", dy, x.Rows, x.Cols)
	want("RMSNormBackward", "rstd", rstd, x.Rows, 1)
	want("RMSNormBackward", "w", w, 1, x.Cols)
	optional("RMSNormBackward", "dx", dx, x.Rows, x.Cols)
	optional("RMSNormBackward", "dw", dw, 1, x.Cols)

	s := span{x.Rows, normRows}
	d.reserve(x.Cols)
	partial := dense(grow(&d.partial, s.parts()*x.Cols), s.parts(), x.Cols)
	j := &d.jobs.normBackward
	*j = normBackwardJob{s, d, view(dx), view(dy), view(x), view(rstd), view(w).row(0), partial}
	d.pool.Run(j, j.parts())
	if !dw.IsZero() {
		d.sum(view(dw), partial.data, partial.rows)
	}
}

// Do adds to one part's rows of dx, and puts their part of dw aside.
func (j *normBackwardJob) Do(worker, part int) {
	dw := j.partial.row(part)
	clear(dw)
	dx := j.dev.workers[worker].row // thrown away where dx is left out
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		if !j.dx.isZero() {
			dx = j.dx.row(t)
		}
		kernel.RMSNormBackward(dx, dw, j.dy.row(t), j.x.row(t), j.w, j.rstd.row(t)[0])
	}
}

type ropeJob struct {
	span
	x, cos, sin  matrix
	pos          ints
	headDim, off int
	inverse      bool
}

// RoPE implements device.Device.
func (d *Device) RoPE(x tensor.Mat, headDim, off int, pos, cos, sin tensor.Mat, inverse bool) {
	want("RoPE", "x", x, x.Rows, x.Cols)
	want("RoPE", "cos", cos, cos.Rows, cos.Cols)
	want("RoPE", "sin", sin, cos.Rows, cos.Cols)
	wantInts("RoPE", "pos", pos, x.Rows, 1)
	if headDim <= 0 || x.Cols%headDim != 0 || off < 0 || off+2*cos.Cols > headDim {
		panic(fmt.Sprintf("cpu: RoPE: columns [%d, %d) of heads of %d in %d x %d", off, off+2*cos.Cols, headDim, x.Rows, x.Cols))
	}
	j := &d.jobs.rope
	*j = ropeJob{spanOf(x.Rows, x.Cols), view(x), view(cos), view(sin), viewInts(pos), headDim, off, inverse}
	wantBelow("RoPE", "pos", j.pos, x.Rows, cos.Rows)
	d.pool.Run(j, j.parts())
}

// Do turns one part's rows.
func (j *ropeJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		x, p := j.x.row(t), j.pos.at(t, 0)
		for h := j.off; h < len(x); h += j.headDim {
			kernel.RoPE(x[h:h+2*j.cos.cols], j.cos.row(p), j.sin.row(p), j.inverse)
		}
	}
}

// swigluJob is SwiGLU where dgu is left out, else SwiGLUBackward.
type swigluJob struct {
	span
	dev        *Device
	y, gu, dgu matrix // y is dy of Backward
}

// SwiGLU implements device.Device.
func (d *Device) SwiGLU(y, gu tensor.Mat) {
	want("SwiGLU", "gu", gu, y.Rows, 2*y.Cols)
	want("SwiGLU", "y", y, y.Rows, y.Cols)
	j := &d.jobs.swiglu
	*j = swigluJob{spanOf(y.Rows, gu.Cols), d, view(y), view(gu), matrix{}}
	d.pool.Run(j, j.parts())
}

// SwiGLUBackward implements device.Device.
func (d *Device) SwiGLUBackward(dgu, dy, gu tensor.Mat) {
	want("SwiGLUBackward", "gu", gu, dy.Rows, 2*dy.Cols)
	want("SwiGLUBackward", "dy", dy, dy.Rows, dy.Cols)
	optional("SwiGLUBackward", "dgu", dgu, dy.Rows, gu.Cols)
	if dgu.IsZero() {
		return
	}
	d.reserve(gu.Cols)
	j := &d.jobs.swiglu
	*j = swigluJob{spanOf(dy.Rows, gu.Cols), d, view(dy), view(gu), view(dgu)}
	d.pool.Run(j, j.parts())
}

// Do computes one part's rows.
func (j *swigluJob) Do(worker, part int) {
	f := j.y.cols
	d := j.dev.workers[worker].row
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		gu := j.gu.row(t)
		if j.dgu.isZero() {
			kernel.SwiGLU(j.y.row(t), gu[:f], gu[f:], 1)
			continue
		}
		kernel.SwiGLUBackward(d[:f], d[f:2*f], j.y.row(t), gu[:f], gu[f:], 1)
		kernel.Add(j.dgu.row(t), d[:2*f])
	}
}
