//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run . -out ../kernel_amd64.s -stubs ../stubs_amd64.go -pkg kernel"

var avx2Gemm = gemmImpl{
	name: "avx2", mr: 6, nr: 16,
	tile:      tileAVX2,
	copyRows:  copyRowsAVX2,
	transpose: transposeAVX2,
	toBF16: func(x []float32, width int) {
		n := len(x) &^ 7
		if n > 0 {
			roundBF16AVX2(n, &x[0])
		}
		roundBF16(x[n:])
	},
	rowPacked: func(c, a, b []float32, stride int) {
		_, _ = c[63], b[3*stride+16*len(a)-1]
		gemvPackedAVX2(len(a), &a[0], &b[0], stride, &c[0])
	},
}

func tileAVX2(rows, kc int, a, b, c []float32, ldc int, add bool) {
	_, _, _ = a[rows*kc-1], b[16*kc-1], c[(rows-1)*ldc+15]
	pa, pb, pc := &a[0], &b[0], &c[0]
	switch rows {
	case 6:
		tile6AVX2(kc, pa, pb, pc, ldc, add)
	case 5:
		tile5AVX2(kc, pa, pb, pc, ldc, add)
	case 4:
		tile4AVX2(kc, pa, pb, pc, ldc, add)
	case 3:
		tile3AVX2(kc, pa, pb, pc, ldc, add)
	case 2:
		tile2AVX2(kc, pa, pb, pc, ldc, add)
	case 1:
		tile1AVX2(kc, pa, pb, pc, ldc, add)
	}
}

func copyRowsAVX2(dst, src []float32, ld, kc, width int) bool {
	_, _ = dst[kc*width-1], src[(kc-1)*ld+width-1]
	switch width {
	case 6:
		copyRows6AVX2(kc, &dst[0], &src[0], ld)
	case 16:
		copyRows16AVX2(kc, &dst[0], &src[0], ld)
	default:
		return false
	}
	return true
}

// transposeAVX2 packs the largest multiple of 8 columns. A panel of 6 is written in vectors of 8, of which the last would run 2
// elements over: it leaves the last 8 columns alone.
func transposeAVX2(dst, src []float32, ld, kc, width int) int {
	blocks := kc / 8
	if width == 6 && kc%8 == 0 {
		blocks--
	}
	if blocks <= 0 || width != 6 && width != 16 {
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
