package devicetest

import (
	"math/rand/v2"
	"slices"

	"sprat/device"
	"sprat/tensor"
)

// sizes are the shapes of a round of the suite.
type sizes struct {
	name             string
	t, d, out, vocab int
	h                device.Heads
	e, k, groups, f  int
	samples          int // elements checked of a gradient; 0: all
}

var (
	// small is ragged: no size is a multiple of a vector.
	small = sizes{name: "small", t: 7, d: 5, out: 3, vocab: 11, h: device.Heads{H: 2, N: 3, R: 2, V: 4, C: 5, Scale: 0.3},
		e: 8, k: 3, groups: 4, f: 3}
	// medium has more rows than one block of any algorithm.
	medium = sizes{name: "medium", t: 150, d: 48, out: 37, vocab: 70, h: device.Heads{H: 3, N: 8, R: 4, V: 6, C: 10, Scale: 0.2},
		e: 12, k: 3, groups: 3, f: 10, samples: 5}
	// large has work for some threads in every operation. It has no reference.
	large = sizes{name: "large", t: 333, d: 130, out: 90, vocab: 301, h: device.Heads{H: 9, N: 16, R: 8, V: 12, C: 20, Scale: 0.15},
		e: 16, k: 4, groups: 4, f: 40}
)

// starts cuts the rows into sequences, of which the first is one row long.
func (s sizes) starts() []int32 { return []int32{0, 1, int32(s.t * 2 / 5), int32(s.t)} }

// gen makes operands.
type gen struct {
	sizes
	rng *rand.Rand
}

func (g *gen) mat(name string, rows, cols int) operand {
	return operand{name: name, rows: rows, cols: cols, data: noise(g.rng, rows*cols)}
}

// below is rows of numbers in [0, n).
func (g *gen) below(name string, rows, n int) operand {
	x := operand{name: name, rows: rows, cols: 1, ints: true}
	for range rows {
		x.data = append(x.data, float64(g.rng.IntN(n)))
	}
	return x
}

func result(name string, rows, cols int) operand { return operand{name: name, rows: rows, cols: cols} }

// with sets fields of an operand.
func (x operand) with(set ...func(*operand)) operand {
	for _, f := range set {
		f(&x)
	}
	return x
}

func diff(x *operand)       { x.diff = true }
func byRow(x *operand)      { x.byRow = true }
func adds(x *operand)       { x.adds = true }
func raises(x *operand)     { x.raises = true }
func overwrites(x *operand) { x.overwrites = true }
func integer(x *operand)    { x.ints = true }

// rounded is the tolerance of products of bfloat16, which keeps 2^-9 of each factor.
const rounded = 0.02

// coarse is the tolerance of products of E4M3, which keeps 2^-4 of each factor: a result may come through four roundings, and the largest
// of a few elements that are sampled may be half of what is usual.
const coarse = 0.25

// toleranceOf is that of products of a precision.
func toleranceOf(p device.Precision) float64 {
	return map[device.Precision]float64{device.BF16: rounded, device.FP8: coarse}[p]
}

// operations are all cases at one size. Each call makes the same.
func operations(s sizes) []*operation {
	g := &gen{s, rand.New(rand.NewPCG(1, 2))}
	ops := []*operation{
		g.zero(), g.copyOp(), g.add(),
		g.linear("Linear", device.F32, false), g.linear("Linear add", device.F32, true), g.linear("Linear BF16", device.BF16, false),
		g.linear("Linear FP8", device.FP8, false),
		g.embed(), g.rmsNorm(), g.rope(false), g.rope(true), g.swiGLU(),
		g.attention("Attention", device.F32), g.attention("Attention BF16", device.BF16),
		g.addLoad(), g.updateBias(),
		g.experts("Experts", device.F32), g.experts("Experts BF16", device.BF16), g.experts("Experts FP8", device.FP8),
		g.headLoss("HeadLoss", device.F32, false), g.headLoss("HeadLoss BF16", device.BF16, false), g.headLoss("HeadLoss weighted", device.F32, true),
		g.sumSquares(), g.adamW(), g.mix(),
		g.muon("Muon wide", g.out, g.d, device.F32), g.muon("Muon tall", g.d, g.out, device.F32),
		g.muon("Muon of a row", 1, g.d, device.F32), g.muon("Muon BF16", g.out, g.d, device.BF16),
	}
	ops = append(ops, g.routes()...)
	ops = append(ops, g.weightOperations()...)
	ops = append(ops, g.pagedOperations()...)
	for _, o := range ops {
		o.samples = s.samples
	}
	return ops
}

func (g *gen) zero() *operation {
	return &operation{
		name: "Zero", out: []operand{result("m", g.t, g.d), result("ints", g.t, g.k).with(integer)},
		forward: func(d device.Device, _, out []tensor.Mat) {
			d.Zero(out[0])
			d.Zero(out[1])
		},
		reference: func([][]float64) [][]float64 {
			return [][]float64{make([]float64, g.t*g.d), make([]float64, g.t*g.k)}
		},
	}
}

func (g *gen) copyOp() *operation {
	return &operation{
		name: "Copy", in: []operand{g.mat("src", g.t, g.d), g.below("ints", g.t, 9)},
		out: []operand{result("dst", g.t, g.d), result("dst", g.t, 1).with(integer)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.Copy(out[0], in[0])
			d.Copy(out[1], in[1])
		},
		reference: func(in [][]float64) [][]float64 { return in },
	}
}

func (g *gen) add() *operation {
	return &operation{
		name: "Add", in: []operand{g.mat("src", g.t, g.d)}, out: []operand{result("dst", g.t, g.d).with(adds)},
		forward:   func(d device.Device, in, out []tensor.Mat) { d.Add(out[0], in[0]) },
		reference: func(in [][]float64) [][]float64 { return in },
	}
}

func (g *gen) linear(name string, p device.Precision, add bool) *operation {
	o := &operation{
		name: name, rows: g.t,
		in:        []operand{g.mat("x", g.t, g.d).with(diff, byRow), g.mat("w", g.out, g.d).with(diff)},
		out:       []operand{result("y", g.t, g.out).with(diff, byRow)},
		forward:   func(d device.Device, in, out []tensor.Mat) { d.Linear(out[0], in[0], in[1], p, add) },
		reference: func(in [][]float64) [][]float64 { return [][]float64{refLinear(in[0], in[1], g.d)} },
		backward: func(d device.Device, din, dout, in, _ []tensor.Mat) {
			d.LinearBackward(din[0], din[1], dout[0], in[0], in[1], p)
		},
	}
	o.out[0].adds = add
	o.tolerance = toleranceOf(p)
	return o
}

func (g *gen) embed() *operation {
	return &operation{
		name: "Embed", rows: g.t,
		in:        []operand{g.mat("table", g.vocab/2, g.d).with(diff), g.below("ids", g.t, g.vocab/2).with(byRow)},
		out:       []operand{result("x", g.t, g.d).with(diff, byRow)},
		forward:   func(d device.Device, in, out []tensor.Mat) { d.Embed(out[0], in[0], in[1]) },
		reference: func(in [][]float64) [][]float64 { return [][]float64{refGather(in[0], in[1], g.d)} },
		backward: func(d device.Device, din, dout, in, _ []tensor.Mat) {
			d.EmbedBackward(din[0], dout[0], in[1])
		},
	}
}

func (g *gen) rmsNorm() *operation {
	const eps = 0.125 // large and exact, so that its place in the formula shows
	return &operation{
		name: "RMSNorm", rows: g.t,
		in:      []operand{g.mat("x", g.t, g.d).with(diff, byRow), g.mat("w", 1, g.d).with(diff)},
		out:     []operand{result("y", g.t, g.d).with(diff, byRow), result("rstd", g.t, 1).with(byRow)},
		forward: func(d device.Device, in, out []tensor.Mat) { d.RMSNorm(out[0], out[1], in[0], in[1], eps) },
		reference: func(in [][]float64) [][]float64 {
			y, rstd := refRMSNorm(in[0], in[1], eps)
			return [][]float64{y, rstd}
		},
		backward: func(d device.Device, din, dout, in, out []tensor.Mat) {
			d.RMSNormBackward(din[0], din[1], dout[0], in[0], out[1], in[1])
		},
	}
}

func (g *gen) rope(inverse bool) *operation {
	h, heads, positions := g.h.N+g.h.R, g.h.H, 9
	o := &operation{
		name: "RoPE", rows: g.t,
		in: []operand{g.mat("x", g.t, heads*h).with(byRow), g.below("pos", g.t, positions).with(byRow),
			g.mat("cos", positions, g.h.R/2), g.mat("sin", positions, g.h.R/2)},
		out: []operand{result("y", g.t, heads*h).with(byRow)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.Copy(out[0], in[0])
			d.RoPE(out[0], h, g.h.N, in[1], in[2], in[3], inverse)
		},
		reference: func(in [][]float64) [][]float64 {
			return [][]float64{refRoPE(in[0], heads*h, h, g.h.N, in[1], in[2], in[3], g.h.R/2, inverse)}
		},
	}
	if inverse {
		o.name = "RoPE inverse"
		return o
	}
	o.in[0].diff, o.out[0].diff = true, true
	o.backward = func(d device.Device, din, dout, in, out []tensor.Mat) {
		d.Copy(out[0], dout[0]) // the result is spent
		d.RoPE(out[0], h, g.h.N, in[1], in[2], in[3], true)
		if !din[0].IsZero() {
			d.Add(din[0], out[0])
		}
	}
	return o
}

func (g *gen) swiGLU() *operation {
	return &operation{
		name: "SwiGLU", rows: g.t,
		in:        []operand{g.mat("gu", g.t, 2*g.d).with(diff, byRow)},
		out:       []operand{result("y", g.t, g.d).with(diff, byRow)},
		forward:   func(d device.Device, in, out []tensor.Mat) { d.SwiGLU(out[0], in[0]) },
		reference: func(in [][]float64) [][]float64 { return [][]float64{refSwiGLU(in[0], g.d)} },
		backward: func(d device.Device, din, dout, in, _ []tensor.Mat) {
			d.SwiGLUBackward(din[0], dout[0], in[0])
		},
	}
}

// headLoss has the mean's weight for every row, or weights of any sign, one of them 0.
func (g *gen) headLoss(name string, p device.Precision, weighted bool) *operation {
	const scale = 0.25
	targets := g.below("targets", g.t, g.vocab).with(byRow)
	for _, t := range []int{1, g.t - 1} {
		targets.data[t] = -1
	}
	targets.data[2] = -100 // another spelling of ignored
	weights, cotangent := g.mat("weights", g.t, 1).with(byRow), slices.Repeat([]float64{scale}, g.t)
	weights.data[3] = 0
	if weighted {
		for t := range cotangent {
			cotangent[t] *= weights.data[t]
		}
	}
	given := func(in []tensor.Mat) tensor.Mat {
		if weighted {
			return in[3]
		}
		return tensor.Mat{}
	}
	o := &operation{
		name: name, rows: g.t,
		in:  []operand{g.mat("x", g.t, g.d).with(diff, byRow), g.mat("w", g.vocab, g.d).with(diff), targets, weights},
		out: []operand{result("loss", g.t, 1).with(diff, byRow)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.HeadLoss(out[0], tensor.Mat{}, tensor.Mat{}, in[0], in[1], in[2], given(in), scale, p)
		},
		reference: func(in [][]float64) [][]float64 { return [][]float64{refHeadLoss(in[0], in[1], in[2], g.d)} },
		backward: func(d device.Device, din, _, in, out []tensor.Mat) {
			d.HeadLoss(out[0], din[0], din[1], in[0], in[1], in[2], given(in), scale, p)
		},
	}
	o.out[0].cotangent = cotangent
	o.tolerance = toleranceOf(p)
	return o
}

func (g *gen) sumSquares() *operation {
	sum := make([]float32, 1)
	return &operation{
		name: "SumSquares",
		in:   []operand{g.mat("m", g.t, g.d)}, out: []operand{result("sum", 1, 1)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			sum[0] = float32(d.SumSquares(in[0]))
			d.Upload(out[0], sum)
		},
		reference: func(in [][]float64) [][]float64 { return [][]float64{{refDot(in[0], in[0])}} },
	}
}

func (g *gen) adamW() *operation {
	step := device.AdamWStep{LR: 0.01, Beta1: 0.9, Beta2: 0.95, Eps: 1e-3, WeightDecay: 0.1,
		Correction1: 3.7, Correction2: 7.1, GradScale: 0.5}
	v := g.mat("v", g.t, g.d)
	for i, x := range v.data {
		v.data[i] = float64(float32(x * x))
	}
	return &operation{
		name: "AdamW",
		in:   []operand{g.mat("w", g.t, g.d), g.mat("m", g.t, g.d), v, g.mat("g", g.t, g.d)},
		out:  []operand{result("w", g.t, g.d), result("m", g.t, g.d), result("v", g.t, g.d)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			for i := range out {
				d.Copy(out[i], in[i])
			}
			d.AdamW(out[0], out[1], out[2], in[3], step)
		},
		reference: func(in [][]float64) [][]float64 {
			refAdamW(in[0], in[1], in[2], in[3], step)
			return in[:3]
		},
	}
}
