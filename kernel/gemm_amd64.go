//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run . -out ../kernel_amd64.s -stubs ../stubs_amd64.go -pkg kernel"

var avx2Gemm = gemmImpl{
	name: "avx2", mr: 6, nr: 16,
	tile: func(kc int, a, b, c []float32, ldc int, add bool) {
		_, _, _ = a[6*kc-1], b[16*kc-1], c[5*ldc+15]
		tileAVX2(kc, &a[0], &b[0], &c[0], ldc, add)
	},
	copyRows: func(dst, src []float32, ld, kc, width int) bool {
		_, _ = dst[kc*width-1], src[(kc-1)*ld+width-1]
		if width == 6 {
			copyRows6AVX2(kc, &dst[0], &src[0], ld)
		} else {
			copyRows16AVX2(kc, &dst[0], &src[0], ld)
		}
		return true
	},
	transpose: transposeAVX2,
}

// transposeAVX2 packs the largest multiple of 8 columns. A panel of 6 is written in vectors of 8, of which the last would run 2
// elements over: it leaves the last 8 columns alone.
func transposeAVX2(dst, src []float32, ld, kc, width int) int {
	blocks := kc / 8
	if width == 6 && kc%8 == 0 {
		blocks--
	}
	if blocks <= 0 {
		return 0
	}
	_, _ = dst[8*blocks*width-1], src[(width-1)*ld+8*blocks-1]
	if width == 6 {
		transpose6AVX2(blocks, &dst[0], 4*width, &src[0], ld)
	} else {
		transpose8AVX2(blocks, &dst[0], 4*width, &src[0], ld)
		transpose8AVX2(blocks, &dst[8], 4*width, &src[8*ld], ld)
	}
	return 8 * blocks
}
