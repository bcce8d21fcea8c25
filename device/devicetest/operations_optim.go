package devicetest

import (
	"math"

	"sprat/device"
	"sprat/tensor"
)

func (g *gen) mix() *operation {
	const keep, take = 0.75, 0.375
	return &operation{
		name: "Mix", in: []operand{g.mat("dst", g.t, g.d), g.mat("src", g.t, g.d)},
		out: []operand{result("dst", g.t, g.d), result("scaled", g.t, g.d)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.Copy(out[0], in[0])
			d.Mix(out[0], in[1], keep, take)
			d.Copy(out[1], in[0])
			d.Mix(out[1], tensor.Mat{}, keep, take)
		},
		reference: func(in [][]float64) [][]float64 {
			mixed, scaled := make([]float64, g.t*g.d), make([]float64, g.t*g.d)
			for i := range mixed {
				mixed[i], scaled[i] = keep*in[0][i]+take*in[1][i], keep*in[0][i]
			}
			return [][]float64{mixed, scaled}
		},
	}
}

// muonStep has three iterations of Muon's usual polynomial and two of one that converges.
var muonStep = device.MuonStep{LR: 0.25, Momentum: 0.9, WeightDecay: 0.1, GradScale: 0.5, Scale: 1.5,
	Polynomials: [][3]float32{{3.4445, -4.7750, 2.0315}, {3.4445, -4.7750, 2.0315}, {3.4445, -4.7750, 2.0315}, {2, -1.5, 0.5}, {2, -1.5, 0.5}}}

// muon steps three matrices at once. The polynomial's slope at 0 makes an iteration multiply errors of small singular values by
// up to 3.4; a few of them leave some tens of roundings.
func (g *gen) muon(name string, rows, cols int, p device.Precision) *operation {
	const n = 3
	step := muonStep
	step.Precision = p
	o := &operation{
		name: name, tolerance: 1e-4,
		forward: func(d device.Device, in, out []tensor.Mat) {
			for i := range out {
				d.Copy(out[i], in[i])
			}
			d.Muon(out[:n], out[n:], in[2*n:], step)
		},
		reference: func(in [][]float64) [][]float64 {
			for i := range n {
				refMuon(in[i], in[n+i], in[2*n+i], rows, cols, step)
			}
			return in[:2*n]
		},
	}
	if p == device.BF16 {
		o.tolerance = 0.05 // a rounding of 2^-9, some tens of times
	}
	for _, kind := range []string{"w", "m", "g"} {
		for range n {
			o.in = append(o.in, g.mat(kind, rows, cols))
			if kind != "g" {
				o.out = append(o.out, result(kind, rows, cols))
			}
		}
	}
	return o
}

func refMuon(w, m, g []float64, rows, cols int, s device.MuonStep) {
	x, norm := make([]float64, rows*cols), 0.0
	for i := range g {
		grad := float64(s.GradScale) * g[i]
		m[i] = float64(s.Momentum)*m[i] + grad
		x[i] = grad + float64(s.Momentum)*m[i]
		norm += x[i] * x[i]
	}
	for i := range x {
		x[i] /= math.Sqrt(norm) + 1e-7
	}
	for _, p := range s.Polynomials {
		a := refLinear(x, x, cols) // X·Xᵀ, also where it is the larger of the two
		ax := refProduct(a, x, rows, cols)
		aax := refProduct(a, ax, rows, cols)
		for i := range x {
			x[i] = float64(p[0])*x[i] + float64(p[1])*ax[i] + float64(p[2])*aax[i]
		}
	}
	for i := range w {
		w[i] -= float64(s.LR) * (float64(s.Scale)*x[i] + float64(s.WeightDecay)*w[i])
	}
}

// refProduct is a [n, n] times b [n, cols].
func refProduct(a, b []float64, n, cols int) []float64 {
	c := make([]float64, n*cols)
	for i := range n {
		for k := range n {
			for j := range cols {
				c[i*cols+j] += a[i*n+k] * b[k*cols+j]
			}
		}
	}
	return c
}
