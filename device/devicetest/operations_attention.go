package devicetest

import (
	"sprat/device"
	"sprat/tensor"
)

func (g *gen) attention(name string, p device.Precision) *operation {
	h := g.h
	h.Precision = p
	starts := []int32{0, 1, 1, int32(g.t / 5), int32(g.t)} // one row, none, some
	o := &operation{
		name: name,
		in: []operand{g.mat("q", g.t, h.H*(h.N+h.R)).with(diff), g.mat("kv", g.t, h.H*(h.N+h.V)).with(diff),
			g.mat("kR", g.t, h.R).with(diff)},
		out: []operand{result("o", g.t, h.H*h.V).with(diff), result("lse", g.t, h.H), result("top", 1, h.H).with(raises)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.Attention(out[0], out[1], out[2], in[0], in[1], in[2], starts, h)
		},
		reference: func(in [][]float64) [][]float64 {
			o, lse, top := refAttention(in[0], in[1], in[2], starts, h)
			return [][]float64{o, lse, top}
		},
		backward: func(d device.Device, din, dout, in, out []tensor.Mat) {
			d.AttentionBackward(din[0], din[1], din[2], dout[0], in[0], in[1], in[2], out[0], out[1], starts, h)
		},
	}
	o.tolerance = toleranceOf(p)
	return o
}
