package cpu

import (
	"fmt"
	"math"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// queryBlock is how many queries a part of attention takes. Their scores against all keys up to the last query's own stay
// in the worker's scratch; blocks above the diagonal are never computed.
const queryBlock = 64

// attention is what forward and backward share: a kv row is a head's [k_nope | v] after another's.
type attention struct {
	dev       *Device
	h         device.Heads
	starts    []int32
	q, kv, kR matrix
	lse       matrix
}

func (d *Device) attention(op string, lse, q, kv, kR tensor.Mat, starts []int32, h device.Heads) attention {
	wantHeads(op, h)
	want(op, "q", q, q.Rows, h.H*(h.N+h.R))
	want(op, "kv", kv, q.Rows, h.H*(h.N+h.V))
	if h.R > 0 || !kR.IsZero() {
		want(op, "kR", kR, q.Rows, h.R)
	}
	want(op, "lse", lse, q.Rows, h.H)
	wantStarts(op, starts, q.Rows)
	return attention{d, h, starts, view(q), view(kv), view(kR), view(lse)}
}

func wantHeads(op string, h device.Heads) {
	if h.H < 1 || h.N < 1 || h.R < 0 || h.V < 1 {
		panic(fmt.Sprintf("cpu: %s: %d heads of %d + %d, values of %d", op, h.H, h.N, h.R, h.V))
	}
}

// longest is the length of the longest sequence.
func longest(starts []int32) int {
	n := 0
	for b := 1; b < len(starts); b++ {
		n = max(n, int(starts[b]-starts[b-1]))
	}
	return n
}

// scores puts the dot products of queries [i0, i1) with keys [lo, i1) into s.
func (a *attention) scores(ws *kernel.Workspace, s matrix, head, lo, i0, i1 int) {
	h := a.h
	ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: i1 - i0, N: i1 - lo, K: h.N,
		A: a.q.from(i0, head*(h.N+h.R)), LDA: a.q.stride,
		B: a.kv.from(lo, head*(h.N+h.V)), LDB: a.kv.stride,
		C: s.data, LDC: s.stride,
	})
	ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: i1 - i0, N: i1 - lo, K: h.R,
		A: a.q.from(i0, head*(h.N+h.R)+h.N), LDA: a.q.stride,
		B: a.kR.from(lo, 0), LDB: a.kR.stride,
		C: s.data, LDC: s.stride,
		Accumulate: true,
	})
}

type attentionJob struct {
	attention
	o      matrix
	tops   []float32 // the largest score of each part; nil where nobody asks
	blocks int       // of all sequences
}

// Attention implements device.Device.
func (d *Device) Attention(o, lse, top, q, kv, kR tensor.Mat, starts []int32, h device.Heads) {
	j := &d.jobs.attention
	*j = attentionJob{attention: d.attention("Attention", lse, q, kv, kR, starts, h)}
	want("Attention", "o", o, q.Rows, h.H*h.V)
	optional("Attention", "top", top, 1, h.H)
	j.o = view(o)
	for b := 1; b < len(starts); b++ {
		j.blocks += blocks(starts[b-1], starts[b])
	}
	n := longest(starts)
	for i := range d.workers {
		grow(&d.workers[i].scores, min(n, queryBlock)*n)
	}
	if !top.IsZero() {
		j.tops = grow(&d.partial, j.blocks*h.H)
	}
	d.pool.Run(j, j.blocks*h.H)
	for part, most := range j.tops {
		t := view(top).row(0)
		t[part%h.H] = max(t[part%h.H], most)
	}
}

func blocks(start, end int32) int { return (int(end-start) + queryBlock - 1) / queryBlock }

// block is the sequence's first row, and the rows [i0, i1), of a block of queries.
func (j *attentionJob) block(n int) (lo, i0, i1 int) {
	b := 1
	for n >= blocks(j.starts[b-1], j.starts[b]) {
		n -= blocks(j.starts[b-1], j.starts[b])
		b++
	}
	lo = int(j.starts[b-1])
	i0 = lo + n*queryBlock
	return lo, i0, min(i0+queryBlock, int(j.starts[b]))
}

// Do computes one head's outputs for one block of queries. The last blocks, which see most keys, come first.
func (j *attentionJob) Do(worker, part int) {
	h, head := j.h, part%j.h.H
	lo, i0, i1 := j.block(j.blocks - 1 - part/h.H)
	w := &j.dev.workers[worker]
	p := dense(w.scores, i1-i0, i1-lo)
	j.scores(w.ws, p, head, lo, i0, i1)
	most := float32(math.Inf(-1))
	for i := i0; i < i1; i++ {
		row, seen := p.row(i-i0), i-lo+1
		if j.tops != nil {
			most = max(most, h.Scale*kernel.Max(row[:seen]))
		}
		j.lse.row(i)[head] = kernel.Softmax(row[:seen], h.Scale)
		clear(row[seen:])
	}
	if j.tops != nil {
		j.tops[part] = most
	}
	w.ws.Gemm(kernel.NN, kernel.F32, kernel.Product{
		M: p.rows, N: h.V, K: p.cols,
		A: p.data, LDA: p.stride,
		B: j.kv.from(lo, head*(h.N+h.V)+h.N), LDB: j.kv.stride,
		C: j.o.from(i0, head*h.V), LDC: j.o.stride,
	})
}

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
	n := longest(starts)
	for i := range d.workers {
		grow(&d.workers[i].scores, min(n, queryBlock)*n)
		grow(&d.workers[i].grads, min(n, queryBlock)*n)
	}
	d.pool.Run(j, (len(starts)-1)*h.H)
	if !dkR.IsZero() {
		d.sum(view(dkR), j.dkR, h.H)
	}
}

// Do computes one head's gradients of one sequence, a block of queries after the other.
func (j *attentionBackwardJob) Do(worker, part int) {
	h, head := j.h, part%j.h.H
	lo, hi := int(j.starts[part/h.H]), int(j.starts[part/h.H+1])
	w := &j.dev.workers[worker]
	var dkR matrix
	if j.dkR != nil {
		dkR = dense(j.dkR[head*j.q.rows*h.R:][:j.q.rows*h.R], j.q.rows, h.R)
		clear(dkR.data[lo*h.R : hi*h.R])
	}
	for i0 := lo; i0 < hi; i0 += queryBlock {
		i1 := min(i0+queryBlock, hi)
		p, ds := dense(w.scores, i1-i0, i1-lo), dense(w.grads, i1-i0, i1-lo)
		j.scoreGradient(w.ws, p, ds, head, lo, i0, i1)
		j.propagate(w.ws, p, ds, dkR, head, lo, i0, i1)
	}
}

// scoreGradient recomputes the probabilities p of queries [i0, i1) and the gradient ds of their dot products.
func (j *attentionBackwardJob) scoreGradient(ws *kernel.Workspace, p, ds matrix, head, lo, i0, i1 int) {
	h := j.h
	j.scores(ws, p, head, lo, i0, i1)
	ws.Gemm(kernel.NT, kernel.F32, kernel.Product{
		M: ds.rows, N: ds.cols, K: h.V,
		A: j.do.from(i0, head*h.V), LDA: j.do.stride,
		B: j.kv.from(lo, head*(h.N+h.V)+h.N), LDB: j.kv.stride,
		C: ds.data, LDC: ds.stride,
	})
	for i := i0; i < i1; i++ {
		seen := i - lo + 1
		pr, dr := p.row(i-i0), ds.row(i-i0)
		kernel.ExpScaled(pr[:seen], pr[:seen], h.Scale, j.lse.row(i)[head])
		clear(pr[seen:])
		mean := kernel.Dot(j.do.row(i)[head*h.V:][:h.V], j.o.row(i)[head*h.V:][:h.V])
		for s, prob := range pr[:seen] {
			dr[s] = prob * (dr[s] - mean) * h.Scale
		}
		clear(dr[seen:])
	}
}

// propagate adds what follows from p and ds to the gradients of queries, keys and values.
func (j *attentionBackwardJob) propagate(ws *kernel.Workspace, p, ds, dkR matrix, head, lo, i0, i1 int) {
	h := j.h
	qN, kN := head*(h.N+h.R), head*(h.N+h.V) // the head's first columns in q and kv
	if !j.dq.isZero() {
		ws.Gemm(kernel.NN, kernel.F32, kernel.Product{M: ds.rows, N: h.N, K: ds.cols, A: ds.data, LDA: ds.stride,
			B: j.kv.from(lo, kN), LDB: j.kv.stride, C: j.dq.from(i0, qN), LDC: j.dq.stride, Accumulate: true})
		ws.Gemm(kernel.NN, kernel.F32, kernel.Product{M: ds.rows, N: h.R, K: ds.cols, A: ds.data, LDA: ds.stride,
			B: j.kR.from(lo, 0), LDB: j.kR.stride, C: j.dq.from(i0, qN+h.N), LDC: j.dq.stride, Accumulate: true})
	}
	if !j.dkv.isZero() {
		ws.Gemm(kernel.TN, kernel.F32, kernel.Product{M: ds.cols, N: h.N, K: ds.rows, A: ds.data, LDA: ds.stride,
			B: j.q.from(i0, qN), LDB: j.q.stride, C: j.dkv.from(lo, kN), LDC: j.dkv.stride, Accumulate: true})
		ws.Gemm(kernel.TN, kernel.F32, kernel.Product{M: p.cols, N: h.V, K: p.rows, A: p.data, LDA: p.stride,
			B: j.do.from(i0, head*h.V), LDB: j.do.stride, C: j.dkv.from(lo, kN+h.N), LDC: j.dkv.stride, Accumulate: true})
	}
	if !dkR.isZero() {
		ws.Gemm(kernel.TN, kernel.F32, kernel.Product{M: ds.cols, N: h.R, K: ds.rows, A: ds.data, LDA: ds.stride,
			B: j.q.from(i0, qN+h.N), LDB: j.q.stride, C: dkR.from(lo, 0), LDC: dkR.stride, Accumulate: true})
	}
}
