package model

import (
	"sprat/config"
	"sprat/device"
	"sprat/nn"
	"sprat/tensor"
)

// GQA is grouped-query attention (arXiv 2305.13245), which MLA is compared with. Each of G key and value heads serves H/G query
// heads; with G = H it is plain multi-head attention. P is head_dim.
//
//	q = RoPE(W_Q h)                        [H, P]
//	k = RoPE(W_K h)                        [G, P]   a cache keeps k and v
//	v = W_V h                              [G, P]
//	o_i = Σ_s softmax_s(q_i·k_g,s · scale) v_g,s    g = i·G/H
//	u = W_O [o_1 ; … ; o_H]
type GQA struct {
	QProj, KProj, VProj, OProj nn.Linear
	Top                        tensor.Mat // [1, H] as MLA's

	rope  nn.RoPE
	heads device.Heads // N = V = P, R = 0: the whole of a key turns, and is its head's own
	group int          // H/G
	dev   device.Device
}

func newGQA(b *nn.Builder, prefix string, cfg *config.Config, rope nn.RoPE) *GQA {
	h, g, p := cfg.NumAttentionHeads, cfg.NumKeyValueHeads, cfg.HeadDim
	a := &GQA{
		QProj: b.Linear(prefix+".q_proj.weight", h*p, cfg.HiddenSize),
		KProj: b.Linear(prefix+".k_proj.weight", g*p, cfg.HiddenSize),
		VProj: b.Linear(prefix+".v_proj.weight", g*p, cfg.HiddenSize),
		OProj: b.Linear(prefix+".o_proj.weight", cfg.HiddenSize, h*p),
		rope:  rope,
		heads: device.Heads{H: h, N: p, V: p, Scale: float32(cfg.SoftmaxScale()), Precision: b.Precision.Core()},
		group: h / g,
		dev:   b.Dev,
	}
	if b.Train {
		a.Top = b.Dev.Alloc(1, h, tensor.F32)
	}
	return a
}

// gqaSaved is what Forward keeps for Backward; a second one holds the gradients of the same.
type gqaSaved struct {
	q      tensor.Mat // [T, H·P] turned
	k, v   tensor.Mat // [T, G·P], k turned
	kv     tensor.Mat // [T, H·2P] = [k_g | v_g] by query head
	o, lse tensor.Mat // [T, H·P] [T, H]
}

func (a *GQA) newSaved(t int) gqaSaved {
	h, p := a.heads.H, a.heads.N
	mat := func(cols int) tensor.Mat { return a.dev.Alloc(t, cols, tensor.F32) }
	return gqaSaved{q: mat(h * p), k: mat(h / a.group * p), v: mat(h / a.group * p), kv: mat(h * 2 * p), o: mat(h * p), lse: mat(h)}
}

// Forward adds u [T, D] for h [T, D].
func (a *GQA) Forward(u, h tensor.Mat, b *rows, s *gqaSaved) {
	a.project(h, b, s)
	for i := range a.heads.H {
		ki, vi, kg, vg := a.pair(i, s)
		a.dev.Copy(ki, kg)
		a.dev.Copy(vi, vg)
	}
	var top tensor.Mat
	if b.learning {
		top = a.Top
	}
	a.dev.Attention(s.o, s.lse, top, s.q, s.kv, tensor.Mat{}, b.starts, a.heads)
	a.OProj.ForwardAdd(u, s.o)
}

// project computes q, k and v.
func (a *GQA) project(h tensor.Mat, b *rows, s *gqaSaved) {
	a.QProj.Forward(s.q, h)
	a.KProj.Forward(s.k, h)
	a.VProj.Forward(s.v, h)
	a.rope.Forward(s.q, a.heads.N, 0, b.pos)
	a.rope.Forward(s.k, a.heads.N, 0, b.pos)
}

// pair is the key and value that query head i has in kv, and its group's, of which those are copies.
func (a *GQA) pair(i int, s *gqaSaved) (ki, vi, kg, vg tensor.Mat) {
	p, g := a.heads.N, i/a.group
	kv := s.kv.ColSlice(2*i*p, 2*(i+1)*p)
	return kv.ColSlice(0, p), kv.ColSlice(p, 2*p), s.k.ColSlice(g*p, (g+1)*p), s.v.ColSlice(g*p, (g+1)*p)
}

// Backward adds to dh, from Forward's last line to its first. d is space for the gradients of what s holds.
func (a *GQA) Backward(dh, du, h tensor.Mat, b *rows, s, d *gqaSaved) {
	for _, m := range []tensor.Mat{d.o, d.q, d.kv, d.k, d.v} {
		a.dev.Zero(m)
	}
	a.OProj.Backward(d.o, du, s.o)
	a.dev.AttentionBackward(d.q, d.kv, tensor.Mat{}, d.o, s.q, s.kv, tensor.Mat{}, s.o, s.lse, b.starts, a.heads)
	for i := range a.heads.H {
		dki, dvi, dkg, dvg := a.pair(i, d)
		a.dev.Add(dkg, dki)
		a.dev.Add(dvg, dvi)
	}
	a.rope.Backward(d.k, a.heads.N, 0, b.pos)
	a.rope.Backward(d.q, a.heads.N, 0, b.pos)
	a.VProj.Backward(dh, d.v, h)
	a.KProj.Backward(dh, d.k, h)
	a.QProj.Backward(dh, d.q, h)
}

// clipQK scales W_Q of a head by γ. W_K is left alone, being its group's.
func (a *GQA) clipQK(tau float64, top []float32) (largest float64) {
	p := a.heads.N
	return clipHeads(a.dev, a.Top, top, tau, func(i int, gamma float64) {
		a.dev.Mix(a.QProj.W.RowSlice(i*p, (i+1)*p), tensor.Mat{}, float32(gamma), 0)
	})
}
