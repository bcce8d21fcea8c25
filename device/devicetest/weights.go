package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"sprat/device"
	"sprat/tensor"
)

// inference is a check of devices that implement device.Inference; others pass it.
func inference(check func(device.Inference) error) func(device.Device) error {
	return func(d device.Device) error {
		if i, ok := d.(device.Inference); ok {
			return check(i)
		}
		return nil
	}
}

// raggedWeights are shapes [parts, n, k] that are no multiple of anything, and some that are.
var raggedWeights = [][3]int{{1, 1, 1}, {2, 15, 31}, {1, 17, 32}, {3, 33, 65}, {1, 64, 128}, {2, 130, 257}}

// weightsRead: a weight gives back what it was filled with, whichever rows are asked for, and nothing else is written.
func weightsRead(d device.Inference) error {
	for _, f := range formats {
		for _, s := range raggedWeights {
			g := &gen{small, rand.New(rand.NewPCG(4, uint64(f)))}
			w := g.stack("w", f, s[0], s[1], s[2], 1)
			on := w.on(d)
			if parts, n, k := on.Shape(); on.Format() != f || [3]int{parts, n, k} != s || on.Bytes() < int64(parts*n*k)/2 {
				return fmt.Errorf("%v in %s: shape %d x %d x %d, format %d, %d bytes", s, formatNames[f], parts, n, k, on.Format(), on.Bytes())
			}
			for part := range s[0] {
				for _, r := range [][2]int{{0, s[1]}, {s[1] - 1, s[1]}, {s[1] / 2, s[1]}, {s[1], s[1]}} {
					got := make([]float32, (r[1]-r[0])*s[2]+1)
					got[len(got)-1] = margin
					d.ReadWeight(got[:len(got)-1], on, part, r[0], r[1]-r[0])
					at := (part*s[1] + r[0]) * s[2]
					want := append(append([]float64(nil), w.data[at:at+len(got)-1]...), margin)
					if err := equal(fmt.Sprintf("%v in %s, part %d, rows %v", s, formatNames[f], part, r), convert[float64](got), want); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// weightsRounded: numbers are rounded as the format allows, in units of the largest that shares a scale. E4M3 keeps 2^-4 of each. Of
// the integers, a scale that fits the others better may cut off a little of the largest, up to 1.6 of 8.6 steps with 4 bits, and is itself rounded.
func weightsRounded(d device.Inference) error {
	const n, k = 130, 140
	rng := rand.New(rand.NewPCG(6, 6))
	x := convert[float32](noise(rng, n*k))
	for i := range x {
		x[i] *= float32(1 + i/k) // rows, and so their scales, differ
	}
	for _, c := range []struct {
		f          device.Format
		rows, cols int     // that share a scale
		most       float64 // error, of the largest
	}{{device.FormatF32, 1, 1, 0}, {device.FormatBF16, 1, 1, 1.0 / 256}, {device.FormatFP8, 128, 128, 1.0 / 16},
		{device.FormatInt8, 1, 32, 0.8 / 115}, {device.FormatInt4, 1, 32, 1.6 / 8.6}} {
		w := d.NewWeight(1, n, k, c.f)
		d.FillWeight(w, 0, 0, device.Values{Rows: n, Cols: k, F32: x})
		got := make([]float32, n*k)
		d.ReadWeight(got, w, 0, 0, n)
		for i := range got {
			row, col := i/k, i%k
			amax := 0.0
			for r := row / c.rows * c.rows; r < min(n, (row/c.rows+1)*c.rows); r++ {
				for j := col / c.cols * c.cols; j < min(k, (col/c.cols+1)*c.cols); j++ {
					amax = max(amax, math.Abs(float64(x[r*k+j])))
				}
			}
			if diff := math.Abs(float64(got[i] - x[i])); diff > c.most*amax {
				return fmt.Errorf("%s: element %d, %d: %v became %v, where the largest is %v", formatNames[c.f], row, col, x[i], got[i], amax)
			}
		}
	}
	return nil
}

// mixRows: a token's experts come out the same, bit for bit, alone and in a batch, in every format.
func mixRows(d device.Inference) error {
	const t, dim, f, shared = 40, 70, 37, 20
	for _, format := range formats {
		g := &gen{small, rand.New(rand.NewPCG(5, 5))}
		logits, x := random(d, g.rng, t, 8), random(d, g.rng, t, dim)
		gateUp, down := g.stack("", format, 8, 2*f, dim, 0.1).on(d), g.stack("", format, 8, dim, f, 0.1).on(d)
		sharedGateUp, sharedDown := g.stack("", format, 1, 2*shared, dim, 0.1).on(d), g.stack("", format, 1, dim, shared, 0.1).on(d)
		run := func(lo, hi int) []float64 {
			r, y := newRouting(d, hi-lo, 8, 2), f32(d, hi-lo, dim)
			d.Route(r, logits.RowSlice(lo, hi), tensor.Mat{}, goldenSpec)
			d.MixExperts(y, x.RowSlice(lo, hi), gateUp, down, sharedGateUp, sharedDown, r)
			return read(d, y)
		}
		y := run(0, t)
		for _, c := range [][2]int{{0, 1}, {t - 1, t}, {7, 20}} {
			if err := equal("y", run(c[0], c[1]), y[c[0]*dim:c[1]*dim]); err != nil {
				return fmt.Errorf("%s, rows %v: %w", formatNames[format], c, err)
			}
		}
	}
	return nil
}

// noWeightRows: no rows, and weights without rows or columns, are nothing special. A product over no columns is zero.
func noWeightRows(d device.Inference) error {
	for _, f := range formats {
		w, none, empty := d.NewWeight(2, 6, 5, f), d.NewWeight(1, 0, 5, f), d.NewWeight(1, 4, 0, f)
		one := d.NewWeight(1, 6, 5, f)
		d.FillWeight(one, 0, 6, device.Values{Cols: 5})
		d.ReadWeight(nil, one, 0, 6, 0)
		d.LookUp(f32(d, 0, 5), one, i32(d, 0, 1))
		d.Project(f32(d, 0, 6), f32(d, 0, 5), one, false)
		d.Project(f32(d, 3, 0), f32(d, 3, 5), none, false)
		d.ProjectEach(f32(d, 0, 12), f32(d, 0, 5), w, 0, 0)
		d.MixExperts(f32(d, 0, 5), f32(d, 0, 5), d.NewWeight(8, 6, 5, f), d.NewWeight(8, 5, 3, f), nil, nil, newRouting(d, 0, 8, 2))
		y := f32(d, 1, 4, 1, 2, 3, 4)
		d.Project(y, f32(d, 1, 0), empty, true)
		if err := equal(formatNames[f]+": y of no columns, added", read(d, y), []float64{1, 2, 3, 4}); err != nil {
			return err
		}
		d.Project(y, f32(d, 1, 0), empty, false)
		if err := equal(formatNames[f]+": y of no columns", read(d, y), make([]float64, 4)); err != nil {
			return err
		}
	}
	return nil
}

// weightShapes: each of these must panic.
func weightShapes(d device.Inference) error {
	w, ints := d.NewWeight(2, 6, 40, device.FormatBF16), d.NewWeight(1, 6, 40, device.FormatInt8)
	codes := d.NewWeight(1, 6, 40, device.FormatFP8)
	fill := func(w device.Weight, part, row int, v device.Values) func() {
		v.Rows, v.Cols = 2, 40
		return func() { d.FillWeight(w, part, row, v) }
	}
	f := func(n int) []float32 { return make([]float32, n) }
	mix := func(gateUp, down, sharedGateUp, sharedDown device.Weight) func() {
		return func() {
			d.MixExperts(f32(d, 2, 5), f32(d, 2, 5), gateUp, down, sharedGateUp, sharedDown, newRouting(d, 2, 8, 2))
		}
	}
	of := func(parts, n, k int) device.Weight { return d.NewWeight(parts, n, k, device.FormatInt4) }
	for _, c := range []struct {
		name string
		call func()
	}{
		{"format", func() { d.NewWeight(1, 1, 1, 9) }},
		{"negative size", func() { d.NewWeight(1, -1, 1, device.FormatF32) }},
		{"size that overflows", func() { d.NewWeight(1<<31, 1<<31, 1<<31, device.FormatF32) }},
		{"part", fill(w, 2, 0, device.Values{F32: f(80)})},
		{"negative part", fill(w, -1, 0, device.Values{F32: f(80)})},
		{"rows past the end", fill(w, 0, 5, device.Values{F32: f(80)})},
		{"negative row", fill(w, 0, -1, device.Values{F32: f(80)})},
		{"too few numbers", fill(w, 0, 0, device.Values{F32: f(79)})},
		{"nothing", fill(w, 0, 0, device.Values{})},
		{"integers for numbers", fill(w, 0, 0, device.Values{Int: make([]int8, 80), Scale: f(4)})},
		{"codes for integers", fill(ints, 0, 0, device.Values{E4M3: make([]byte, 80), Scale: f(1)})},
		{"both", fill(ints, 0, 0, device.Values{F32: f(80), Int: make([]int8, 80), Scale: f(4)})},
		{"too few integers", fill(ints, 0, 0, device.Values{Int: make([]int8, 79), Scale: f(4)})},
		{"too few scales", fill(ints, 0, 0, device.Values{Int: make([]int8, 80), Scale: f(3)})},
		{"too few scales of codes", fill(codes, 0, 0, device.Values{E4M3: make([]byte, 80)})},
		{"reading past the end", func() { d.ReadWeight(f(80), w, 0, 5, 2) }},
		{"reading too little", func() { d.ReadWeight(f(79), w, 0, 0, 2) }},
		{"Project with parts", func() { d.Project(f32(d, 1, 6), f32(d, 1, 40), w, false) }},
		{"Project's width", func() { d.Project(f32(d, 1, 6), f32(d, 1, 39), ints, false) }},
		{"Project's result", func() { d.Project(f32(d, 1, 7), f32(d, 1, 40), ints, false) }},
		{"ProjectEach's columns", func() { d.ProjectEach(f32(d, 1, 12), f32(d, 1, 50), w, 10, 1) }},
		{"ProjectEach's stride", func() { d.ProjectEach(f32(d, 1, 12), f32(d, 1, 50), w, -1, 10) }},
		{"ProjectEach's stride of a large number", func() { d.ProjectEach(f32(d, 1, 12), f32(d, 1, 50), w, math.MaxInt, 10) }},
		{"LookUp's ids", func() { d.LookUp(f32(d, 1, 40), ints, i32(d, 1, 1, 6)) }},
		{"LookUp's negative id", func() { d.LookUp(f32(d, 1, 40), ints, i32(d, 1, 1, -1)) }},
		{"LookUp's width", func() { d.LookUp(f32(d, 1, 39), ints, i32(d, 1, 1)) }},
		{"MixExperts' experts", mix(of(7, 6, 5), of(8, 5, 3), nil, nil)},
		{"MixExperts' width", mix(of(8, 6, 5), of(8, 5, 4), nil, nil)},
		{"MixExperts' half a shared expert", mix(of(8, 6, 5), of(8, 5, 3), of(1, 6, 5), nil)},
		{"MixExperts' shared width", mix(of(8, 6, 5), of(8, 5, 3), of(1, 6, 5), of(1, 5, 2))},
	} {
		if !panics(c.call) {
			return fmt.Errorf("%s: a wrong shape was taken", c.name)
		}
	}
	return nil
}
