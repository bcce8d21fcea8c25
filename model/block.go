package model

import (
	"fmt"

	"sprat/config"
	"sprat/device"
	"sprat/nn"
	"sprat/tensor"
)

// Block is one decoder layer: h = x + MLA(norm(x)); y = h + FFN(norm(h)). The FFN is a dense MLP in the first layers and a
// mixture of experts after them. A model to compare with has GQA in place of MLA.
type Block struct {
	InputNorm nn.RMSNorm
	Attn      *MLA // one of the two is nil
	GQA       *GQA
	PostNorm  nn.RMSNorm
	MLP       *nn.MLP // one of the two is nil
	MoE       *MoE
	dev       device.Device
}

func newBlock(b *nn.Builder, cfg *config.Config, layer int, rope nn.RoPE) *Block {
	prefix := fmt.Sprintf("model.layers.%d", layer)
	l := &Block{InputNorm: b.RMSNorm(prefix+".input_layernorm.weight", cfg.HiddenSize, cfg.RMSNormEps), dev: b.Dev}
	if cfg.IsGQA() {
		l.GQA = newGQA(b, prefix+".self_attn", cfg, rope)
	} else {
		l.Attn = newMLA(b, prefix+".self_attn", cfg, rope)
	}
	l.PostNorm = b.RMSNorm(prefix+".post_attention_layernorm.weight", cfg.HiddenSize, cfg.RMSNormEps)
	if cfg.IsMoE(layer) {
		l.MoE = newMoE(b, prefix+".mlp", cfg)
	} else {
		l.MLP = b.MLP(prefix+".mlp", cfg.HiddenSize, cfg.IntermediateSize)
	}
	return l
}

// blockSaved is what Forward keeps for Backward.
type blockSaved struct {
	x               tensor.Mat // Forward's argument
	xNorm, h, hNorm tensor.Mat // [T, D]
	xRstd, hRstd    tensor.Mat // [T, 1]
	attn            mlaSaved
	gqa             gqaSaved
	mlp             nn.MLPSaved
	moe             moeSaved
}

func (l *Block) newSaved(t int) blockSaved {
	d := l.InputNorm.W.Cols
	mat := func(cols int) tensor.Mat { return l.dev.Alloc(t, cols, tensor.F32) }
	s := blockSaved{xNorm: mat(d), h: mat(d), hNorm: mat(d), xRstd: mat(1), hRstd: mat(1)}
	s.attn, s.gqa = l.newAttention(t)
	if l.MoE != nil {
		s.moe = l.MoE.newSaved(t)
	} else {
		s.mlp = l.MLP.NewSaved(t)
	}
	return s
}

// newAttention allocates what the layer's attention keeps; the other is empty.
func (l *Block) newAttention(t int) (a mlaSaved, g gqaSaved) {
	if l.GQA != nil {
		return a, l.GQA.newSaved(t)
	}
	return l.Attn.newSaved(t), g
}

// blockGrads is space for Backward; layers of one kind can share it.
type blockGrads struct {
	h, norm tensor.Mat // [T, D]
	attn    mlaSaved
	gqa     gqaSaved
	mlp     nn.MLPSaved
	moe     moeGrads
}

func (l *Block) newGrads(t int) blockGrads {
	d := l.InputNorm.W.Cols
	g := blockGrads{h: l.dev.Alloc(t, d, tensor.F32), norm: l.dev.Alloc(t, d, tensor.F32)}
	g.attn, g.gqa = l.newAttention(t)
	if l.MoE != nil {
		g.moe = l.MoE.newGrads(t)
	} else {
		g.mlp = l.MLP.NewSaved(t)
	}
	return g
}

// Forward computes y [T, D] from x [T, D].
func (l *Block) Forward(y, x tensor.Mat, b *rows, s *blockSaved) {
	s.x = x
	l.InputNorm.Forward(s.xNorm, s.xRstd, x)
	l.dev.Copy(s.h, x)
	if l.GQA != nil {
		l.GQA.Forward(s.h, s.xNorm, b, &s.gqa)
	} else {
		l.Attn.Forward(s.h, s.xNorm, b, &s.attn)
	}
	l.feedForward(y, b, s)
}

func (l *Block) feedForward(y tensor.Mat, b *rows, s *blockSaved) {
	l.PostNorm.Forward(s.hNorm, s.hRstd, s.h)
	l.dev.Copy(y, s.h)
	if l.MoE != nil {
		l.MoE.Forward(y, s.hNorm, b, &s.moe)
	} else {
		l.MLP.Forward(y, s.hNorm, &s.mlp)
	}
}

// Backward adds to dx.
func (l *Block) Backward(dx, dy tensor.Mat, b *rows, balance float32, s *blockSaved, d *blockGrads) {
	// y = h + FFN(norm(h))
	l.dev.Zero(d.norm)
	if l.MoE != nil {
		l.MoE.Backward(d.norm, dy, s.hNorm, b, balance, &s.moe, &d.moe)
	} else {
		l.MLP.Backward(d.norm, dy, s.hNorm, &s.mlp, &d.mlp)
	}
	l.dev.Copy(d.h, dy)
	l.PostNorm.Backward(d.h, d.norm, s.h, s.hRstd)

	// h = x + MLA(norm(x))
	l.dev.Zero(d.norm)
	if l.GQA != nil {
		l.GQA.Backward(d.norm, d.h, s.xNorm, b, &s.gqa, &d.gqa)
	} else {
		l.Attn.Backward(d.norm, d.h, s.xNorm, b, &s.attn, &d.attn)
	}
	l.dev.Add(dx, d.h)
	l.InputNorm.Backward(dx, d.norm, s.x, s.xRstd)
}
