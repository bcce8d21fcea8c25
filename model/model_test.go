package model

import (
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/tensor"
)

// tiny is a two-layer model with everything in it: query latent, group-limited sigmoid gate, shared expert, MTP.
func tiny(t *testing.T) *config.Config {
	t.Helper()
	cfg, err := config.Parse([]byte(`{
		"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"],
		"vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 2, "first_k_dense_replace": 1,
		"intermediate_size": 40, "moe_intermediate_size": 12, "num_attention_heads": 3, "num_key_value_heads": 3,
		"q_lora_rank": 14, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 5,
		"n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 2, "n_group": 4, "topk_group": 2,
		"scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
		"num_nextn_predict_layers": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000,
		"hidden_act": "silu", "tie_word_embeddings": false}`))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func tinyModel(t *testing.T, dev device.Device, train bool) *Model {
	t.Helper()
	m := New(tiny(t), dev, Options{Train: train})
	m.Init(7, 0.2)
	return m
}

// randomBatch is sequences of the given lengths.
func randomBatch(vocab int, lengths ...int) Batch {
	rng := rand.New(rand.NewPCG(3, 5))
	b := Batch{Starts: []int32{0}}
	for _, n := range lengths {
		for range n {
			b.IDs = append(b.IDs, int32(rng.IntN(vocab)))
			b.Targets = append(b.Targets, int32(rng.IntN(vocab)))
		}
		b.Starts = append(b.Starts, int32(len(b.IDs)))
	}
	return b
}

// gates are those of all mixtures of experts, by layer, MTP modules last.
func gates(m *Model) iter.Seq[*Gate] {
	return func(yield func(*Gate) bool) {
		for _, l := range m.layers {
			if l.MoE != nil && !yield(l.MoE.Gate) {
				return
			}
		}
	}
}

func TestParamsAreThoseOfCost(t *testing.T) {
	tied := tiny(t)
	tied.TieWordEmbeddings = true
	for _, cfg := range []*config.Config{tiny(t), tied, tinyGQA(t, 2)} {
		m := New(cfg, newDevice(t, 1), Options{})
		got := map[string][]int{}
		for p := range m.Params() {
			got[p.Name] = p.Shape
		}
		n := 0
		for name, shape := range cost.Params(cfg) {
			n++
			if !slices.Equal(got[name], shape) {
				t.Errorf("%s: the model has shape %v, cost says %v", name, got[name], shape)
			}
		}
		if n != len(got) {
			t.Errorf("the model has %d parameters, cost lists %d", len(got), n)
		}
	}
}

// TestGradient compares the gradient of the whole loss, MTP included, with central differences. The choice of experts must not
// change within a step of the difference, so biases fix it, other experts in each layer. For the same reason the balance
// loss, whose f_i jumps, is left to device/devicetest and to the gold vectors.
func TestGradient(t *testing.T) {
	for name, e := range gradientErrors(t, tiny(t), newDevice(t, 2), Objective{MTPWeight: 0.3}) {
		if e > gradientTolerance {
			t.Errorf("%s: slopes by differences and by Backward differ by %.2g of their size", name, e)
		}
	}
}

// weighed is a loss of rows of both signs, each counting by a function of its own likelihood, as a policy gradient's do.
func weighed(nll, slope []float32) (loss float64) {
	for i, l := range nll {
		if l == 0 {
			continue // no target
		}
		advantage := float64(i%3) - 0.7
		p := math.Exp(-float64(l) / 8)
		loss -= advantage * p
		slope[i] = float32(advantage * p / 8)
	}
	return loss
}

func TestGradientOfWeighedLoss(t *testing.T) {
	for name, e := range gradientErrors(t, tiny(t), newDevice(t, 2), Objective{MTPWeight: 0.3, Weigh: weighed}) {
		if e > gradientTolerance {
			t.Errorf("%s: slopes by differences and by Backward differ by %.2g of their size", name, e)
		}
	}
}

// turnsForward is a device with a mistake: the rotation's Backward turns the wrong way.
type turnsForward struct{ device.Device }

func (d turnsForward) RoPE(x tensor.Mat, headDim, off int, pos, cos, sin tensor.Mat, _ bool) {
	d.Device.RoPE(x, headDim, off, pos, cos, sin, false)
}

func TestGradientCheckHasTeeth(t *testing.T) {
	wrong := 0
	for _, e := range gradientErrors(t, tiny(t), turnsForward{newDevice(t, 2)}, Objective{MTPWeight: 0.3}) {
		if e > gradientTolerance {
			wrong++
		}
	}
	if wrong == 0 {
		t.Error("a Backward that is wrong passes the check")
	}
}

// The loss is a float32 of about 5, so a difference over 2h carries noise of 5·6e-8·few/2h: with h = 3e-3 some 2e-4, of
// slopes that are 1e-2 and more.
const gradientTolerance = 2e-2

// gradientErrors returns, for each parameter, how far the slope of the loss along one direction is from Backward's.
func gradientErrors(t *testing.T, cfg *config.Config, dev device.Device, o Objective) map[string]float64 {
	m := New(cfg, dev, Options{Train: true})
	m.Init(7, 0.2)
	b := randomBatch(m.Config.VocabSize, 7, 5)
	b.Targets[2] = -1
	layer := 0
	for g := range gates(m) {
		for i, e := range rand.New(rand.NewPCG(17, uint64(layer))).Perm(m.Config.NRoutedExperts) {
			g.Bias.Host()[e] = 2 * float32(i)
		}
		layer++
	}
	s := m.NewState(len(b.IDs), true)
	loss := func() float64 { return m.Gradients(s, b, o).Total(o) }

	loss()
	grad := map[string][]float32{}
	for p := range m.Params() {
		if !p.Frozen {
			grad[p.Name] = slices.Clone(p.G.Host())
		}
	}
	errs := map[string]float64{}
	rng := rand.New(rand.NewPCG(11, 13))
	for p := range m.Params() {
		if p.Frozen {
			continue
		}
		dir, slope := direction(grad[p.Name], rng)
		const h = 3e-3
		w := p.W.Host()
		keep := slices.Clone(w)
		at := func(step float32) float64 {
			for i := range w {
				w[i] = keep[i] + step*dir[i]
			}
			return loss()
		}
		numeric := (at(h) - at(-h)) / (2 * h)
		copy(w, keep)
		errs[p.Name] = math.Abs(numeric-slope) / math.Max(math.Abs(slope), 1e-2)
	}
	return errs
}

// direction is half along the gradient g and half random, so that a wrong sign, scale or place shows, with the slope along it.
func direction(g []float32, rng *rand.Rand) (dir []float32, slope float64) {
	norm := 1e-12
	for _, x := range g {
		norm += float64(x) * float64(x)
	}
	norm = math.Sqrt(norm)
	dir = make([]float32, len(g))
	for i := range dir {
		dir[i] = float32(float64(g[i])/norm + rng.NormFloat64()*0.5/math.Sqrt(float64(len(g))))
		slope += float64(dir[i]) * float64(g[i])
	}
	return dir, slope
}

func TestThreadsDoNotMatter(t *testing.T) {
	grads := func(threads int) map[string][]float32 {
		m := tinyModel(t, newDevice(t, threads), true)
		b := randomBatch(m.Config.VocabSize, 20, 13)
		m.Gradients(m.NewState(len(b.IDs), true), b, Objective{MTPWeight: 0.3, Balance: 0.01})
		all := map[string][]float32{}
		for p := range m.Params() {
			if !p.Frozen {
				all[p.Name] = p.G.Host()
			}
		}
		return all
	}
	one, two := grads(1), grads(2)
	for name := range one {
		if !slices.Equal(one[name], two[name]) {
			t.Errorf("%s: its gradient depends on the number of threads", name)
		}
	}
}

func TestRowAloneEqualsRowInBatch(t *testing.T) {
	m := tinyModel(t, newDevice(t, 2), false)
	b := randomBatch(m.Config.VocabSize, 17, 9, 30)
	all := m.logits(t, b)
	for i := range 3 {
		lo, hi := b.Starts[i], b.Starts[i+1]
		one := m.logits(t, Batch{IDs: b.IDs[lo:hi], Starts: []int32{0, hi - lo}})
		if v := m.Config.VocabSize; !slices.Equal(one, all[int(lo)*v:int(hi)*v]) {
			t.Errorf("sequence %d: its logits depend on the other sequences", i)
		}
	}
}

func TestPrefixEqualsPrefixOfLonger(t *testing.T) {
	m := tinyModel(t, newDevice(t, 2), false)
	b := randomBatch(m.Config.VocabSize, 40)
	all := m.logits(t, b)
	for _, n := range []int{1, 2, 9, 33} {
		if got := m.logits(t, Batch{IDs: b.IDs[:n], Starts: []int32{0, int32(n)}}); !slices.Equal(got, all[:len(got)]) {
			t.Errorf("logits of the first %d positions depend on what follows", n)
		}
	}
}

func TestBiasOnlyChooses(t *testing.T) {
	m := tinyModel(t, newDevice(t, 1), false)
	b := randomBatch(m.Config.VocabSize, 20)
	before := m.logits(t, b)
	for g := range gates(m) {
		for i := range g.Bias.Host() {
			g.Bias.Host()[i] = -1
		}
	}
	if !slices.Equal(before, m.logits(t, b)) {
		t.Error("the same bias for all experts changes the output")
	}
}

func TestBiasBalancesAndStopsAtSpeedZero(t *testing.T) {
	m := tinyModel(t, newDevice(t, 2), true)
	b := randomBatch(m.Config.VocabSize, 60, 60)
	s := m.NewState(len(b.IDs), true)
	step := func(speed float64) float64 {
		m.Gradients(s, b, Objective{})
		return m.UpdateBiases(speed).MaxVio
	}
	first := step(0)
	if again := step(0); again != first {
		t.Errorf("with speed 0 MaxVio went from %v to %v", first, again)
	}
	last := 0.0
	for range 400 {
		last = step(0.002)
	}
	if !(last < first/2) {
		t.Errorf("MaxVio went from %v to %v only", first, last)
	}
}

// TestLoads: a step's load is of its own tokens, and of the layers that ran.
func TestLoads(t *testing.T) {
	m := tinyModel(t, newDevice(t, 2), true)
	b := randomBatch(m.Config.VocabSize, 20, 13)
	s := m.NewState(len(b.IDs), true)
	step := func(o Objective) (load []float64) {
		m.Gradients(s, b, o)
		for g := range gates(m) {
			sum := 0.0
			for _, n := range g.Load.Host() {
				sum += float64(n)
			}
			load = append(load, sum)
		}
		m.UpdateBiases(0)
		return load
	}
	all := float64(len(b.IDs) * m.Config.NumExpertsPerTok)
	for range 2 {
		if got, want := step(Objective{MTPWeight: 0.3}), []float64{all, all, all}; !slices.Equal(got, want) {
			t.Errorf("loads %v, want %v", got, want)
		}
	}
	if got, want := step(Objective{}), []float64{all, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("loads %v without MTP, want %v", got, want)
	}
}

func TestBatchCheck(t *testing.T) {
	good := Batch{IDs: []int32{1, 2}, Targets: []int32{2, -1}, Starts: []int32{0, 2}}
	if err := good.Check(3, 2); err != nil {
		t.Error(err)
	}
	for name, b := range map[string]Batch{
		"no sequence":     {IDs: []int32{1}, Starts: []int32{0}},
		"starts past end": {IDs: []int32{1}, Starts: []int32{0, 2}},
		"empty sequence":  {IDs: []int32{1}, Starts: []int32{0, 0, 1}},
		"too long":        {IDs: []int32{1, 1, 1}, Starts: []int32{0, 3}},
		"id":              {IDs: []int32{3}, Starts: []int32{0, 1}},
		"negative id":     {IDs: []int32{-1}, Starts: []int32{0, 1}},
		"target":          {IDs: []int32{1}, Targets: []int32{3}, Starts: []int32{0, 1}},
		"targets' length": {IDs: []int32{1}, Targets: []int32{}, Starts: []int32{0, 1}},
	} {
		if b.Check(3, 2) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func (m *Model) logits(t *testing.T, b Batch) []float32 {
	t.Helper()
	out := m.dev.Alloc(len(b.IDs), m.Config.VocabSize, tensor.F32)
	m.Logits(m.NewState(len(b.IDs), false), b, out, nil)
	return out.Host()
}
