package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEveryTileHeight: products of 1 to 13 rows use tiles of every height that an implementation has, full and partial in columns,
// with even and odd numbers of k.
func TestEveryTileHeight(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		ws := NewWorkspace()
		for m := 1; m <= 13; m++ {
			for _, n := range []int{16, 32, 45, 61} {
				for _, k := range []int{1, 2, 8, 19} {
					for _, prec := range []Precision{F32, BF16} {
						for _, op := range ops {
							p := randomProduct(rng, op, m, n, k, k%2 == 0)
							want, size := reference(op, prec, p)
							before := slices.Clone(p.C)
							ws.Gemm(op, prec, p)
							checkProduct(t, fmt.Sprintf("%v %d x %d x %d precision %d", op, m, n, k, prec), p, before, want, size)
						}
					}
				}
			}
		}
	})
}

// TestWorkersDoNotMatterBF16: parts of a product start at columns and rows that depend on the number of workers; pairs of k do not.
func TestWorkersDoNotMatterBF16(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		for _, op := range ops {
			p := randomProduct(rand.New(rand.NewPCG(9, 10)), op, 250, 131, 301, true)
			start := slices.Clone(p.C)
			NewWorkspace().Gemm(op, BF16, p)
			for _, workers := range []int{2, 3} {
				q := p
				q.C = slices.Clone(start)
				pool := NewPool(workers)
				pool.Gemm(op, BF16, q)
				pool.Close()
				if !sameBits(p.C, q.C) {
					t.Errorf("%v: C with %d workers differs from C with one", op, workers)
				}
			}
		}
	})
}

// TestFusedImplementationsAgree: float32 products have the same bits wherever each step is one fused multiply-add.
func TestFusedImplementationsAgree(t *testing.T) {
	fused := slices.DeleteFunc(implementations(), func(name string) bool { return name == portableGemm.name || name == "avx512bf16" })
	if len(fused) < 2 {
		t.Skipf("this processor runs %v: there are no two to compare", fused)
	}
	for _, op := range ops {
		for _, s := range shapes {
			p := randomProduct(rand.New(rand.NewPCG(11, 12)), op, s[0], s[1], s[2], true)
			start := slices.Clone(p.C)
			NewWorkspace().Gemm(op, F32, p)
			q := p
			q.C = start
			restore := use(fused[len(fused)-1])
			NewWorkspace().Gemm(op, F32, q)
			restore()
			if !sameBits(p.C, q.C) {
				t.Errorf("%v %v: %s and %s differ", op, s, fused[0], fused[len(fused)-1])
			}
		}
	}
}
