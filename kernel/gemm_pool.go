package kernel

import (
	"runtime"
	"sync/atomic"
)

// Gemm computes products together on all workers. They are independent of each other: none writes what another touches.
func (p *Pool) Gemm(op Op, prec Precision, products ...Product) {
	j := &p.products
	j.pool, j.im, j.op, j.prec = p, current(prec), op, prec
	j.products = append(j.products[:0], products...)
	j.plan()
	p.Run(j, len(j.parts))
	clear(j.products) // let go of the matrices
}

// Pack is b.Pack on all workers.
func (p *Pool) Pack(b *Packed, op Op, prec Precision, n, k int, x []float32, ld int) {
	j := &p.products
	j.pool, j.im, j.op, j.prec = p, current(prec), op, prec
	j.products = append(j.products[:0], Product{N: n, K: k, B: x, LDB: ld})
	j.products[0].check(op)
	j.parts = j.parts[:0]
	j.share(0, b)
	p.Run(j, len(j.parts))
	j.shared[0].packed = nil
	clear(j.products)
}

// productJob is a list of products, cut into parts. A product of many rows has its B packed once, by parts that come before those that
// multiply with it.
type productJob struct {
	pool     *Pool
	im       *gemmImpl
	op       Op
	prec     Precision
	products []Product
	shared   []*sharedB // of each product
	parts    []productPart
}

// sharedB is a product's B, packed by several workers.
type sharedB struct {
	packed *Packed
	own    Packed
	left   atomic.Int32 // parts of packing that are not finished
}

// productPart is rows [m0, m1) and columns [n0, n1) of a product's C, or the packing of these columns of B where m1 is 0.
type productPart struct{ product, m0, m1, n0, n1 int }

// Parts are so large that handing them out costs nothing beside them, and so many that workers end together.
const (
	minPart        = 1 << 17 // multiply-adds
	partsPerWorker = 4
	sharedRows     = 24 // fewer rows are cut by columns, and every part packs its own B
	packPart       = 1 << 16
)

// plan cuts each product.
func (j *productJob) plan() {
	j.parts = j.parts[:0]
	for i := range j.products {
		pr := &j.products[i]
		pr.check(j.op)
		j.share(i, nil)
		switch {
		case pr.M == 0 || pr.N == 0:
		case pr.M >= sharedRows || j.prec == FP8:
			if pr.Packed == nil && pr.K > 0 {
				j.share(i, &j.shared[i].own)
			}
			j.byRows(i)
		default:
			j.byColumns(i)
		}
		if pr.M <= fewRows {
			for _, ws := range j.pool.workspaces { // whichever worker will need it
				ws.a = grow(ws.a, pr.M*j.im.words(pr.K))
			}
		}
	}
}

// share plans the packing of a product's B into b; nil is none.
func (j *productJob) share(i int, b *Packed) {
	if len(j.shared) <= i {
		j.shared = append(j.shared, new(sharedB))
	}
	pr, s := &j.products[i], j.shared[i]
	s.packed = b
	if b == nil {
		return
	}
	b.reset(j.im, j.prec, pr.N, pr.K)
	unit := j.im.nr
	if j.prec == FP8 {
		unit = fp8Group
	}
	step := max(1, packPart/(unit*max(1, pr.K))) * unit
	first := len(j.parts)
	for n := 0; n < pr.N; n += step {
		j.parts = append(j.parts, productPart{i, 0, 0, n, min(n+step, pr.N)})
	}
	s.left.Store(int32(len(j.parts) - first))
}

// byRows cuts C into about equal runs of rows, at most blockM each.
func (j *productJob) byRows(i int) {
	pr, workers := &j.products[i], j.pool.Workers()
	n := (pr.M + blockM - 1) / blockM
	if workers > 1 && len(j.products) == 1 {
		enough := min(partsPerWorker*workers, pr.M/sharedRows, pr.M*pr.N*pr.K/minPart)
		n = roundUp(max(n, enough), workers)
	}
	step := (pr.M + n - 1) / n
	for m := 0; m < pr.M; m += step {
		j.parts = append(j.parts, productPart{i, m, min(m+step, pr.M), 0, pr.N})
	}
}

// byColumns cuts C into runs of columns.
func (j *productJob) byColumns(i int) {
	pr := &j.products[i]
	n := 1
	if j.pool.Workers() > 1 {
		n = max(1, min(partsPerWorker*j.pool.Workers(), pr.M*pr.N*max(pr.K, 1)/minPart))
	}
	step := roundUp((pr.N+n-1)/n, j.im.nr)
	for c := 0; c < pr.N; c += step {
		j.parts = append(j.parts, productPart{i, 0, pr.M, c, min(c+step, pr.N)})
	}
}

// Do computes a part. A part that multiplies waits for those that pack: they come earlier and wait for nothing.
func (j *productJob) Do(worker, part int) {
	t := j.parts[part]
	ws, s, pr := j.pool.workspaces[worker], j.shared[t.product], j.products[t.product]
	if t.m1 == 0 {
		s.packed.fill(ws, j.op, &pr, t.n0, t.n1)
		s.left.Add(-1)
		return
	}
	if s.packed != nil {
		for n := 0; s.left.Load() > 0; n++ {
			if n > 1000 {
				runtime.Gosched()
			}
		}
		pr.Packed = s.packed
	}
	ws.gemm(j.im, j.op, j.prec, &pr, t.m0, t.m1, t.n0, t.n1)
}
