package devicetest

import (
	"math"

	"sprat/device"
	"sprat/tensor"
)

// routes are the gates of the known models, and what they leave out.
func (g *gen) routes() []*operation {
	v3 := device.RouteSpec{Experts: g.e, TopK: g.k, Groups: g.groups, TopGroups: 2, Sigmoid: true, GroupTop2: true,
		Normalize: true, ScalingFactor: 2.5}
	v2 := device.RouteSpec{Experts: g.e, TopK: g.k, Groups: g.groups, TopGroups: 2, ScalingFactor: 16}
	lite := device.RouteSpec{Experts: g.e, TopK: g.k, Groups: 1, TopGroups: 1, ScalingFactor: 1}
	plain := device.RouteSpec{Experts: g.e, TopK: g.k, Sigmoid: true, ScalingFactor: 1.5}
	softmax := device.RouteSpec{Experts: g.e, TopK: g.k, Groups: g.groups, TopGroups: g.groups, Normalize: true, ScalingFactor: 1}
	return []*operation{
		g.route("Route V3", v3, true, 0), g.route("Route V3 balance", v3, true, 0.7),
		g.route("Route V2", v2, false, 0), g.route("Route V2-Lite balance", lite, false, 0.7),
		g.route("Route sigmoid", plain, false, 0.3), g.route("Route softmax normalised", softmax, true, 0),
	}
}

func (g *gen) route(name string, spec device.RouteSpec, biased bool, balance float32) *operation {
	t, e, k := g.t, spec.Experts, spec.TopK
	var starts []int32
	whole := []int32{0, int32(t)}
	if balance != 0 {
		starts = g.starts()
		whole = starts
	}
	loss := make([]float32, 1)
	score := func(logits []float64) []float64 {
		var s []float64
		for t := range len(logits) / e {
			s = append(s, refScores(logits[t*e:][:e], spec)...)
		}
		return s
	}
	o := &operation{
		name: name,
		in:   []operand{g.mat("logits", t, e).with(diff), g.mat("bias", 1, e)},
		out: []operand{result("score", t, e), result("index", t, k).with(integer), result("weight", t, k).with(diff),
			result("start", 1, e+1).with(integer), result("slot", t, k).with(integer), result("token", t*k, 1).with(integer),
			result("loss", 1, 1)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			bias, r := in[1], asRouting(out)
			if !biased {
				bias = tensor.Mat{}
			}
			d.Route(r, in[0], bias, spec)
			loss[0] = float32(d.BalanceLoss(r, spec, balance, whole))
			d.Upload(out[6], loss)
		},
		reference: func(in [][]float64) [][]float64 {
			bias := in[1]
			if !biased {
				bias = nil
			}
			r := refRoute(in[0], bias, spec)
			l := refBalance(r.score, spec, float64(balance), whole)
			return [][]float64{r.score, r.index, r.weight, r.start, r.slot, r.token, {l}}
		},
		backward: func(d device.Device, din, dout, _, out []tensor.Mat) {
			d.RouteBackward(din[0], dout[2], asRouting(out), spec, balance, starts)
		},
	}
	if balance != 0 {
		o.loss = func(in [][]float64) float64 { return refBalance(score(in[0]), spec, float64(balance), starts) }
	}
	return o
}

func asRouting(m []tensor.Mat) device.Routing {
	return device.Routing{Score: m[0], Index: m[1], Weight: m[2], Start: m[3], Slot: m[4], Token: m[5]}
}

// choices is k different experts for each of t tokens. The last expert is never chosen.
func (g *gen) choices() []float64 {
	var index []float64
	for range g.t {
		for _, e := range g.rng.Perm(g.e - 1)[:g.k] {
			index = append(index, float64(e))
		}
	}
	return index
}

func (g *gen) experts(name string, p device.Precision) *operation {
	t, k, e, f := g.t, g.k, g.e, g.f
	ints := func(name string, rows, cols int, data []float64) operand {
		return operand{name: name, rows: rows, cols: cols, ints: true, data: data}
	}
	index := g.choices()
	start, slot, token := refSlots(index, e, k)
	o := &operation{
		name: name,
		in: []operand{g.mat("x", t, g.d).with(diff), g.mat("gateUp", e*2*f, g.d).with(diff), g.mat("down", e*g.d, f).with(diff),
			g.mat("weight", t, k).with(diff, overwrites), g.mat("score", t, e),
			ints("index", t, k, index), ints("start", 1, e+1, start), ints("slot", t, k, slot), ints("token", t*k, 1, token)},
		out: []operand{result("y", t, g.d).with(diff, adds),
			result("X", t*k, g.d), result("GateUp", t*k, 2*f), result("Act", t*k, f)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.Experts(out[0], in[0], in[1], in[2], expertRouting(in), asSaved(out), p)
		},
		reference: func(in [][]float64) [][]float64 {
			y, x, gu, act := refExperts(in[0], in[1], in[2], in[3], in[5], in[7], g.d, f, k)
			return [][]float64{y, x, gu, act}
		},
		backward: func(d device.Device, din, dout, in, out []tensor.Mat) {
			d.ExpertsBackward(din[0], din[1], din[2], din[3], dout[0], in[1], in[2], expertRouting(in), asSaved(out), p)
		},
	}
	for i := range o.in[1].data { // keep activations of order one
		o.in[1].data[i] = float64(float32(o.in[1].data[i] / math.Sqrt(float64(g.d))))
	}
	o.tolerance = toleranceOf(p)
	return o
}

func expertRouting(in []tensor.Mat) device.Routing {
	return device.Routing{Weight: in[3], Score: in[4], Index: in[5], Start: in[6], Slot: in[7], Token: in[8]}
}

func asSaved(out []tensor.Mat) device.ExpertsSaved {
	return device.ExpertsSaved{X: out[1], GateUp: out[2], Act: out[3]}
}

func (g *gen) addLoad() *operation {
	start, _, _ := refSlots(g.choices(), g.e, g.k)
	return &operation{
		name: "AddLoad",
		in:   []operand{{name: "start", rows: 1, cols: g.e + 1, ints: true, data: start}},
		out:  []operand{result("load", 1, g.e).with(adds)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.AddLoad(out[0], device.Routing{Start: in[0]})
		},
		reference: func(in [][]float64) [][]float64 {
			var load []float64
			for e := range g.e {
				load = append(load, in[0][e+1]-in[0][e])
			}
			return [][]float64{load}
		},
	}
}

func (g *gen) updateBias() *operation {
	load := operand{name: "load", rows: 1, cols: g.e}
	for e := range g.e {
		load.data = append(load.data, float64(2*(e%5))) // some are the mean itself
	}
	load.data[g.e-1] += 4*float64(g.e) - sum(load.data)
	return &operation{
		name: "UpdateBias", in: []operand{load}, out: []operand{result("bias", 1, g.e).with(adds)},
		forward: func(d device.Device, in, out []tensor.Mat) { d.UpdateBias(out[0], in[0], 0.125) },
		reference: func(in [][]float64) [][]float64 {
			var step []float64
			for _, l := range in[0] {
				switch {
				case l < 4:
					step = append(step, 0.125)
				case l > 4:
					step = append(step, -0.125)
				default:
					step = append(step, 0)
				}
			}
			return [][]float64{step}
		},
	}
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}
