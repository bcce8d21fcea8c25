package model

import (
	"fmt"

	"sprat/config"
	"sprat/nn"
	"sprat/tensor"
)

// MTP is one depth k of multi-token prediction (V3 report, section 2.2): from the representation of position i it predicts
// token i+k+1, given token i+k.
//
//	h'_i = M_k [norm(Emb(t_{i+k})) ; norm(h_i^{k-1})]        (21)   M_k is eh_proj
//	h^k  = TRM_k(h')                                         (22)   an ordinary layer
//	P_{i+k+1} = OutHead(norm(h_i^k))                         (23)
//
// The paper prints (21) with the two halves the other way round; the published weights have the embedding first. h^0 is the
// output of the last layer before the final norm, and h^k goes on to depth k+1 un-normed. Embedding and head are the main
// model's. RoPE's positions are i.
type MTP struct {
	ENorm, HNorm nn.RMSNorm
	EHProj       nn.Linear
	Block        *Block
	Norm         nn.RMSNorm // shared_head.norm

	embedding nn.Embedding
}

func newMTP(b *nn.Builder, cfg *config.Config, depth int, embedding nn.Embedding, rope nn.RoPE) *MTP {
	layer := cfg.NumHiddenLayers + depth - 1
	prefix, d := fmt.Sprintf("model.layers.%d", layer), cfg.HiddenSize
	return &MTP{
		ENorm:     b.RMSNorm(prefix+".enorm.weight", d, cfg.RMSNormEps),
		HNorm:     b.RMSNorm(prefix+".hnorm.weight", d, cfg.RMSNormEps),
		EHProj:    b.Linear(prefix+".eh_proj.weight", d, 2*d),
		Block:     newBlock(b, cfg, layer, rope),
		Norm:      b.RMSNorm(prefix+".shared_head.norm.weight", d, cfg.RMSNormEps),
		embedding: embedding,
	}
}

// mtpSaved is what Forward keeps for Backward.
type mtpSaved struct {
	ids, targets  tensor.Mat // [T, 1] I32: t_{i+k} and t_{i+k+1}
	hPrev         tensor.Mat // Forward's argument
	emb           tensor.Mat // [T, D]
	pair          tensor.Mat // [T, 2D] = [norm(Emb) | norm(h^{k-1})]
	eRstd, hRstd  tensor.Mat // [T, 1]
	in            tensor.Mat // [T, D] h'
	block         blockSaved
	h             tensor.Mat // [T, D] h^k
	norm, rstd    tensor.Mat // [T, D] [T, 1]
	dH, dPair, dX tensor.Mat // gradients: [T, D] of h^k, [T, 2D], [T, D]
}

func (m *MTP) newSaved(t int) mtpSaved {
	dev, d := m.Block.dev, m.ENorm.W.Cols
	mat := func(cols int) tensor.Mat { return dev.Alloc(t, cols, tensor.F32) }
	return mtpSaved{
		ids:     dev.Alloc(t, 1, tensor.I32),
		targets: dev.Alloc(t, 1, tensor.I32),
		emb:     mat(d),
		pair:    mat(2 * d),
		eRstd:   mat(1),
		hRstd:   mat(1),
		in:      mat(d),
		block:   m.Block.newSaved(t),
		h:       mat(d),
		norm:    mat(d),
		rstd:    mat(1),
		dH:      mat(d),
		dPair:   mat(2 * d),
		dX:      mat(d),
	}
}

// Forward computes s.norm, which the head takes, from hPrev = h^{k-1} [T, D].
func (m *MTP) Forward(hPrev tensor.Mat, b *rows, s *mtpSaved) {
	d := hPrev.Cols
	s.hPrev = hPrev
	m.embedding.Forward(s.emb, s.ids)
	m.ENorm.Forward(s.pair.ColSlice(0, d), s.eRstd, s.emb)
	m.HNorm.Forward(s.pair.ColSlice(d, 2*d), s.hRstd, hPrev)
	m.EHProj.Forward(s.in, s.pair)          // (21)
	m.Block.Forward(s.h, s.in, b, &s.block) // (22)
	m.Norm.Forward(s.norm, s.rstd, s.h)
}

// Backward adds to dhPrev. dNorm is the gradient of s.norm; s.dH holds what the next depth has added to that of h^k.
func (m *MTP) Backward(dhPrev, dNorm tensor.Mat, b *rows, balance float32, s *mtpSaved, g *blockGrads) {
	dev, d := m.Block.dev, dhPrev.Cols
	for _, z := range []tensor.Mat{s.dPair, s.dX} {
		dev.Zero(z)
	}
	m.Norm.Backward(s.dH, dNorm, s.h, s.rstd)
	m.Block.Backward(s.dX, s.dH, b, balance, &s.block, g)
	m.EHProj.Backward(s.dPair, s.dX, s.pair)
	m.HNorm.Backward(dhPrev, s.dPair.ColSlice(d, 2*d), s.hPrev, s.hRstd)
	dev.Zero(s.dX)
	m.ENorm.Backward(s.dX, s.dPair.ColSlice(0, d), s.emb, s.eRstd)
	m.embedding.Backward(s.dX, s.ids)
}
