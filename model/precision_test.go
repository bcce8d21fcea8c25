package model

import (
	"math"
	"testing"

	"sprat/device"
	"sprat/tensor"
)

// TestPrecisions: gradients in bf16 and in FP8 point where those in float32 do. Rounding to bfloat16 costs 2^-9 and to E4M3 2^-4 of each
// factor, a dozen times between a weight and the loss. There are no experts, as a token that changes its expert is no matter of rounding.
func TestPrecisions(t *testing.T) {
	cfg := changed(t, `{"n_routed_experts": null, "num_nextn_predict_layers": 0}`)
	gradients := func(p device.Precision) (all []float64) {
		m := New(cfg, newDevice(t, 2), Options{Train: true, Precision: p})
		m.Init(3, 0.2)
		b := randomBatch(cfg.VocabSize, 40, 40)
		m.Gradients(m.NewState(len(b.IDs), true), b, Objective{})
		for p := range m.Params() {
			all = append(all, values(p.G)...)
		}
		return all
	}
	exact := gradients(device.F32)
	for p, want := range map[device.Precision]float64{device.BF16: 0.999, device.FP8: 0.95} {
		cos := cosine(gradients(p), exact)
		if !(cos > want && cos < 1) {
			t.Errorf("precision %d: the cosine between gradients is %v, want it between %v and 1", p, cos, want)
		}
	}
}

func values(m tensor.Mat) (v []float64) {
	if m.IsZero() {
		return nil
	}
	for _, x := range m.Host() {
		v = append(v, float64(x))
	}
	return v
}

func cosine(a, b []float64) float64 {
	ab, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		ab, aa, bb = ab+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	return ab / math.Sqrt(aa*bb)
}
