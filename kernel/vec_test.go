package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// lengths have every kind of tail.
var lengths = []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 257, 1000}

func randomVector(rng *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * scale)
	}
	return x
}

// near fails unless every got[i] is within tolerance, relative to want[i] but to no less than floor.
func near(t *testing.T, what string, got []float32, want []float64, tolerance, floor float64) {
	t.Helper()
	for i, w := range want {
		g := float64(got[i])
		if math.IsNaN(w) && math.IsNaN(g) || g == w {
			continue
		}
		if !(math.Abs(g-w) <= tolerance*math.Max(math.Abs(w), floor)) {
			t.Errorf("%s of %d: element %d is %v, want %v", what, len(want), i, g, w)
			return
		}
	}
}

func sigmoid64(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func TestExp(t *testing.T) {
	inf := float32(math.Inf(1))
	forEachImpl(t, func(t *testing.T) {
		x := []float32{0, 1, -1, 88.7, 88.72283, 89, 1000, inf, -87.3, -87.4, -104, -inf, float32(math.NaN()), 1e-30, -1e-30, 0.5}
		for i := -87000; i < 88700; i += 7 {
			x = append(x, float32(i)/1000)
		}
		want := make([]float64, len(x))
		for i, v := range x {
			want[i] = math.Exp(float64(v))
			if v < expLow {
				want[i] = 0 // results under the smallest normal number
			}
			if want[i] > math.MaxFloat32 {
				want[i] = math.Inf(1)
			}
		}
		got := make([]float32, len(x))
		Exp(got, x)
		near(t, "exp", got, want, 2e-7, 0)
		// Each element alone takes the path of a tail.
		for i := range x[:300] {
			Exp(got[i:i+1], x[i:i+1])
		}
		near(t, "exp alone", got, want, 2e-7, 0)
	})
}

func TestActivations(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, n := range lengths {
			gate, up, dy := randomVector(rng, n, 4), randomVector(rng, n, 1), randomVector(rng, n, 1)
			gate[0] = -100
			y, dGate, dUp, s := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
			wantY, wantG, wantU, wantS := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
			const scale = 0.6
			dscale, size := 0.0, 0.0
			value := func(g, u float64) float64 { return g * sigmoid64(g) * u * scale }
			for i := range gate {
				g, u, d := float64(gate[i]), float64(up[i]), float64(dy[i])
				const h = 1e-5
				wantY[i], wantS[i] = value(g, u), sigmoid64(g)
				wantG[i] = d * (value(g+h, u) - value(g-h, u)) / (2 * h)
				wantU[i] = d * (value(g, u+h) - value(g, u-h)) / (2 * h)
				dscale, size = dscale+d*value(g, u)/scale, size+math.Abs(d*value(g, u))
			}
			SwiGLU(y, gate, up, scale)
			got := SwiGLUBackward(dGate, dUp, dy, gate, up, scale)
			if math.Abs(float64(got)-dscale) > 1e-6*size+1e-30 {
				t.Errorf("dscale of %d: %v, want %v", n, got, dscale)
			}
			Sigmoid(s, gate)
			near(t, "swiglu", y, wantY, 1e-6, 1e-6)
			near(t, "dgate", dGate, wantG, 1e-5, 1e-3)
			near(t, "dup", dUp, wantU, 1e-5, 1e-3)
			near(t, "sigmoid", s, wantS, 1e-6, 1e-6)
		}
	})
}

func TestSoftmax(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		for _, n := range lengths {
			x := randomVector(rng, n, 5)
			if n > 2 {
				x[1] = float32(math.Inf(-1))
			}
			const scale = 0.3
			sum, want := 0.0, make([]float64, n)
			for _, v := range x {
				sum += math.Exp(scale * float64(v))
			}
			for i, v := range x {
				want[i] = math.Exp(scale*float64(v)) / sum
			}
			again := make([]float32, n)
			p := append([]float32{}, x...)
			lse := Softmax(p, scale)
			ExpScaled(again, x, scale, lse)
			// Rounding the argument, of up to 8, to float32 costs 5e-7 of the result.
			near(t, "softmax", p, want, 2e-6, 1e-9)
			near(t, "exp of scores", again, want, 2e-6, 1e-9)
			if math.Abs(float64(lse)-math.Log(sum)) > 1e-6*math.Max(1, math.Abs(math.Log(sum))) {
				t.Errorf("log-sum-exp of %d: %v, want %v", n, lse, math.Log(sum))
			}
		}
	})
}

func TestSoftmaxBackward(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(15, 16))
		for _, n := range lengths {
			x, dp := randomVector(rng, n, 3), randomVector(rng, n, 1)
			const scale = 0.4
			softmax := func(x []float64) (p []float64, lse float64) {
				sum := 0.0
				for _, v := range x {
					p, sum = append(p, math.Exp(scale*v)), sum+math.Exp(scale*v)
				}
				for i := range p {
					p[i] /= sum
				}
				return p, math.Log(sum)
			}
			x64 := wide(x)
			loss := func() float64 {
				p, _ := softmax(x64)
				l := 0.0
				for i, v := range p {
					l += v * float64(dp[i])
				}
				return l
			}
			want := slopes(x64, loss, 0)
			wantP, lse := softmax(x64)
			SoftmaxBackward(x, dp, scale, float32(lse), float32(loss()))
			near(t, "p", x, wantP, 2e-6, 1e-9)
			near(t, "ds", dp, want, 1e-4, 1e-2)
		}
	})
}

// TestVectorImplementationsAgree: AVX2 and AVX-512 take the same steps in the same lanes.
func TestVectorImplementationsAgree(t *testing.T) {
	if len(implementations()) < 3 {
		t.Skipf("this processor runs %v: there are no two to compare", implementations())
	}
	run := func(n int) (all []float32) {
		rng := rand.New(rand.NewPCG(17, 18))
		a, b, c := randomVector(rng, n, 4), randomVector(rng, n, 1), randomVector(rng, n, 1)
		d, e := make([]float32, n), make([]float32, n)
		keep := func(x ...float32) { all = append(all, x...) }
		Exp(d, a)
		keep(d...)
		SwiGLU(d, a, b, 0.3)
		keep(d...)
		keep(SwiGLUBackward(d, e, c, a, b, 0.3))
		keep(append(d, e...)...)
		SoftmaxBackward(a, b, 0.5, 1, 0.1)
		keep(append(a, b...)...)
		top, sum := ExpSum(c, 0.7)
		keep(append(c, top, sum)...)
		return all
	}
	for _, n := range lengths {
		fast := run(n)
		restore := use(avx2Name)
		slow := run(n)
		restore()
		if !sameBits(fast, slow) {
			t.Errorf("%d elements: %s and %s differ", n, Active(), avx2Name)
		}
	}
}

const avx2Name = "avx2"

func TestSums(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(5, 6))
		for _, n := range append(lengths, 10000) {
			a, b := randomVector(rng, n, 1), randomVector(rng, n, 1)
			dot, size, sum, abs, squares := 0.0, 0.0, 0.0, 0.0, 0.0
			for i := range a {
				x, y := float64(a[i]), float64(b[i])
				dot, size = dot+x*y, size+math.Abs(x*y)
				sum, abs, squares = sum+x, abs+math.Abs(x), squares+x*x
			}
			// n/16 roundings in a lane, four in the tree.
			eps := float64(n/lanes+6) * 0x1p-24
			if got := float64(Dot(a, b)); math.Abs(got-dot) > 2*eps*size {
				t.Errorf("dot of %d: %v, want %v", n, got, dot)
			}
			if got := float64(Sum(a)); math.Abs(got-sum) > eps*abs {
				t.Errorf("sum of %d: %v, want %v", n, got, sum)
			}
			// A cut that is one of the elements, with a NaN and an infinity that are under it.
			c, above := append([]float32{float32(math.NaN()), float32(math.Inf(-1))}, a...), 0.0
			for _, v := range a {
				if v >= a[n/2] {
					above += float64(v)
				}
			}
			if got := float64(SumAtLeast(c, a[n/2])); math.Abs(got-above) > eps*abs {
				t.Errorf("sum of %d from %v on: %v, want %v", n, a[n/2], got, above)
			}
			if got := SumSquares(a); math.Abs(got-squares) > 2e-5*squares {
				t.Errorf("squares of %d: %v, want %v", n, got, squares)
			}
		}
	})
}

func TestLinearCombinations(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, n := range lengths {
			x, y := randomVector(rng, n, 1), randomVector(rng, n, 1)
			want := make([]float64, n)
			for i := range want {
				want[i] = 3 * (float64(y[i]) + 0.7*float64(x[i]) + float64(x[i]))
			}
			Axpy(y, 0.7, x)
			Add(y, x)
			Scale(y, 3)
			near(t, "3(y + 0.7x + x)", y, want, 1e-6, 1)
		}
	})
}

func TestRMSNorm(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 10))
		for _, n := range lengths {
			x, w, dy := randomVector(rng, n, 2), randomVector(rng, n, 1), randomVector(rng, n, 1)
			const eps = 1e-6
			forward := func(x, w []float64) []float64 {
				s := 0.0
				for _, v := range x {
					s += v * v
				}
				r := 1 / math.Sqrt(s/float64(n)+eps)
				y := make([]float64, n)
				for i := range y {
					y[i] = w[i] * x[i] * r
				}
				return y
			}
			x64, w64 := wide(x), wide(w)
			loss := func() float64 {
				l := 0.0
				for i, y := range forward(x64, w64) {
					l += y * float64(dy[i])
				}
				return l
			}
			y := make([]float32, n)
			rstd := RMSNorm(y, x, w, eps)
			near(t, "rmsnorm", y, forward(x64, w64), 1e-6, 1e-6)
			dx, dw := make([]float32, n), make([]float32, n)
			for i := range dx {
				dx[i], dw[i] = 1, 2 // backward adds
			}
			RMSNormBackward(dx, dw, dy, x, w, rstd)
			near(t, "dx", dx, slopes(x64, loss, 1), 1e-4, 0.1)
			near(t, "dw", dw, slopes(w64, loss, 2), 1e-5, 0.1)
		}
	})
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// slopes are the central differences of loss by each element of x, plus offset.
func slopes(x []float64, loss func() float64, offset float64) []float64 {
	out := make([]float64, len(x))
	const h = 1e-5
	for i, keep := range x {
		x[i] = keep + h
		up := loss()
		x[i] = keep - h
		out[i] = (up-loss())/(2*h) + offset
		x[i] = keep
	}
	return out
}

func TestRoPE(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 12))
		for _, pairs := range []int{1, 3, 4, 5, 8, 32} {
			x := randomVector(rng, 2*pairs, 1)
			cos, sin, want := make([]float32, pairs), make([]float32, pairs), make([]float64, 2*pairs)
			for i := range cos {
				s, c := math.Sincos(rng.Float64() * 7)
				cos[i], sin[i] = float32(c), float32(s)
				a, b := float64(x[2*i]), float64(x[2*i+1])
				want[2*i], want[2*i+1] = a*c-b*s, a*s+b*c
			}
			turned := append([]float32{}, x...)
			RoPE(turned, cos, sin, false)
			near(t, "rope", turned, want, 1e-6, 1)
			RoPE(turned, cos, sin, true)
			near(t, "rope and back", turned, wide(x), 1e-6, 1)
		}
	})
}

func TestAdamW(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(13, 14))
		for _, n := range lengths {
			w, m, v, g := randomVector(rng, n, 1), randomVector(rng, n, 0.1), randomVector(rng, n, 0.1), randomVector(rng, n, 1)
			h := AdamWStep{LR: 0.01, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Correction1: 1.7, Correction2: 2.3, GradScale: 0.5}
			wantW, wantM, wantV := make([]float64, n), make([]float64, n), make([]float64, n)
			for i := range w {
				v[i] = v[i] * v[i]
				d := 0.5 * float64(g[i])
				wantM[i] = 0.9*float64(m[i]) + 0.1*d
				wantV[i] = 0.95*float64(v[i]) + 0.05*d*d
				wantW[i] = float64(w[i]) - 0.01*(wantM[i]*1.7/(math.Sqrt(wantV[i]*2.3)+1e-8)+0.1*float64(w[i]))
			}
			AdamW(w, m, v, g, h)
			near(t, "w", w, wantW, 1e-6, 1)
			near(t, "m", m, wantM, 1e-6, 0.1)
			near(t, "v", v, wantV, 1e-6, 0.1)
		}
	})
}

func TestVectorsPanicOnLengths(t *testing.T) {
	a, b := make([]float32, 3), make([]float32, 4)
	for name, f := range map[string]func(){
		"exp":     func() { Exp(a, b) },
		"dot":     func() { Dot(a, b) },
		"axpy":    func() { Axpy(a, 1, b) },
		"swiglu":  func() { SwiGLU(a, a, b, 1) },
		"rmsnorm": func() { RMSNorm(a, a, b, 1) },
		"rope":    func() { RoPE(b, a, a, false) },
		"adamw":   func() { AdamW(a, a, a, b, AdamWStep{}) },
		"softmax": func() { Softmax(nil, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
