package model

import (
	"sprat/config"
	"sprat/device"
	"sprat/nn"
	"sprat/tensor"
)

// Gate chooses experts (V3 report, section 2.1.2; equation numbers are that section's).
//
//	s_i  = sigmoid(u·e_i)                                    (15)   V2: softmax over i
//	u_i  = s_i + b_i                                                for choosing only
//	keep the TopKGroup groups with the largest sum of their two best u_i (V2: largest best s_i)
//	g'_i = s_i for the NumExpertsPerTok best u_i left, else 0       (14) (16)
//	g_i  = RoutedScalingFactor · g'_i / Σ_j g'_j             (13)   V2: without the division
//
// The bias b is not learned by gradient: after a step, UpdateBias moves it against each expert's load, which balances the
// experts without a loss that would pull at the model (section 2.1.2, auxiliary-loss-free).
type Gate struct {
	Proj nn.Linear  // e_i are its rows, [E, D]
	Bias tensor.Mat // [1, E]; the zero Mat where the model has none
	Load tensor.Mat // [1, E] tokens that chose each expert since the last UpdateBias

	spec    device.RouteSpec
	mixture int // which of the model's mixtures it is the gate of
	dev     device.Device
}

func newGate(b *nn.Builder, prefix string, cfg *config.Config) *Gate {
	g := &Gate{
		Proj: b.Linear(prefix+".weight", cfg.NRoutedExperts, cfg.HiddenSize).Exact(),
		Load: b.Dev.Alloc(1, cfg.NRoutedExperts, tensor.F32),
		dev:  b.Dev,
		spec: routeSpec(cfg),
	}
	if cfg.TopKMethod == "noaux_tc" {
		g.Bias = b.Buffer(prefix+".e_score_correction_bias", cfg.NRoutedExperts)
	}
	return g
}

func routeSpec(cfg *config.Config) device.RouteSpec {
	s := device.RouteSpec{
		Experts:       cfg.NRoutedExperts,
		TopK:          cfg.NumExpertsPerTok,
		Sigmoid:       cfg.ScoringFunc == "sigmoid",
		GroupTop2:     cfg.TopKMethod == "noaux_tc",
		Normalize:     cfg.NormTopKProb,
		ScalingFactor: float32(cfg.RoutedScalingFactor),
	}
	if cfg.TopKMethod != "greedy" {
		s.Groups, s.TopGroups = cfg.NGroup, cfg.TopKGroup
	}
	return s
}

// gateSaved is what Forward keeps for Backward.
type gateSaved struct {
	logits  tensor.Mat // [T, E]
	routing device.Routing
}

func (g *Gate) newSaved(t int) gateSaved { return newGateSaved(g.dev, g.spec, t) }

func newGateSaved(dev device.Device, spec device.RouteSpec, t int) gateSaved {
	e, k := spec.Experts, spec.TopK
	return gateSaved{
		logits: dev.Alloc(t, e, tensor.F32),
		routing: device.Routing{
			Score:  dev.Alloc(t, e, tensor.F32),
			Index:  dev.Alloc(t, k, tensor.I32),
			Weight: dev.Alloc(t, k, tensor.F32),
			Start:  dev.Alloc(1, e+1, tensor.I32),
			Slot:   dev.Alloc(t, k, tensor.I32),
			Token:  dev.Alloc(t*k, 1, tensor.I32),
		},
	}
}

// first is s for the first t rows.
func (s gateSaved) first(t int) gateSaved {
	r := &s.routing
	k := r.Index.Cols
	s.logits, r.Score = s.logits.RowSlice(0, t), r.Score.RowSlice(0, t)
	r.Index, r.Weight, r.Slot, r.Token = r.Index.RowSlice(0, t), r.Weight.RowSlice(0, t), r.Slot.RowSlice(0, t), r.Token.RowSlice(0, t*k)
	return s
}

// Forward routes the rows of x [T, D], those that b has experts for to these.
func (g *Gate) Forward(x tensor.Mat, b *rows, s *gateSaved) {
	g.Proj.Forward(s.logits, x)
	spec := g.spec
	if g.mixture < len(b.experts) {
		g.dev.UploadInts(s.routing.Index, b.experts[g.mixture])
		spec.Replay = true
	}
	g.dev.Route(s.routing, s.logits, g.Bias, spec)
}

// Backward adds to dx what follows from dweight [T, K], and from the sequence-wise balance loss (17)–(20) where
// balance, its factor α, is not 0. dlogits is space.
func (g *Gate) Backward(dx, dlogits, dweight, x tensor.Mat, b *rows, balance float32, s *gateSaved) {
	g.dev.Zero(dlogits)
	g.dev.RouteBackward(dlogits, dweight, s.routing, g.spec, balance, b.starts)
	g.Proj.Backward(dx, dlogits, x)
}

// UpdateBias moves b by speed towards experts that had less than the mean load since the last call, and forgets the load.
func (g *Gate) UpdateBias(speed float32) {
	if !g.Bias.IsZero() && speed != 0 {
		g.dev.UpdateBias(g.Bias, g.Load, speed)
	}
	g.dev.Zero(g.Load)
}
