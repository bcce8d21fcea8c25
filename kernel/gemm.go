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
	FP8            // both rounded to E4M3 with scales; sums stay float32: see fp8.go
)

// Product is C = op(A, B), or C += with Accumulate. LDA, LDB and LDC are the elements from a row to the next. C overlaps
// neither A nor B. Packed, where it is not nil, is B packed beforehand, with the same Op and Precision; it may have more columns
// and k's, of which the first N and K count.
type Product struct {
	M, N, K    int
	A          []float32
	LDA        int
	B          []float32
	LDB        int
	Packed     *Packed
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
	b := fits(p.B, br, bc, p.LDB)
	if p.Packed != nil {
		b = p.Packed.n >= p.N && p.Packed.k >= p.K
	}
	if p.M < 0 || p.N < 0 || p.K < 0 || !fits(p.A, ar, ac, p.LDA) || !b || !fits(p.C, p.M, p.N, p.LDC) {
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
	a, b     []float32
	q, scale []float32 // a block of either in E4M3, and its scales
	packedB  Packed    // B of a product in FP8
	scores   []float32 // of Attend
	weights  []float32 // likewise, as pairs of bfloat16
	tile     [maxTile]float32
}

// maxTile is the most outputs that any tile has.
const maxTile = 12 * 32

// NewWorkspace makes one that suits most products; for a few rows of a long K, or FP8 outside of a Pool, it grows.
func NewWorkspace() *Workspace {
	return &Workspace{
		a: make([]float32, blockM*blockK), b: make([]float32, blockN*blockK),
		q: make([]float32, fp8Group*fp8Group), scale: make([]float32, fp8Group),
		scores: make([]float32, QueryLanes*(BlockKeys+8)), weights: make([]float32, QueryLanes*BlockKeys/2),
	}
}

// Gemm computes a product on the calling goroutine.
func (ws *Workspace) Gemm(op Op, prec Precision, p Product) {
	p.check(op)
	ws.gemm(current(prec), op, prec, &p, 0, p.M, 0, p.N)
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
	if p.Packed != nil {
		p.Packed.check(im, prec)
		ws.packed(im, op, prec, p, m0, m1, n0, n1)
		return
	}
	if prec == FP8 {
		ws.packedB.reset(im, prec, p.N, p.K)
		ws.packedB.fill(ws, op, p, 0, p.N)
		q := *p
		q.Packed = &ws.packedB
		ws.packed8(im, op, &q, m0, m1, n0, n1)
		return
	}
	if m1-m0 <= blockM {
		ws.few(im, op, prec, p, m0, m1, n0, n1)
		return
	}
	for n := n0; n < n1; n += blockN {
		nEnd := min(n+blockN, n1)
		for k := 0; k < p.K; k += blockK {
			kc := min(blockK, p.K-k)
			b := ws.packB(im, op, prec, p, k, kc, n, nEnd)
			for m := m0; m < m1; m += blockM {
				mEnd := min(m+blockM, m1)
				a, height := ws.packA(im, op, prec, p, k, kc, m, mEnd)
				ws.multiply(im, p, kc, height, a, b, m, mEnd, n, nEnd, k > 0 || p.Accumulate)
			}
		}
	}
}

// few computes a block of rows no higher than blockM: each panel of B is used as soon as it is packed, while it is in the first
// cache.
func (ws *Workspace) few(im *gemmImpl, op Op, prec Precision, p *Product, m0, m1, n0, n1 int) {
	for k := 0; k < p.K; k += blockK {
		kc := min(blockK, p.K-k)
		a, height := ws.packA(im, op, prec, p, k, kc, m0, m1)
		for n := n0; n < n1; n += im.nr {
			nEnd := min(n+im.nr, n1)
			b := ws.packB(im, op, prec, p, k, kc, n, nEnd)
			ws.multiply(im, p, kc, height, a, b, m0, m1, n, nEnd, k > 0 || p.Accumulate)
		}
	}
}

// multiply multiplies the packed block a of A, in panels of height, with packed columns b of B.
func (ws *Workspace) multiply(im *gemmImpl, p *Product, kc, height int, a, b []float32, m, mEnd, n, nEnd int, add bool) {
	words := im.words(kc)
	for j := n; j < nEnd; j += im.nr {
		panel := b[(j-n)*words:]
		for i := m; i < mEnd; i += height {
			rows, cols := min(height, mEnd-i), min(im.nr, nEnd-j)
			if cols < im.nr {
				ws.edge(im, p, words, a[(i-m)*words:], panel, i, j, rows, cols, add)
				continue
			}
			im.tile(rows, words, a[(i-m)*words:], panel, p.C[i*p.LDC+j:], p.LDC, add)
		}
	}
}

// edge computes a tile that has only cols columns: half a tile, or the whole beside C.
func (ws *Workspace) edge(im *gemmImpl, p *Product, words int, a, b []float32, i, j, rows, cols int, add bool) {
	if im.half != nil && cols <= im.nr/2 {
		im.half(rows, words, a, b, p.C[i*p.LDC+j:], p.LDC, cols, add)
		return
	}
	t := ws.tile[:rows*im.nr]
	if add {
		for r := range rows {
			copy(t[r*im.nr:r*im.nr+cols], p.C[(i+r)*p.LDC+j:])
		}
	}
	im.tile(rows, words, a, b, t, im.nr, add)
	for r := range rows {
		copy(p.C[(i+r)*p.LDC+j:(i+r)*p.LDC+j+cols], t[r*im.nr:])
	}
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// gemmImpl is one implementation of the inner loops. It reads A and B packed in panels, of which a row is as wide as the panel
// and holds one word for each column: one float32, or depth bfloat16's.
type gemmImpl struct {
	name   string
	mr, nr int // the largest tile
	depth  int // k's in a word
	// tile adds the product of packed panels of rows, at most mr, and nr columns to C, or overwrites C with it where add is
	// false: one accumulator for each output, k ascending.
	tile func(rows, words int, a, b, c []float32, ldc int, add bool)
	// half is tile for the first cols columns alone, at most nr/2; nil where there is none.
	half func(rows, words int, a, b, c []float32, ldc, cols int, add bool)
	// scaled adds the product of panels of nr columns to C, or overwrites C with it, each sum times scaleA of its row and scaleB of
	// its column; nil where there is none.
	scaled func(rows, words int, a, b, c []float32, ldc int, scaleA, scaleB []float32, add bool)
	// packRows lays kc rows of panels·width columns out as so many panels; of each only the first cols columns are read, the
	// others being zero.
	packRows func(dst, src []float32, ld, kc, panels, cols, width int)
	// packColumns turns cols rows of kc elements into the columns of one panel, columns past them being zero.
	packColumns func(dst, src []float32, ld, kc, cols, width int)
	// round rounds to bfloat16; nil where packing does.
	round func(x []float32)
	// rowPacked adds a times four packed panels of B, stride elements apart, to 4·nr elements of c.
	rowPacked func(c, a, b []float32, stride int)
}

// words is the length of a packed column of kc elements.
func (im *gemmImpl) words(kc int) int { return (kc + im.depth - 1) / im.depth }
