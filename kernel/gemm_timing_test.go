package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkGemm(b *testing.B) {
	ws := NewWorkspace()
	for _, s := range [][3]int{{512, 512, 512}, {1024, 1024, 1024}, {1, 2048, 2048}, {8, 2048, 2048}, {96, 96, 48}} {
		for _, op := range ops {
			p := randomProduct(rand.New(rand.NewPCG(1, 2)), op, s[0], s[1], s[2], false)
			b.Run(fmt.Sprintf("%dx%dx%d/%v", s[0], s[1], s[2], op), func(b *testing.B) {
				for b.Loop() {
					ws.Gemm(op, F32, p)
				}
				b.ReportMetric(2*float64(s[0])*float64(s[1])*float64(s[2])*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
