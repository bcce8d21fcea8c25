package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var ops = []Op{NT, NN, TN}

func (op Op) String() string { return [...]string{"NT", "NN", "TN"}[op] }

// randomProduct has leading dimensions larger than needed, and NaN where nothing may be read.
func randomProduct(rng *rand.Rand, op Op, m, n, k int, accumulate bool) Product {
	matrix := func(rows, cols int) ([]float32, int) {
		ld := cols + rng.IntN(4)
		x := make([]float32, max(0, (rows-1)*ld+cols))
		for i := range x {
			if x[i] = float32(rng.NormFloat64()); ld > 0 && i%ld >= cols {
				x[i] = float32(math.NaN())
			}
		}
		return x, ld
	}
	p := Product{M: m, N: n, K: k, Accumulate: accumulate}
	switch op {
	case NT:
		p.A, p.LDA = matrix(m, k)
		p.B, p.LDB = matrix(n, k)
	case NN:
		p.A, p.LDA = matrix(m, k)
		p.B, p.LDB = matrix(k, n)
	case TN:
		p.A, p.LDA = matrix(k, m)
		p.B, p.LDB = matrix(k, n)
	}
	p.C, p.LDC = matrix(m, n)
	return p
}

// reference is C in float64, and the sum of magnitudes that bounds its error.
func reference(op Op, prec Precision, p Product) (c, size []float64) {
	at := func(x []float32, i int) float64 {
		if prec == BF16 {
			return float64(toBF16(x[i]))
		}
		return float64(x[i])
	}
	for i := range p.M {
		for j := range p.N {
			sum, abs := 0.0, 0.0
			if p.Accumulate {
				sum = float64(p.C[i*p.LDC+j])
				abs = math.Abs(sum)
			}
			for k := range p.K {
				var x float64
				switch op {
				case NT:
					x = at(p.A, i*p.LDA+k) * at(p.B, j*p.LDB+k)
				case NN:
					x = at(p.A, i*p.LDA+k) * at(p.B, k*p.LDB+j)
				case TN:
					x = at(p.A, k*p.LDA+i) * at(p.B, k*p.LDB+j)
				}
				sum += x
				abs += math.Abs(x)
			}
			c, size = append(c, sum), append(size, abs)
		}
	}
	return c, size
}

var shapes = [][3]int{
	{1, 1, 1}, {1, 16, 8}, {6, 16, 8}, {6, 16, 16}, {5, 15, 7}, {7, 17, 9}, {12, 32, 24}, {1, 100, 33}, {3, 48, 300}, {100, 1, 257},
	{13, 37, 513}, {97, 33, 40}, {33, 1030, 17}, {0, 5, 3}, {5, 0, 3}, {4, 5, 0},
}

func TestGemm(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		ws := NewWorkspace()
		for _, op := range ops {
			for _, prec := range []Precision{F32, BF16} {
				for i, s := range shapes {
					p := randomProduct(rng, op, s[0], s[1], s[2], i%2 == 0)
					want, size := reference(op, prec, p)
					before := slices.Clone(p.C)
					packed := p
					packed.C = slices.Clone(p.C)
					ws.Gemm(op, prec, p)
					checkProduct(t, fmt.Sprintf("%v %v precision %d", op, s, prec), p, before, want, size)
					packed.Packed = Pack(op, prec, p.N, p.K, p.B, p.LDB)
					packed.B = nil
					ws.Gemm(op, prec, packed)
					if !sameBits(p.C, packed.C) {
						t.Errorf("%v %v precision %d: with B packed beforehand C has other bits", op, s, prec)
					}
					packed.C = slices.Clone(before)
					packed.Packed = packedLonger(op, prec, p)
					ws.Gemm(op, prec, packed)
					if !sameBits(p.C, packed.C) {
						t.Errorf("%v %v precision %d: with more of B packed beforehand C has other bits", op, s, prec)
					}
				}
			}
		}
	})
}

// packedLonger packs p's B with more columns and k's after it.
func packedLonger(op Op, prec Precision, p Product) *Packed {
	rows, cols := p.N, p.K
	if op != NT {
		rows, cols = p.K, p.N
	}
	const more = 35
	b := make([]float32, (rows+more)*(cols+more))
	for i := range b {
		b[i] = 3
	}
	for i := range rows {
		copy(b[i*(cols+more):][:cols], p.B[min(i*p.LDB, len(p.B)):])
	}
	return Pack(op, prec, p.N+more, p.K+more, b, cols+more)
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// checkProduct allows each output one rounding (2^-24 relative) for each of its K steps, products not fused making two of it,
// and demands that nothing beside C's columns changed.
func checkProduct(t *testing.T, what string, p Product, before []float32, want, size []float64) {
	t.Helper()
	for i := range p.M {
		for j := range p.N {
			bound := 2 * float64(p.K+1) * 0x1p-24 * size[i*p.N+j]
			if got := float64(p.C[i*p.LDC+j]); !(math.Abs(got-want[i*p.N+j]) <= bound) {
				t.Fatalf("%s: C[%d,%d] is %v, want %v within %.2g", what, i, j, got, want[i*p.N+j], bound)
			}
		}
	}
	for i, x := range p.C {
		if p.LDC > 0 && i%p.LDC >= p.N && math.Float32bits(x) != math.Float32bits(before[i]) {
			t.Fatalf("%s: element %d, outside C, changed", what, i)
		}
	}
}

// TestRowAloneIsRowInBatch: a row of C has the same bits whatever else is computed with it.
func TestRowAloneIsRowInBatch(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		ws := NewWorkspace()
		for _, op := range ops {
			for _, prec := range []Precision{F32, BF16} {
				for _, s := range [][3]int{{40, 37, 300}, {100, 16, 64}, {9, 1100, 530}} {
					p := randomProduct(rng, op, s[0], s[1], s[2], false)
					ws.Gemm(op, prec, p)
					for _, lo := range []int{0, 5, s[0] - 1} {
						for _, n := range []int{1, 2, 7} {
							rowsAlone(t, ws, op, prec, p, lo, min(lo+n, s[0]))
						}
					}
				}
			}
		}
	})
}

func rowsAlone(t *testing.T, ws *Workspace, op Op, prec Precision, p Product, lo, hi int) {
	t.Helper()
	q := p
	q.M = hi - lo
	if op == TN {
		q.A = p.A[lo:]
	} else {
		q.A = p.A[lo*p.LDA:]
	}
	q.C, q.LDC = make([]float32, q.M*q.N), q.N
	ws.Gemm(op, prec, q)
	for i := range q.M {
		if !slices.Equal(q.C[i*q.N:(i+1)*q.N], p.C[(lo+i)*p.LDC:(lo+i)*p.LDC+p.N]) {
			t.Fatalf("%v precision %d, %d x %d x %d: row %d alone among %d differs from the row in the batch", op, prec, p.M, p.N, p.K, lo+i, q.M)
		}
	}
}

func TestWorkersDoNotMatter(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		for _, op := range ops {
			var want [][]float32
			for _, workers := range []int{1, 2, 3, 5} {
				rng := rand.New(rand.NewPCG(5, 6))
				pool := NewPool(workers)
				var products []Product
				for _, s := range [][3]int{{300, 130, 270}, {3, 900, 64}, {0, 4, 4}, {65, 65, 1}, {7, 5, 0}} {
					products = append(products, randomProduct(rng, op, s[0], s[1], s[2], false))
				}
				pool.Gemm(op, F32, products...)
				pool.Close()
				for i, p := range products {
					c := make([]float32, 0, p.M*p.N)
					for r := range p.M {
						c = append(c, p.C[r*p.LDC:r*p.LDC+p.N]...)
					}
					if workers == 1 {
						want = append(want, c)
					} else if !slices.Equal(c, want[i]) {
						t.Errorf("%v: product %d with %d workers differs from that with one", op, i, workers)
					}
				}
			}
		}
	})
}

func TestGemmPanicsOnSizes(t *testing.T) {
	good := Product{M: 2, N: 3, K: 4, A: make([]float32, 8), LDA: 4, B: make([]float32, 12), LDB: 4, C: make([]float32, 6), LDC: 3}
	NewWorkspace().Gemm(NT, F32, good)
	for name, change := range map[string]func(*Product){
		"A short":    func(p *Product) { p.A = p.A[:7] },
		"B short":    func(p *Product) { p.B = p.B[:11] },
		"C short":    func(p *Product) { p.C = p.C[:5] },
		"LDA small":  func(p *Product) { p.LDA = 3 },
		"negative M": func(p *Product) { p.M = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			p := good
			change(&p)
			NewWorkspace().Gemm(NT, F32, p)
		})
	}
}

func TestBF16RoundsToNearestEven(t *testing.T) {
	for _, c := range []struct{ x, want float32 }{
		{1, 1}, {1 + 0x1p-8, 1}, {1 + 0x1p-8 + 0x1p-20, 1 + 0x1p-7}, {1 + 3*0x1p-8, 1 + 0x1p-6}, {-1 - 0x1p-8, -1},
		{math.MaxFloat32, float32(math.Inf(1))}, {float32(math.Inf(-1)), float32(math.Inf(-1))},
	} {
		if got := toBF16(c.x); got != c.want {
			t.Errorf("%v becomes %v, want %v", c.x, got, c.want)
		}
	}
	if got := toBF16(float32(math.NaN())); got == got {
		t.Errorf("NaN becomes %v", got)
	}
}

func TestPoolGemmAllocatesNothing(t *testing.T) {
	pool := NewPool(2)
	defer pool.Close()
	p := randomProduct(rand.New(rand.NewPCG(1, 1)), NT, 200, 200, 100, false)
	list := []Product{p, p}
	list[1].C = make([]float32, len(p.C))
	if n := testing.AllocsPerRun(20, func() { pool.Gemm(NT, F32, list...) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
