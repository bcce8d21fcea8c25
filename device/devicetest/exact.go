package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"sprat/device"
	"sprat/tensor"
)

// exact are the checks that are no single operation's: values known beforehand, and rules between operations.
var exact = []struct {
	name  string
	check func(device.Device) error
}{
	{"golden routing", goldenRouting},
	{"routing ties", routingTies},
	{"routing underflow", routingUnderflow},
	{"routing row by row", routingRows},
	{"routing replayed", routingReplayed},
	{"rounding to bfloat16", roundsToBF16},
	{"sequences apart", sequencesApart},
	{"attention without a rotary part", withoutRotary},
	{"ignored targets", ignoredTargets},
	{"no rows", noRows},
	{"wrong shapes", wrongShapes},
	{"weights read back", inference(weightsRead)},
	{"weights rounded", inference(weightsRounded)},
	{"experts row by row", inference(mixRows)},
	{"no rows of weights", inference(noWeightRows)},
	{"wrong shapes of weights", inference(weightShapes)},
	{"pages against the equation", everyPagedCase(pagedReference)},
	{"pages and chunks", everyPagedCase(pagedContiguous)},
	{"contexts together", everyPagedCase(pagedTogether)},
	{"copied pages", everyPagedCase(pagedCopies)},
	{"both forms over pages", pagedForms},
	{"wrong shapes of pages", pagedShapes},
}

// f32 and i32 put values onto the device.
func f32(d device.Device, rows, cols int, data ...float64) tensor.Mat {
	m := d.Alloc(rows, cols, tensor.F32)
	if len(data) > 0 {
		write(d, m, data)
	}
	return m
}

func i32(d device.Device, rows, cols int, data ...float64) tensor.Mat {
	m := d.Alloc(rows, cols, tensor.I32)
	if len(data) > 0 {
		write(d, m, data)
	}
	return m
}

func random(d device.Device, rng *rand.Rand, rows, cols int) tensor.Mat {
	return f32(d, rows, cols, noise(rng, rows*cols)...)
}

func newRouting(d device.Device, t, e, k int) device.Routing {
	return device.Routing{Score: f32(d, t, e), Index: i32(d, t, k), Weight: f32(d, t, k),
		Start: i32(d, 1, e+1), Slot: i32(d, t, k), Token: i32(d, t*k, 1)}
}

// goldenSpec keeps one of two groups of four experts, and chooses two.
var goldenSpec = device.RouteSpec{Experts: 8, TopK: 2, Groups: 2, TopGroups: 1, Sigmoid: true, GroupTop2: true,
	Normalize: true, ScalingFactor: 2.5}

// goldenRouting has a bias that changes the group and the order, but no weight; and one that pushes all u below zero,
// where masking the other groups with 0 instead of -Inf would choose nothing but masked experts.
func goldenRouting(d device.Device) error {
	scores := []float64{.9, .1, .2, .3, .6, .55, .5, .45}
	var logits []float64
	for _, s := range scores {
		logits = append(logits, math.Log(s/(1-s)))
	}
	for _, c := range []struct {
		name                string
		bias, index, weight []float64
	}{
		{"bias", []float64{-.5, 0, 0, 0, 0, 0, 0, .3}, []float64{7, 4}, []float64{.45 / 1.05 * 2.5, .6 / 1.05 * 2.5}},
		{"bias 0", make([]float64, 8), []float64{0, 3}, []float64{.75 * 2.5, .25 * 2.5}},
		{"bias -1", slices.Repeat([]float64{-1}, 8), []float64{0, 3}, []float64{.75 * 2.5, .25 * 2.5}},
		{"no bias", nil, []float64{0, 3}, []float64{.75 * 2.5, .25 * 2.5}},
	} {
		var bias tensor.Mat
		if c.bias != nil {
			bias = f32(d, 1, 8, c.bias...)
		}
		r := newRouting(d, 1, 8, 2)
		d.Route(r, f32(d, 1, 8, logits...), bias, goldenSpec)
		if err := equal(c.name+": index", read(d, r.Index), c.index); err != nil {
			return err
		}
		if err := near(c.name+": weight", read(d, r.Weight), c.weight, usual, 0); err != nil {
			return err
		}
	}
	return nil
}

// routingTies: of equal groups and of equal experts the lower index wins.
func routingTies(d device.Device) error {
	r := newRouting(d, 1, 8, 2)
	for _, c := range []struct{ logits, index []float64 }{
		{make([]float64, 8), []float64{0, 1}},
		{[]float64{0, 0, 1, 1, 0, 1, 0, 1}, []float64{2, 3}},
		{[]float64{0, 0, 1, 1, 0, 2, 2, 2}, []float64{5, 6}},
	} {
		d.Route(r, f32(d, 1, 8, c.logits...), tensor.Mat{}, goldenSpec)
		if err := equal(fmt.Sprintf("index of %v", c.logits), read(d, r.Index), c.index); err != nil {
			return err
		}
	}
	return nil
}

// routingUnderflow: where every score is 0 there is nothing to divide by. The weights and gradients must stay finite.
func routingUnderflow(d device.Device) error {
	r := newRouting(d, 1, 8, 2)
	d.Route(r, f32(d, 1, 8, slices.Repeat([]float64{-1000}, 8)...), tensor.Mat{}, goldenSpec)
	dlogits := f32(d, 1, 8)
	d.RouteBackward(dlogits, f32(d, 1, 2, 1, -1), r, goldenSpec, 1, []int32{0, 1})
	for _, v := range append(read(d, r.Weight), read(d, dlogits)...) {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("weights %v, gradient %v", read(d, r.Weight), read(d, dlogits))
		}
	}
	return nil
}

// routingRows: a token's experts and their sum are the same, bit for bit, alone and in a batch.
func routingRows(d device.Device) error {
	const t, dim, f = 40, 33, 17
	rng := rand.New(rand.NewPCG(5, 5))
	spec := goldenSpec
	logits, bias, x := random(d, rng, t, 8), random(d, rng, 1, 8), random(d, rng, t, dim)
	gateUp, down := random(d, rng, 8*2*f, dim), random(d, rng, 8*dim, f)
	run := func(lo, hi int) (device.Routing, []float64) {
		n := hi - lo
		r, y := newRouting(d, n, 8, 2), f32(d, n, dim)
		saved := device.ExpertsSaved{X: f32(d, n*2, dim), GateUp: f32(d, n*2, 2*f), Act: f32(d, n*2, f)}
		d.Route(r, logits.RowSlice(lo, hi), bias, spec)
		d.Experts(y, x.RowSlice(lo, hi), gateUp, down, r, saved, device.F32)
		return r, read(d, y)
	}
	all, y := run(0, t)
	for _, c := range [][2]int{{0, 1}, {t - 1, t}, {7, 20}} {
		r, part := run(c[0], c[1])
		for _, m := range []struct {
			name      string
			part, all tensor.Mat
		}{{"score", r.Score, all.Score}, {"index", r.Index, all.Index}, {"weight", r.Weight, all.Weight}} {
			if err := equal(m.name, read(d, m.part), read(d, m.all.RowSlice(c[0], c[1]))); err != nil {
				return err
			}
		}
		if err := equal("y", part, y[c[0]*dim:c[1]*dim]); err != nil {
			return fmt.Errorf("rows %v: %w", c, err)
		}
	}
	return nil
}

// routingReplayed: a row keeps the experts it is given, weighed by the scores of now, and a row without any chooses.
func routingReplayed(d device.Device) error {
	spec := goldenSpec
	spec.Replay = true
	var logits []float64
	for _, s := range []float64{.9, .1, .2, .3, .6, .55, .5, .45} {
		logits = append(logits, math.Log(s/(1-s)))
	}
	r := newRouting(d, 2, 8, 2)
	write(d, r.Index, []float64{3, 5, -1, 5})
	d.Route(r, f32(d, 2, 8, append(logits, logits...)...), tensor.Mat{}, spec)
	if err := equal("index", read(d, r.Index), []float64{3, 5, 0, 3}); err != nil {
		return err
	}
	if err := equal("slot", read(d, r.Slot), []float64{1, 3, 0, 2}); err != nil {
		return err
	}
	if err := near("weight", read(d, r.Weight), []float64{.3 / .85 * 2.5, .55 / .85 * 2.5, .75 * 2.5, .25 * 2.5}, usual, 0); err != nil {
		return err
	}
	for _, wrong := range [][]float64{{3, 8}, {3, -1}, {3, 3}} {
		r := newRouting(d, 1, 8, 2)
		write(d, r.Index, wrong)
		if !panics(func() { d.Route(r, f32(d, 1, 8, logits...), tensor.Mat{}, spec) }) {
			return fmt.Errorf("experts %v are taken", wrong)
		}
	}
	return nil
}

// roundsToBF16: 1 + 2^-8 lies between two bfloat16 and goes to the even one, 1; 1 + 3·2^-8 goes up to 1 + 2^-6. Both
// factors are rounded, and sums are not.
func roundsToBF16(d device.Device) error {
	const down, up = 1 + 1.0/256, 1 + 3.0/256
	y, w := f32(d, 1, 2), f32(d, 2, 2, 1, 0, down, 1.0/4096)
	d.Linear(y, f32(d, 1, 2, up, 1), w, device.BF16, false)
	if err := equal("y", read(d, y), []float64{1 + 1.0/64, 1 + 1.0/64 + 1.0/4096}); err != nil {
		return err
	}
	dx, dw := f32(d, 1, 2), f32(d, 2, 2)
	d.LinearBackward(dx, dw, f32(d, 1, 2, up, down), f32(d, 1, 2, down, up), w, device.BF16)
	if err := equal("dx", read(d, dx), []float64{2 + 1.0/64, 1.0 / 4096}); err != nil {
		return err
	}
	const u = 1 + 1.0/64
	return equal("dw", read(d, dw), []float64{u, u * u, 1, u})
}

// attentionCase is one call of Attention and of its Backward.
type attentionCase struct {
	h             device.Heads
	q, kv, kR, do tensor.Mat
}

func newAttention(d device.Device, rng *rand.Rand, t int, h device.Heads) attentionCase {
	return attentionCase{h: h,
		q: random(d, rng, t, h.H*(h.N+h.R)), kv: random(d, rng, t, h.H*(h.N+h.V)), kR: random(d, rng, t, h.R),
		do: random(d, rng, t, h.H*h.V)}
}

// run runs rows [lo, hi), cut into sequences by starts, and returns results and gradients.
func (c attentionCase) run(d device.Device, lo, hi int, starts ...int32) [][]float64 {
	q, kv, do := c.q.RowSlice(lo, hi), c.kv.RowSlice(lo, hi), c.do.RowSlice(lo, hi)
	t := hi - lo
	o, lse := f32(d, t, do.Cols), f32(d, t, c.h.H)
	dq, dkv := f32(d, t, q.Cols), f32(d, t, kv.Cols)
	var kR, dkR tensor.Mat
	if c.h.R > 0 {
		kR, dkR = c.kR.RowSlice(lo, hi), f32(d, t, c.h.R)
	}
	d.Attention(o, lse, tensor.Mat{}, q, kv, kR, starts, c.h)
	d.AttentionBackward(dq, dkv, dkR, do, q, kv, kR, o, lse, starts, c.h)
	var all [][]float64
	for _, m := range []tensor.Mat{o, lse, dq, dkv, dkR} {
		if !m.IsZero() {
			all = append(all, read(d, m))
		}
	}
	return all
}

// sequencesApart: a sequence gives the same bits alone and between others, and a row's output is not changed by later rows.
func sequencesApart(d device.Device) error {
	const t, lo, hi, short = 200, 30, 170, 97
	h := device.Heads{H: 3, N: 9, R: 4, V: 7, C: 5, Scale: 0.2}
	c := newAttention(d, rand.New(rand.NewPCG(9, 9)), t, h)
	batch, alone, prefix := c.run(d, 0, t, 0, lo, hi, t), c.run(d, lo, hi, 0, hi-lo), c.run(d, lo, short, 0, short-lo)
	for i, name := range []string{"o", "lse", "dq", "dkv", "dkR"} {
		cols := len(alone[i]) / (hi - lo)
		if err := equal(name, alone[i], batch[i][lo*cols:hi*cols]); err != nil {
			return err
		}
		if i < 2 { // gradients do depend on later rows
			if err := equal(name+" of a prefix", prefix[i], alone[i][:(short-lo)*cols]); err != nil {
				return err
			}
		}
	}
	return nil
}

// withoutRotary: with R = 0, and no kR, attention is what it is with rotary parts of zero.
func withoutRotary(d device.Device) error {
	const t = 90 // more than a block
	h := device.Heads{H: 3, N: 6, R: 4, V: 5, Scale: 0.4}
	rng := rand.New(rand.NewPCG(6, 6))
	whole := newAttention(d, rng, t, h)
	d.Zero(whole.kR)
	for i := range h.H {
		d.Zero(whole.q.ColSlice(i*(h.N+h.R)+h.N, (i+1)*(h.N+h.R)))
	}
	bare := whole
	bare.h.R, bare.kR, bare.q = 0, tensor.Mat{}, f32(d, t, h.H*h.N)
	for i := range h.H {
		d.Copy(bare.q.ColSlice(i*h.N, (i+1)*h.N), whole.q.ColSlice(i*(h.N+h.R), i*(h.N+h.R)+h.N))
	}
	want, got := whole.run(d, 0, t, 0, 20, t), bare.run(d, 0, t, 0, 20, t)
	dq := f32(d, t, h.H*(h.N+h.R), want[2]...)
	want[2] = nil
	for i := range t {
		for j := range h.H {
			want[2] = append(want[2], read(d, dq.RowSlice(i, i+1).ColSlice(j*(h.N+h.R), j*(h.N+h.R)+h.N))...)
		}
	}
	for i, name := range []string{"o", "lse", "dq", "dkv"} {
		if err := near(name, got[i], want[i], usual, 0); err != nil {
			return err
		}
	}
	return nil
}

// ignoredTargets: an ignored row has no loss and no gradient at all, even where its logits are not finite.
func ignoredTargets(d device.Device) error {
	const t, dim, vocab = 3, 4, 6
	rng := rand.New(rand.NewPCG(4, 4))
	data := noise(rng, t*dim)
	data[dim] = math.Inf(1)
	x, w := f32(d, t, dim, data...), random(d, rng, vocab, dim)
	loss, dx := f32(d, t, 1), random(d, rng, t, dim)
	before := read(d, dx)
	d.HeadLoss(loss, dx, tensor.Mat{}, x, w, i32(d, t, 1, 2, -1, 3), tensor.Mat{}, 0.5, device.F32)
	if err := equal("dx of the ignored row", read(d, dx)[dim:2*dim], before[dim:2*dim]); err != nil {
		return err
	}
	return equal("loss of the ignored row", read(d, loss)[1:2], []float64{0})
}

// noRows: a call for no tokens does nothing.
func noRows(d device.Device) error {
	h := small.h
	d.Linear(f32(d, 0, 3), f32(d, 0, 5), f32(d, 3, 5), device.F32, false)
	newAttention(d, rand.New(rand.NewPCG(1, 1)), 0, h).run(d, 0, 0, 0)
	r := newRouting(d, 0, 8, 2)
	d.Route(r, f32(d, 0, 8), tensor.Mat{}, goldenSpec)
	saved := device.ExpertsSaved{X: f32(d, 0, 5), GateUp: f32(d, 0, 6), Act: f32(d, 0, 3)}
	d.Experts(f32(d, 0, 5), f32(d, 0, 5), f32(d, 8*6, 5), f32(d, 8*5, 3), r, saved, device.F32)
	dw := f32(d, 1, 5, 1, 2, 3, 4, 5)
	d.RMSNormBackward(f32(d, 0, 5), dw, f32(d, 0, 5), f32(d, 0, 5), f32(d, 0, 1), f32(d, 1, 5))
	return equal("dw", read(d, dw), []float64{1, 2, 3, 4, 5})
}

// wrongShapes: each of these must panic.
func wrongShapes(d device.Device) error {
	h := small.h
	q, kv, kR, o, lse := f32(d, 4, h.H*(h.N+h.R)), f32(d, 4, h.H*(h.N+h.V)), f32(d, 4, h.R), f32(d, 4, h.H*h.V), f32(d, 4, h.H)
	for _, c := range []struct {
		name string
		call func()
	}{
		{"Copy", func() { d.Copy(f32(d, 2, 3), f32(d, 3, 2)) }},
		{"Copy of another type", func() { d.Copy(f32(d, 2, 3), i32(d, 2, 3)) }},
		{"Upload", func() { d.Upload(f32(d, 2, 3), make([]float32, 5)) }},
		{"Linear", func() { d.Linear(f32(d, 2, 3), f32(d, 2, 4), f32(d, 3, 5), device.F32, false) }},
		{"LinearBackward", func() {
			d.LinearBackward(f32(d, 2, 5), tensor.Mat{}, f32(d, 2, 3), f32(d, 2, 4), f32(d, 3, 4), device.F32)
		}},
		{"RMSNorm", func() { d.RMSNorm(f32(d, 2, 3), f32(d, 1, 2), f32(d, 2, 3), f32(d, 1, 3), 1) }},
		{"Embed", func() { d.Embed(f32(d, 2, 3), f32(d, 4, 3), i32(d, 3, 1)) }},
		{"RoPE", func() { d.RoPE(f32(d, 2, 8), 4, 1, i32(d, 2, 1), f32(d, 9, 2), f32(d, 9, 2), false) }},
		{"Attention's starts", func() { d.Attention(o, lse, tensor.Mat{}, q, kv, kR, []int32{0, 3}, h) }},
		{"Attention's order", func() { d.Attention(o, lse, tensor.Mat{}, q, kv, kR, []int32{0, 3, 2, 4}, h) }},
		{"Route", func() { d.Route(newRouting(d, 2, 8, 3), f32(d, 2, 8), tensor.Mat{}, goldenSpec) }},
		{"HeadLoss", func() {
			d.HeadLoss(f32(d, 2, 1), tensor.Mat{}, tensor.Mat{}, f32(d, 2, 3), f32(d, 5, 3), i32(d, 3, 1), tensor.Mat{}, 1, device.F32)
		}},
		{"Muon", func() {
			d.Muon([]tensor.Mat{f32(d, 2, 3), f32(d, 3, 2)}, []tensor.Mat{f32(d, 2, 3), f32(d, 3, 2)}, []tensor.Mat{f32(d, 2, 3), f32(d, 3, 2)}, muonStep)
		}},
		{"Muon's lists", func() { d.Muon([]tensor.Mat{f32(d, 2, 3)}, nil, nil, muonStep) }},
		{"Mix", func() { d.Mix(f32(d, 2, 3), f32(d, 3, 2), 1, 1) }},
		{"AdamW", func() { d.AdamW(f32(d, 2, 3), f32(d, 2, 3), f32(d, 3, 2), f32(d, 2, 3), device.AdamWStep{}) }},
	} {
		if !panics(c.call) {
			return fmt.Errorf("%s took a wrong shape", c.name)
		}
	}
	return nil
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return
}
