package cpu

import (
	"fmt"
	"math"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// AbsorbQuery implements device.Device.
func (d *Device) AbsorbQuery(qC, q, wkvb tensor.Mat, h device.Heads) {
	wantHeads("AbsorbQuery", h)
	want("AbsorbQuery", "q", q, q.Rows, h.H*(h.N+h.R))
	want("AbsorbQuery", "qC", qC, q.Rows, h.H*h.C)
	want("AbsorbQuery", "wkvb", wkvb, h.H*(h.N+h.V), h.C)
	y, x, w := view(qC), view(q), view(wkvb)
	d.products = d.products[:0]
	for i := range h.H {
		d.products = append(d.products, kernel.Product{
			M: x.rows, N: h.C, K: h.N,
			A: x.from(0, i*(h.N+h.R)), LDA: x.stride,
			B: w.from(i*(h.N+h.V), 0), LDB: w.stride,
			C: y.from(0, i*h.C), LDC: y.stride,
		})
	}
	d.gemm(kernel.NN, device.F32)
}

// AbsorbValue implements device.Device.
func (d *Device) AbsorbValue(o, oC, wkvb tensor.Mat, h device.Heads) {
	wantHeads("AbsorbValue", h)
	want("AbsorbValue", "oC", oC, oC.Rows, h.H*h.C)
	want("AbsorbValue", "o", o, oC.Rows, h.H*h.V)
	want("AbsorbValue", "wkvb", wkvb, h.H*(h.N+h.V), h.C)
	y, x, w := view(o), view(oC), view(wkvb)
	d.products = d.products[:0]
	for i := range h.H {
		d.products = append(d.products, kernel.Product{
			M: x.rows, N: h.V, K: h.C,
			A: x.from(0, i*h.C), LDA: x.stride,
			B: w.from(i*(h.N+h.V)+h.N, 0), LDB: w.stride,
			C: y.from(0, i*h.V), LDC: y.stride,
		})
	}
	d.gemm(kernel.NT, device.F32)
}

// LatentAttention takes its keys in runs of latentKeys, so that one generated token has work for all threads. Each run has a
// softmax of its own; the runs' outputs o_c are then put together by weights exp(lse_c - lse). The borders of the runs are
// positions in the context: they depend neither on past nor on the rows of the call.
const latentKeys = 256

// latentSpace is how many elements of outputs of runs may wait to be put together; rows beyond it wait for the next round.
const latentSpace = 1 << 17

type latentJob struct {
	dev            *Device
	h              device.Heads
	oC, qC, q, lat matrix
	past           int
	first, runs    int    // of this round: the first row, and the runs that its last row sees
	out            matrix // [rows·runs, H·C]
	lse            matrix // [rows·runs, H]
}

// LatentAttention implements device.Device.
func (d *Device) LatentAttention(oC, qC, q, latents tensor.Mat, past int, h device.Heads) {
	wantHeads("LatentAttention", h)
	want("LatentAttention", "q", q, q.Rows, h.H*(h.N+h.R))
	want("LatentAttention", "qC", qC, q.Rows, h.H*h.C)
	want("LatentAttention", "oC", oC, q.Rows, h.H*h.C)
	want("LatentAttention", "latents", latents, latents.Rows, h.C+h.R)
	if past < 0 || latents.Rows < past+q.Rows {
		panic(fmt.Sprintf("cpu: LatentAttention: %d latents for %d + %d rows", latents.Rows, past, q.Rows))
	}
	for i := range d.workers {
		grow(&d.workers[i].scores, h.H*min(latentKeys, past+q.Rows))
	}
	j := &d.jobs.latent
	*j = latentJob{dev: d, h: h, oC: view(oC), qC: view(qC), q: view(q), lat: view(latents), past: past}
	j.runs = (past + q.Rows + latentKeys - 1) / latentKeys
	round := max(1, latentSpace/max(1, j.runs*h.H*h.C))
	for j.first = 0; j.first < q.Rows; j.first += round {
		n := min(round, q.Rows-j.first)
		j.out = dense(grow(&d.partial, n*j.runs*h.H*h.C), n*j.runs, h.H*h.C)
		j.lse = dense(grow(&d.counts, n*j.runs*h.H), n*j.runs, h.H)
		d.pool.Run(j, n*j.runs)
		sum := &d.jobs.latentSum
		*sum = latentSumJob{spanOf(n, j.runs*h.H*h.C), j}
		d.pool.Run(sum, sum.parts())
	}
}

// Do computes all heads' outputs for one token and one run of keys: to the products, the heads are rows.
func (j *latentJob) Do(worker, part int) {
	h, t, lo := j.h, j.first+part/j.runs, part%j.runs*latentKeys
	hi := min(lo+latentKeys, j.past+t+1)
	if hi <= lo {
		return // an earlier row of the round, which sees fewer runs
	}
	w, keys := &j.dev.workers[worker], j.lat.from(lo, 0)
	p := dense(w.scores, h.H, hi-lo)
	w.ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: h.H, N: p.cols, K: h.C,
		A: j.qC.from(t, 0), LDA: h.C,
		B: keys, LDB: j.lat.stride,
		C: p.data, LDC: p.stride,
	})
	w.ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: h.H, N: p.cols, K: h.R,
		A: j.q.from(t, h.N), LDA: h.N + h.R,
		B: keys[h.C:], LDB: j.lat.stride,
		C: p.data, LDC: p.stride,
		Accumulate: true,
	})
	lse := j.lse.row(part)
	for head := range h.H {
		lse[head] = kernel.Softmax(p.row(head), h.Scale)
	}
	w.ws.Gemm(kernel.NN, kernel.F32, kernel.Product{
		M: h.H, N: h.C, K: p.cols,
		A: p.data, LDA: p.stride,
		B: keys, LDB: j.lat.stride,
		C: j.out.row(part), LDC: h.C,
	})
}

// latentSumJob puts the runs' outputs together.
type latentSumJob struct {
	span
	*latentJob
}

// Do does one part's rows.
func (j *latentSumJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		runs := (j.past + j.first + t + latentKeys) / latentKeys
		for head := range j.h.H {
			j.together(t, head, runs)
		}
	}
}

// together sums one head's outputs of the runs of row t of the round.
func (j *latentSumJob) together(t, head, runs int) {
	c := j.h.C
	o := j.oC.row(j.first + t)[head*c:][:c]
	top, sum := math.Inf(-1), 0.0
	for r := range runs {
		top = max(top, float64(j.lse.row(t*j.runs + r)[head]))
	}
	for r := range runs {
		sum += math.Exp(float64(j.lse.row(t*j.runs + r)[head]) - top)
	}
	clear(o)
	for r := range runs {
		weight := math.Exp(float64(j.lse.row(t*j.runs + r)[head])-top) / sum
		kernel.Axpy(o, float32(weight), j.out.row(t*j.runs + r)[head*c:][:c])
	}
}
