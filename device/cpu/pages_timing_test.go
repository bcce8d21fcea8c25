package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"sprat/device"
	"sprat/tensor"
)

// BenchmarkPages runs attention over pages at the shapes of a model of 2 B parameters: 16 heads, latents of 512 + 64. GFLOP/s count a
// multiply-add as 2 and what a row sees alone; of the explicit form keys and values are made once for each token of the context.
func BenchmarkPages(b *testing.B) {
	d := New(0)
	defer d.Close()
	const pageRows, most = 64, 16384 + 512
	for _, format := range []struct {
		name   string
		format device.PageFormat
	}{{"bf16", device.PagesBF16}, {"fp8", device.PagesFP8}} {
		h := device.Heads{H: 16, N: 128, R: 64, V: 128, C: 512, Scale: 0.07, Precision: device.BF16}
		p := d.NewPages(device.PagesShape{Layers: 1, Pages: 64*9 + most/pageRows, Rows: pageRows, C: h.C, R: h.R, Format: format.format})
		fill(d, p, h)
		for _, c := range []struct{ contexts, depth int }{{1, 64}, {1, 512}, {1, 4096}, {1, 16384}, {16, 512}, {64, 512}} {
			b.Run(fmt.Sprintf("absorbed/%s/%dx%d", format.name, c.contexts, c.depth), func(b *testing.B) {
				oC, qC, q := noise(d, c.contexts, h.H*h.C), noise(d, c.contexts, h.H*h.C), noise(d, c.contexts, h.H*(h.N+h.R))
				var contexts []device.Context
				for i := range c.contexts {
					contexts = append(contexts, device.Context{First: i, Rows: 1, Past: c.depth - 1, Table: tableFrom(i*(c.depth/pageRows), c.depth/pageRows)})
				}
				for b.Loop() {
					d.PagedLatentAttention(oC, qC, q, p, 0, contexts, h)
				}
				report(b, float64(c.contexts*c.depth*h.H*2*(2*h.C+h.R)), float64(c.contexts*c.depth*p.(*pages).row))
			})
		}
		if format.format == device.PagesFP8 {
			continue
		}
		wUK, wUV := d.NewWeight(h.H, h.C, h.N, device.FormatBF16), d.NewWeight(h.H, h.V, h.C, device.FormatBF16)
		for _, depth := range []int{0, 4096, 16384} {
			b.Run(fmt.Sprintf("explicit/512+%d", depth), func(b *testing.B) {
				const rows = 512
				o, q := noise(d, rows, h.H*h.V), noise(d, rows, h.H*(h.N+h.R))
				contexts := []device.Context{{Rows: rows, Past: depth, Table: tableFrom(0, (depth+rows)/pageRows)}}
				for b.Loop() {
					d.PagedAttention(o, q, p, 0, wUK, wUV, contexts, h)
				}
				flop := float64(2*h.H*h.C*(h.N+h.V)*(depth+rows)) + float64(2*h.H*(h.N+h.R+h.V)*(rows*depth+rows*(rows+1)/2))
				report(b, flop, float64((depth+rows)*p.(*pages).row))
			})
		}
	}
}

// BenchmarkSmallPages is a small model's decoding, where what is done around the products shows.
func BenchmarkSmallPages(b *testing.B) {
	d := New(0)
	defer d.Close()
	h := device.Heads{H: 8, N: 32, R: 32, V: 32, C: 128, Scale: 0.1, Precision: device.BF16}
	p := d.NewPages(device.PagesShape{Layers: 1, Pages: 64, Rows: 64, C: h.C, R: h.R})
	fill(d, p, h)
	for _, c := range []struct{ contexts, depth int }{{1, 16}, {1, 64}, {1, 256}, {1, 512}, {1, 2048}, {16, 64}, {16, 256}} {
		b.Run(fmt.Sprintf("%dx%d", c.contexts, c.depth), func(b *testing.B) {
			oC, qC, q := noise(d, c.contexts, h.H*h.C), noise(d, c.contexts, h.H*h.C), noise(d, c.contexts, h.H*(h.N+h.R))
			var contexts []device.Context
			for i := range c.contexts {
				n := (c.depth + 63) / 64
				contexts = append(contexts, device.Context{First: i, Rows: 1, Past: c.depth - 1, Table: tableFrom(i*n%(64-n+1), n)})
			}
			for b.Loop() {
				d.PagedLatentAttention(oC, qC, q, p, 0, contexts, h)
			}
			report(b, float64(c.contexts*c.depth*h.H*2*(2*h.C+h.R)), float64(c.contexts*c.depth*p.(*pages).row))
		})
	}
}

func report(b *testing.B, flop, bytes float64) {
	b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(bytes*float64(b.N)/b.Elapsed().Seconds()/1e9, "GB/s")
}

func tableFrom(first, n int) (t []int32) {
	for i := range n {
		t = append(t, int32(first+i))
	}
	return t
}

func noise(d *Device, rows, cols int) tensor.Mat {
	rng := rand.New(rand.NewPCG(1, 1))
	m := d.Alloc(rows, cols, tensor.F32)
	for i := range m.Host() {
		m.Host()[i] = rng.Float32() - 0.5
	}
	return m
}

// fill stores noise in all pages.
func fill(d *Device, p device.Pages, h device.Heads) {
	const rows = 1024
	cKV, kR, s := noise(d, rows, h.C), noise(d, rows, h.R), p.(*pages).PagesShape
	for first := 0; first+rows/s.Rows <= s.Pages; first += rows / s.Rows {
		d.StoreLatents(p, 0, cKV, kR, []device.Context{{Rows: rows, Table: tableFrom(first, rows/s.Rows)}})
	}
}
