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

// weightSize is the side of a weight's parts, as experts have them, and streamBytes the size of a stack that no cache holds.
const (
	weightSize  = 1024
	streamBytes = 128 << 20
)

// weights measures products with compact weights: one row, with weights from memory, by their bytes, and more rows by operations.
func (b *kernelBench) weights(threads int) {
	one, all := cpu.New(1), cpu.New(threads)
	defer one.Close()
	defer all.Close()
	peak := kernel.Int8Peak(b.d)
	if peak > 0 {
		b.add("int8 multiply-add peak, one core", peak, "GOP/s", "", 0)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, weightSize*weightSize)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	for _, f := range []struct {
		name   string
		format device.Format
		bits   float64
	}{{"int8", device.FormatInt8, 8.5}, {"int4", device.FormatInt4, 4.5}, {"bf16", device.FormatBF16, 16}, {"fp8", device.FormatFP8, 8.25}} {
		bytes := f.bits / 8 * weightSize * weightSize
		w := newStack(all, int(streamBytes/bytes), f.format, x)
		read := all.ReadBandwidth(b.d / 2)
		rate := b.best(weightRate(all, w, x, 1))[0]
		read = max(read, all.ReadBandwidth(b.d/2)) // before and after, as it differs from one moment to the next
		b.add(fmt.Sprintf("read bandwidth, %d threads, memory", all.Threads()), read, "GB/s", "", 0)
		b.add(fmt.Sprintf("%s 1 row, %d threads", f.name, all.Threads()), rate*f.bits/8/2, "GB/s", "read bandwidth", read)
		w = newStack(one, 2, f.format, x)
		of, ceiling := "float32 peak", b.peak
		if peak > 0 && (f.format == device.FormatInt8 || f.format == device.FormatInt4) {
			of, ceiling = "int8 peak", peak
		}
		for _, rows := range []int{8, 64, 512} {
			b.add(fmt.Sprintf("%s %d rows, one core", f.name, rows), b.best(weightRate(one, w, x, rows))[0], "GOP/s", of, ceiling)
		}
	}
}

// newStack makes a weight whose parts are all x.
func newStack(d *cpu.Device, parts int, f device.Format, x []float32) device.Weight {
	w := d.NewWeight(parts, weightSize, weightSize, f)
	for part := range parts {
		d.FillWeight(w, part, 0, device.Values{Rows: weightSize, Cols: weightSize, F32: x})
	}
	return w
}

// weightRate measures rows against every part of a weight: the best operations/s of several tries.
func weightRate(d *cpu.Device, w device.Weight, x []float32, rows int) func(length time.Duration) float64 {
	parts, n, k := w.Shape()
	in, out := d.Alloc(rows, k, tensor.F32), d.Alloc(rows, parts*n, tensor.F32)
	d.Upload(in, x[:rows*k])
	return func(length time.Duration) float64 {
		d.ProjectEach(out, in, w, 0, 0)
		best := time.Duration(1 << 62)
		for start := time.Now(); time.Since(start) < length; {
			t := time.Now()
			d.ProjectEach(out, in, w, 0, 0)
			best = min(best, time.Since(t))
		}
		return 2 * float64(rows) * float64(parts*n) * float64(k) / best.Seconds()
	}
}
