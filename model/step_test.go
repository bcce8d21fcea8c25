package model

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// gradientsOf are m's gradients for the batches of one step, and their losses' sum.
func gradientsOf(m *Model, o Objective, batches ...Batch) (grads map[string][]float32, loss Loss) {
	m.ZeroGradients()
	for _, b := range batches {
		l := m.Gradients(m.NewState(len(b.IDs), true), b, o)
		loss.Main += l.Main
		loss.Balance += l.Balance
		loss.MTP = append(loss.MTP, l.MTP...)
	}
	grads = map[string][]float32{}
	for p := range m.Params() {
		if !p.Frozen {
			grads[p.Name] = slices.Clone(p.G.Host())
		}
	}
	return grads, loss
}

func TestRecomputingChangesNoBit(t *testing.T) {
	cfg := tiny(t)
	cfg.NumHiddenLayers = 4
	cfg.FirstKDenseReplace = 2
	b := randomBatch(cfg.VocabSize, 20, 13)
	o := Objective{MTPWeight: 0.3, Balance: 0.01}
	var kept, again map[string][]float32
	var loads [2][][]float32
	for i, recompute := range []bool{false, true} {
		m := New(cfg, newDevice(t, 2), Options{Train: true, Recompute: recompute})
		m.Init(7, 0.2)
		kept, again = again, nil
		again, _ = gradientsOf(m, o, b)
		loads[i] = m.UpdateBiases(0).Load
	}
	for name := range kept {
		if !slices.Equal(kept[name], again[name]) {
			t.Errorf("%s: recomputing changes its gradient", name)
		}
	}
	for i := range loads[0] {
		if !slices.Equal(loads[0][i], loads[1][i]) {
			t.Errorf("mixture %d: recomputing changes its load", i)
		}
	}
}

// TestBatchesAddUpToAStep cuts a batch with ignored targets in two of unlike size: means must be over the whole step's targets.
func TestBatchesAddUpToAStep(t *testing.T) {
	m := tinyModel(t, newDevice(t, 2), true)
	whole := randomBatch(m.Config.VocabSize, 9, 4, 12)
	for _, i := range []int{2, 9, 10, 11, 20} {
		whole.Targets[i] = -1
	}
	o := Objective{MTPWeight: 0.3, Balance: 0.01}
	want, wantLoss := gradientsOf(m, o, whole)

	first := Batch{IDs: whole.IDs[:13], Targets: whole.Targets[:13], Starts: whole.Starts[:3]}
	second := Batch{IDs: whole.IDs[13:], Targets: whole.Targets[13:], Starts: []int32{0, 12}}
	var c Count
	m.Count(&c, first)
	m.Count(&c, second)
	o.Whole = &c
	got, gotLoss := gradientsOf(m, o, first, second)
	for name := range want {
		// Sums of some tens of float32 in another order.
		if e := relative(got[name], want[name]); e > 1e-5 {
			t.Errorf("%s: gradients of parts do not add up to the step's: relative difference %.2g", name, e)
		}
	}
	if math.Abs(gotLoss.Main-wantLoss.Main) > 1e-6*wantLoss.Main || math.Abs(gotLoss.Balance-wantLoss.Balance) > 1e-6*wantLoss.Balance {
		t.Errorf("losses of parts add up to %+v, the step's are %+v", gotLoss, wantLoss)
	}
	for k, l := range wantLoss.MTP {
		if sum := gotLoss.MTP[k] + gotLoss.MTP[k+len(wantLoss.MTP)]; math.Abs(sum-l) > 1e-6*l {
			t.Errorf("MTP %d: losses of parts add up to %v, the step's is %v", k, sum, l)
		}
	}
}

func TestDiagnoseNamesTheTensor(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		weight string
		value  float32
		want   string
	}{
		{"", 0, ""},
		{"model.layers.1.mlp.experts.3.up_proj.weight", nan, "the weight model.layers.1.mlp.experts.3.up_proj.weight"},
		{"model.norm.weight", inf, "the weight model.norm.weight"},
		// Finite weights whose products are not: 5e17 · 5e17 · 24 has a square over float32's largest.
		{"model.layers.0.self_attn.kv_a_proj_with_mqa.weight", 5e17, "of model.layers.0"},
		{"model.layers.1.self_attn.q_a_proj.weight", 5e17, "the query latent cQ of model.layers.1"},
	} {
		m := tinyModel(t, newDevice(t, 2), true)
		b := randomBatch(m.Config.VocabSize, 9, 4)
		for p := range m.Params() {
			if p.Name == c.weight {
				for i := range p.W.Host() {
					p.W.Host()[i] = c.value
				}
			}
		}
		if c.value == 5e17 {
			for p := range m.Params() { // norms that let the size through
				if strings.HasSuffix(p.Name, "input_layernorm.weight") {
					for i := range p.W.Host() {
						p.W.Host()[i] = 5e17
					}
				}
			}
		}
		got := m.Diagnose(m.NewState(len(b.IDs), true), b, Objective{MTPWeight: 0.3})
		if got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%s = %g: %q, want %q in it", c.weight, c.value, got, c.want)
		}
	}
}

// TestWeighedLossOfTheMean: the mean, written as a weighed loss, has the mean's gradient.
func TestWeighedLossOfTheMean(t *testing.T) {
	m := tinyModel(t, newDevice(t, 2), true)
	b := randomBatch(m.Config.VocabSize, 9, 4)
	b.Targets[3] = -1
	want, wantLoss := gradientsOf(m, Objective{MTPWeight: 0.3}, b)
	mean := func(nll, slope []float32) (loss float64) {
		for i, l := range nll {
			loss += float64(l) / 12
			slope[i] = 1.0 / 12
		}
		return loss
	}
	got, gotLoss := gradientsOf(m, Objective{MTPWeight: 0.3, Weigh: mean}, b)
	for name := range want {
		if e := relative(got[name], want[name]); e > 1e-6 { // the same products; 1/12 is rounded
			t.Errorf("%s: relative difference %.2g", name, e)
		}
	}
	if math.Abs(gotLoss.Main-wantLoss.Main) > 1e-6*wantLoss.Main {
		t.Errorf("loss %v, want %v", gotLoss.Main, wantLoss.Main)
	}
}

// chosen are the experts of the pass that s was used for last.
func chosen(m *Model, s *State) (experts [][]int32) {
	for i, l := range m.Blocks {
		if l.MoE != nil {
			experts = append(experts, slices.Clone(s.blocks[i].moe.gate.routing.Index.HostInts()))
		}
	}
	return experts
}

// TestReplayedRouting: a model's own choice of experts, replayed, changes no bit; another's stays as it is, while the model's weights
// move, and has a gradient of its own.
func TestReplayedRouting(t *testing.T) {
	cfg := tiny(t)
	m := tinyModel(t, newDevice(t, 2), true)
	b := randomBatch(cfg.VocabSize, 9, 4)
	want, _ := gradientsOf(m, Objective{}, b)
	s := m.NewState(len(b.IDs), true)
	m.Gradients(s, b, Objective{})
	b.Experts = chosen(m, s)
	got, _ := gradientsOf(m, Objective{}, b)
	for name := range want {
		if !slices.Equal(got[name], want[name]) {
			t.Errorf("%s: replaying the choice changes the gradient", name)
		}
	}

	m.Init(99, 0.2) // another model, which would choose others
	plain := b
	plain.Experts = nil
	free, _ := gradientsOf(m, Objective{}, plain)
	m.ZeroGradients()
	m.Gradients(s, b, Objective{})
	if now := chosen(m, s); !slices.EqualFunc(now, b.Experts, slices.Equal) {
		t.Errorf("experts %v, want those replayed %v", now, b.Experts)
	}
	m.ZeroGradients()
	replayed, _ := gradientsOf(m, Objective{}, b)
	if name := "model.embed_tokens.weight"; slices.Equal(free[name], replayed[name]) {
		t.Error("another model's experts give the same gradient: the test shows nothing")
	}
}
