package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sprat/float8"
)

func TestRoundE4M3(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		var x []float32
		for b := uint32(0); b < 1<<31; b += 0x3fff1 { // of every exponent, and both signs
			x = append(x, math.Float32frombits(b), math.Float32frombits(b|1<<31))
		}
		for code := range 256 { // every number, and what lies half way
			a, b := float8.DecodeE4M3(uint8(code)), float8.DecodeE4M3(uint8(code+1))
			x = append(x, a, (a+b)/2, float32(math.Nextafter32((a+b)/2, a)), float32(math.Nextafter32((a+b)/2, b)))
		}
		scale := make([]float32, len(x))
		for i := range scale {
			scale[i] = 0.3
		}
		one, by := make([]float32, len(x)), make([]float32, len(x))
		quantise(one, x, 0.3)
		quantiseBy(by, x, scale)
		for i, v := range x {
			want := math.Float32bits(float8.DecodeE4M3(float8.EncodeE4M3(v / 0.3)))
			for _, got := range []float32{one[i], by[i]} {
				if v == v && math.Float32bits(got) != want || v != v && got == got {
					t.Fatalf("%v / 0.3 becomes %v, want %v", v, got, math.Float32frombits(want))
				}
			}
		}
	})
}

// reference8 is C by package float8 and plain loops, in float32 as in the portable kernels, and in float64 with the sum of
// magnitudes that bounds an error.
func reference8(op Op, p Product) (c []float32, exact, size []float64) {
	a, scaleA := quantised(op, p, false)
	b, scaleB := quantised(op, p, true)
	for i := range p.M {
		for j := range p.N {
			sum, sum64, abs := float32(0), 0.0, 0.0
			if p.Accumulate {
				sum = p.C[i*p.LDC+j]
				sum64, abs = float64(sum), math.Abs(float64(sum))
			}
			for k := 0; k < p.K; k += fp8Group {
				scale := float32(scaleA(i, k) * scaleB(j, k))
				inner, inner64, innerAbs := float32(0), 0.0, 0.0
				for l := k; l < min(k+fp8Group, p.K); l++ {
					inner += float32(a(i, l) * b(j, l))
					inner64 += float64(a(i, l)) * float64(b(j, l))
					innerAbs += math.Abs(float64(a(i, l)) * float64(b(j, l)))
				}
				sum += float32(inner * scale)
				sum64 += inner64 * float64(scale)
				abs += innerAbs * float64(scale)
			}
			c, exact, size = append(c, sum), append(exact, sum64), append(size, abs)
		}
	}
	return c, exact, size
}

// quantised is A, or B, quantised by package float8: its elements and scales by row, or column, of C and k.
func quantised(op Op, p Product, isB bool) (at, scale func(i, k int) float32) {
	x, ld, n, byK := p.A, p.LDA, p.M, op == TN
	if isB {
		x, ld, n, byK = p.B, p.LDB, p.N, op != NT
	}
	dense := make([]float32, n*p.K) // [n, K]
	for i := range n {
		for k := range p.K {
			if byK {
				dense[i*p.K+k] = x[k*ld+i]
			} else {
				dense[i*p.K+k] = x[i*ld+k]
			}
		}
	}
	q, blocks := make([]uint8, n*p.K), float8.Blocks(p.K)
	if isB && op != TN {
		s := make([]float32, float8.Blocks(n)*blocks)
		float8.QuantizeBlocks(q, s, dense, n, p.K, false)
		scale = func(i, k int) float32 { return s[i/fp8Group*blocks+k/fp8Group] }
	} else {
		s := make([]float32, n*blocks)
		float8.QuantizeTiles(q, s, dense, n, p.K, false)
		scale = func(i, k int) float32 { return s[i*blocks+k/fp8Group] }
	}
	return func(i, k int) float32 { return float8.DecodeE4M3(q[i*p.K+k]) }, scale
}

// TestFP8: products are those of package float8's numbers. Where one element were quantised otherwise, it would differ by 6 percent or
// more.
func TestFP8(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(19, 20))
		for _, op := range ops {
			for i, s := range append([][3]int{{130, 260, 300}, {64, 33, 128}, {300, 40, 256}}, shapes[:14]...) {
				p := randomProduct(rng, op, s[0], s[1], s[2], i%2 == 0)
				spread(rng, p.A)
				spread(rng, p.B)
				c, exact, size := reference8(op, p)
				before := slices.Clone(p.C)
				one := p
				one.C = slices.Clone(p.C)
				NewWorkspace().Gemm(op, FP8, one)
				what := fmt.Sprintf("%v %v", op, s)
				checkProduct(t, what, one, before, exact, size)
				for i := range p.M {
					row := one.C[i*p.LDC : i*p.LDC+p.N]
					if Active() == portableGemm.name && !sameBits(row, c[i*p.N:(i+1)*p.N]) {
						t.Fatalf("%s: row %d is not the reference's", what, i)
					}
				}
				samePool(t, what, op, p, one)
			}
		}
	})
}

// spread makes magnitudes of rows differ, as scales would have no use otherwise.
func spread(rng *rand.Rand, x []float32) {
	for len(x) > 0 {
		n := min(len(x), 1+rng.IntN(300))
		f := float32(math.Exp(rng.NormFloat64() * 3))
		for i := range x[:n] {
			x[i] *= f
		}
		x = x[n:]
	}
}

// samePool computes p on several workers, with B as it is and packed beforehand, and row by row. The bits must be one's.
func samePool(t *testing.T, what string, op Op, p, one Product) {
	t.Helper()
	pool := NewPool(3)
	defer pool.Close()
	q := p
	q.C = slices.Clone(p.C)
	pool.Gemm(op, FP8, q)
	packed := p
	packed.C, packed.Packed = slices.Clone(p.C), new(Packed)
	pool.Pack(packed.Packed, op, FP8, p.N, p.K, p.B, p.LDB)
	pool.Gemm(op, FP8, packed)
	if !sameBits(q.C, one.C) || !sameBits(packed.C, one.C) {
		t.Errorf("%s: with three workers, or B packed beforehand, C has other bits", what)
	}
	if p.Accumulate || p.M == 0 {
		return
	}
	rowsAlone(t, NewWorkspace(), op, FP8, one, p.M/2, p.M/2+1)
}

// TestFP8NotFinite: a group with a NaN or an infinity makes NaN, and no other does.
func TestFP8NotFinite(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
			p := randomProduct(rand.New(rand.NewPCG(21, 22)), NT, 40, 32, 200, false)
			p.A[7*p.LDA+150] = bad
			NewWorkspace().Gemm(NT, FP8, p)
			for i := range p.M {
				for _, c := range p.C[i*p.LDC : i*p.LDC+p.N] {
					if (c != c) != (i == 7) {
						t.Fatalf("%v in row 7: row %d has %v", bad, i, c)
					}
				}
			}
		}
	})
}
