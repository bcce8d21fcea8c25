package model

import "sprat/tensor"

// absorbedSaved is space for ForwardAbsorbed.
type absorbedSaved struct {
	qC, oC tensor.Mat // [T, H·C], queries and outputs in the latent's space
}

func (l *Block) newAbsorbed(t int) absorbedSaved {
	var width int
	if l.GQA != nil {
		width = l.GQA.heads.H * 2 * l.GQA.heads.N // [key | value] in place of the latent
	} else {
		width = l.Attn.heads.H * l.Attn.heads.C
	}
	return absorbedSaved{qC: l.dev.Alloc(t, width, tensor.F32), oC: l.dev.Alloc(t, width, tensor.F32)}
}

// ForwardAbsorbed is Forward for rows that follow past earlier ones, of which only the latents are kept. W_UK is absorbed
// into the query and W_UV into the output, so that keys and values are never made (V2 report, section 2.1.2):
//
//	q_i·kC_i = (qC_i W_UK_i)·cKV        o_i = W_UV_i (Σ_s p_s cKV_s)
//
// latents [S, C+R] holds rows of [normed cKV | turned kR]; the rows of h are appended at past.
func (a *MLA) ForwardAbsorbed(u, h tensor.Mat, b *rows, latents tensor.Mat, past int, s *mlaSaved, x *absorbedSaved) {
	cKV, kR := a.project(h, b, s)
	keptC, keptR := a.split(latents.RowSlice(past, past+h.Rows))
	a.KVANorm.Forward(keptC, s.cKVRstd, cKV)
	a.dev.Copy(keptR, kR)

	a.dev.AbsorbQuery(x.qC, s.q, a.KVBProj.W, a.heads)
	a.dev.LatentAttention(x.oC, x.qC, s.q, latents, past, a.heads)
	a.dev.AbsorbValue(s.o, x.oC, a.KVBProj.W, a.heads)
	a.OProj.ForwardAdd(u, s.o)
}
