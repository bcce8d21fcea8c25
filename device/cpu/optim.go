package cpu

import (
	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

type sumSquaresJob struct {
	span
	m   matrix
	sum []float64 // [parts]
}

// SumSquares implements device.Device.
func (d *Device) SumSquares(m tensor.Mat) float64 {
	want("SumSquares", "m", m, m.Rows, m.Cols)
	j := &d.jobs.sumSquares
	*j = sumSquaresJob{span: spanOf(m.Rows, m.Cols), m: view(m)}
	j.sum = grow(&d.partials, j.parts())
	d.pool.Run(j, j.parts())
	total := 0.0
	for _, s := range j.sum {
		total += s
	}
	return total
}

// Do sums one part's rows.
func (j *sumSquaresJob) Do(_, part int) {
	sum := 0.0
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		sum += kernel.SumSquares(j.m.row(i))
	}
	j.sum[part] = sum
}

type adamWJob struct {
	span
	w, m, v, g matrix
	step       kernel.AdamWStep
}

// AdamW implements device.Device.
func (d *Device) AdamW(w, m, v, g tensor.Mat, s device.AdamWStep) {
	want("AdamW", "w", w, w.Rows, w.Cols)
	want("AdamW", "m", m, w.Rows, w.Cols)
	want("AdamW", "v", v, w.Rows, w.Cols)
	want("AdamW", "g", g, w.Rows, w.Cols)
	j := &d.jobs.adamW
	*j = adamWJob{spanOf(w.Rows, w.Cols), view(w), view(m), view(v), view(g), kernel.AdamWStep(s)}
	d.pool.Run(j, j.parts())
}

// Do steps one part's rows.
func (j *adamWJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		kernel.AdamW(j.w.row(i), j.m.row(i), j.v.row(i), j.g.row(i), j.step)
	}
}

type mixJob struct {
	span
	dst, src   matrix
	keep, take float32
}

// Mix implements device.Device.
func (d *Device) Mix(dst, src tensor.Mat, keep, take float32) {
	want("Mix", "dst", dst, dst.Rows, dst.Cols)
	optional("Mix", "src", src, dst.Rows, dst.Cols)
	j := &d.jobs.mix
	*j = mixJob{spanOf(dst.Rows, dst.Cols), view(dst), view(src), keep, take}
	d.pool.Run(j, j.parts())
}

// Do mixes one part's rows.
func (j *mixJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		kernel.Scale(j.dst.row(i), j.keep)
		if !j.src.isZero() {
			kernel.Axpy(j.dst.row(i), j.take, j.src.row(i))
		}
	}
}
