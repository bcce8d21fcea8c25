package kernel

// Gemm computes products together on all workers. They are independent of each other: none writes what another touches.
func (p *Pool) Gemm(op Op, prec Precision, products ...Product) {
	j := &p.products
	j.pool, j.im, j.op, j.prec = p, current(prec), op, prec
	j.products = append(j.products[:0], products...)
	j.plan()
	p.Run(j, len(j.parts))
	clear(j.products) // let go of the matrices
}

// productJob is a list of products, cut into parts.
type productJob struct {
	pool     *Pool
	im       *gemmImpl
	op       Op
	prec     Precision
	products []Product
	parts    []productPart
}

// productPart is rows [m0, m1) and columns [n0, n1) of a product's C.
type productPart struct{ product, m0, m1, n0, n1 int }

// Parts are so large that handing them out costs nothing beside them, and so many that workers end together.
const (
	minPart        = 1 << 17 // multiply-adds
	partsPerWorker = 2
)

// plan cuts each product along its longer side.
func (j *productJob) plan() {
	j.parts = j.parts[:0]
	total := 0
	for i := range j.products {
		pr := &j.products[i]
		pr.check(j.op)
		total += pr.M * pr.N * max(pr.K, 1)
	}
	target := max(minPart, total/(partsPerWorker*j.pool.Workers()))
	for i := range j.products {
		pr := &j.products[i]
		if pr.M == 0 || pr.N == 0 {
			continue
		}
		n := 1
		if j.pool.Workers() > 1 {
			n = max(1, pr.M*pr.N*max(pr.K, 1)/target)
		}
		if pr.M >= pr.N {
			step := roundUp((pr.M+n-1)/n, j.im.mr)
			for m := 0; m < pr.M; m += step {
				j.parts = append(j.parts, productPart{i, m, min(m+step, pr.M), 0, pr.N})
			}
			continue
		}
		step := roundUp((pr.N+n-1)/n, j.im.nr)
		for c := 0; c < pr.N; c += step {
			j.parts = append(j.parts, productPart{i, 0, pr.M, c, min(c+step, pr.N)})
		}
	}
}

// Do computes a part.
func (j *productJob) Do(worker, part int) {
	t := j.parts[part]
	j.pool.workspaces[worker].gemm(j.im, j.op, j.prec, &j.products[t.product], t.m0, t.m1, t.n0, t.n1)
}
