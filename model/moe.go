package model

import (
	"sprat/config"
	"sprat/device"
	"sprat/nn"
	"sprat/tensor"
)

// MoE is the mixture of experts (V3 report, equation 12), residual apart:
//
//	y = Σ_i shared_i(x) + Σ_i g_i · routed_i(x)
//
// The shared experts are one MLP of NSharedExperts times the width: a sum of SwiGLU layers is a wider one.
type MoE struct {
	Gate    *Gate
	Experts *nn.Experts
	Shared  *nn.MLP // nil where there is none
	dev     device.Device
}

func newMoE(b *nn.Builder, prefix string, cfg *config.Config) *MoE {
	m := &MoE{
		Gate:    newGate(b, prefix+".gate", cfg),
		Experts: b.Experts(prefix+".experts", cfg.NRoutedExperts, cfg.HiddenSize, cfg.MoEIntermediateSize),
		dev:     b.Dev,
	}
	if cfg.NSharedExperts > 0 {
		m.Shared = b.MLP(prefix+".shared_experts", cfg.HiddenSize, cfg.NSharedExperts*cfg.MoEIntermediateSize)
	}
	return m
}

// moeSaved is what Forward keeps for Backward.
type moeSaved struct {
	gate    gateSaved
	experts device.ExpertsSaved
	shared  nn.MLPSaved
}

func (m *MoE) newSaved(t int) moeSaved {
	s := moeSaved{gate: m.Gate.newSaved(t), experts: m.Experts.NewSaved(t * m.Gate.spec.TopK)}
	if m.Shared != nil {
		s.shared = m.Shared.NewSaved(t)
	}
	return s
}

// moeGrads is space for Backward.
type moeGrads struct {
	logits, weight tensor.Mat // [T, E] [T, K]
	shared         nn.MLPSaved
}

func (m *MoE) newGrads(t int) moeGrads {
	g := moeGrads{
		logits: m.dev.Alloc(t, m.Gate.spec.Experts, tensor.F32),
		weight: m.dev.Alloc(t, m.Gate.spec.TopK, tensor.F32),
	}
	if m.Shared != nil {
		g.shared = m.Shared.NewSaved(t)
	}
	return g
}

// Forward adds to y.
func (m *MoE) Forward(y, x tensor.Mat, b *rows, s *moeSaved) {
	m.Gate.Forward(x, b, &s.gate)
	m.Experts.Forward(y, x, s.gate.routing, s.experts)
	if m.Shared != nil {
		m.Shared.Forward(y, x, &s.shared)
	}
}

// Backward adds to dx.
func (m *MoE) Backward(dx, dy, x tensor.Mat, b *rows, balance float32, s *moeSaved, d *moeGrads) {
	if m.Shared != nil {
		m.Shared.Backward(dx, dy, x, &s.shared, &d.shared)
	}
	m.Experts.Backward(dx, d.weight, dy, s.gate.routing, s.experts)
	m.Gate.Backward(dx, d.logits, d.weight, x, b, balance, &s.gate)
}
