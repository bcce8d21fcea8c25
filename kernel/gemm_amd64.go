//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run . -out ../kernel_amd64.s -stubs ../stubs_amd64.go -pkg kernel"

var avx2Gemm = gemmImpl{
	name: "avx2", mr: 6, nr: 16, depth: 1,
	tile:        tileAVX2,
	packRows:    packRowsAVX2,
	packColumns: packColumnsAVX2,
	round: func(x []float32) {
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

func packRowsAVX2(dst, src []float32, ld, kc, panels, cols, width int) {
	if panels == 0 {
		return
	}
	if cols < width || width != 6 && width != 16 {
		packRowsPortable(dst, src, ld, kc, panels, cols, width)
		return
	}
	_, _ = dst[kc*panels*width-1], src[(kc-1)*ld+panels*width-1]
	for p := range panels {
		if width == 6 {
			copyRows6AVX2(kc, &dst[p*kc*width], &src[p*width], ld)
		} else {
			copyRows16AVX2(kc, &dst[p*kc*width], &src[p*width], ld)
		}
	}
}

// packColumnsAVX2 turns the largest multiple of 8 elements in vectors. A panel of 6 is written in vectors of 8, of which the last would
// run 2 elements over: it leaves the last 8 alone.
func packColumnsAVX2(dst, src []float32, ld, kc, cols, width int) {
	blocks := kc / 8
	if width == 6 && kc%8 == 0 {
		blocks--
	}
	if cols < width || width != 6 && width != 16 {
		blocks = 0
	}
	if blocks > 0 {
		_, _ = dst[8*blocks*width-1], src[(width-1)*ld+8*blocks-1]
		if width == 6 {
			transpose6AVX2(blocks, &dst[0], 4*width, &src[0], ld)
		} else {
			transpose8AVX2(blocks, &dst[0], 4*width, &src[0], ld)
			transpose8AVX2(blocks, &dst[8], 4*width, &src[8*ld], ld)
		}
	}
	packColumnsFrom(dst, src, ld, max(0, 8*blocks), kc, cols, width)
}
