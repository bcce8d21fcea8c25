package model

import (
	"sprat/config"
	"sprat/device"
	"sprat/nn"
	"sprat/tensor"
)

// MLA is multi-head latent attention (V3 report, section 2.1.1; the equation numbers are that section's).
//
//	cKV = W_DKV h                          (1)   [C]     what a cache keeps, normed
//	kC  = W_UK cKV                         (2)   [H, N]
//	kR  = RoPE(W_KR h)                     (3)   [R]     what a cache keeps; one for all heads
//	k_i = [kC_i ; kR]                      (4)
//	vC  = W_UV cKV                         (5)   [H, V]
//	cQ  = W_DQ h                           (6)   [Q]
//	qC  = W_UQ cQ                          (7)   [H, N]
//	qR  = RoPE(W_QR cQ)                    (8)   [H, R]
//	q_i = [qC_i ; qR_i]                    (9)
//	o_i = Σ_s softmax_s(q_i·k_i,s · scale) vC_i,s    (10)
//	u   = W_O [o_1 ; … ; o_H]              (11)
//
// The checkpoint keeps W_DKV and W_KR as one matrix, kv_a_proj_with_mqa, W_UK and W_UV as one, kv_b_proj, and W_UQ and W_QR
// as one, q_b_proj, each head's rows together. cKV and cQ pass an RMSNorm that the equations leave out. A model without a
// query latent has q_proj in place of the three steps from h to q.
type MLA struct {
	QProj          nn.Linear // W_UQ and W_QR on h itself, where there is no query latent
	QAProj, QBProj nn.Linear // W_DQ; W_UQ and W_QR
	QANorm         nn.RMSNorm
	KVAProj        nn.Linear // W_DKV and W_KR
	KVANorm        nn.RMSNorm
	KVBProj        nn.Linear  // W_UK and W_UV
	OProj          nn.Linear  // W_O
	Top            tensor.Mat // [1, H] each head's largest score in training since the last ClipQK, at least 0

	rope  nn.RoPE
	heads device.Heads
	qRank int // 0: no query latent
	dev   device.Device
}

// latentNormEps is ε of the norms of cQ and cKV. DeepSeek's modeling code leaves it at this whatever rms_norm_eps says, which
// matters for models with another, such as Moonlight.
const latentNormEps = 1e-6

func newMLA(b *nn.Builder, prefix string, cfg *config.Config, rope nn.RoPE) *MLA {
	d, heads := cfg.HiddenSize, headsOf(cfg)
	heads.Precision = b.Precision.Core()
	a := &MLA{rope: rope, heads: heads, qRank: cfg.QLoRARank, dev: b.Dev}
	if q := heads.H * (heads.N + heads.R); a.qRank == 0 {
		a.QProj = b.Linear(prefix+".q_proj.weight", q, d)
	} else {
		a.QAProj = b.Linear(prefix+".q_a_proj.weight", a.qRank, d)
		a.QANorm = b.RMSNorm(prefix+".q_a_layernorm.weight", a.qRank, latentNormEps)
		a.QBProj = b.Linear(prefix+".q_b_proj.weight", q, a.qRank)
	}
	a.KVAProj = b.Linear(prefix+".kv_a_proj_with_mqa.weight", heads.C+heads.R, d)
	a.KVANorm = b.RMSNorm(prefix+".kv_a_layernorm.weight", heads.C, latentNormEps)
	a.KVBProj = b.Linear(prefix+".kv_b_proj.weight", heads.H*(heads.N+heads.V), heads.C)
	a.OProj = b.Linear(prefix+".o_proj.weight", d, heads.H*heads.V)
	if b.Train {
		a.Top = b.Dev.Alloc(1, heads.H, tensor.F32)
	}
	return a
}

func headsOf(cfg *config.Config) device.Heads {
	return device.Heads{
		H: cfg.NumAttentionHeads,
		N: cfg.QKNoPEHeadDim,
		R: cfg.QKRoPEHeadDim,
		V: cfg.VHeadDim,
		C: cfg.KVLoRARank,

		Scale: float32(cfg.SoftmaxScale()),
	}
}

// mlaSaved is what Forward keeps for Backward; a second one holds the gradients of the same.
type mlaSaved struct {
	cQ, cQNorm, cQRstd tensor.Mat // [T, Q] [T, Q] [T, 1]
	q                  tensor.Mat // [T, H·(N+R)], rotary parts turned
	kva                tensor.Mat // [T, C+R] = [cKV | kR], kR turned
	cKVNorm, cKVRstd   tensor.Mat // [T, C] [T, 1]
	kv                 tensor.Mat // [T, H·(N+V)] = [kC_i | vC_i] by head
	o, lse             tensor.Mat // [T, H·V] [T, H]
}

func (a *MLA) newSaved(t int) mlaSaved {
	h := a.heads
	mat := func(cols int) tensor.Mat { return a.dev.Alloc(t, cols, tensor.F32) }
	s := mlaSaved{
		q:       mat(h.H * (h.N + h.R)),
		kva:     mat(h.C + h.R),
		cKVNorm: mat(h.C),
		cKVRstd: mat(1),
		kv:      mat(h.H * (h.N + h.V)),
		o:       mat(h.H * h.V),
		lse:     mat(h.H),
	}
	if a.qRank > 0 {
		s.cQ, s.cQNorm, s.cQRstd = mat(a.qRank), mat(a.qRank), mat(1)
	}
	return s
}

// Forward adds u [T, D] for h [T, D], in the explicit form: keys and values of every head are made from the latents.
func (a *MLA) Forward(u, h tensor.Mat, b *rows, s *mlaSaved) {
	cKV, kR := a.project(h, b, s)
	a.KVANorm.Forward(s.cKVNorm, s.cKVRstd, cKV)
	a.KVBProj.Forward(s.kv, s.cKVNorm) // (2) (5)
	var top tensor.Mat
	if b.learning {
		top = a.Top
	}
	a.dev.Attention(s.o, s.lse, top, s.q, s.kv, kR, b.starts, a.heads) // (4) (9) (10)
	a.OProj.ForwardAdd(u, s.o)                                         // (11)
}

// project computes queries and latents, (1) (3) (6) (7) (8), and returns the latter's two parts.
func (a *MLA) project(h tensor.Mat, b *rows, s *mlaSaved) (cKV, kR tensor.Mat) {
	if a.qRank == 0 {
		a.QProj.Forward(s.q, h)
	} else {
		a.QAProj.Forward(s.cQ, h) // (6)
		a.QANorm.Forward(s.cQNorm, s.cQRstd, s.cQ)
		a.QBProj.Forward(s.q, s.cQNorm) // (7) (8)
	}
	a.rope.Forward(s.q, a.heads.N+a.heads.R, a.heads.N, b.pos)
	a.KVAProj.Forward(s.kva, h) // (1) (3)
	cKV, kR = a.split(s.kva)
	a.rope.Forward(kR, a.heads.R, 0, b.pos)
	return cKV, kR
}

func (a *MLA) split(kva tensor.Mat) (cKV, kR tensor.Mat) {
	return kva.ColSlice(0, a.heads.C), kva.ColSlice(a.heads.C, kva.Cols)
}

// Backward adds to dh, from Forward's last line to its first. d is space for the gradients of what s holds.
func (a *MLA) Backward(dh, du, h tensor.Mat, b *rows, s, d *mlaSaved) {
	cKV, kR := a.split(s.kva)
	dcKV, dkR := a.split(d.kva)
	for _, m := range []tensor.Mat{d.o, d.q, d.kv, d.kva, d.cKVNorm} {
		a.dev.Zero(m)
	}
	a.OProj.Backward(d.o, du, s.o)
	a.dev.AttentionBackward(d.q, d.kv, dkR, d.o, s.q, s.kv, kR, s.o, s.lse, b.starts, a.heads)
	a.KVBProj.Backward(d.cKVNorm, d.kv, s.cKVNorm)
	a.KVANorm.Backward(dcKV, d.cKVNorm, cKV, s.cKVRstd)

	a.rope.Backward(dkR, a.heads.R, 0, b.pos)
	a.KVAProj.Backward(dh, d.kva, h)
	a.rope.Backward(d.q, a.heads.N+a.heads.R, a.heads.N, b.pos)
	if a.qRank == 0 {
		a.QProj.Backward(dh, d.q, h)
		return
	}
	a.dev.Zero(d.cQNorm)
	a.dev.Zero(d.cQ)
	a.QBProj.Backward(d.cQNorm, d.q, s.cQNorm)
	a.QANorm.Backward(d.cQ, d.cQNorm, s.cQ, s.cQRstd)
	a.QAProj.Backward(dh, d.cQ, h)
}
