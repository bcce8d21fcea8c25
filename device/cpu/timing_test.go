package cpu

import (
	"math/rand/v2"
	"testing"

	"sprat/device"
	"sprat/tensor"
)

// BenchmarkOperations runs what takes a small model's time, at its shapes: 4 sequences of 512 tokens. GFLOP/s count a
// multiply-add as 2, and of attention the half below the diagonal alone.
func BenchmarkOperations(b *testing.B) {
	d := New(0)
	defer d.Close()
	const t, dim, vocab, e, k, f, past = 2048, 256, 8192, 32, 4, 128, 1024
	h := device.Heads{H: 8, N: 32, R: 16, V: 32, C: 128, Scale: 0.14}
	starts := []int32{0, 512, 1024, 1536, 2048}
	const pairs = 4 * 512 * 513 / 2
	rng := rand.New(rand.NewPCG(1, 1))
	mat := func(rows, cols int) tensor.Mat {
		m := d.Alloc(rows, cols, tensor.F32)
		for i := range m.Host() {
			m.Host()[i] = rng.Float32() - 0.5
		}
		return m
	}
	ints := func(rows, cols, n int) tensor.Mat {
		m := d.Alloc(rows, cols, tensor.I32)
		for i := range m.HostInts() {
			m.HostInts()[i] = rng.Int32N(int32(n))
		}
		return m
	}
	q, kv, kR := mat(t, h.H*(h.N+h.R)), mat(t, h.H*(h.N+h.V)), mat(t, h.R)
	o, lse := mat(t, h.H*h.V), mat(t, h.H)
	dq, dkv, dkR := mat(t, q.Cols), mat(t, kv.Cols), mat(t, h.R)
	x, dx, y, head, dhead := mat(t, dim), mat(t, dim), mat(t, dim), mat(vocab, dim), mat(vocab, dim)
	gateUp, dGateUp, down, dDown := mat(e*2*f, dim), mat(e*2*f, dim), mat(e*dim, f), mat(e*dim, f)
	spec := device.RouteSpec{Experts: e, TopK: k, Sigmoid: true, Normalize: true, ScalingFactor: 1}
	r := device.Routing{Score: mat(t, e), Index: ints(t, k, e), Weight: mat(t, k), Start: ints(1, e+1, 1), Slot: ints(t, k, 1), Token: ints(t*k, 1, 1)}
	saved := device.ExpertsSaved{X: mat(t*k, dim), GateUp: mat(t*k, 2*f), Act: mat(t*k, f)}
	logits, dw, loss, targets := mat(t, e), mat(t, k), mat(t, 1), ints(t, 1, vocab)
	w, dnorm, rstd := mat(1, dim), mat(1, dim), mat(t, 1)

	d.Route(r, logits, tensor.Mat{}, spec)

	for _, c := range []struct {
		name string
		flop float64
		call func()
	}{
		{"Linear", 2 * t * dim * vocab / 8, func() { d.Linear(prefix(saved.GateUp, t, 1024), x, head.RowSlice(0, vocab/8), device.F32, false) }},
		{"Attention", 2 * pairs * float64(h.H*(h.N+h.R+h.V)), func() { d.Attention(o, lse, tensor.Mat{}, q, kv, kR, starts, h) }},
		{"AttentionBackward", 2 * pairs * float64(h.H*(3*(h.N+h.R)+2*h.V)), func() {
			d.AttentionBackward(dq, dkv, dkR, o, q, kv, kR, o, lse, starts, h)
		}},
		{"Route", 0, func() { d.Route(r, logits, tensor.Mat{}, spec) }},
		{"Experts", 2 * t * k * 3 * dim * f, func() { d.Experts(y, x, gateUp, down, r, saved, device.F32) }},
		{"ExpertsBackward", 4 * t * k * 3 * dim * f, func() {
			d.ExpertsBackward(dx, dGateUp, dDown, dw, y, gateUp, down, r, saved, device.F32)
		}},
		{"HeadLoss", 6 * t * dim * vocab, func() { d.HeadLoss(loss, dx, dhead, x, head, targets, tensor.Mat{}, 1e-3, device.F32) }},
		{"RMSNorm", 0, func() { d.RMSNorm(y, rstd, x, w, 1e-6) }},
		{"RMSNormBackward", 0, func() { d.RMSNormBackward(dx, dnorm, y, x, rstd, w) }},
		{"Add", 0, func() { d.Add(y, x) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.call()
			}
			if c.flop > 0 {
				b.ReportMetric(c.flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			}
		})
	}
}

// prefix looks at the first elements of m as another shape.
func prefix(m tensor.Mat, rows, cols int) tensor.Mat {
	m.Rows, m.Cols, m.Stride = rows, cols, cols
	return m
}
