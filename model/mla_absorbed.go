package model

import "sprat/device"

// MLA as it is run, over a cache of latents. A prompt may be computed in the explicit form, as in training; otherwise W_UK is absorbed
// into the query and W_UV into the output, so that keys and values are never made (V2 report, section 2.1.2):
//
//	q_i·kC_i = (qC_i W_UK_i)·cKV        o_i = W_UV_i (Σ_s p_s cKV_s)

// attend adds attention's output for w.h to w.x. Equation numbers are those of MLA.
func (p *Packed) attend(a *packedMLA, w *Pass, pages device.Pages, layer int, s Step) {
	h := p.heads
	p.dev.Project(w.down, w.h, a.down, false) // (1) (3) (6)
	rest := w.down.Cols - h.C - h.R
	q, cKV, kR := w.down.ColSlice(0, rest), w.down.ColSlice(rest, rest+h.C), w.down.ColSlice(rest+h.C, w.down.Cols)
	if a.up != nil {
		a.qNorm.Forward(w.cQ, w.rstd, q)
		q = w.q
		p.dev.Project(q, w.cQ, a.up, false) // (7) (8)
	}
	p.rope.Forward(q, h.N+h.R, h.N, w.pos)
	p.rope.Forward(kR, h.R, 0, w.pos)
	a.kvNorm.Forward(w.cKV, w.rstd, cKV)
	p.dev.StoreLatents(pages, layer, w.cKV, kR, s.Contexts)

	if short := s.Contexts[:s.Absorbed]; len(short) > 0 {
		end := short[len(short)-1].First + short[len(short)-1].Rows
		q, qC, oC, o := q.RowSlice(0, end), w.qC.RowSlice(0, end), w.oC.RowSlice(0, end), w.o.RowSlice(0, end)
		p.dev.ProjectEach(qC, q, a.wUK, h.N+h.R, 0)
		p.dev.PagedLatentAttention(oC, qC, q, pages, layer, short, h)
		p.dev.ProjectEach(o, oC, a.wUV, h.C, 0)
	}
	if long := s.Contexts[s.Absorbed:]; len(long) > 0 {
		p.dev.PagedAttention(w.o, q, pages, layer, a.wUK, a.wUV, long, h) // (2) (5) (4) (9) (10)
	}
	p.dev.Project(w.x, w.o, a.outProj, true) // (11)
}

// AbsorbedRows is the number of a sequence's query rows from which on the explicit form costs less than the absorbed one. For rows
// much fewer than the keys, making keys and values of a key costs 2·H·C·(N+V), and using them costs each query row 2·H·(N+R+V) where
// it costs 2·H·(2C+R) to use the latent: C·(N+V)/(2C−N−V). With a latent no wider than that the absorbed form is always the cheaper.
func (p *Packed) AbsorbedRows() int {
	h := p.heads
	if p.Config.IsGQA() || 2*h.C <= h.N+h.V {
		return p.Positions() + 1
	}
	return (h.C*(h.N+h.V) + 2*h.C - h.N - h.V - 1) / (2*h.C - h.N - h.V)
}
