package optim

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sprat/device"
	"sprat/device/cpu"
	"sprat/tensor"
)

func TestAdamWAgainstFloat64(t *testing.T) {
	dev := cpu.New(2)
	defer dev.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	params := []*tensor.Param{
		{Name: "matrix", Shape: []int{3, 5}, W: dev.Alloc(3, 5, tensor.F32), G: dev.Alloc(3, 5, tensor.F32)},
		{Name: "vector", Shape: []int{7}, W: dev.Alloc(1, 7, tensor.F32), G: dev.Alloc(1, 7, tensor.F32)},
		{Name: "frozen", Shape: []int{2}, W: dev.Alloc(1, 2, tensor.F32), Frozen: true},
	}
	type reference struct{ w, m, v []float64 }
	var refs []reference
	for _, p := range params {
		var r reference
		for i := range p.W.Host() {
			p.W.Host()[i] = float32(rng.NormFloat64())
			r.w = append(r.w, float64(p.W.Host()[i]))
		}
		r.m, r.v = make([]float64, len(r.w)), make([]float64, len(r.w))
		refs = append(refs, r)
	}
	const lr, decay, clip = 0.01, 0.1, 1.0
	opt := NewAdamW(dev, slices.Values(params), decay)
	for step := 1; step <= 5; step++ {
		norm := 0.0
		for _, p := range params[:2] {
			for i := range p.G.Host() {
				p.G.Host()[i] = float32(rng.NormFloat64())
				norm += float64(p.G.Host()[i]) * float64(p.G.Host()[i])
			}
		}
		norm = math.Sqrt(norm)
		if got := opt.Step(lr, clip); math.Abs(got-norm) > 1e-6*norm {
			t.Fatalf("step %d: norm %v, want %v", step, got, norm)
		}
		for j, p := range params[:2] {
			r := refs[j]
			for i := range r.w {
				g := float64(p.G.Host()[i]) * min(1, clip/norm)
				r.m[i] = 0.9*r.m[i] + 0.1*g
				r.v[i] = 0.95*r.v[i] + 0.05*g*g
				update := r.m[i] / (1 - math.Pow(0.9, float64(step))) / (math.Sqrt(r.v[i]/(1-math.Pow(0.95, float64(step)))) + 1e-8)
				if j == 0 {
					update += decay * r.w[i]
				}
				r.w[i] -= lr * update
				// A step moves a weight by about lr, rounded to float32 a few times.
				if got := float64(p.W.Host()[i]); math.Abs(got-r.w[i]) > 1e-6*(1+math.Abs(r.w[i])) {
					t.Fatalf("step %d: %s[%d] is %v, want %v", step, p.Name, i, got, r.w[i])
				}
			}
		}
	}
	if got := params[2].W.Host(); float64(got[0]) != refs[2].w[0] {
		t.Error("a frozen parameter moved")
	}
}

func TestNotFiniteGradientChangesNothing(t *testing.T) {
	dev := cpu.New(1)
	defer dev.Close()
	p := &tensor.Param{Shape: []int{2, 2}, W: dev.Alloc(2, 2, tensor.F32), G: dev.Alloc(2, 2, tensor.F32)}
	p.G.Host()[3] = float32(math.NaN())
	for name, make := range makers {
		opt := make(dev, slices.Values([]*tensor.Param{p}), 0)
		if norm := opt.Step(1, 1); !math.IsNaN(norm) {
			t.Errorf("%s: norm %v, want NaN", name, norm)
		}
		if opt.Steps != 0 {
			t.Errorf("%s: it counts as a step", name)
		}
		for state, m := range opt.State() {
			if m.Host()[0] != 0 || m.Host()[3] != 0 {
				t.Errorf("%s: %s moved to %v", name, state, m.Host())
			}
		}
		if w := p.W.Host(); w[0] != 0 || w[3] != 0 {
			t.Errorf("%s: weights moved to %v", name, w)
		}
	}
}

func testParams(dev device.Device) []*tensor.Param {
	matrix := func(name string, rows, cols int) *tensor.Param {
		return &tensor.Param{Name: name, Shape: []int{rows, cols}, W: dev.Alloc(rows, cols, tensor.F32), G: dev.Alloc(rows, cols, tensor.F32)}
	}
	params := []*tensor.Param{
		matrix("model.embed_tokens.weight", 11, 6),
		{Name: "model.norm.weight", Shape: []int{6}, W: dev.Alloc(1, 6, tensor.F32), G: dev.Alloc(1, 6, tensor.F32)},
		matrix("a.weight", 8, 6), matrix("b.weight", 6, 9), matrix("c.weight", 8, 6),
		{Name: "bias", Shape: []int{4}, W: dev.Alloc(1, 4, tensor.F32), Frozen: true},
		matrix("lm_head.weight", 11, 6),
	}
	rng := rand.New(rand.NewPCG(8, 9))
	for _, p := range params {
		for i := range p.W.Host() {
			p.W.Host()[i] = float32(rng.NormFloat64())
		}
	}
	return params
}

// fillGradients draws the gradients of a step.
func fillGradients(params []*tensor.Param, step int) {
	rng := rand.New(rand.NewPCG(21, uint64(step)))
	for _, p := range params {
		if !p.G.IsZero() {
			for i := range p.G.Host() {
				p.G.Host()[i] = float32(rng.NormFloat64())
			}
		}
	}
}

var makers = map[string]func(device.Device, iter.Seq[*tensor.Param], float64) *Optimizer{
	"AdamW": NewAdamW,
	"Muon": func(dev device.Device, params iter.Seq[*tensor.Param], weightDecay float64) *Optimizer {
		return NewMuon(dev, params, weightDecay, device.F32)
	},
}

// A run that is cut, its state carried over into a new optimizer, ends in the same bits as one that is not.
func TestStateGoesOn(t *testing.T) {
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			dev := cpu.New(2)
			defer dev.Close()
			whole, cut := testParams(dev), testParams(dev)
			a, b := make(dev, slices.Values(whole), 0.1), make(dev, slices.Values(cut), 0.1)
			for step := range 6 {
				if step == 3 {
					next := make(dev, slices.Values(cut), 0.1)
					next.Steps = b.Steps
					held := map[string][]float32{}
					for name, m := range b.State() {
						held[name] = slices.Clone(m.Host())
					}
					for name, m := range next.State() {
						dev.Upload(m, held[name])
						delete(held, name)
					}
					if len(held) > 0 {
						t.Fatalf("%d matrices have no place in the new optimizer", len(held))
					}
					b = next
				}
				fillGradients(whole, step)
				fillGradients(cut, step)
				a.Step(0.01, 1)
				b.Step(0.01, 1)
			}
			for i, p := range whole {
				if !slices.Equal(p.W.Host(), cut[i].W.Host()) {
					t.Errorf("%s differs", p.Name)
				}
			}
		})
	}
}

func TestStateCanStop(t *testing.T) {
	dev := cpu.New(1)
	defer dev.Close()
	for range NewAdamW(dev, slices.Values(testParams(dev)), 0).State() {
		break
	}
}
