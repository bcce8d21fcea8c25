package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"sprat/device"
	"sprat/device/cpu"
	"sprat/kernel"
	"sprat/tensor"
)

// attention measures attention over pages of bfloat16 in both forms, with the heads of a model of 2 B parameters.
func (b *kernelBench) attention(threads int) {
	h := device.Heads{H: 16, N: 128, R: 64, V: 128, C: 512, Scale: 0.07, Precision: device.BF16}
	of, peak := "peak", b.peak
	if kernel.KeysInPlace(kernel.BF16) {
		of, peak = "twice the float32 peak", 2*b.peak // products of bfloat16 take two elements at a time
	}
	for _, c := range []struct {
		form        string
		rows, depth int
	}{{"absorbed", 1, 4096}, {"absorbed", 1, 16384}, {"explicit", 512, 0}, {"explicit", 512, 4096}} {
		name := fmt.Sprintf("MLA %s, %d at %d", c.form, c.rows, c.depth)
		one, all := cpu.New(1), cpu.New(threads)
		r := b.best(attentionRate(one, c.form, c.rows, c.depth, h), attentionRate(all, c.form, c.rows, c.depth, h))
		b.add(name+", one core", r[0], "GFLOP/s", of, peak)
		b.add(fmt.Sprintf("%s, %d threads", name, all.Threads()), r[1], "GFLOP/s", "one core", r[0])
		one.Close()
		all.Close()
	}
}

// attentionRate measures so many tokens after depth others: the best FLOP/s of several tries. In the explicit form keys and values are made
// once for each token, and count.
func attentionRate(d *cpu.Device, form string, rows, depth int, h device.Heads) func(time.Duration) float64 {
	const pageRows = 64
	all := depth + rows
	table := make([]int32, (all+pageRows-1)/pageRows)
	for i := range table {
		table[i] = int32(i)
	}
	noise := func(rows, cols int) tensor.Mat {
		m := d.Alloc(rows, cols, tensor.F32)
		for i, rng := 0, rand.New(rand.NewPCG(1, 2)); i < rows*cols; i++ {
			m.Host()[i] = rng.Float32() - 0.5
		}
		return m
	}
	p := d.NewPages(device.PagesShape{Layers: 1, Pages: len(table), Rows: pageRows, C: h.C, R: h.R})
	d.StoreLatents(p, 0, noise(all, h.C), noise(all, h.R), []device.Context{{Rows: all, Table: table}})
	wUK, wUV := d.NewWeight(h.H, h.C, h.N, device.FormatBF16), d.NewWeight(h.H, h.V, h.C, device.FormatBF16)
	q, qC, o, oC := noise(rows, h.H*(h.N+h.R)), noise(rows, h.H*h.C), noise(rows, h.H*h.V), noise(rows, h.H*h.C)
	contexts := []device.Context{{Rows: rows, Past: depth, Table: table}}
	seen := float64(rows*depth + rows*(rows+1)/2)
	flop := 2 * float64(h.H) * seen * float64(2*h.C+h.R)
	if form == "explicit" {
		flop = 2 * float64(h.H) * (seen*float64(h.N+h.R+h.V) + float64(all*h.C*(h.N+h.V)))
	}
	return func(t time.Duration) float64 {
		best := time.Duration(1 << 62)
		for start := time.Now(); time.Since(start) < t; {
			now := time.Now()
			if form == "explicit" {
				d.PagedAttention(o, q, p, 0, wUK, wUV, contexts, h)
			} else {
				d.PagedLatentAttention(oC, qC, q, p, 0, contexts, h)
			}
			best = min(best, time.Since(now))
		}
		return flop / best.Seconds()
	}
}
