package kernel

import "fmt"

// Op says which of a product's matrices are transposed. All are row-major.
type Op uint8

const (
	NT Op = iota // C = A[M,K] · B[N,K]ᵀ
	NN           // C = A[M,K] · B[K,N]
	TN           // C = A[K,M]ᵀ · B[K,N]
)

// Precision is how a product reads its inputs.
type Precision uint8

const (
	F32  Precision = iota
	BF16           // both rounded to bfloat16, to nearest even; sums stay float32
)

// Product is C = op(A, B), or C += with Accumulate. LDA, LDB and LDC are the elements from a row to the next. C overlaps
// neither A nor B.
type Product struct {
	M, N, K    int
	A          []float32
	LDA        int
	B          []float32
	LDB        int
	C          []float32
	LDC        int
	Accumulate bool
}

// check panics where a matrix does not fit its slice.
func (p *Product) check(op Op) {
	ar, ac, br, bc := p.M, p.K, p.N, p.K
	switch op {
	case NN:
		br, bc = p.K, p.N
	case TN:
		ar, ac, br, bc = p.K, p.M, p.K, p.N
	}
	if p.M < 0 || p.N < 0 || p.K < 0 || !fits(p.A, ar, ac, p.LDA) || !fits(p.B, br, bc, p.LDB) || !fits(p.C, p.M, p.N, p.LDC) {
		panic(fmt.Sprintf("kernel: product %d x %d x %d of slices of %d (rows of %d), %d (%d) and %d (%d) elements",
			p.M, p.N, p.K, len(p.A), p.LDA, len(p.B), p.LDB, len(p.C), p.LDC))
	}
}

func fits(x []float32, rows, cols, ld int) bool {
	return rows == 0 || cols == 0 || ld >= cols && len(x) >= (rows-1)*ld+cols
}

// Blocking: a panel of B, blockK x the tile's width, stays in the first cache; a block of A, blockM x blockK, in the second.
const (
	blockK = 256
	blockM = 96
	blockN = 1024
)

// Workspace is one goroutine's space for packing.
type Workspace struct {
	a, b []float32
	tile [maxTile]float32
}

// maxTile is the most outputs that any tile has.
const maxTile = 12 * 32

// NewWorkspace makes an empty one; it grows when it is used.
func NewWorkspace() *Workspace { return &Workspace{} }

// Gemm computes a product on the calling goroutine.
func (ws *Workspace) Gemm(op Op, prec Precision, p Product) {
	p.check(op)
	ws.gemm(current(), op, prec, &p, 0, p.M, 0, p.N)
}

// gemm computes rows [m0, m1) and columns [n0, n1) of C.
func (ws *Workspace) gemm(im *gemmImpl, op Op, prec Precision, p *Product, m0, m1, n0, n1 int) {
	if m0 >= m1 || n0 >= n1 {
		return
	}
	if p.K == 0 {
		if !p.Accumulate {
			for i := m0; i < m1; i++ {
				clear(p.C[i*p.LDC+n0 : i*p.LDC+n1])
			}
		}
		return
	}
	for n := n0; n < n1; n += blockN {
		nEnd := min(n+blockN, n1)
		for k := 0; k < p.K; k += blockK {
			kc := min(blockK, p.K-k)
			ws.packB(im, op, prec, p, k, kc, n, nEnd)
			for m := m0; m < m1; m += blockM {
				mEnd := min(m+blockM, m1)
				ws.packA(im, op, prec, p, k, kc, m, mEnd)
				ws.block(im, p, kc, m, mEnd, n, nEnd, k > 0 || p.Accumulate)
			}
		}
	}
}

// block multiplies the packed block of A with the packed columns of B.
func (ws *Workspace) block(im *gemmImpl, p *Product, kc, m, mEnd, n, nEnd int, add bool) {
	for j := n; j < nEnd; j += im.nr {
		b := ws.b[(j-n)*kc:]
		for i := m; i < mEnd; i += im.mr {
			a := ws.a[(i-m)*kc:]
			if rows, cols := min(im.mr, mEnd-i), min(im.nr, nEnd-j); rows < im.mr || cols < im.nr {
				ws.edge(im, p, kc, a, b, i, j, rows, cols, add)
				continue
			}
			im.tile(kc, a, b, p.C[i*p.LDC+j:], p.LDC, add)
		}
	}
}

// edge computes a tile of which only rows x cols are there: the whole is computed beside C.
func (ws *Workspace) edge(im *gemmImpl, p *Product, kc int, a, b []float32, i, j, rows, cols int, add bool) {
	t := ws.tile[:im.mr*im.nr]
	if add {
		for r := range rows {
			copy(t[r*im.nr:r*im.nr+cols], p.C[(i+r)*p.LDC+j:])
		}
	}
	im.tile(kc, a, b, t, im.nr, add)
	for r := range rows {
		copy(p.C[(i+r)*p.LDC+j:(i+r)*p.LDC+j+cols], t[r*im.nr:])
	}
}

// packA lays rows [m, mEnd) and k's [k, k+kc) of A out as panels of mr rows: element (i, kk) of a panel at kk·mr + i. Rows past
// the end are zero.
func (ws *Workspace) packA(im *gemmImpl, op Op, prec Precision, p *Product, k, kc, m, mEnd int) {
	ws.a = grow(ws.a, roundUp(mEnd-m, im.mr)*kc)
	for i := m; i < mEnd; i += im.mr {
		dst, rows := ws.a[(i-m)*kc:(i-m+im.mr)*kc], min(im.mr, mEnd-i)
		if op == TN {
			packRows(im, dst, p.A[k*p.LDA+i:], p.LDA, kc, rows, im.mr)
		} else {
			packColumns(im, dst, p.A[i*p.LDA+k:], p.LDA, kc, rows, im.mr)
		}
	}
	if prec == BF16 {
		roundBF16(ws.a[:roundUp(mEnd-m, im.mr)*kc])
	}
}

// packB is packA for B, with panels of nr columns of C.
func (ws *Workspace) packB(im *gemmImpl, op Op, prec Precision, p *Product, k, kc, n, nEnd int) {
	ws.b = grow(ws.b, roundUp(nEnd-n, im.nr)*kc)
	for j := n; j < nEnd; j += im.nr {
		dst, cols := ws.b[(j-n)*kc:(j-n+im.nr)*kc], min(im.nr, nEnd-j)
		if op == NT {
			packColumns(im, dst, p.B[j*p.LDB+k:], p.LDB, kc, cols, im.nr)
		} else {
			packRows(im, dst, p.B[k*p.LDB+j:], p.LDB, kc, cols, im.nr)
		}
	}
	if prec == BF16 {
		roundBF16(ws.b[:roundUp(nEnd-n, im.nr)*kc])
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// packRows copies kc rows of n elements to rows of width.
func packRows(im *gemmImpl, dst, src []float32, ld, kc, n, width int) {
	if n == width && im.copyRows(dst, src, ld, kc, width) {
		return
	}
	for k := range kc {
		row := dst[k*width : (k+1)*width]
		copy(row, src[k*ld:k*ld+n])
		clear(row[n:])
	}
}

// packColumns transposes n rows of kc elements to kc rows of width.
func packColumns(im *gemmImpl, dst, src []float32, ld, kc, n, width int) {
	done := 0
	if n == width {
		done = im.transpose(dst, src, ld, kc, width)
	}
	if done == kc {
		return
	}
	for i := range width {
		if i >= n {
			for k := done; k < kc; k++ {
				dst[k*width+i] = 0
			}
			continue
		}
		for k, x := range src[i*ld+done : i*ld+kc] {
			dst[(done+k)*width+i] = x
		}
	}
}

// gemmImpl is one implementation of the tile.
type gemmImpl struct {
	name   string
	mr, nr int
	// tile adds the product of packed panels to C's mr x nr elements, or overwrites them with it where add is false: one
	// accumulator for each, k ascending.
	tile func(kc int, a, b, c []float32, ldc int, add bool)
	// copyRows packs whole rows, if it can.
	copyRows func(dst, src []float32, ld, kc, width int) bool
	// transpose packs as many of kc columns as it can, and says how many.
	transpose func(dst, src []float32, ld, kc, width int) int
}
