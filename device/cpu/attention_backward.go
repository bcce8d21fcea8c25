package cpu

import (
	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

type attentionBackwardJob struct {
	attention
	o, do   matrix
	dq, dkv matrix
	dkR     []float32 // [H, T, R], a head's part each; nil where it is left out
}

// AttentionBackward implements device.Device.
//
//	P = exp(S - lse)    dV += Pᵀ·dO    dP = dO·Vᵀ    dS = P ⊙ (dP - rowsum(dO ⊙ O))·scale    dQ += dS·K    dK += dSᵀ·Q
func (d *Device) AttentionBackward(dq, dkv, dkR, do, q, kv, kR, o, lse tensor.Mat, starts []int32, h device.Heads) {
	const op = "AttentionBackward"
	j := &d.jobs.attnBackward
	*j = attentionBackwardJob{attention: d.attention(op, lse, q, kv, kR, starts, h)}
	want(op, "o", o, q.Rows, h.H*h.V)
	want(op, "do", do, q.Rows, h.H*h.V)
	optional(op, "dq", dq, q.Rows, q.Cols)
	optional(op, "dkv", dkv, q.Rows, kv.Cols)
	optional(op, "dkR", dkR, q.Rows, h.R)
	j.o, j.do, j.dq, j.dkv = view(o), view(do), view(dq), view(dkv)
	if !dkR.IsZero() {
		j.dkR = grow(&d.partial, h.H*q.Rows*h.R)
	}
	j.reserve(true)
	d.pool.Run(j, (len(starts)-1)*h.H)
	if !dkR.IsZero() {
		d.sum(view(dkR), j.dkR, h.H)
	}
}

// Do computes one head's gradients of one sequence, a block of queries after the other.
func (j *attentionBackwardJob) Do(worker, part int) {
	h, head := j.h, part%j.h.H
	lo, hi := int(j.starts[part/h.H]), int(j.starts[part/h.H+1])
	w, ws := &j.dev.workers[worker].head, j.dev.workers[worker].ws
	width := h.N + h.R
	j.packKeys(w, head, lo, hi)
	w.keysT.Pack(kernel.NN, j.precision(), width, hi-lo, w.k, width)
	w.valueT.Pack(kernel.NT, j.precision(), hi-lo, h.V, j.kv.from(lo, head*(h.N+h.V)+h.N), j.kv.stride)
	clear(grow(&w.dk, (hi-lo)*width))
	for i0 := lo; i0 < hi; i0 += queryBlock {
		i1 := min(i0+queryBlock, hi)
		p, ds := j.scoreGradient(ws, w, head, lo, i0, i1)
		j.propagate(ws, w, p, ds, head, lo, i0, i1)
	}
	for s := lo; s < hi; s++ {
		dk := w.dk[(s-lo)*width : (s-lo+1)*width]
		if !j.dkv.isZero() {
			kernel.Add(j.dkv.row(s)[head*(h.N+h.V):][:h.N], dk[:h.N])
		}
		if j.dkR != nil {
			copy(j.dkR[(head*j.q.rows+s)*h.R:][:h.R], dk[h.N:])
		}
	}
}

// scoreGradient recomputes the probabilities p of queries [i0, i1) and computes the gradient ds of their dot products.
func (j *attentionBackwardJob) scoreGradient(ws *kernel.Workspace, w *headSpace, head, lo, i0, i1 int) (p, ds matrix) {
	h := j.h
	p, ds = j.scores(ws, w, head, lo, i0, i1), block(&w.grads, lo, i0, i1)
	ws.Gemm(kernel.NT, j.precision(), kernel.Product{
		M: ds.rows, N: i1 - lo, K: h.V,
		A: j.do.from(i0, head*h.V), LDA: j.do.stride, Packed: &w.valueT, C: ds.data, LDC: ds.stride,
	})
	for i := range ds.rows {
		do, o := j.do.row(i0 + i)[head*h.V:][:h.V], j.o.row(i0 + i)[head*h.V:][:h.V]
		clear(ds.row(i)[i0-lo+i+1:])
		kernel.SoftmaxBackward(p.row(i), ds.row(i), h.Scale, j.lse.row(i0 + i)[head], kernel.Dot(do, o))
	}
	return p, ds
}

// propagate adds what follows from p and ds to the gradients of queries, keys and values.
func (j *attentionBackwardJob) propagate(ws *kernel.Workspace, w *headSpace, p, ds matrix, head, lo, i0, i1 int) {
	h, prec := j.h, j.precision()
	width, keys := h.N+h.R, i1-lo
	if !j.dq.isZero() {
		ws.Gemm(kernel.NN, prec, kernel.Product{M: ds.rows, N: width, K: keys, A: ds.data, LDA: ds.stride,
			Packed: &w.keysT, C: j.dq.from(i0, head*width), LDC: j.dq.stride, Accumulate: true})
	}
	if !j.dkv.isZero() || j.dkR != nil {
		ws.Gemm(kernel.TN, prec, kernel.Product{M: keys, N: width, K: ds.rows, A: ds.data, LDA: ds.stride,
			B: j.q.from(i0, head*width), LDB: j.q.stride, C: w.dk, LDC: width, Accumulate: true})
	}
	if !j.dkv.isZero() {
		ws.Gemm(kernel.TN, prec, kernel.Product{M: keys, N: h.V, K: p.rows, A: p.data, LDA: p.stride,
			B: j.do.from(i0, head*h.V), LDB: j.do.stride, C: j.dkv.from(lo, head*(h.N+h.V)+h.N), LDC: j.dkv.stride, Accumulate: true})
	}
}
