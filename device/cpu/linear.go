package cpu

import (
	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// Linear implements device.Device.
func (d *Device) Linear(y, x, w tensor.Mat, p device.Precision, add bool) {
	want("Linear", "x", x, x.Rows, w.Cols)
	want("Linear", "w", w, w.Rows, w.Cols)
	want("Linear", "y", y, x.Rows, w.Rows)
	d.linear(view(y), view(x), view(w), p, add)
}

// product computes one product.
func (d *Device) product(op kernel.Op, p device.Precision, pr kernel.Product) {
	d.products = append(d.products[:0], pr)
	d.gemm(op, p)
}

// linear computes y = x·wᵀ, or adds it to y.
func (d *Device) linear(y, x, w matrix, p device.Precision, add bool) {
	d.product(kernel.NT, p, kernel.Product{
		M: x.rows, N: w.rows, K: x.cols,
		A: x.data, LDA: x.stride, B: w.data, LDB: w.stride, C: y.data, LDC: y.stride,
		Accumulate: add,
	})
}

// LinearBackward implements device.Device.
func (d *Device) LinearBackward(dx, dw, dy, x, w tensor.Mat, p device.Precision) {
	want("LinearBackward", "x", x, x.Rows, w.Cols)
	want("LinearBackward", "w", w, w.Rows, w.Cols)
	want("LinearBackward", "dy", dy, x.Rows, w.Rows)
	optional("LinearBackward", "dx", dx, x.Rows, x.Cols)
	optional("LinearBackward", "dw", dw, w.Rows, w.Cols)
	d.linearBackward(view(dx), view(dw), view(dy), view(x), view(w), p)
}

// linearBackward computes dx += dy·w and dw += dyᵀ·x.
func (d *Device) linearBackward(dx, dw, dy, x, w matrix, p device.Precision) {
	if !dx.isZero() {
		d.product(kernel.NN, p, kernel.Product{
			M: dy.rows, N: w.cols, K: dy.cols,
			A: dy.data, LDA: dy.stride, B: w.data, LDB: w.stride, C: dx.data, LDC: dx.stride,
			Accumulate: true,
		})
	}
	if !dw.isZero() {
		d.product(kernel.TN, p, kernel.Product{
			M: dy.cols, N: x.cols, K: dy.rows,
			A: dy.data, LDA: dy.stride, B: x.data, LDB: x.stride, C: dw.data, LDC: dw.stride,
			Accumulate: true,
		})
	}
}

type embedJob struct {
	span
	x, table matrix
	ids      ints
}

// Embed implements device.Device.
func (d *Device) Embed(x, table, ids tensor.Mat) {
	want("Embed", "table", table, table.Rows, table.Cols)
	want("Embed", "x", x, ids.Rows, table.Cols)
	wantInts("Embed", "ids", ids, ids.Rows, 1)
	j := &d.jobs.embed
	*j = embedJob{spanOf(x.Rows, x.Cols), view(x), view(table), viewInts(ids)}
	wantBelow("Embed", "ids", j.ids, x.Rows, table.Rows)
	d.pool.Run(j, j.parts())
}

// Do copies the table's rows to one part's.
func (j *embedJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		copy(j.x.row(t), j.table.row(j.ids.at(t, 0)))
	}
}

// embedBackwardJob splits the columns, since two rows of dx may belong to one row of the table.
type embedBackwardJob struct {
	span
	dtable, dx matrix
	ids        ints
}

// EmbedBackward implements device.Device.
func (d *Device) EmbedBackward(dtable, dx, ids tensor.Mat) {
	want("EmbedBackward", "dx", dx, ids.Rows, dx.Cols)
	optional("EmbedBackward", "dtable", dtable, dtable.Rows, dx.Cols)
	wantInts("EmbedBackward", "ids", ids, ids.Rows, 1)
	if dtable.IsZero() {
		return
	}
	j := &d.jobs.embedBackward
	*j = embedBackwardJob{span{dx.Cols, 64}, view(dtable), view(dx), viewInts(ids)}
	wantBelow("EmbedBackward", "ids", j.ids, dx.Rows, dtable.Rows)
	d.pool.Run(j, j.parts())
}

// Do adds one part's columns of every row.
func (j *embedBackwardJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := range j.dx.rows {
		kernel.Add(j.dtable.row(j.ids.at(t, 0))[lo:hi], j.dx.row(t)[lo:hi])
	}
}
