package model

import (
	"math"
	"slices"
	"testing"

	"sprat/config"
)

// oneLayer is a model whose attention sees the embedding, which ClipQK leaves alone.
func oneLayer(t *testing.T, change func(*config.Config)) *Model {
	t.Helper()
	cfg := tiny(t)
	cfg.NumHiddenLayers, cfg.NumNextNPredictLayers = 1, 0
	change(cfg)
	if err := cfg.Check(); err != nil {
		t.Fatal(err)
	}
	m := New(cfg, newDevice(t, 2), Options{Train: true})
	m.Init(7, 0.5)
	return m
}

func TestClipQK(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"query latent":    func(*config.Config) {},
		"no query latent": func(c *config.Config) { c.QLoRARank = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			m := oneLayer(t, change)
			a := m.Blocks[0].Attn
			b := randomBatch(m.Config.VocabSize, 20, 13)
			s := m.NewState(len(b.IDs), true)
			tops := func() []float32 {
				m.Gradients(s, b, Objective{})
				return slices.Clone(a.Top.Host())
			}
			before := tops()
			tau := float64(slices.Min(before)+slices.Max(before)) / 2 // some above, some below
			weights := map[string][]float32{}
			for p := range m.Params() {
				weights[p.Name] = slices.Clone(p.W.Host())
			}
			if got := m.ClipQK(tau); got != float64(slices.Max(before)) {
				t.Errorf("the largest score is %v, want that of %v", got, before)
			}
			if a.Top.Host()[0] != 0 {
				t.Error("the scores are not forgotten")
			}
			clipped := 0
			for head, after := range tops() {
				if float64(before[head]) <= tau {
					if after != before[head] {
						t.Errorf("head %d: its largest score went from %v to %v, though it is below %v", head, before[head], after, tau)
					}
					continue
				}
				clipped++
				// Rounding of the weights, and of sums in which nope and rope parts may cancel.
				if math.Abs(float64(after)-tau) > 1e-5*float64(before[head]) {
					t.Errorf("head %d: its largest score went from %v to %v, want %v", head, before[head], after, tau)
				}
			}
			if clipped == 0 || clipped == len(before) {
				t.Fatalf("%d of %d heads clipped: the test is blind", clipped, len(before))
			}
			h := a.heads
			for p := range m.Params() {
				perHead, free := 0, 0 // rows of a head, and how many of them may be scaled
				switch p.W {
				case a.QBProj.W, a.QProj.W:
					perHead, free = h.N+h.R, h.N+h.R
				case a.KVBProj.W:
					perHead, free = h.N+h.V, h.N // values stay
				}
				for i, w := range p.W.Host() {
					row := i / p.W.Cols
					if w != weights[p.Name][i] && (perHead == 0 || row%perHead >= free || float64(before[row/perHead]) <= tau) {
						t.Fatalf("row %d of %s was scaled", row, p.Name)
					}
				}
			}
		})
	}
}

func TestClipQKOfGQA(t *testing.T) {
	cfg := tinyGQA(t, 2)
	cfg.NumHiddenLayers, cfg.NumNextNPredictLayers = 1, 0
	m := New(cfg, newDevice(t, 2), Options{Train: true})
	m.Init(7, 0.5)
	a := m.Blocks[0].GQA
	b := randomBatch(cfg.VocabSize, 20, 13)
	s := m.NewState(len(b.IDs), true)
	tops := func() []float32 {
		m.Gradients(s, b, Objective{})
		return slices.Clone(a.Top.Host())
	}
	before := tops()
	tau := float64(slices.Min(before)+slices.Max(before)) / 2
	keys := slices.Clone(a.KProj.W.Host())
	m.ClipQK(tau)
	for head, after := range tops() {
		want := min(float64(before[head]), tau)
		if clipped := float64(before[head]) > tau; clipped && math.Abs(float64(after)-want) > 1e-5*want || !clipped && after != before[head] {
			t.Errorf("head %d: its largest score went from %v to %v, want %v", head, before[head], after, want)
		}
	}
	if !slices.Equal(keys, a.KProj.W.Host()) {
		t.Error("a group's keys were scaled")
	}
}

// Evaluation counts for nothing, and neither does a layer's being computed twice, or a tau of 0.
func TestClipQKSeesTrainingAlone(t *testing.T) {
	cfg := tiny(t)
	b := randomBatch(cfg.VocabSize, 20, 13)
	var largest [2]float64
	for i, recompute := range []bool{false, true} {
		m := New(cfg, newDevice(t, 2), Options{Train: true, Recompute: recompute})
		m.Init(7, 0.5)
		s := m.NewState(len(b.IDs), true)
		m.Evaluate(s, b)
		if got := m.ClipQK(1); got != 0 {
			t.Errorf("after an evaluation: %v", got)
		}
		m.Gradients(s, b, Objective{MTPWeight: 0.3})
		w := slices.Clone(m.Blocks[0].Attn.KVBProj.W.Host())
		largest[i] = m.ClipQK(0)
		if !slices.Equal(w, m.Blocks[0].Attn.KVBProj.W.Host()) {
			t.Error("tau 0 scales weights")
		}
	}
	if largest[0] == 0 || largest[0] != largest[1] {
		t.Errorf("largest scores %v: want the same twice", largest)
	}
}
