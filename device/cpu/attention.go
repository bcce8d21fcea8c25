package cpu

import (
	"fmt"
	"math"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// queryBlock is how many queries are taken at a time. Their scores against all keys up to the last query's own stay in the
// worker's scratch; blocks above the diagonal are never computed.
const queryBlock = 64

// queryRun is how many queries a part of Attention takes, for which a head's keys and values are packed once.
const queryRun = 8 * queryBlock

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

// headSpace is a worker's scratch for one head.
type headSpace struct {
	k, dk          []float32     // [keys, N+R], kC and kR side by side
	scores, grads  []float32     // of a block of queries
	sums           []float32     // of their probabilities
	keys, keysT    kernel.Packed // for dot products with queries; for sums over keys
	values, valueT kernel.Packed // for sums over keys; for dot products with gradients
}

// reserve makes the workers' scratch for a head of the longest sequence, whichever worker will take it.
func (a *attention) reserve(backward bool) {
	n := 0
	for b := 1; b < len(a.starts); b++ {
		n = max(n, int(a.starts[b]-a.starts[b-1]))
	}
	h, prec, width := a.h, a.precision(), a.h.N+a.h.R
	for i := range a.dev.workers {
		w := &a.dev.workers[i].head
		grow(&w.k, n*width)
		block(&w.scores, 0, max(0, n-queryBlock), n)
		w.keys.Reserve(prec, n, width)
		if !backward {
			grow(&w.sums, queryBlock)
			w.values.Reserve(prec, h.V, n)
			continue
		}
		grow(&w.dk, n*width)
		block(&w.grads, 0, max(0, n-queryBlock), n)
		w.keysT.Reserve(prec, width, n)
		w.valueT.Reserve(prec, n, h.V)
	}
}

// block is scratch for queries [i0, i1) against keys [lo, i1). Its rows are whole vectors, so that an element is computed in the same
// way whatever the length.
func block(space *[]float32, lo, i0, i1 int) matrix {
	const vector = 16
	stride := (i1 - lo + vector - 1) / vector * vector
	return matrix{grow(space, (i1-i0)*stride), i1 - i0, stride, stride}
}

// precision is the products'.
func (a *attention) precision() kernel.Precision { return precision(a.h.Precision) }

// packKeys puts a head's keys [lo, hi) together and packs them for the scores.
func (a *attention) packKeys(w *headSpace, head, lo, hi int) {
	h := a.h
	width := h.N + h.R
	grow(&w.k, (hi-lo)*width)
	for s := lo; s < hi; s++ {
		k := w.k[(s-lo)*width : (s-lo+1)*width]
		copy(k, a.kv.row(s)[head*(h.N+h.V):][:h.N])
		if h.R > 0 {
			copy(k[h.N:], a.kR.row(s))
		}
	}
	w.keys.Pack(kernel.NT, a.precision(), hi-lo, width, w.k, width)
}

// scores computes the dot products of queries [i0, i1) with keys [lo, i1).
func (a *attention) scores(ws *kernel.Workspace, w *headSpace, head, lo, i0, i1 int) matrix {
	p, width := block(&w.scores, lo, i0, i1), a.h.N+a.h.R
	ws.Gemm(kernel.NT, a.precision(), kernel.Product{
		M: p.rows, N: i1 - lo, K: width,
		A: a.q.from(i0, head*width), LDA: a.q.stride, Packed: &w.keys, C: p.data, LDC: p.stride,
	})
	for i := range p.rows {
		unseen := p.row(i)[i0-lo+i+1:]
		for s := range unseen {
			unseen[s] = float32(math.Inf(-1))
		}
	}
	return p
}

type attentionJob struct {
	attention
	o    matrix
	tops []float32 // the largest score of each part; nil where nobody asks
	runs int       // of all sequences
}

// Attention implements device.Device.
func (d *Device) Attention(o, lse, top, q, kv, kR tensor.Mat, starts []int32, h device.Heads) {
	j := &d.jobs.attention
	*j = attentionJob{attention: d.attention("Attention", lse, q, kv, kR, starts, h)}
	want("Attention", "o", o, q.Rows, h.H*h.V)
	optional("Attention", "top", top, 1, h.H)
	j.o = view(o)
	for b := 1; b < len(starts); b++ {
		j.runs += runs(starts[b-1], starts[b])
	}
	if !top.IsZero() {
		j.tops = grow(&d.partial, j.runs*h.H)
	}
	j.reserve(false)
	d.pool.Run(j, j.runs*h.H)
	for part, most := range j.tops {
		t := view(top).row(0)
		t[part%h.H] = max(t[part%h.H], most)
	}
}

func runs(start, end int32) int { return (int(end-start) + queryRun - 1) / queryRun }

// run is the sequence's first row, and the rows [i0, i1), of a run of queries.
func (j *attentionJob) run(n int) (lo, i0, i1 int) {
	b := 1
	for n >= runs(j.starts[b-1], j.starts[b]) {
		n -= runs(j.starts[b-1], j.starts[b])
		b++
	}
	lo = int(j.starts[b-1])
	i0 = lo + n*queryRun
	return lo, i0, min(i0+queryRun, int(j.starts[b]))
}

// Do computes one head's outputs for one run of queries. The last runs, which see most keys, come first.
func (j *attentionJob) Do(worker, part int) {
	h, head := j.h, part%j.h.H
	lo, first, end := j.run(j.runs - 1 - part/h.H)
	w, ws := &j.dev.workers[worker].head, j.dev.workers[worker].ws
	j.packKeys(w, head, lo, end)
	w.values.Pack(kernel.NN, j.precision(), h.V, end-lo, j.kv.from(lo, head*(h.N+h.V)+h.N), j.kv.stride)
	most := float32(math.Inf(-1))
	for i0 := first; i0 < end; i0 += queryBlock {
		i1 := min(i0+queryBlock, end)
		p := j.scores(ws, w, head, lo, i0, i1)
		sums := grow(&w.sums, p.rows)
		for i := range p.rows {
			top, sum := kernel.ExpSum(p.row(i), h.Scale)
			most, sums[i] = max(most, top), sum
			j.lse.row(i0 + i)[head] = top + float32(math.Log(float64(sum)))
		}
		ws.Gemm(kernel.NN, j.precision(), kernel.Product{
			M: p.rows, N: h.V, K: i1 - lo,
			A: p.data, LDA: p.stride, Packed: &w.values, C: j.o.from(i0, head*h.V), LDC: j.o.stride,
		})
		for i, sum := range sums {
			kernel.Scale(j.o.row(i0 + i)[head*h.V:][:h.V], 1/sum)
		}
	}
	if j.tops != nil {
		j.tops[part] = most
	}
}
