package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

var weightFormats = []Format{FormatF32, FormatBF16, FormatFP8, FormatInt8, FormatInt4}

// randomWeight fills a weight with numbers of order one.
func randomWeight(rng *rand.Rand, f Format, parts, n, k int) *Weight {
	w := NewWeight(f, parts, n, k, make([]byte, WeightBytes(f, parts, n, k)))
	for part := range parts {
		for row := range n {
			if f == FormatFP8 {
				codes, scale := make([]byte, k), make([]float32, groups(k))
				for i := range codes {
					codes[i] = byte(rng.IntN(127) + 128*rng.IntN(2))
				}
				for i := range scale {
					scale[i] = rng.Float32() / 64
				}
				w.SetE4M3(part, row, codes, scale)
				continue
			}
			w.SetRow(part, row, normals(rng, k))
		}
	}
	return w
}

func normals(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func randomRows(rng *rand.Rand, f Format, n, k int) *Rows {
	r := new(Rows)
	r.Reset(f, n, k)
	for i := range n {
		r.Set(i, normals(rng, k))
	}
	return r
}

// weightShapes are ragged in every way: fewer rows than a panel, fewer k's than a word, a group, a pair of groups, a block.
var weightShapes = []struct{ m, n, k int }{
	{1, 1, 1}, {3, 16, 32}, {2, 15, 31}, {5, 17, 33}, {8, 33, 64}, {9, 16, 65}, {13, 50, 96}, {37, 40, 129}, {7, 5, 3}, {23, 64, 300}, {1, 31, 256},
	{0, 3, 3}, {4, 7, 0},
}

// TestMultiply holds every implementation to the portable one: for integers bit for bit, otherwise within what the order of at most 300
// sums of order one leaves, 300 · 2^-24 of their size, and VDPBF16PS's pairs.
func TestMultiply(t *testing.T) {
	for _, f := range weightFormats {
		for _, s := range weightShapes {
			rng := rand.New(rand.NewPCG(1, 2))
			w, a := randomWeight(rng, f, 2, s.n, s.k), randomRows(rng, f, s.m, s.k)
			before := normals(rng, s.m*s.n)
			run := func(add bool) []float32 {
				p := NewPool(1)
				defer p.Close()
				c := append([]float32(nil), before...)
				p.Multiply(WeightProduct{M: s.m, A: a, W: w, Part: 1, C: c, LDC: s.n, Accumulate: add})
				return c
			}
			restore := use(portableGemm.name)
			want := [2][]float32{run(false), run(true)}
			restore()
			forEachImpl(t, func(t *testing.T) {
				for i, add := range []bool{false, true} {
					got := run(add)
					for j, v := range want[i] {
						tolerance := 0.0
						if f < FormatInt8 {
							tolerance = 2e-5 * math.Sqrt(float64(s.k)) * (1 + math.Abs(float64(v)))
						}
						if !(math.Abs(float64(got[j]-v)) <= tolerance) {
							t.Fatalf("format %d, %v, add %v: element %d is %v, want %v", f, s, add, j, got[j], v)
						}
					}
				}
			})
		}
	}
}

// TestMultiplyIsExact compares with sums in float64 of what ReadRow gives.
func TestMultiplyIsExact(t *testing.T) {
	for _, f := range weightFormats {
		for _, s := range weightShapes {
			rng := rand.New(rand.NewPCG(3, 4))
			w := randomWeight(rng, f, 1, s.n, s.k)
			a, x := new(Rows), normals(rng, s.k)
			for i := range x { // whole numbers that every form has exactly
				x[i] = float32(rng.IntN(255) - 127)
				if i%intGroup == 0 {
					x[i] = 127
				}
			}
			a.Reset(f, 1, s.k)
			a.Set(0, x)
			forEachImpl(t, func(t *testing.T) {
				p := NewPool(1)
				defer p.Close()
				c, row := make([]float32, s.n), make([]float32, s.k)
				p.Multiply(WeightProduct{M: 1, A: a, W: w, C: c, LDC: s.n})
				for j := range c {
					w.ReadRow(row, 0, j)
					sum, size := 0.0, 0.0
					for i, v := range row {
						sum += float64(v) * float64(x[i])
						size += math.Abs(float64(v) * float64(x[i]))
					}
					if math.Abs(float64(c[j])-sum) > 1e-6*size {
						t.Fatalf("format %d, %v: row %d is %v, want %v", f, s, j, c[j], sum)
					}
				}
			})
		}
	}
}

// TestMultiplyRowsApart: neither the rows beside it, nor the number of workers, nor how the row is named changes a bit of it.
func TestMultiplyRowsApart(t *testing.T) {
	const m, n, k = 37, 150, 416
	forEachImpl(t, func(t *testing.T) {
		for _, f := range weightFormats {
			rng := rand.New(rand.NewPCG(5, 6))
			w, a := randomWeight(rng, f, 1, n, k), randomRows(rng, f, m, k)
			index := make([]int32, m)
			for i, j := range rng.Perm(m) {
				index[i] = int32(j)
			}
			one, three := NewPool(1), NewPool(3)
			all, alone, mixed := make([]float32, m*n), make([]float32, m*n), make([]float32, m*n)
			three.Multiply(WeightProduct{M: m, A: a, W: w, C: all, LDC: n})
			one.Multiply(WeightProduct{M: m, A: a, Index: index, W: w, C: mixed, LDC: n})
			var products []WeightProduct
			for i := range m {
				products = append(products, WeightProduct{M: 1, A: a, First: i, W: w, C: alone[i*n:], LDC: n})
			}
			three.Multiply(products...)
			one.Close()
			three.Close()
			for i := range m {
				for j := range n {
					x := all[i*n+j]
					if alone[i*n+j] != x {
						t.Fatalf("format %d: row %d, column %d is %v alone and %v among others", f, i, j, alone[i*n+j], x)
					}
					if y := mixed[i*n+j]; y != all[int(index[i])*n+j] {
						t.Fatalf("format %d: row %d by index is %v, want %v", f, index[i], y, all[int(index[i])*n+j])
					}
				}
			}
		}
	})
}

// TestWeightRows: a row is read as it was set, whichever rows are set after it.
func TestWeightRows(t *testing.T) {
	const parts, n = 2, 35
	for _, f := range weightFormats {
		for _, k := range []int{1, 4, 7, 31, 32, 33, 64, 100, 128, 130, 257} {
			rng := rand.New(rand.NewPCG(7, uint64(k)))
			w := NewWeight(f, parts, n, k, make([]byte, WeightBytes(f, parts, n, k)))
			want := make([][]float32, parts*n)
			for _, i := range rng.Perm(parts * n) {
				want[i] = setRandomRow(rng, w, i/n, i%n)
			}
			got := make([]float32, k)
			for i := range want {
				w.ReadRow(got, i/n, i%n)
				for j := range got {
					if got[j] != want[i][j] {
						t.Fatalf("format %d, k %d: part %d, row %d, column %d is %v, want %v", f, k, i/n, i%n, j, got[j], want[i][j])
					}
				}
			}
		}
	}
}

// setRandomRow sets a row and returns its numbers.
func setRandomRow(rng *rand.Rand, w *Weight, part, row int) []float32 {
	x, k := normals(rng, w.k), w.k
	switch w.format {
	case FormatF32:
		w.SetRow(part, row, x)
	case FormatBF16:
		w.SetRow(part, row, x)
		roundBF16(x)
	case FormatFP8:
		codes, scale := make([]byte, k), normals(rng, groups(k))
		for i := range x {
			codes[i] = byte(rng.IntN(127) + 128*rng.IntN(2))
			x[i] = float32(e4m3Value(int(codes[i]))) * scale[i/fp8Group]
		}
		w.SetE4M3(part, row, codes, scale)
	default:
		q, scale := make([]int8, k), normals(rng, groupsOf(k, intGroup))
		roundBF16(scale)
		for i := range x {
			q[i] = int8(rng.IntN(255) - 127)
			if w.format == FormatInt4 {
				q[i] = int8(rng.IntN(16) - 8)
			}
			x[i] = float32(q[i]) * scale[i/intGroup]
		}
		w.SetInts(part, row, q, scale)
	}
	return x
}

// e4m3Value is a code's number by the format's definition: one sign, four bits of exponent with bias 7, three of mantissa.
func e4m3Value(code int) float64 {
	sign, exponent, mantissa := 1-2*float64(code>>7), code>>3&15, float64(code&7)
	if exponent == 0 {
		return sign * math.Ldexp(mantissa, -9)
	}
	return sign * math.Ldexp(8+mantissa, exponent-10)
}

// TestWeightBytes: 8.5 and 4.5 bits a weight.
func TestWeightBytes(t *testing.T) {
	for _, c := range []struct {
		f    Format
		bits float64
	}{{FormatF32, 32}, {FormatBF16, 16}, {FormatFP8, 8.25}, {FormatInt8, 8.5}, {FormatInt4, 4.5}} {
		if got := float64(WeightBytes(c.f, 3, 64, 256)) * 8 / (3 * 64 * 256); got != c.bits {
			t.Errorf("format %d: %v bits a weight, want %v", c.f, got, c.bits)
		}
	}
	for _, s := range [][3]int{{-1, 1, 1}, {1, -1, 1}, {1, 1, -1}, {1 << 40, 1 << 40, 1}, {2, 1 << 40, 1 << 40}, {1 << 62, 1, 1}, {1, 1, math.MaxInt}} {
		wantPanic(t, fmt.Sprint(s), func() { WeightBytes(FormatInt8, s[0], s[1], s[2]) })
	}
	w, a := randomWeight(rand.New(rand.NewPCG(1, 1)), FormatInt8, 1, 4, 4), new(Rows)
	a.Reset(FormatInt8, 2, 4)
	p, c := NewPool(1), make([]float32, 8)
	defer p.Close()
	for name, bad := range map[string]WeightProduct{
		"too many rows":  {M: 3, A: a, W: w, C: make([]float32, 12), LDC: 4},
		"first":          {M: 2, First: 1, A: a, W: w, C: c, LDC: 4},
		"before first":   {M: 1, First: -1, A: a, W: w, C: c, LDC: 4},
		"index":          {M: 1, Index: []int32{2}, A: a, W: w, C: c, LDC: 4},
		"negative index": {M: 1, Index: []int32{-1}, A: a, W: w, C: c, LDC: 4},
		"indices":        {M: 2, Index: []int32{0}, A: a, W: w, C: c, LDC: 4},
		"part":           {M: 2, Part: 1, A: a, W: w, C: c, LDC: 4},
		"result":         {M: 2, A: a, W: w, C: c[:7], LDC: 4},
		"width":          {M: 2, A: a, W: w, C: c, LDC: 3},
	} {
		wantPanic(t, name, func() { p.Multiply(bad) })
	}
	a.Reset(FormatBF16, 2, 4)
	wantPanic(t, "form", func() { p.Multiply(WeightProduct{M: 2, A: a, W: w, C: c, LDC: 4}) })
	wantPanic(t, "row", func() { w.SetRow(0, 4, make([]float32, 4)) })
	wantPanic(t, "codes", func() { w.SetE4M3(0, 0, make([]byte, 4), make([]float32, 1)) })
	wantPanic(t, "length", func() { w.ReadRow(make([]float32, 5), 0, 0) })
}

func wantPanic(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", name)
		}
	}()
	f()
}

// TestEveryCode: each of E4M3's codes counts as its number, the smallest included, and NaN as NaN.
func TestEveryCode(t *testing.T) {
	w := NewWeight(FormatFP8, 1, 256, 1, make([]byte, WeightBytes(FormatFP8, 1, 256, 1)))
	for code := range 256 {
		w.SetE4M3(0, code, []byte{byte(code)}, []float32{1})
	}
	forEachImpl(t, func(t *testing.T) {
		p, a, c := NewPool(1), new(Rows), make([]float32, 256)
		defer p.Close()
		a.Reset(FormatFP8, 1, 1)
		a.Set(0, []float32{1})
		p.Multiply(WeightProduct{M: 1, A: a, W: w, C: c, LDC: 256})
		for code, got := range c {
			want := e4m3Value(code)
			if code&127 == 127 {
				want = math.NaN()
			}
			if float64(got) != want && (got == got || want == want) {
				t.Errorf("code %d counts as %v, want %v", code, got, want)
			}
		}
	})
}

// TestNaNIsSeen: a row with a NaN or an infinity gives NaN or infinities, and its neighbours nothing of the kind.
func TestNaNIsSeen(t *testing.T) {
	const m, n, k = 3, 20, 70
	forEachImpl(t, func(t *testing.T) {
		for _, f := range weightFormats {
			for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1))} {
				rng := rand.New(rand.NewPCG(2, 3))
				w, a, x := randomWeight(rng, f, 1, n, k), randomRows(rng, f, m, k), normals(rng, k)
				x[40] = bad
				a.Set(1, x)
				p, c := NewPool(1), make([]float32, m*n)
				p.Multiply(WeightProduct{M: m, A: a, W: w, C: c, LDC: n})
				p.Close()
				for i, v := range c {
					if finite := math.Abs(float64(v)) <= math.MaxFloat32; finite == (i/n == 1) {
						t.Fatalf("format %d, %v: row %d, column %d is %v", f, bad, i/n, i%n, v)
					}
				}
			}
		}
	})
}

// TestMultiplyDoesNotAllocate runs a list of products that it has run before.
func TestMultiplyDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	p, a := NewPool(2), new(Rows)
	defer p.Close()
	var products []WeightProduct
	for _, f := range []Format{FormatInt8, FormatInt4} {
		products = append(products, WeightProduct{M: 3, A: a, W: randomWeight(rng, f, 1, 100, 640), C: make([]float32, 300), LDC: 100})
	}
	x := normals(rng, 640)
	if n := testing.AllocsPerRun(5, func() {
		a.Reset(FormatInt4, 3, 640)
		for i := range 3 {
			a.Set(i, x)
		}
		p.Multiply(products...)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
