package cpu

import (
	"fmt"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// Project implements device.Inference.
func (d *Device) Project(y, x tensor.Mat, w device.Weight, add bool) {
	our := weightOf("Project", "w", w, 1, -1, x.Cols)
	_, n, _ := our.Shape()
	want("Project", "x", x, x.Rows, x.Cols)
	want("Project", "y", y, x.Rows, n)
	rows, to := d.setRows(&d.rows, view(x), our), view(y)
	d.weights = append(d.weights[:0], kernel.WeightProduct{M: x.Rows, A: rows, W: &our.Weight, C: to.data, LDC: to.stride, Accumulate: add})
	d.multiply()
}

// multiply runs the products in d.weights.
func (d *Device) multiply() {
	d.pool.Multiply(d.weights...)
	clear(d.weights)
}

// ProjectEach implements device.Inference.
func (d *Device) ProjectEach(y, x tensor.Mat, w device.Weight, stride, offset int) {
	our := weightOf("ProjectEach", "w", w, -1, -1, -1)
	parts, n, k := our.Shape()
	want("ProjectEach", "x", x, x.Rows, x.Cols)
	want("ProjectEach", "y", y, x.Rows, parts*n)
	if uint(stride) > uint(x.Cols) || uint(offset) > uint(x.Cols) || parts > 0 && (parts-1)*stride+offset+k > x.Cols {
		panic(fmt.Sprintf("cpu: ProjectEach: %d parts of %d columns, %d apart from %d on, of %d", parts, k, stride, offset, x.Cols))
	}
	t, to := x.Rows, view(y)
	d.rows.Reset(our.Weight.Format(), parts*t, k)
	j := &d.jobs.rows
	*j = rowsJob{spanOf(t, parts*k), &d.rows, view(x), parts, k, stride, offset}
	d.pool.Run(j, j.parts())
	d.weights = d.weights[:0]
	for h := range parts {
		d.weights = append(d.weights, kernel.WeightProduct{M: t, A: &d.rows, First: h * t, W: &our.Weight, Part: h, C: to.from(0, h*n), LDC: to.stride})
	}
	d.multiply()
}

// setRows makes x ready to be multiplied with w.
func (d *Device) setRows(rows *kernel.Rows, x matrix, w *weight) *kernel.Rows {
	rows.Reset(w.Weight.Format(), x.rows, x.cols)
	j := &d.jobs.rows
	*j = rowsJob{spanOf(x.rows, x.cols), rows, x, 1, x.cols, 0, 0}
	d.pool.Run(j, j.parts())
	return rows
}

// rowsJob rounds rows of x: the part of each that begins at column h·stride + offset becomes row h·T + t.
type rowsJob struct {
	span
	to                       *kernel.Rows
	x                        matrix
	heads, k, stride, offset int
}

// Do rounds one part's rows.
func (j *rowsJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		row := j.x.row(t)
		for h := range j.heads {
			at := h*j.stride + j.offset
			j.to.Set(h*j.x.rows+t, row[at:at+j.k])
		}
	}
}
