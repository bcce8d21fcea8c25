package cpu

import (
	"fmt"

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

// latentHeads is how many heads of one token a part takes: they share each latent that is read.
const latentHeads = 8

type latentJob struct {
	dev            *Device
	h              device.Heads
	oC, qC, q, lat matrix
	past, groups   int
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
		grow(&d.workers[i].scores, min(h.H, latentHeads)*(past+q.Rows))
	}
	j := &d.jobs.latent
	*j = latentJob{d, h, view(oC), view(qC), view(q), view(latents), past, (h.H + latentHeads - 1) / latentHeads}
	d.pool.Run(j, q.Rows*j.groups)
}

// Do computes some heads' outputs for one token: to the products, the heads are rows.
func (j *latentJob) Do(worker, part int) {
	h, t, head := j.h, part/j.groups, part%j.groups*latentHeads
	w := &j.dev.workers[worker]
	p := dense(w.scores, min(latentHeads, h.H-head), j.past+t+1)
	w.ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: p.rows, N: p.cols, K: h.C,
		A: j.qC.from(t, head*h.C), LDA: h.C,
		B: j.lat.data, LDB: j.lat.stride,
		C: p.data, LDC: p.stride,
	})
	w.ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: p.rows, N: p.cols, K: h.R,
		A: j.q.from(t, head*(h.N+h.R)+h.N), LDA: h.N + h.R,
		B: j.lat.from(0, h.C), LDB: j.lat.stride,
		C: p.data, LDC: p.stride,
		Accumulate: true,
	})
	for i := range p.rows {
		kernel.Softmax(p.row(i), h.Scale)
	}
	w.ws.Gemm(kernel.NN, kernel.F32, kernel.Product{
		M: p.rows, N: h.C, K: p.cols,
		A: p.data, LDA: p.stride,
		B: j.lat.data, LDB: j.lat.stride,
		C: j.oC.from(t, head*h.C), LDC: h.C,
	})
}
