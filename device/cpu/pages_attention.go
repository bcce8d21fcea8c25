package cpu

import (
	"fmt"

	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// queryRows is how many rows of a context a part of PagedAttention takes at most: their sums stay in the worker's scratch while
// all keys and values of the context are made, a block at a time.
const queryRows = 2048

// pagedPart is rows [lo, hi) of a context, for one head.
type pagedPart struct{ context, lo, hi, head int }

// pagedAttention is PagedAttention's state.
type pagedAttention struct {
	dev      *Device
	h        device.Heads
	prec     kernel.Precision
	p        *pages
	layer    int
	o, q     matrix
	contexts []device.Context
	parts    []pagedPart
	wUK, wUV []kernel.Packed // of each head
	weights  packWeightsJob
}

// pagedScratch is a worker's.
type pagedScratch struct {
	latents, keys, values []float32
	row, halves           []uint16
	block                 kernel.Keys
	queries               []kernel.Queries
	sums                  []kernel.Sums
}

// PagedAttention implements device.Inference.
func (d *Device) PagedAttention(o, q tensor.Mat, src device.Pages, layer int, wUK, wUV device.Weight, contexts []device.Context, h device.Heads) {
	const op = "PagedAttention"
	wantHeads(op, h)
	uk, uv := weightOf(op, "wUK", wUK, h.H, h.C, h.N), weightOf(op, "wUV", wUV, h.H, h.V, h.C)
	p := pagesOf(op, src, layer)
	if h.C != p.C || h.R != p.R {
		panic(fmt.Sprintf("cpu: %s: heads of %d + %d for pages of %d + %d", op, h.C, h.R, p.C, p.R))
	}
	want(op, "q", q, q.Rows, h.H*(h.N+h.R))
	want(op, "o", o, q.Rows, h.H*h.V)
	p.wantContexts(op, contexts, q.Rows)
	j := &d.jobs.paged
	j.dev, j.h, j.prec, j.p, j.layer, j.o, j.q, j.contexts = d, h, precision(h.Precision.Core()), p, layer, view(o), view(q), contexts
	j.cut()
	j.reserve()
	if len(j.parts) > 0 {
		j.weights = packWeightsJob{j, uk, uv}
		d.pool.Run(&j.weights, h.H)
		d.pool.Run(j, len(j.parts))
	}
	j.weights, j.contexts, j.p, j.o, j.q = packWeightsJob{}, nil, nil, matrix{}, matrix{} // let go of the memory
}

// cut cuts the contexts into parts, one for each worker at least where there are rows enough. All parts of a context but the last are
// whole groups of queries.
func (j *pagedAttention) cut() {
	j.parts = j.parts[:0]
	for i, c := range j.contexts {
		n := max((c.Rows+queryRows-1)/queryRows, (j.dev.Threads()+j.h.H-1)/j.h.H)
		step := roundUp((c.Rows+n-1)/n, kernel.QueryLanes)
		for hi := c.Rows; hi > 0; hi = (hi - 1) / step * step { // the last rows, which see most, come first
			for head := range j.h.H {
				j.parts = append(j.parts, pagedPart{i, (hi - 1) / step * step, hi, head})
			}
		}
	}
}

// keyRow and valueRow are the elements of rows of a block: a head's [k_nope | kR], and its values.
func (j *pagedAttention) keyRow() int   { return j.h.N + j.h.R }
func (j *pagedAttention) valueRow() int { return j.h.V }

func (j *pagedAttention) reserve() {
	most := 0
	for _, t := range j.parts {
		most = max(most, t.hi-t.lo)
	}
	h, groups := j.h, (most+kernel.QueryLanes-1)/kernel.QueryLanes
	for i := range j.dev.workers {
		w := &j.dev.workers[i].paged
		grow(&w.latents, max(runKeys*j.p.width(), h.C*max(h.N, h.V)+max(h.C, h.N)))
		grow(&w.row, j.p.halvesRow())
		grow(&w.keys, runKeys*j.keyRow())
		grow(&w.values, runKeys*j.valueRow())
		w.block.Reserve(j.prec, runKeys, j.keyRow(), j.valueRow())
		if kernel.KeysInPlace(j.prec) {
			grow(&w.halves, runKeys*(kernel.RowWidth(j.keyRow())+kernel.RowWidth(j.valueRow()))+kernel.RowWidth(max(j.keyRow(), j.valueRow())))
		}
		for len(w.queries) < groups {
			w.queries = append(w.queries, kernel.Queries{})
			w.sums = append(w.sums, kernel.Sums{})
		}
		for g := range groups {
			w.queries[g].Reset(j.prec, kernel.QueryLanes, j.keyRow())
			w.sums[g].Reset(j.prec, h.V, nil)
		}
	}
	for len(j.wUK) < h.H {
		j.wUK, j.wUV = append(j.wUK, kernel.Packed{}), append(j.wUV, kernel.Packed{})
	}
}

// packWeightsJob packs a head's weights in each part.
type packWeightsJob struct {
	*pagedAttention
	uk, uv *weight
}

// Do packs one head's weights.
func (j *packWeightsJob) Do(worker, head int) {
	h, x := j.h, j.dev.workers[worker].paged.latents
	row, uk, uv := x[:max(h.C, h.N)], x[max(h.C, h.N):][:h.N*h.C], x[max(h.C, h.N):][:h.C*h.V]
	j.uk.ReadColumns(uk, h.C, head, row[:h.N])
	j.wUK[head].Pack(kernel.NT, j.prec, h.N, h.C, uk, h.C)
	j.uv.ReadColumns(uv, h.V, head, row[:h.C])
	j.wUV[head].Pack(kernel.NN, j.prec, h.V, h.C, uv, h.V)
}

// Do computes one head's outputs for some rows of a context.
func (j *pagedAttention) Do(worker, part int) {
	t, h, w, ws := j.parts[part], j.h, &j.dev.workers[worker].paged, j.dev.workers[worker].ws
	c := j.contexts[t.context]
	groups := (t.hi - t.lo + kernel.QueryLanes - 1) / kernel.QueryLanes
	for g := range groups {
		lo := t.lo + g*kernel.QueryLanes
		w.queries[g].Reset(j.prec, min(kernel.QueryLanes, t.hi-lo), j.keyRow())
		w.queries[g].Set(0, j.keyRow(), j.q.from(c.First+lo, t.head*j.keyRow()), j.q.stride)
		w.sums[g].Reset(j.prec, h.V, nil)
	}
	for first := 0; first < c.Past+t.hi; first += runKeys {
		j.block(w, ws, c, t.head, first, min(runKeys, c.Past+t.hi-first))
		for g := range groups {
			ws.Attend(&w.sums[g], &w.queries[g], &w.block, h.Scale, c.Past+t.lo+g*kernel.QueryLanes+1-first, 1)
		}
	}
	for i := range t.hi - t.lo {
		w.sums[i/kernel.QueryLanes].Value(j.o.row(c.First + t.lo + i)[t.head*h.V:][:h.V], i%kernel.QueryLanes)
	}
}

// block makes keys [first, first+n) of a context and their values, for one head.
func (j *pagedAttention) block(w *pagedScratch, ws *kernel.Workspace, c device.Context, head, first, n int) {
	h, p, width, stride := j.h, j.p, j.p.width(), j.keyRow()
	for i := range n {
		row := w.latents[i*width:][:width]
		p.widen(row, p.of(j.layer, c.Table, first+i), w.row)
		copy(w.keys[i*stride+h.N:][:h.R], row[p.c:])
	}
	ws.Gemm(kernel.NT, j.prec, kernel.Product{M: n, N: h.N, K: h.C, A: w.latents, LDA: width, Packed: &j.wUK[head], C: w.keys, LDC: stride})
	ws.Gemm(kernel.NN, j.prec, kernel.Product{M: n, N: h.V, K: h.C, A: w.latents, LDA: width, Packed: &j.wUV[head], C: w.values, LDC: h.V})
	if !kernel.KeysInPlace(j.prec) {
		w.block.Pack(j.prec, n, stride, h.V, w.keys, stride, w.values, h.V)
		return
	}
	keyRow, valueRow := kernel.RowWidth(stride), kernel.RowWidth(h.V)
	values := runKeys * keyRow
	zero := values + runKeys*valueRow
	clear(w.halves[zero:])
	w.block.InPlace(j.prec, stride, h.V, w.halves, zero)
	for i := range n {
		key, value := i*keyRow, values+i*valueRow
		kernel.NarrowBF16(w.halves[key:][:stride], w.keys[i*stride:][:stride])
		clear(w.halves[key+stride : key+keyRow])
		kernel.NarrowBF16(w.halves[value:][:h.V], w.values[i*h.V:][:h.V])
		clear(w.halves[value+h.V : value+valueRow])
		w.block.Place(key, value, 0, 1)
	}
}
