package optim

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sprat/device"
	"sprat/device/cpu"
	"sprat/tensor"
)

// matrixSet are matrices of many shapes, some of them of one, as views into one storage like experts.
func matrixSet(dev device.Device) []*tensor.Param {
	var params []*tensor.Param
	add := func(name string, w, g tensor.Mat) {
		params = append(params, &tensor.Param{Name: name, Shape: []int{w.Rows, w.Cols}, W: w, G: g})
	}
	for _, s := range []struct {
		name       string
		rows, cols int
	}{{"wide", 5, 12}, {"tall", 13, 4}, {"square", 7, 7}, {"row", 1, 9}, {"column", 6, 1}} {
		add(s.name, dev.Alloc(s.rows, s.cols, tensor.F32), dev.Alloc(s.rows, s.cols, tensor.F32))
	}
	w, g := dev.Alloc(4*6, 8, tensor.F32), dev.Alloc(4*6, 8, tensor.F32)
	for _, name := range []string{"e0.gate", "e0.up", "e1.gate", "e1.up"} {
		i := len(params) - 5
		add(name, w.RowSlice(i*6, i*6+6), g.RowSlice(i*6, i*6+6))
	}
	rng := rand.New(rand.NewPCG(4, 4))
	for _, p := range params {
		for i := range p.W.Host() {
			p.W.Host()[i] = float32(rng.NormFloat64())
		}
	}
	return params
}

// muonReference is one matrix in float64, straight from the papers.
type muonReference struct {
	rows, cols int
	w, m       []float64
}

func (r *muonReference) step(g []float32, lr, decay, scale float64) {
	x, norm := make([]float64, len(r.w)), 0.0
	for i := range x {
		grad := scale * float64(g[i])
		r.m[i] = 0.95*r.m[i] + grad
		x[i] = grad + 0.95*r.m[i]
		norm += x[i] * x[i]
	}
	for i := range x {
		x[i] /= math.Sqrt(norm)
	}
	for range 5 {
		ax := r.gramTimes(x, x)
		aax := r.gramTimes(x, ax)
		for i := range x {
			x[i] = 3.4445*x[i] - 4.7750*ax[i] + 2.0315*aax[i]
		}
	}
	for i := range r.w {
		r.w[i] -= lr * (0.2*math.Sqrt(float64(max(r.rows, r.cols)))*x[i] + decay*r.w[i])
	}
}

// gramTimes is (X·Xᵀ)·Y.
func (r *muonReference) gramTimes(x, y []float64) []float64 {
	out := make([]float64, len(x))
	for i := range r.rows {
		for k := range r.rows {
			dot := 0.0
			for j := range r.cols {
				dot += x[i*r.cols+j] * x[k*r.cols+j]
			}
			for j := range r.cols {
				out[i*r.cols+j] += dot * y[k*r.cols+j]
			}
		}
	}
	return out
}

func TestMuonAgainstFloat64(t *testing.T) {
	dev := cpu.New(2)
	defer dev.Close()
	params := matrixSet(dev)
	opt := NewMuon(dev, slices.Values(params), 0.1, device.F32)
	var refs []*muonReference
	for _, p := range params {
		r := &muonReference{rows: p.W.Rows, cols: p.W.Cols, m: make([]float64, p.W.Rows*p.W.Cols)}
		for _, w := range p.W.Host() {
			r.w = append(r.w, float64(w))
		}
		refs = append(refs, r)
	}
	for step := range 3 {
		fillGradients(params, step)
		norm := opt.Step(0.02, 1)
		for i, p := range params {
			refs[i].step(p.G.Host(), 0.02, 0.1, 1/norm)
			// An iteration multiplies errors of 6e-8 in small singular values by up to 3.4, five times: 3e-5 of a step.
			for j, w := range p.W.Host() {
				if math.Abs(float64(w)-refs[i].w[j]) > 1e-5 {
					t.Fatalf("step %d: %s[%d] is %v, want %v", step, p.Name, j, w, refs[i].w[j])
				}
			}
		}
	}
}

// An update has AdamW's usual size, a root mean square of 0.2, whatever the shape and whatever the gradient's scale.
func TestMuonUpdateSize(t *testing.T) {
	dev := cpu.New(2)
	defer dev.Close()
	for _, shape := range [][2]int{{48, 64}, {128, 32}, {1, 50}} {
		for _, size := range []float32{1e-6, 1, 1e6} {
			p := &tensor.Param{Shape: shape[:], W: dev.Alloc(shape[0], shape[1], tensor.F32), G: dev.Alloc(shape[0], shape[1], tensor.F32)}
			fillGradients([]*tensor.Param{p}, 1)
			for i := range p.G.Host() {
				p.G.Host()[i] *= size
			}
			NewMuon(dev, slices.Values([]*tensor.Param{p}), 0, device.F32).Step(1, 0)
			rms := math.Sqrt(dev.SumSquares(p.W) / float64(shape[0]*shape[1]))
			if rms < 0.68*0.2 || rms > 1.2*0.2 { // the iteration's range
				t.Errorf("%v, gradient of %g: the update's root mean square is %.3f", shape, size, rms)
			}
		}
	}
}

func TestMuonLeavesTablesAndVectorsToAdamW(t *testing.T) {
	dev := cpu.New(1)
	defer dev.Close()
	var got []string
	for name := range NewMuon(dev, slices.Values(testParams(dev)), 0, device.F32).State() {
		got = append(got, name)
	}
	slices.Sort(got)
	want := []string{"m.a.weight", "m.b.weight", "m.c.weight", "m.lm_head.weight", "m.model.embed_tokens.weight", "m.model.norm.weight",
		"v.lm_head.weight", "v.model.embed_tokens.weight", "v.model.norm.weight"}
	if !slices.Equal(got, want) {
		t.Errorf("state is %q, want %q", got, want)
	}
}

func TestMuonThreadsDoNotMatter(t *testing.T) {
	var all [][]float32
	for _, threads := range []int{1, 2} {
		dev := cpu.New(threads)
		defer dev.Close()
		params := append(matrixSet(dev), testParams(dev)...)
		big := &tensor.Param{Name: "big", Shape: []int{150, 90}, W: dev.Alloc(150, 90, tensor.F32), G: dev.Alloc(150, 90, tensor.F32)}
		params = append(params, big)
		opt := NewMuon(dev, slices.Values(params), 0.1, device.F32)
		for step := range 2 {
			fillGradients(params, step)
			opt.Step(0.02, 1)
		}
		var w []float32
		for _, p := range params {
			w = append(w, p.W.Host()...)
		}
		all = append(all, w)
	}
	if !slices.Equal(all[0], all[1]) {
		t.Error("weights depend on the number of threads")
	}
}

func TestStepsAllocateNothing(t *testing.T) {
	dev := cpu.New(2)
	defer dev.Close()
	params := append(matrixSet(dev), testParams(dev)...)
	fillGradients(params, 0)
	average := NewAverage(dev, slices.Values(params), 0.9)
	for name, make := range makers {
		opt := make(dev, slices.Values(params), 0.1)
		if n := testing.AllocsPerRun(3, func() {
			opt.Step(1e-3, 1)
			average.Update()
			average.Swap()
			average.Swap()
		}); n != 0 {
			t.Errorf("%s: a step allocates %v times", name, n)
		}
	}
}
