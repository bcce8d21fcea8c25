package model

import (
	"fmt"
	"math"
	"slices"

	"sprat/tensor"
)

// Diagnose computes the gradients of b once more and says which tensor is the first that holds a number that is not finite, in
// the order of computation: weights, layers forward, the loss, gradients backward. It is for a step that went wrong, whose
// weights have not been moved. "" means that all is finite.
func (m *Model) Diagnose(s *State, b Batch, o Objective) string {
	for p := range m.Params() {
		if !m.finite(p.W) {
			return "the weight " + p.Name
		}
	}
	m.upload(s, b)
	m.Embedding.Forward(s.x[0], s.rows.ids)
	for i, l := range m.Blocks {
		l.Forward(s.x[i+1], s.x[i], &s.rows, &s.blocks[i])
		if name := m.firstBad(&s.blocks[i], s.x[i+1]); name != "" {
			return fmt.Sprintf("%s of model.layers.%d", name, i)
		}
	}
	m.ZeroGradients()
	loss := m.Gradients(s, b, o)
	if bad(loss.Main) {
		return "the loss"
	}
	for k, l := range loss.MTP {
		layer := len(m.Blocks) + k
		if name := m.firstBad(&s.mtp[k].block, s.mtp[k].h); name != "" {
			return fmt.Sprintf("%s of model.layers.%d", name, layer)
		}
		if bad(l) {
			return fmt.Sprintf("the loss of model.layers.%d", layer)
		}
	}
	for _, p := range slices.Backward(m.params) {
		if !p.Frozen && !m.finite(p.G) {
			return "the gradient of " + p.Name
		}
	}
	return ""
}

// firstBad names the first of a layer's intermediate values, and its output y, that is not finite.
func (m *Model) firstBad(s *blockSaved, y tensor.Mat) string {
	for _, v := range []struct {
		name string
		m    tensor.Mat
	}{
		{"the query latent cQ", s.attn.cQ},
		{"the queries q", s.attn.q},
		{"the latents [cKV | kR]", s.attn.kva},
		{"the keys and values", s.attn.kv},
		{"the attention's output o", s.attn.o},
		{"the queries q", s.gqa.q},
		{"the keys and values", s.gqa.kv},
		{"the attention's output o", s.gqa.o},
		{"the attention block's output h", s.h},
		{"the gate's logits", s.moe.gate.logits},
		{"the experts' gate and up", s.moe.experts.GateUp},
		{"the experts' activation", s.moe.experts.Act},
		{"the MLP's gate and up", s.mlp.GateUp},
		{"the MLP's activation", s.mlp.Act},
		{"the output", y},
	} {
		if !v.m.IsZero() && !m.finite(v.m) {
			return v.name
		}
	}
	return ""
}

// finite tells whether x holds neither a NaN nor an infinity, nor numbers so large that their squares overflow.
func (m *Model) finite(x tensor.Mat) bool { return !bad(m.dev.SumSquares(x)) }

func bad(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
