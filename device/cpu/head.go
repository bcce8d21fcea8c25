package cpu

import (
	"fmt"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// headRows is how many rows' logits exist at once. It is fixed: dw is summed chunk by chunk.
const headRows = 128

type lossJob struct {
	span
	logits, loss matrix
	targets      ints
	first        int // the chunk's first row
	scale        float32
}

// HeadLoss implements device.Device.
func (d *Device) HeadLoss(loss, dx, dw, x, w, targets tensor.Mat, scale float32, p device.Precision) {
	want("HeadLoss", "x", x, x.Rows, w.Cols)
	want("HeadLoss", "w", w, w.Rows, w.Cols)
	want("HeadLoss", "loss", loss, x.Rows, 1)
	wantInts("HeadLoss", "targets", targets, x.Rows, 1)
	optional("HeadLoss", "dx", dx, x.Rows, x.Cols)
	optional("HeadLoss", "dw", dw, w.Rows, w.Cols)

	weights := view(w)
	j := &d.jobs.loss
	*j = lossJob{loss: view(loss), targets: viewInts(targets), scale: scale}
	for t := range x.Rows {
		if i := j.targets.at(t, 0); i >= w.Rows {
			panic(fmt.Sprintf("cpu: HeadLoss: targets[%d] = %d, want it below %d", t, i, w.Rows))
		}
	}
	for lo := 0; lo < x.Rows; lo += headRows {
		hi := min(lo+headRows, x.Rows)
		rows := view(x.RowSlice(lo, hi))
		j.logits = dense(grow(&d.logits, rows.rows*w.Rows), rows.rows, w.Rows)
		d.linear(j.logits, rows, weights, p, false)
		j.span, j.first = spanOf(rows.rows, w.Rows), lo
		d.pool.Run(j, j.parts())

		var drows matrix
		if !dx.IsZero() {
			drows = view(dx.RowSlice(lo, hi))
		}
		d.linearBackward(drows, view(dw), j.logits, rows, weights, p)
	}
}

// Do turns one part's logits into their gradient, (softmax - onehot)·scale.
func (j *lossJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		row, loss := j.logits.row(i), j.loss.row(j.first+i)
		target := j.targets.at(j.first+i, 0)
		if target < 0 {
			loss[0] = 0
			clear(row)
			continue
		}
		logit := row[target]
		loss[0] = kernel.Softmax(row, 1) - logit
		row[target]--
		kernel.Scale(row, j.scale)
	}
}
