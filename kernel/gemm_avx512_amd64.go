//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run ./avx512 -out ../avx512_amd64.s -stubs ../avx512_stubs_amd64.go -pkg kernel"

// avx512Gemm gives the bits that avx2Gemm gives: both fuse each step of each sum.
var avx512Gemm = gemmImpl{
	name: "avx512", mr: 12, nr: 32, depth: 1,
	tile:        tileAVX512,
	packRows:    packRows512,
	packColumns: packColumns512,
	round:       avx2Gemm.round,
	rowPacked: func(c, a, b []float32, stride int) {
		_, _ = c[127], b[3*stride+32*len(a)-1]
		rowPackedAVX512(len(a), &a[0], &b[0], stride, &c[0])
	},
}

// avx512BF16Gemm is for products of bfloat16. A word holds two, of k's 2i and 2i+1: each step of a sum adds both products. Numbers below
// the least normal one count as zero.
var avx512BF16Gemm = gemmImpl{
	name: "avx512bf16", mr: 12, nr: 32, depth: 2,
	tile:        tileBF16AVX512,
	packRows:    packRowsBF16,
	packColumns: packColumnsBF16,
}

func tileAVX512(rows, words int, a, b, c []float32, ldc int, add bool) {
	_, _, _ = a[rows*words-1], b[32*words-1], c[(rows-1)*ldc+31]
	pa, pb, pc := &a[0], &b[0], &c[0]
	switch rows {
	case 12:
		tile12AVX512(words, pa, pb, pc, ldc, add)
	case 11:
		tile11AVX512(words, pa, pb, pc, ldc, add)
	case 10:
		tile10AVX512(words, pa, pb, pc, ldc, add)
	case 9:
		tile9AVX512(words, pa, pb, pc, ldc, add)
	case 8:
		tile8AVX512(words, pa, pb, pc, ldc, add)
	case 7:
		tile7AVX512(words, pa, pb, pc, ldc, add)
	case 6:
		tile6AVX512(words, pa, pb, pc, ldc, add)
	case 5:
		tile5AVX512(words, pa, pb, pc, ldc, add)
	case 4:
		tile4AVX512(words, pa, pb, pc, ldc, add)
	case 3:
		tile3AVX512(words, pa, pb, pc, ldc, add)
	case 2:
		tile2AVX512(words, pa, pb, pc, ldc, add)
	case 1:
		tile1AVX512(words, pa, pb, pc, ldc, add)
	}
}

func tileBF16AVX512(rows, words int, a, b, c []float32, ldc int, add bool) {
	_, _, _ = a[rows*words-1], b[32*words-1], c[(rows-1)*ldc+31]
	pa, pb, pc := &a[0], &b[0], &c[0]
	switch rows {
	case 12:
		tile12BF16AVX512(words, pa, pb, pc, ldc, add)
	case 11:
		tile11BF16AVX512(words, pa, pb, pc, ldc, add)
	case 10:
		tile10BF16AVX512(words, pa, pb, pc, ldc, add)
	case 9:
		tile9BF16AVX512(words, pa, pb, pc, ldc, add)
	case 8:
		tile8BF16AVX512(words, pa, pb, pc, ldc, add)
	case 7:
		tile7BF16AVX512(words, pa, pb, pc, ldc, add)
	case 6:
		tile6BF16AVX512(words, pa, pb, pc, ldc, add)
	case 5:
		tile5BF16AVX512(words, pa, pb, pc, ldc, add)
	case 4:
		tile4BF16AVX512(words, pa, pb, pc, ldc, add)
	case 3:
		tile3BF16AVX512(words, pa, pb, pc, ldc, add)
	case 2:
		tile2BF16AVX512(words, pa, pb, pc, ldc, add)
	case 1:
		tile1BF16AVX512(words, pa, pb, pc, ldc, add)
	}
}

// columns is a mask of the first n lanes, at most 16.
func columns(n int) uint32 { return 1<<min(n, 16) - 1 }

// lanes32 is a mask of the first n lanes, at most 32.
func lanes32(n int) uint32 { return uint32(1<<min(n, 32) - 1) }

func packRows512(dst, src []float32, ld, kc, panels, cols, width int) {
	if panels == 0 {
		return
	}
	_, _ = dst[kc*panels*width-1], src[(kc-1)*ld+(panels-1)*width+cols-1]
	pack := packRowsAVX512
	if width > 16 {
		pack = packWideRowsAVX512
	}
	pack(kc, &dst[0], width, kc*width, &src[0], ld, panels, width, lanes32(cols), lanes32(width))
}

func packRowsBF16(dst, src []float32, ld, kc, panels, cols, width int) {
	if panels == 0 {
		return
	}
	words := (kc + 1) / 2
	_, _ = dst[words*panels*width-1], src[(kc-1)*ld+(panels-1)*width+cols-1]
	pack := packRowsBF16AVX512
	if width > 16 {
		pack = packWideRowsBF16AVX512
	}
	pack(kc, &dst[0], width, words*width, &src[0], ld, panels, width, lanes32(cols), lanes32(width))
}

func packColumns512(dst, src []float32, ld, kc, cols, width int) {
	_, _ = dst[kc*width-1], src[(cols-1)*ld+kc-1]
	for i := 0; i < width; i += 16 {
		if i >= cols {
			clearColumns(dst, i, kc, width)
			return
		}
		packColumnsAVX512(kc, &dst[i], width, &src[i*ld], ld, min(16, cols-i), columns(width-i))
	}
}

func packColumnsBF16(dst, src []float32, ld, kc, cols, width int) {
	words := (kc + 1) / 2
	_, _ = dst[words*width-1], src[(cols-1)*ld+kc-1]
	for i := 0; i < width; i += 16 {
		if i >= cols {
			clearColumns(dst, i, words, width)
			return
		}
		packColumnsBF16AVX512(kc, &dst[i], width, &src[i*ld], ld, min(16, cols-i), columns(width-i))
	}
}

// clearColumns zeroes a panel's columns from i on.
func clearColumns(dst []float32, i, rows, width int) {
	for k := range rows {
		clear(dst[k*width+i : (k+1)*width])
	}
}
