package model

import (
	"fmt"

	"sprat/device"
	"sprat/tensor"
)

// Step is what one pass of a Packed computes: rows of several sequences, each with its own context. The first Absorbed of the
// contexts are computed in the absorbed form, the others in the explicit one; rows lie in the contexts' order. The form is the
// caller's choice, by what it knows of a sequence and never by what else is in the step: see AbsorbedRows.
type Step struct {
	IDs      []int32          // [T]
	Pos      []int32          // [T] each token's position in its sequence
	Contexts []device.Context // First, Rows and Past agree with Pos
	Absorbed int
	Logits   []int32   // rows whose logits are wanted
	Experts  [][]int32 // where not nil, what experts the rows go to is written here: by mixture, [T·K]
}

// Pass is the space for steps of up to T rows and S rows of logits.
type Pass struct {
	ids, pos, rows tensor.Mat // [T, 1] [T, 1] [S, 1] I32
	x, h           tensor.Mat // [T, D] a layer's input and sum; the normed input of attention, experts and head
	rstd           tensor.Mat // [T, 1]
	down           tensor.Mat // [T, Q+C+R] = [cQ | cKV | kR]; GQA: [T, (H+2G)·P] = [q | k | v]
	cQ, cKV        tensor.Mat // [T, Q] [T, C] normed
	q              tensor.Mat // [T, H·(N+R)], rotary parts turned
	qC, oC         tensor.Mat // [T, H·C] queries and outputs in the latent's space
	o              tensor.Mat // [T, H·V]
	gateUp, act    tensor.Mat // [T, 2F] [T, F] of dense layers
	gate           gateSaved
	last, logits   tensor.Mat // [S, D] [S, vocab]

	part *Pass // the first rows of it, as many as a step has
}

// NewPass allocates for steps of up to t rows, with logits of up to s of them.
func (p *Packed) NewPass(t, s int) *Pass {
	mat := func(rows, cols int) tensor.Mat { return p.dev.Alloc(rows, cols, tensor.F32) }
	cfg, h := p.Config, p.heads
	w := &Pass{
		ids: p.dev.Alloc(t, 1, tensor.I32), pos: p.dev.Alloc(t, 1, tensor.I32), rows: p.dev.Alloc(s, 1, tensor.I32),
		x: mat(t, cfg.HiddenSize), h: mat(t, cfg.HiddenSize), rstd: mat(t, 1),
		qC: mat(t, h.H*h.C), oC: mat(t, h.H*h.C), o: mat(t, h.H*h.V),
		last: mat(s, cfg.HiddenSize), logits: mat(s, cfg.VocabSize), part: &Pass{},
	}
	for i := range p.layers {
		l := &p.layers[i]
		switch {
		case w.down.IsZero() && l.gqa != nil:
			_, n, _ := l.gqa.qkv.Shape()
			w.down = mat(t, n)
		case w.down.IsZero():
			_, n, _ := l.attn.down.Shape()
			w.down, w.cKV = mat(t, n), mat(t, h.C)
			if l.attn.up != nil {
				w.cQ, w.q = mat(t, cfg.QLoRARank), mat(t, h.H*(h.N+h.R))
			}
		}
		switch {
		case l.mlp != nil && w.act.IsZero():
			w.gateUp, w.act = mat(t, 2*cfg.IntermediateSize), mat(t, cfg.IntermediateSize)
		case l.moe != nil && w.gate.logits.IsZero():
			w.gate = newGateSaved(p.dev, l.moe.spec, t)
		}
	}
	return w
}

// first is w's space for the first t rows.
func (w *Pass) first(t int) *Pass {
	p := w.part
	*p = *w
	for _, m := range [...]*tensor.Mat{&p.ids, &p.pos, &p.x, &p.h, &p.rstd, &p.down, &p.cQ, &p.cKV, &p.q, &p.qC, &p.oC, &p.o, &p.gateUp, &p.act} {
		if !m.IsZero() {
			*m = m.RowSlice(0, t)
		}
	}
	if !p.gate.logits.IsZero() {
		p.gate = p.gate.first(t)
	}
	return p
}

// PagesShape is the shape of a context cache of so many pages of so many tokens. With GQA, which compresses nothing, a row is a
// group's [k | v], and each group has pages as a layer has with MLA.
func (p *Packed) PagesShape(pages, rows int, f device.PageFormat) device.PagesShape {
	s := device.PagesShape{Layers: len(p.layers), Pages: pages, Rows: rows, C: p.heads.C, R: p.heads.R, Format: f}
	if p.Config.IsGQA() {
		s.Layers *= p.Config.NumKeyValueHeads
	}
	return s
}

// Run computes a step: it appends the latents of its rows to the pages, and writes logits [S, vocab] of the rows asked for.
func (p *Packed) Run(w *Pass, pages device.Pages, s Step, logits []float32) {
	t, n := len(s.IDs), len(s.Logits)
	if t == 0 || t > w.x.Rows || n > w.last.Rows {
		panic(fmt.Sprintf("model: a step of %d rows and %d logits in a pass of %d and %d", t, n, w.x.Rows, w.last.Rows))
	}
	w = w.first(t)
	p.dev.UploadInts(w.ids, s.IDs)
	p.dev.UploadInts(w.pos, s.Pos)
	p.dev.LookUp(w.x, p.embedding, w.ids)
	mixture := 0
	for i := range p.layers {
		l := &p.layers[i]
		l.inputNorm.Forward(w.h, w.rstd, w.x)
		if l.gqa != nil {
			p.attendGQA(l.gqa, w, pages, i, s)
		} else {
			p.attend(l.attn, w, pages, i, s)
		}
		l.postNorm.Forward(w.h, w.rstd, w.x)
		if l.moe != nil {
			p.mix(l.moe, w)
			if s.Experts != nil {
				index := w.gate.routing.Index
				p.dev.ReadInts(s.Experts[mixture][:t*index.Cols], index)
			}
			mixture++
		} else {
			p.dev.Project(w.gateUp, w.h, l.mlp.gateUp, false)
			p.dev.SwiGLU(w.act, w.gateUp)
			p.dev.Project(w.x, w.act, l.mlp.down, true)
		}
	}
	if n == 0 {
		return
	}
	rows, last, out := w.rows.RowSlice(0, n), w.last.RowSlice(0, n), w.logits.RowSlice(0, n)
	p.dev.UploadInts(rows, s.Logits)
	p.dev.Embed(w.h.RowSlice(0, n), w.x, rows) // the rows asked for
	p.norm.Forward(last, w.rstd.RowSlice(0, n), w.h.RowSlice(0, n))
	p.dev.Project(out, last, p.head, false)
	p.dev.Read(logits[:n*out.Cols], out)
}

// attendGQA is attend for GQA. A group is attention over latents, the pairs [k_g | v_g], by queries [q_i | 0]: of the output,
// Σ p·[k_g | v_g], the second half is o_i. That takes twice the products, and no operation of its own for a mere comparison.
func (p *Packed) attendGQA(a *packedGQA, w *Pass, pages device.Pages, layer int, s Step) {
	groups, width := p.Config.NumKeyValueHeads, p.heads.N
	one := p.heads
	one.H /= groups
	p.dev.Project(w.down, w.h, a.qkv, false)
	qk := w.down.ColSlice(0, (p.heads.H+groups)*width)
	p.rope.Forward(qk, width, 0, w.pos)
	head := func(m tensor.Mat, i, width int) tensor.Mat { return m.ColSlice(i*width, (i+1)*width) }
	for g := range groups {
		kv := w.oC.ColSlice(0, 2*width) // not in use yet
		p.dev.Copy(head(kv, 0, width), head(w.down, p.heads.H+g, width))
		p.dev.Copy(head(kv, 1, width), head(w.down, p.heads.H+groups+g, width))
		p.dev.StoreLatents(pages, layer*groups+g, kv, tensor.Mat{}, s.Contexts)
	}
	for i := range p.heads.H {
		p.dev.Copy(head(w.qC, 2*i, width), head(w.down, i, width)) // the other half stays 0
	}
	for g := range groups {
		p.dev.PagedLatentAttention(head(w.oC, g, one.H*one.C), head(w.qC, g, one.H*one.C), head(w.down, g, one.H*width), pages, layer*groups+g, s.Contexts, one)
	}
	for i := range p.heads.H {
		p.dev.Copy(head(w.o, i, width), head(w.oC, 2*i+1, width))
	}
	p.dev.Project(w.x, w.o, a.outProj, true)
}

// mix adds the experts' output for w.h to w.x.
func (p *Packed) mix(m *packedMoE, w *Pass) {
	p.dev.Project(w.gate.logits, w.h, m.gate, false)
	p.dev.Route(w.gate.routing, w.gate.logits, m.bias, m.spec)
	p.dev.MixExperts(w.x, w.h, m.gateUp, m.down, m.sharedGateUp, m.sharedDown, w.gate.routing)
}
