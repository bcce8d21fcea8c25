package kernel

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestReadColumns: the same bits as ReadRow's, NaN included.
func TestReadColumns(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		for _, f := range weightFormats {
			for _, s := range [][2]int{{16, 128}, {37, 256}, {5, 128}, {32, 33}, {17, 1}} {
				n, k := s[0], s[1]
				w, ld := randomWeight(rand.New(rand.NewPCG(4, 5)), f, 2, n, k), n+3
				if f == FormatFP8 {
					codes := make([]byte, k)
					for i := range codes {
						codes[i] = byte(i)
					}
					scale := make([]float32, groups(k))
					for i := range scale {
						scale[i] = 0.3
					}
					w.SetE4M3(1, 2, codes, scale)
				}
				dst, row := make([]float32, k*ld), make([]float32, k)
				w.ReadColumns(dst, ld, 1, row)
				for i := range n {
					w.ReadRow(row, 1, i)
					for j, want := range row {
						got := dst[j*ld+i]
						if math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
							t.Fatalf("format %d, %d x %d: element (%d, %d) is %v, want %v", f, n, k, i, j, got, want)
						}
					}
					for _, v := range dst[n:ld] {
						if v != 0 {
							t.Fatalf("format %d, %d x %d: wrote past the rows", f, n, k)
						}
					}
				}
			}
		}
	})
}
