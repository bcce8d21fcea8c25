package cpu

import (
	"math"
	"math/rand/v2"
	"testing"

	"sprat/device"
	"sprat/tensor"
)

// TestPagesError measures what rounding latents costs attention's outputs, against pages of float32, everything else being the same: latents are
// normal, as a norm leaves them, with some channels ten times the others, and scores spread by about two.
func TestPagesError(t *testing.T) {
	d := New(2)
	defer d.Close()
	const tokens = 1000
	h := device.Heads{H: 16, N: 64, R: 64, V: 64, C: 512, Scale: 0.02, Precision: device.BF16}
	rng := rand.New(rand.NewPCG(5, 6))
	normal := func(rows, cols int) tensor.Mat {
		m := d.Alloc(rows, cols, tensor.F32)
		for i := range m.Host() {
			m.Host()[i] = float32(rng.NormFloat64())
		}
		return m
	}
	cKV, kR, qC, q := normal(tokens, h.C), normal(tokens, h.R), normal(1, h.H*h.C), normal(1, h.H*(h.N+h.R))
	for i := range cKV.Host() {
		if i%h.C%50 == 0 {
			cKV.Host()[i] *= 10
		}
	}
	table := make([]int32, (tokens+63)/64)
	for i := range table {
		table[i] = int32(i)
	}
	run := func(format device.PageFormat, p device.Precision) []float32 {
		pages := d.NewPages(device.PagesShape{Layers: 1, Pages: len(table), Rows: 64, C: h.C, R: h.R, Format: format})
		d.StoreLatents(pages, 0, cKV, kR, []device.Context{{Rows: tokens, Table: table}})
		oC := d.Alloc(1, h.H*h.C, tensor.F32)
		h.Precision = p
		d.PagedLatentAttention(oC, qC, q, pages, 0, []device.Context{{Rows: 1, Past: tokens - 1, Table: table}}, h)
		return oC.Host()
	}
	want := run(device.PagesF32, device.F32)
	for _, c := range []struct {
		name      string
		format    device.PageFormat
		precision device.Precision
		least     float64 // what the format must lose, or it isn't the format
		most      float64
	}{
		{"bf16 pages, float32 products", device.PagesBF16, device.F32, 1e-4, 2e-3},
		{"bf16 pages, bf16 products", device.PagesBF16, device.BF16, 1e-4, 4e-3},
		{"fp8 pages, float32 products", device.PagesFP8, device.F32, 5e-3, 2e-2},
		{"fp8 pages, bf16 products", device.PagesFP8, device.BF16, 5e-3, 2e-2},
	} {
		sum, size := 0.0, 0.0
		for i, v := range run(c.format, c.precision) {
			e := float64(v - want[i])
			sum, size = sum+e*e, size+float64(want[i])*float64(want[i])
		}
		err := math.Sqrt(sum / size)
		t.Logf("%s: outputs are off by %.2g of their size", c.name, err)
		if err < c.least || err > c.most {
			t.Errorf("%s: outputs are off by %.2g of their size, want %g to %g", c.name, err, c.least, c.most)
		}
	}
}

// TestDecodingAllocatesNothing: a step that goes on finds its space, whichever worker takes a part, also where a run of keys begins.
func TestDecodingAllocatesNothing(t *testing.T) {
	d := New(2)
	defer d.Close()
	h := device.Heads{H: 16, N: 8, R: 8, V: 8, C: 32, Scale: 0.1, Precision: device.BF16}
	p := d.NewPages(device.PagesShape{Layers: 1, Pages: 16, Rows: 64, C: h.C, R: h.R})
	contexts := []device.Context{{Rows: 1, Past: 600, Table: tableFrom(0, 16)}}
	oC, qC, q := noise(d, 1, h.H*h.C), noise(d, 1, h.H*h.C), noise(d, 1, h.H*(h.N+h.R))
	step := func() {
		d.PagedLatentAttention(oC, qC, q, p, 0, contexts, h)
		contexts[0].Past++
	}
	contexts[0].Past = 40
	step() // in halves
	contexts[0].Past = 900
	step()
	for _, past := range []int{40, 600, 740} {
		contexts[0].Past = past
		if n := testing.AllocsPerRun(60, step); n != 0 {
			t.Errorf("%v allocations in a step after %d tokens", n, past)
		}
	}
}
