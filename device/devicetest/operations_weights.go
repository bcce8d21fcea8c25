package devicetest

import (
	"fmt"
	"math"

	"sprat/device"
	"sprat/float8"
	"sprat/tensor"
)

var formats = []device.Format{device.FormatF32, device.FormatBF16, device.FormatFP8, device.FormatInt8, device.FormatInt4}

var formatNames = []string{"F32", "BF16", "FP8", "Int8", "Int4"}

// weightOperations are the cases of weights.
func (g *gen) weightOperations() []*operation {
	var ops []*operation
	for _, f := range formats {
		ops = append(ops, g.project("Project", f, g.out, g.d, false), g.project("Project add", f, g.out, g.d, true),
			g.project("Project wide", f, 2*g.out+1, 7*g.d, false), g.projectEach(f), g.lookUp(f),
			g.mixExperts("MixExperts", f, f, g.f+2), g.mixExperts("MixExperts alone", f, f, 0))
	}
	ops = append(ops, g.mixExperts("MixExperts with a shared expert in F32", device.FormatInt4, device.FormatF32, g.d))
	for _, o := range ops {
		o.inference = true
	}
	return ops
}

// stack is a weight's values, part by part, and the numbers that they stand for.
type stack struct {
	f           device.Format
	parts, n, k int
	values      []device.Values
	operand
	made map[device.Device]device.Weight
}

// stack makes a weight whose numbers are of order scale.
func (g *gen) stack(name string, f device.Format, parts, n, k int, scale float64) *stack {
	s := &stack{f: f, parts: parts, n: n, k: k, made: map[device.Device]device.Weight{}}
	s.operand = operand{name: name, rows: parts * n, cols: k}
	for range parts {
		v := g.values(f, n, k, float32(scale))
		s.values = append(s.values, v)
		s.data = append(s.data, refValues(f, v)...)
	}
	return s
}

// values are random in the form in which a checkpoint in format f has them.
func (g *gen) values(f device.Format, n, k int, scale float32) device.Values {
	v := device.Values{Rows: n, Cols: k}
	scales := func(n int) {
		for range n {
			v.Scale = append(v.Scale, refBF16(scale/64*(0.5+g.rng.Float32())))
		}
	}
	switch f {
	case device.FormatInt8, device.FormatInt4:
		low, high := -127, 127
		if f == device.FormatInt4 {
			low, high = -8, 7
		}
		for range n * k {
			v.Int = append(v.Int, int8(low+g.rng.IntN(high-low+1)))
		}
		scales(n * ((k + device.GroupSize - 1) / device.GroupSize))
		if f == device.FormatInt4 {
			for i := range v.Scale {
				v.Scale[i] *= 8
			}
		}
	case device.FormatFP8:
		for range n * k {
			code := byte(g.rng.IntN(256))
			if code&127 == 127 { // NaN
				code--
			}
			v.E4M3 = append(v.E4M3, code)
		}
		scales(float8.Blocks(n) * float8.Blocks(k))
	default:
		v.F32 = convert[float32](noise(g.rng, n*k))
		for i := range v.F32 {
			v.F32[i] *= scale
		}
	}
	return v
}

// refValues are the numbers that values stand for.
func refValues(f device.Format, v device.Values) []float64 {
	var w []float64
	for i := range v.Rows * v.Cols {
		r, c := i/v.Cols, i%v.Cols
		switch f {
		case device.FormatInt8, device.FormatInt4:
			groups := (v.Cols + device.GroupSize - 1) / device.GroupSize
			w = append(w, float64(v.Int[i])*float64(v.Scale[r*groups+c/device.GroupSize]))
		case device.FormatFP8:
			w = append(w, float64(float8.DecodeE4M3(v.E4M3[i]))*float64(v.Scale[r/device.BlockSize*float8.Blocks(v.Cols)+c/device.BlockSize]))
		case device.FormatBF16:
			w = append(w, float64(refBF16(v.F32[i])))
		default:
			w = append(w, float64(v.F32[i]))
		}
	}
	return w
}

// refBF16 rounds to bfloat16: float32 keeps 16 bits more of the mantissa, and halves go to even.
func refBF16(x float32) float32 {
	_, exponent := math.Frexp(float64(x))
	unit := math.Ldexp(1, exponent-8)
	return float32(math.RoundToEven(float64(x)/unit) * unit)
}

// refRows is x as products with format f see it: rows of k.
func refRows(x []float64, k int, f device.Format) []float64 {
	var y []float64
	switch f {
	case device.FormatF32:
		return x
	case device.FormatBF16, device.FormatFP8:
		for _, v := range x {
			y = append(y, float64(refBF16(float32(v))))
		}
		return y
	}
	for lo := 0; lo < len(x); {
		hi := min(lo+device.GroupSize, lo/k*k+k)
		amax := float32(0)
		for _, v := range x[lo:hi] {
			amax = max(amax, float32(math.Abs(v)))
		}
		for _, v := range x[lo:hi] {
			q := math.RoundToEven(float64(float32(v) * (127 / amax))) // as float32's, or some would go the other way
			y = append(y, q*float64(amax/127))
		}
		lo = hi
	}
	return y
}

// on is the weight on a device, filled in two goes.
func (s *stack) on(d device.Device) device.Weight {
	if w, ok := s.made[d]; ok {
		return w
	}
	w := d.(device.Inference).NewWeight(s.parts, s.n, s.k, s.f)
	for p, v := range s.values {
		cut := v.Rows / 2
		if s.f == device.FormatFP8 {
			cut = 0 // blocks begin with the first row
		}
		for _, r := range [][2]int{{cut, v.Rows}, {0, cut}} {
			d.(device.Inference).FillWeight(w, p, r[0], rowsOf(v, r[0], r[1]))
		}
	}
	s.made[d] = w
	return w
}

// rowsOf are rows [lo, hi) of values without blocks, or all.
func rowsOf(v device.Values, lo, hi int) device.Values {
	if lo == 0 && hi == v.Rows {
		return v
	}
	part := device.Values{Rows: hi - lo, Cols: v.Cols}
	switch groups := (v.Cols + device.GroupSize - 1) / device.GroupSize; {
	case v.F32 != nil:
		part.F32 = v.F32[lo*v.Cols : hi*v.Cols]
	case v.Int != nil:
		part.Int, part.Scale = v.Int[lo*v.Cols:hi*v.Cols], v.Scale[lo*groups:hi*groups]
	}
	return part
}

func (g *gen) project(name string, f device.Format, n, k int, add bool) *operation {
	s := g.stack("w", f, 1, n, k, 1)
	o := &operation{
		name: fmt.Sprintf("%s %s", name, formatNames[f]), rows: g.t,
		in:        []operand{g.mat("x", g.t, k).with(byRow), s.operand},
		out:       []operand{result("y", g.t, n).with(byRow)},
		forward:   func(d device.Device, in, out []tensor.Mat) { d.(device.Inference).Project(out[0], in[0], s.on(d), add) },
		reference: func(in [][]float64) [][]float64 { return [][]float64{refLinear(refRows(in[0], k, f), in[1], k)} },
	}
	o.out[0].adds = add
	return o
}

// projectEach has parts whose columns overlap, and some columns that none reads.
func (g *gen) projectEach(f device.Format) *operation {
	parts, n, k, offset := g.k, g.f, g.d, 1
	stride := k - 1
	s := g.stack("w", f, parts, n, k, 1)
	cols := (parts-1)*stride + offset + k + 1
	return &operation{
		name: "ProjectEach " + formatNames[f], rows: g.t,
		in:  []operand{g.mat("x", g.t, cols).with(byRow), s.operand},
		out: []operand{result("y", g.t, parts*n).with(byRow)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			d.(device.Inference).ProjectEach(out[0], in[0], s.on(d), stride, offset)
		},
		reference: func(in [][]float64) [][]float64 {
			var y []float64
			for t := range len(in[0]) / cols {
				for h := range parts {
					x := in[0][t*cols+h*stride+offset:][:k]
					y = append(y, refLinear(refRows(x, k, f), in[1][h*n*k:(h+1)*n*k], k)...)
				}
			}
			return [][]float64{y}
		},
	}
}

func (g *gen) lookUp(f device.Format) *operation {
	s := g.stack("w", f, 1, g.vocab, g.d, 1)
	return &operation{
		name: "LookUp " + formatNames[f], rows: g.t,
		in:        []operand{g.below("ids", g.t, g.vocab).with(byRow), s.operand},
		out:       []operand{result("x", g.t, g.d).with(byRow)},
		forward:   func(d device.Device, in, out []tensor.Mat) { d.(device.Inference).LookUp(out[0], s.on(d), in[0]) },
		reference: func(in [][]float64) [][]float64 { return [][]float64{refGather(in[1], in[0], g.d)} },
	}
}

// mixExperts has a shared expert of the given width, or none.
func (g *gen) mixExperts(name string, f, sharedFormat device.Format, shared int) *operation {
	t, k, e := g.t, g.k, g.e
	index := g.choices()
	start, slot, token := refSlots(index, e, k)
	ints := func(name string, rows, cols int, data []float64) operand {
		return operand{name: name, rows: rows, cols: cols, ints: true, data: data}
	}
	unit := 1 / math.Sqrt(float64(g.d)) // keeps activations of order one
	gateUp, down := g.stack("gateUp", f, e, 2*g.f, g.d, unit), g.stack("down", f, e, g.d, g.f, 1)
	sharedGateUp, sharedDown := g.stack("sharedGateUp", sharedFormat, 1, 2*shared, g.d, unit), g.stack("sharedDown", sharedFormat, 1, g.d, shared, 1)
	o := &operation{
		name: fmt.Sprintf("%s %s", name, formatNames[f]),
		in: []operand{g.mat("x", t, g.d), gateUp.operand, down.operand, g.mat("weight", t, k), g.mat("score", t, e),
			ints("index", t, k, index), ints("start", 1, e+1, start), ints("slot", t, k, slot), ints("token", t*k, 1, token),
			sharedGateUp.operand, sharedDown.operand},
		out: []operand{result("y", t, g.d).with(adds)},
		forward: func(d device.Device, in, out []tensor.Mat) {
			var gu, dn device.Weight
			if shared > 0 {
				gu, dn = sharedGateUp.on(d), sharedDown.on(d)
			}
			d.(device.Inference).MixExperts(out[0], in[0], gateUp.on(d), down.on(d), gu, dn, expertRouting(in))
		},
		reference: func(in [][]float64) [][]float64 {
			y := make([]float64, t*g.d)
			mix := func(i int, x, gateUp, down []float64, f device.Format, width int, weight float64) {
				act := refSwiGLU(refLinear(refRows(x, g.d, f), gateUp, g.d), width)
				for j := range act {
					act[j] *= weight
				}
				for j, v := range refLinear(refRows(act, width, f), down, width) {
					y[i*g.d+j] += v
				}
			}
			for i := range t {
				x := in[0][i*g.d:][:g.d]
				for c := range k {
					e := int(in[5][i*k+c])
					mix(i, x, in[1][e*2*g.f*g.d:][:2*g.f*g.d], in[2][e*g.d*g.f:][:g.d*g.f], f, g.f, in[3][i*k+c])
				}
				if shared > 0 {
					mix(i, x, in[9], in[10], sharedFormat, shared, 1)
				}
			}
			return [][]float64{y}
		},
	}
	if f != device.FormatF32 {
		o.tolerance = rounded // activations that differ in their last bit may be rounded to different integers
	}
	return o
}
