package cpu

import (
	"fmt"
	"math"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// headRows is how many rows' logits exist at once.
const headRows = 256

type lossJob struct {
	span
	logits, loss matrix
	targets      ints
	weights      matrix // [T, 1], or none
	first        int    // the chunk's first row
	scale        float32
}

// HeadLoss implements device.Device.
func (d *Device) HeadLoss(loss, dx, dw, x, w, targets, weights tensor.Mat, scale float32, p device.Precision) {
	want("HeadLoss", "x", x, x.Rows, w.Cols)
	want("HeadLoss", "w", w, w.Rows, w.Cols)
	want("HeadLoss", "loss", loss, x.Rows, 1)
	wantInts("HeadLoss", "targets", targets, x.Rows, 1)
	optional("HeadLoss", "weights", weights, x.Rows, 1)
	optional("HeadLoss", "dx", dx, x.Rows, x.Cols)
	optional("HeadLoss", "dw", dw, w.Rows, w.Cols)

	head := view(w)
	j := &d.jobs.loss
	*j = lossJob{loss: view(loss), targets: viewInts(targets), scale: scale}
	if !weights.IsZero() {
		j.weights = view(weights)
	}
	for t := range x.Rows {
		if i := j.targets.at(t, 0); i >= w.Rows {
			panic(fmt.Sprintf("cpu: HeadLoss: targets[%d] = %d, want it below %d", t, i, w.Rows))
		}
	}
	// The head is packed once for all chunks.
	d.pool.Pack(&d.head, kernel.NT, precision(p), w.Rows, w.Cols, head.data, head.stride)
	if !dx.IsZero() {
		d.pool.Pack(&d.headT, kernel.NN, precision(p), w.Cols, w.Rows, head.data, head.stride)
	}
	for lo := 0; lo < x.Rows; lo += headRows {
		hi := min(lo+headRows, x.Rows)
		rows := view(x.RowSlice(lo, hi))
		j.logits = dense(grow(&d.logits, rows.rows*w.Rows), rows.rows, w.Rows)
		d.product(kernel.NT, p, kernel.Product{M: rows.rows, N: w.Rows, K: w.Cols, A: rows.data, LDA: rows.stride,
			Packed: &d.head, C: j.logits.data, LDC: j.logits.stride})
		j.span, j.first = spanOf(rows.rows, w.Rows), lo
		d.pool.Run(j, j.parts())
		if !dx.IsZero() {
			drows := view(dx.RowSlice(lo, hi))
			d.product(kernel.NN, p, kernel.Product{M: rows.rows, N: w.Cols, K: w.Rows, A: j.logits.data, LDA: j.logits.stride,
				Packed: &d.headT, C: drows.data, LDC: drows.stride, Accumulate: true})
		}
		d.linearBackward(matrix{}, view(dw), j.logits, rows, head, p)
	}
}

// Do turns one part's logits into their gradient, (softmax - onehot)·scale·weight.
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
		top, sum := kernel.ExpSum(row, 1)
		loss[0] = top + float32(math.Log(float64(sum))) - logit
		scale := j.scale
		if j.weights.rows > 0 {
			scale *= j.weights.row(j.first + i)[0]
		}
		kernel.Scale(row, scale/sum)
		row[target] -= scale
	}
}
