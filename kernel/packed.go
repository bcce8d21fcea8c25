package kernel

import "fmt"

// Packed is a product's B, laid out once for the kernels that will read it many times: panels of the tile's width, each with all
// of K. A row of A then costs no more than reading it.
type Packed struct {
	n, k int
	im   *gemmImpl
	prec Precision
	data []float32 // panel j, columns [j·nr, (j+1)·nr), at j·nr·words(k)

	scale []float32 // of FP8: panel j's at j·nr·groups(k), nr for each group of k's
}

// Pack lays B out as op has it: [n, k] for NT, [k, n] otherwise, rows ldb elements apart.
func Pack(op Op, prec Precision, n, k int, b []float32, ldb int) *Packed {
	packed := new(Packed)
	packed.Pack(op, prec, n, k, b, ldb)
	return packed
}

// Pack makes b anew, in the space that it has.
func (b *Packed) Pack(op Op, prec Precision, n, k int, x []float32, ld int) {
	p := Product{N: n, K: k, B: x, LDB: ld}
	p.check(op)
	b.reset(current(prec), prec, n, k)
	var ws Workspace
	b.fill(&ws, op, &p, 0, n)
}

// Reserve makes space, so that Pack for as many columns and k's allocates nothing.
func (b *Packed) Reserve(prec Precision, n, k int) { b.reset(current(prec), prec, n, k) }

// reset makes space for k x n elements.
func (b *Packed) reset(im *gemmImpl, prec Precision, n, k int) {
	b.n, b.k, b.im, b.prec = n, k, im, prec
	b.data = grow(b.data, roundUp(n, im.nr)*im.words(k))
	if prec == FP8 {
		b.scale = grow(b.scale, roundUp(n, im.nr)*groups(k))
	}
}

// fill packs columns [n0, n1) of p's B; n0 is a multiple of what columns share: a panel, or the side of a block of FP8.
func (b *Packed) fill(ws *Workspace, op Op, p *Product, n0, n1 int) {
	switch {
	case n0 >= n1 || p.K == 0:
	case b.prec == FP8:
		b.fill8(ws, op, p, n0, n1)
	default:
		packB(b.im, op, b.prec, p, b.panel(n0, 0), 0, p.K, n0, n1)
	}
}

func (b *Packed) check(im *gemmImpl, prec Precision) {
	if b.im != im || b.prec != prec {
		panic(fmt.Sprintf("kernel: B was packed for %s and precision %d, not %s and %d", b.im.name, b.prec, im.name, prec))
	}
}

// panel is the packed columns from n on, a multiple of nr, from k on, a multiple of depth.
func (b *Packed) panel(n, k int) []float32 { return b.data[n*b.im.words(b.k)+k/b.im.depth*b.im.nr:] }

// packed computes rows [m0, m1) and columns [n0, n1) of C.
func (ws *Workspace) packed(im *gemmImpl, op Op, prec Precision, p *Product, m0, m1, n0, n1 int) {
	switch rows := m1 - m0; {
	case prec == FP8:
		ws.packed8(im, op, p, m0, m1, n0, n1)
		return
	case rows == 1 && op != TN && prec == F32:
		n0 += ws.rowPacked(im, p, m0, n0, n1)
	case rows <= fewRows:
		ws.packedFew(im, op, prec, p, m0, m1, n0, n1)
		return
	}
	for m := m0; m < m1; m += blockM {
		mEnd := min(m+blockM, m1)
		for k := 0; k < p.K; k += blockK {
			kc := min(blockK, p.K-k)
			a, height := ws.packA(im, op, prec, p, k, kc, m, mEnd)
			for n := n0; n < n1; n += im.nr {
				ws.multiply(im, p, kc, height, a, p.Packed.panel(n, k), m, mEnd, n, min(n+im.nr, n1), k > 0 || p.Accumulate)
			}
		}
	}
}

// fewRows is the number of rows up to which all of A fits beside a panel of B.
const fewRows = 16

// packedFew reads each panel of B once, from its beginning to its end.
func (ws *Workspace) packedFew(im *gemmImpl, op Op, prec Precision, p *Product, m0, m1, n0, n1 int) {
	rows, height := m1-m0, 0
	ws.a = grow(ws.a, rows*im.words(p.K))
	for k := 0; k < p.K; k += blockK {
		height = packA(im, op, prec, p, ws.a[rows*k/im.depth:], k, min(blockK, p.K-k), m0, m1)
	}
	for n := n0; n < n1; n += im.nr {
		for k := 0; k < p.K; k += blockK {
			kc, a := min(blockK, p.K-k), ws.a[rows*k/im.depth:]
			ws.multiply(im, p, kc, height, a, p.Packed.panel(n, k), m0, m1, n, min(n+im.nr, n1), k > 0 || p.Accumulate)
		}
	}
}

// rowPacked computes one row of C, four panels at a time, and returns for how many columns.
func (ws *Workspace) rowPacked(im *gemmImpl, p *Product, m, n0, n1 int) int {
	width := 4 * im.nr
	n := (n1 - n0) / width * width
	c := p.C[m*p.LDC+n0 : m*p.LDC+n0+n]
	if !p.Accumulate {
		clear(c)
	}
	a := p.A[m*p.LDA : m*p.LDA+p.K]
	for j := 0; j < n; j += width {
		im.rowPacked(c[j:j+width], a, p.Packed.panel(n0+j, 0), im.nr*p.Packed.k)
	}
	return n
}
