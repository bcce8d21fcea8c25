package kernel

import "fmt"

// WeightProduct is C = A·Wᵀ of M rows of A and a part of a weight, or C += with Accumulate. The rows are those that Index names, or
// where it is nil the M from First on.
type WeightProduct struct {
	M          int
	A          *Rows
	First      int
	Index      []int32
	W          *Weight
	Part       int
	C          []float32
	LDC        int
	Accumulate bool
}

func (p *WeightProduct) check() {
	n, k := p.W.n, p.W.k
	rows := p.First >= 0 && p.First <= p.A.n-p.M
	if p.Index != nil {
		rows = len(p.Index) == p.M
		for _, i := range p.Index {
			rows = rows && i >= 0 && int(i) < p.A.n
		}
	}
	if !rows || p.M < 0 || p.A.k != k || !p.A.Fits(p.W.format) || p.Part < 0 || p.Part >= p.W.parts || !fits(p.C, p.M, n, p.LDC) {
		panic(fmt.Sprintf("kernel: product of %d rows (from %d, %d indices) of %d x %d in form %d with part %d of %d x %d x %d in format %d, to %d elements in rows of %d",
			p.M, p.First, len(p.Index), p.A.n, p.A.k, p.A.form, p.Part, p.W.parts, n, k, p.W.format, len(p.C), p.LDC))
	}
}

// offset is where row i begins in A's data.
func (p *WeightProduct) offset(i int) int {
	if p.Index != nil {
		return int(p.Index[i]) * p.A.stride
	}
	return (p.First + i) * p.A.stride
}

// Multiply computes products together on all workers. They are independent of each other: none writes what another touches.
func (p *Pool) Multiply(products ...WeightProduct) {
	j := &p.weights
	j.products = append(j.products[:0], products...)
	j.plan(p.Workers())
	p.Run(j, len(j.parts))
	clear(j.products) // let go of the matrices
}

// weightJob is a list of products, cut into parts.
type weightJob struct {
	products []WeightProduct
	parts    []weightPart
	space    []tileSpace // of each worker
}

// weightPart is rows [m0, m1) of a product and panels [p0, p1) of its weight.
type weightPart struct{ product, m0, m1, p0, p1 int }

const (
	weightPart0 = 1 << 16 // multiply-adds of the smallest part: some microseconds
	blockBytes  = 1 << 18 // of the rows of a part: they stay in the second cache while panel after panel goes by
)

// plan cuts the products: first into blocks of rows, then into runs of panels. A run is so large that half of what is left would
// go round: the first ones are long, since memory is fast where it is read on and on, and the last ones short, so that workers end together.
func (j *weightJob) plan(workers int) {
	if j.space == nil {
		j.space = make([]tileSpace, workers)
	}
	j.parts = j.parts[:0]
	left := 0
	for i := range j.products {
		pr := &j.products[i]
		pr.check()
		left += pr.M * panels(pr.W.n) * max(1, pr.W.k)
	}
	for i := range j.products {
		pr := &j.products[i]
		if pr.M == 0 || pr.W.n == 0 {
			continue
		}
		rows := max(tileRows, blockBytes/pr.A.stride/tileRows*tileRows)
		for m := 0; m < pr.M; m += rows {
			mEnd := min(m+rows, pr.M)
			panel, all := (mEnd-m)*max(1, pr.W.k), panels(pr.W.n)
			for p := 0; p < all; {
				step := min(all-p, max(1, weightPart0/panelRows/panel, left/(2*workers*panel)))
				j.parts = append(j.parts, weightPart{i, m, mEnd, p, p + step})
				p, left = p+step, left-step*panel
			}
		}
	}
}

// Do computes a part.
func (j *weightJob) Do(worker, part int) {
	t := j.parts[part]
	pr, s := &j.products[t.product], &j.space[worker]
	tile := weightTileOf(pr.W.format)
	if pr.W.k == 0 {
		tile = portableTiles[pr.W.format]
	}
	size := pr.W.format.panelBytes(pr.W.k)
	mem := pr.W.mem[(pr.Part*panels(pr.W.n)+t.p0)*size:]
	if t.m1-t.m0 <= tileRows {
		pr.place(s, t.m0, t.m1)
	}
	for p := t.p0; p < t.p1; p++ {
		w, n := mem[:size], p*panelRows
		mem = mem[size:]
		cols := min(panelRows, pr.W.n-n)
		for m := t.m0; m < t.m1; m += tileRows {
			if t.m1-t.m0 > tileRows {
				pr.place(s, m, min(m+tileRows, t.m1))
			}
			tile(pr.W.k, w, pr.A.data, s, pr.C[m*pr.LDC+n:], pr.LDC, cols, pr.Accumulate)
		}
	}
}

// place makes rows [m0, m1) of A those of the tile.
func (p *WeightProduct) place(s *tileSpace, m0, m1 int) {
	s.rows = m1 - m0
	for i := range s.rows {
		s.off[i] = p.offset(m0 + i)
	}
}
