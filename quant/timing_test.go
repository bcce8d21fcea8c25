package quant

import (
	"fmt"
	"sprat/device"
	"testing"
)

// BenchmarkValues reads experts' weights, as they are read when a model is opened.
func BenchmarkValues(b *testing.B) {
	const rows, cols, weights = 512, 1024, 32
	for _, bits := range []int{4, 8} {
		b.Run(fmt.Sprint("int", bits), func(b *testing.B) {
			files := map[string]stored{}
			for i := range weights {
				m, err := Nearest(normals(uint64(i), rows*cols), rows, cols, bits, 32)
				if err != nil {
					b.Fatal(err)
				}
				parts := m.Pack()
				for j, info := range PackedInfos(fmt.Sprint("m", i), rows, cols, bits, 32) {
					files[info.Name] = stored{string(info.DType), info.Shape, parts[j]}
				}
			}
			w, err := Open(quantized(bits, 32), put(b, files))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(rows * cols * int64(bits) / 8)
			var v device.Values
			for i := 0; b.Loop(); i++ {
				if err := w.Values(fmt.Sprint("m", i%weights, ".weight"), &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
