package model

import (
	"math"

	"sprat/device"
	"sprat/tensor"
)

// ClipQK ends a step with QK-Clip (Kimi K2 report, section 2.1): a head whose largest score since the last call is above tau has
// its weights scaled so that the score would have been tau. Muon needs it, whose updates let scores grow. It returns the
// largest score of any head, 0 where all are below; with tau 0, as after a step that was skipped, that is all it does. It
// reads from the device.
func (m *Model) ClipQK(tau float64) (largest float64) {
	for _, l := range m.layers {
		if l.GQA != nil {
			largest = max(largest, l.GQA.clipQK(tau, m.top))
		} else {
			largest = max(largest, l.Attn.clipQK(tau, m.top))
		}
	}
	return largest
}

// clipQK scales W_UQ and W_UK of a head by √γ and W_QR by γ, with γ = τ/top: both products of the score come to γ times what
// they were. W_KR is left alone, being all heads'. top [H] is space.
func (a *MLA) clipQK(tau float64, top []float32) (largest float64) {
	h, q := a.heads, a.QBProj.W
	if a.qRank == 0 {
		q = a.QProj.W
	}
	return clipHeads(a.dev, a.Top, top, tau, func(i int, gamma float64) {
		nope, rope, k := i*(h.N+h.R), i*(h.N+h.R)+h.N, i*(h.N+h.V)
		root := float32(math.Sqrt(gamma))
		a.dev.Mix(q.RowSlice(nope, rope), tensor.Mat{}, root, 0)
		a.dev.Mix(q.RowSlice(rope, rope+h.R), tensor.Mat{}, float32(gamma), 0)
		a.dev.Mix(a.KVBProj.W.RowSlice(k, k+h.N), tensor.Mat{}, root, 0)
	})
}

// clipHeads calls clip with each head's γ where that is below 1, and forgets the scores.
func clipHeads(dev device.Device, tops tensor.Mat, top []float32, tau float64, clip func(head int, gamma float64)) (largest float64) {
	dev.Read(top, tops)
	dev.Zero(tops)
	for i, t := range top {
		largest = max(largest, float64(t))
		if tau > 0 && float64(t) > tau && !math.IsInf(float64(t), 0) {
			clip(i, tau/float64(t))
		}
	}
	return largest
}
