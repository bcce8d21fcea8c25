package devicetest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"sprat/device"
	"sprat/float8"
	"sprat/tensor"
)

// halves are W_UKᵀ [H][C, N] and W_UV [H][V, C] of wkvb [H·(N+V), C].
func halves(d device.Inference, wkvb []float64, h device.Heads) (uk, uv device.Weight) {
	uk, uv = d.NewWeight(h.H, h.C, h.N, device.FormatF32), d.NewWeight(h.H, h.V, h.C, device.FormatF32)
	for head := range h.H {
		w := convert[float32](wkvb[head*(h.N+h.V)*h.C:][:(h.N+h.V)*h.C])
		turned := make([]float32, h.C*h.N)
		for c := range h.C {
			for n := range h.N {
				turned[c*h.N+n] = w[n*h.C+c]
			}
		}
		d.FillWeight(uk, head, 0, device.Values{Rows: h.C, Cols: h.N, F32: turned})
		d.FillWeight(uv, head, 0, device.Values{Rows: h.V, Cols: h.C, F32: w[h.N*h.C:]})
	}
	return uk, uv
}

// talk is a sequence: queries in both forms, and latents.
type talk struct {
	h              device.Heads
	q, qC, cKV, kR tensor.Mat
	wUK, wUV       device.Weight
	wkvb, flat     []float64 // on the host; flat is rows of [cKV | kR]
}

func newTalk(d device.Inference, rng *rand.Rand, n int, h device.Heads) talk {
	t := talk{h: h, q: random(d, rng, n, h.H*(h.N+h.R)), qC: f32(d, n, h.H*h.C), wkvb: noise(rng, h.H*(h.N+h.V)*h.C),
		flat: noise(rng, n*(h.C+h.R))}
	write(d, t.qC, refAbsorbQuery(read(d, t.q), t.wkvb, h))
	all := f32(d, n, h.C+h.R, t.flat...)
	t.cKV, t.kR = all.ColSlice(0, h.C), all.ColSlice(h.C, h.C+h.R)
	t.wUK, t.wUV = halves(d, t.wkvb, h)
	return t
}

// rows are tokens [lo, hi) of the talk as the rows of a step, with a context for them.
func (t talk) rows(lo, hi int) talk {
	t.q, t.qC, t.cKV, t.kR = t.q.RowSlice(lo, hi), t.qC.RowSlice(lo, hi), t.cKV.RowSlice(lo, hi), t.kR.RowSlice(lo, hi)
	return t
}

// attend runs one of the forms over latents that are stored, and returns o [rows, H·C] or [rows, H·V].
func (t talk) attend(d device.Inference, form string, p device.Pages, contexts ...device.Context) []float64 {
	if form == "absorbed" {
		oC := f32(d, t.q.Rows, t.h.H*t.h.C)
		d.PagedLatentAttention(oC, t.qC, t.q, p, 0, contexts, t.h)
		return read(d, oC)
	}
	o := f32(d, t.q.Rows, t.h.H*t.h.V)
	d.PagedAttention(o, t.q, p, 0, t.wUK, t.wUV, contexts, t.h)
	return read(d, o)
}

// store stores tokens [lo, hi), and returns them as a step with its context.
func (t talk) store(d device.Inference, p device.Pages, table []int32, lo, hi int) (talk, device.Context) {
	part, c := t.rows(lo, hi), device.Context{Rows: hi - lo, Past: lo, Table: table}
	d.StoreLatents(p, 0, part.cKV, part.kR, []device.Context{c})
	return part, c
}

// step stores tokens [lo, hi) and runs a form for them.
func (t talk) step(d device.Inference, form string, p device.Pages, table []int32, lo, hi int) []float64 {
	part, c := t.store(d, p, table, lo, hi)
	return part.attend(d, form, p, c)
}

// pagedCase is a way to store and compute.
type pagedCase struct {
	name   string
	form   string
	format device.PageFormat
	prec   device.Precision
}

var pageFormats = []string{device.PagesBF16: "bf16", device.PagesF32: "float32", device.PagesFP8: "fp8"}

// pagedCases are all of them.
func pagedCases() []pagedCase {
	var all []pagedCase
	for format, name := range pageFormats {
		for _, form := range []string{"absorbed", "explicit"} {
			for _, prec := range []device.Precision{device.F32, device.BF16} {
				products := map[device.Precision]string{device.F32: "float32", device.BF16: "bf16"}[prec]
				all = append(all, pagedCase{fmt.Sprintf("%s over %s in %s", form, name, products), form, device.PageFormat(format), prec})
			}
		}
	}
	return all
}

// pagedHeads have no size that is whole vectors; deepHeads have whole ones, more heads than lanes, and a latent longer than a scale's group.
var (
	pagedHeads = device.Heads{H: 3, N: 6, R: 4, V: 7, C: 21, Scale: 0.15}
	deepHeads  = device.Heads{H: 18, N: 16, R: 32, V: 32, C: 160, Scale: 0.02}
)

// everyPagedCase runs a check on any device that keeps contexts.
func everyPagedCase(check func(d device.Inference, rng *rand.Rand, c pagedCase, h device.Heads) error) func(device.Device) error {
	return func(d device.Device) error {
		p, ok := d.(device.Inference)
		if !ok {
			return nil
		}
		for _, c := range pagedCases() {
			for _, h := range []device.Heads{pagedHeads, deepHeads} {
				h.Precision = c.prec
				if err := check(p, rand.New(rand.NewPCG(9, 9)), c, h); err != nil {
					return fmt.Errorf("%s, %d heads: %w", c.name, h.H, err)
				}
			}
		}
		return nil
	}
}

func (c pagedCase) pages(d device.Inference, h device.Heads, pages, rows int) device.Pages {
	return d.NewPages(device.PagesShape{Layers: 2, Pages: pages, Rows: rows, C: h.C, R: h.R, Format: c.format})
}

// shuffled is a table of n pages in no order.
func shuffled(rng *rand.Rand, n int) []int32 { return convert[int32](intsOf(rng.Perm(n))) }

func intsOf(s []int) []float64 {
	var r []float64
	for _, v := range s {
		r = append(r, float64(v))
	}
	return r
}

// stored is what pages of a format keep of latents.
func stored(flat []float64, h device.Heads, format device.PageFormat) []float64 {
	if format == device.PagesF32 {
		return flat
	}
	var out []float64
	for ; len(flat) > 0; flat = flat[h.C+h.R:] {
		row := flat[:h.C+h.R]
		for c, v := range row {
			if format == device.PagesFP8 && c < h.C {
				lo := c / 128 * 128
				amax := 0.0
				for _, x := range row[lo:min(lo+128, h.C)] {
					amax = max(amax, math.Abs(x))
				}
				scale := math.Exp2(math.Ceil(math.Log2(amax / 448)))
				out = append(out, scale*float64(float8.DecodeE4M3(float8.EncodeE4M3(float32(v/scale)))))
				continue
			}
			out = append(out, toBF16(v))
		}
	}
	return out
}

// toBF16 rounds to nearest; no test has a tie that matters.
func toBF16(v float64) float64 {
	_, e := math.Frexp(v)
	step := math.Ldexp(1, e-8)
	return math.RoundToEven(v/step) * step
}

// pagedReference: every form, format and precision against the equation in float64, on what the format keeps of the latents.
func pagedReference(d device.Inference, rng *rand.Rand, c pagedCase, h device.Heads) error {
	const n, past = 270, 250
	t := newTalk(d, rng, n, h)
	p, table := c.pages(d, h, 5, 64), shuffled(rng, 5)
	t.store(d, p, table, 0, past)
	got := t.step(d, c.form, p, table, past, n)
	flat := stored(t.flat, h, c.format)
	q, qC := read(d, t.q.RowSlice(past, n)), read(d, t.qC.RowSlice(past, n))
	want := refLatentAttention(qC, q, flat, past, h)
	if c.form == "explicit" {
		want = refAbsorbValue(want, t.wkvb, h)
	}
	tolerance := 2 * usual // sums of up to 300 keys, of dot products of up to 192
	if c.prec == device.BF16 {
		tolerance = rounded
	}
	return near("o", got, want, tolerance, 0)
}

// pagedContiguous: whatever pages the latents lie in, the bits are the same; and so they are whatever the chunks.
func pagedContiguous(d device.Inference, rng *rand.Rand, c pagedCase, h device.Heads) error {
	type way struct {
		rows   int
		chunks []int
	}
	n := 523 // in the third run of keys
	layouts := []way{{64, []int{n}}, {7, []int{n}}, {300, []int{1, 255, 256, 257, 400, n}}}
	if h.H == deepHeads.H {
		n = 261
		layouts = []way{{64, []int{40, 257, n}}}
	}
	t := newTalk(d, rng, n, h)
	want := t.step(d, c.form, c.pages(d, h, 1, n+1), []int32{0}, 0, n)
	for _, l := range layouts {
		count := (n + l.rows - 1) / l.rows
		p, table, lo := c.pages(d, h, count+1, l.rows), shuffled(rng, count+1), 0
		var got []float64
		for _, hi := range l.chunks {
			got = append(got, t.step(d, c.form, p, table, lo, hi)...)
			lo = hi
		}
		if err := equal("o", got, want); err != nil {
			return fmt.Errorf("pages of %d, chunks to %v: %w", l.rows, l.chunks, err)
		}
	}
	return nil
}

// pagedTogether: contexts in one step, some of which share pages, against each alone, with pages of its own. Pages hold NaN where no
// context looks.
func pagedTogether(d device.Inference, rng *rand.Rand, c pagedCase, h device.Heads) error {
	const rows, prefix = 16, 240
	t := newTalk(d, rng, prefix+60, h)
	type one struct{ past, rows int }
	ones := []one{{prefix, 1}, {prefix, 20}, {0, 3}, {prefix + 1, 2}, {prefix, 0}, {prefix + 30, 1}, {prefix - 32, 1}}
	p := c.pages(d, h, 200, rows)
	poison := f32(d, 200*rows, h.C+h.R)
	d.Mix(poison, poison, float32(math.NaN()), 0)
	all := make([]int32, 200)
	for i := range all {
		all[i] = int32(i)
	}
	d.StoreLatents(p, 0, poison.ColSlice(0, h.C), poison.ColSlice(h.C, h.C+h.R), []device.Context{{Rows: 200 * rows, Table: all}})

	order := shuffled(rng, 200)
	table := func(n int) []int32 {
		s := order[:n]
		order = order[n:]
		return s
	}
	shared := table(prefix / rows)
	t.store(d, p, shared, 0, prefix)
	var contexts []device.Context
	at := 0
	for _, o := range ones {
		own := append(append([]int32{}, shared[:min(o.past, prefix)/rows]...), table(4)...)
		if o.past > prefix {
			t.store(d, p, own, prefix, o.past)
		}
		contexts = append(contexts, device.Context{First: at, Rows: o.rows, Past: o.past, Table: own})
		at += o.rows
	}
	step := talk{h: t.h, wUK: t.wUK, wUV: t.wUV, q: f32(d, at, t.q.Cols), qC: f32(d, at, t.qC.Cols), cKV: f32(d, at, h.C), kR: f32(d, at, h.R)}
	for i, o := range ones {
		part, dst := t.rows(o.past, o.past+o.rows), step.rows(contexts[i].First, contexts[i].First+o.rows)
		d.Copy(dst.q, part.q)
		d.Copy(dst.qC, part.qC)
		d.Copy(dst.cKV, part.cKV)
		d.Copy(dst.kR, part.kR)
	}
	d.StoreLatents(p, 0, step.cKV, step.kR, contexts)
	got := step.attend(d, c.form, p, contexts...)
	width := len(got) / at
	for i, o := range ones {
		alone := c.pages(d, h, 30, rows)
		t.store(d, alone, all[:30], 0, o.past)
		want := t.step(d, c.form, alone, all[:30], o.past, o.past+o.rows)
		first := contexts[i].First * width
		if err := equal("o", got[first:first+o.rows*width], want); err != nil {
			return fmt.Errorf("%d rows after %d: %w", o.rows, o.past, err)
		}
	}
	return nil
}

// pagedCopies: a copied page is as good as the first, and the other rows of the step stay as they were.
func pagedCopies(d device.Inference, rng *rand.Rand, c pagedCase, h device.Heads) error {
	const rows, n = 8, 21
	t := newTalk(d, rng, n, h)
	p := c.pages(d, h, 6, rows)
	want := t.step(d, c.form, p, []int32{0, 1, 2}, 0, n)
	for layer := range 2 {
		d.StoreLatents(p, layer, t.cKV, t.kR, []device.Context{{Rows: n, Table: []int32{0, 1, 2}}})
	}
	d.CopyPage(p, 2, 4, n-16)
	last := t.rows(n-1, n)
	for layer := range 2 {
		got := f32(d, 1, len(want)/n)
		if c.form == "absorbed" {
			d.PagedLatentAttention(got, last.qC, last.q, p, layer, []device.Context{{Rows: 1, Past: n - 1, Table: []int32{0, 1, 4}}}, h)
		} else {
			d.PagedAttention(got, last.q, p, layer, t.wUK, t.wUV, []device.Context{{Rows: 1, Past: n - 1, Table: []int32{0, 1, 4}}}, h)
		}
		if err := equal("o", read(d, got), want[len(want)/n*(n-1):]); err != nil {
			return fmt.Errorf("layer %d: %w", layer, err)
		}
	}
	return nil
}

// pagedForms: absorbed and explicit attention agree within rounding, and with attention over whole keys and values.
func pagedForms(dev device.Device) error {
	d, ok := dev.(device.Inference)
	if !ok {
		return nil
	}
	for _, prec := range []device.Precision{device.F32, device.BF16} {
		h, rng := deepHeads, rand.New(rand.NewPCG(3, 9))
		h.Precision = prec
		const n = 260
		t := newTalk(d, rng, n, h)
		c := pagedCase{format: device.PagesF32}
		p, table := c.pages(d, h, 5, 64), []int32{3, 1, 2, 0, 4}
		explicit := t.step(d, "explicit", p, table, 0, n)
		oC := t.step(d, "absorbed", p, table, 0, n)
		tolerance := 2 * usual
		if prec == device.BF16 {
			tolerance = rounded
		}
		if err := near("absorbed o", refAbsorbValue(oC, t.wkvb, h), explicit, tolerance, 0); err != nil {
			return err
		}
		latents := f32(d, n, h.C+h.R, t.flat...)
		kv, o, lse := f32(d, n, h.H*(h.N+h.V)), f32(d, n, h.H*h.V), f32(d, n, h.H)
		d.Linear(kv, latents.ColSlice(0, h.C), f32(d, h.H*(h.N+h.V), h.C, t.wkvb...), prec, false)
		d.Attention(o, lse, tensor.Mat{}, t.q, kv, latents.ColSlice(h.C, h.C+h.R), []int32{0, n}, h)
		if err := near("explicit o", explicit, read(d, o), tolerance, 0); err != nil {
			return err
		}
	}
	return nil
}

// pagedShapes: each of these must panic.
func pagedShapes(dev device.Device) error {
	d, ok := dev.(device.Inference)
	if !ok {
		return nil
	}
	h := pagedHeads
	t := newTalk(d, rand.New(rand.NewPCG(1, 1)), 9, h)
	p := pagedCase{}.pages(d, h, 3, 4)
	store := func(c device.Context) { d.StoreLatents(p, 0, t.cKV, t.kR, []device.Context{c}) }
	narrow := h
	narrow.C--
	for _, c := range []struct {
		name string
		call func()
	}{
		{"no pages", func() { pagedCase{}.pages(d, h, 0, 4) }},
		{"pages of no size", func() { pagedCase{}.pages(d, h, 1<<23, 1<<23) }},
		{"format", func() { pagedCase{format: 9}.pages(d, h, 3, 4) }},
		{"layer", func() { d.StoreLatents(p, 2, t.cKV, t.kR, nil) }},
		{"width", func() { d.StoreLatents(p, 0, t.kR, t.cKV, nil) }},
		{"rows past the end", func() { store(device.Context{First: 8, Rows: 2, Table: []int32{0}}) }},
		{"rows of a large number", func() { store(device.Context{First: math.MaxInt, Rows: 2, Table: []int32{0}}) }},
		{"past without pages", func() { store(device.Context{Rows: 2, Past: 3, Table: []int32{0}}) }},
		{"past of a large number", func() { store(device.Context{Rows: 2, Past: math.MaxInt, Table: []int32{0}}) }},
		{"negative past", func() { store(device.Context{Rows: 2, Past: -1, Table: []int32{0}}) }},
		{"page", func() { store(device.Context{Rows: 2, Past: 3, Table: []int32{0, 3}}) }},
		{"negative page", func() { store(device.Context{Rows: 2, Table: []int32{-1}}) }},
		{"copy", func() { d.CopyPage(p, 0, 3, 1) }},
		{"rows of a copy", func() { d.CopyPage(p, 0, 1, 5) }},
		{"heads of another width", func() { d.PagedLatentAttention(t.qC, t.qC, t.q, p, 0, nil, narrow) }},
		{"queries", func() { d.PagedLatentAttention(t.qC, t.q, t.q, p, 0, nil, h) }},
		{"weights", func() { d.PagedAttention(f32(d, 9, h.H*h.V), t.q, p, 0, t.wUV, t.wUK, nil, h) }},
	} {
		if !panics(c.call) {
			return fmt.Errorf("%s: a wrong shape was taken", c.name)
		}
	}
	return nil
}

// paged is attention over pages as an operation: one row without a past, the others in two contexts, which share what came before.
func (g *gen) paged(form string, format device.PageFormat, p device.Precision) *operation {
	const rows = 16
	h, past, mid := g.h, 2*g.t, 1+(g.t-1)/3
	h.Precision = p
	n := (past+g.t)/rows + 1
	table := make([]int32, 2*n)
	for i := range table {
		table[i] = int32(2*n - 1 - i)
	}
	before := []device.Context{{Rows: past, Table: table[n:]}}
	contexts := []device.Context{{Rows: 1, Table: table}, {First: 1, Rows: mid - 1, Past: past, Table: table[n:]},
		{First: mid, Rows: g.t - mid, Past: past + mid - 1, Table: table[n:]}}
	name, width := "oC", h.C
	if form == "explicit" {
		name, width = "o", h.V
	}
	o := &operation{
		name: "Paged " + form, inference: true,
		in: []operand{g.mat("qC", g.t, h.H*h.C), g.mat("q", g.t, h.H*(h.N+h.R)), g.mat("latents", past+g.t, h.C+h.R),
			g.mat("wkvb", h.H*(h.N+h.V), h.C)},
		out: []operand{result(name, g.t, h.H*width)},
	}
	type made struct {
		pages    device.Pages
		wUK, wUV device.Weight
	}
	of := map[device.Device]made{}
	o.forward = func(dev device.Device, in, out []tensor.Mat) {
		d := dev.(device.Inference)
		own, ok := of[dev]
		if !ok {
			own.pages = d.NewPages(device.PagesShape{Layers: 1, Pages: 2 * n, Rows: rows, C: h.C, R: h.R, Format: format})
			own.wUK, own.wUV = halves(d, o.in[3].data, h)
			of[dev] = own
		}
		cKV, kR := in[2].ColSlice(0, h.C), in[2].ColSlice(h.C, h.C+h.R)
		d.StoreLatents(own.pages, 0, cKV, kR, before)
		d.StoreLatents(own.pages, 0, cKV.RowSlice(past, past+g.t), kR.RowSlice(past, past+g.t), contexts)
		if form == "explicit" {
			d.PagedAttention(out[0], in[1], own.pages, 0, own.wUK, own.wUV, contexts, h)
		} else {
			d.PagedLatentAttention(out[0], in[0], in[1], own.pages, 0, contexts, h)
		}
	}
	o.reference = func(in [][]float64) [][]float64 {
		flat, step := stored(in[2], h, format), past*(h.C+h.R)
		q, qC := h.H*(h.N+h.R), h.H*h.C
		absorbed := in[0]
		if form == "explicit" {
			absorbed = refAbsorbQuery(in[1], in[3], h)
		}
		oC := refLatentAttention(absorbed[:qC], in[1][:q], flat[step:], 0, h)
		oC = append(oC, refLatentAttention(absorbed[qC:], in[1][q:], append(flat[:step:step], flat[step+h.C+h.R:]...), past, h)...)
		if form == "explicit" {
			return [][]float64{refAbsorbValue(oC, in[3], h)}
		}
		return [][]float64{oC}
	}
	o.tolerance = toleranceOf(p)
	return o
}

// pagedOperations are some of both forms, for those checks that want operations.
func (g *gen) pagedOperations() []*operation {
	return []*operation{
		g.paged("absorbed", device.PagesBF16, device.BF16), g.paged("absorbed", device.PagesF32, device.F32),
		g.paged("absorbed", device.PagesFP8, device.BF16), g.paged("explicit", device.PagesBF16, device.BF16),
		g.paged("explicit", device.PagesFP8, device.F32),
	}
}
