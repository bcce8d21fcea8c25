//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run ./avx512 -out ../avx512_amd64.s -stubs ../avx512_stubs_amd64.go -pkg kernel"

// avx512Gemm gives the bits that avx2Gemm gives: both fuse each step of each sum.
var avx512Gemm = gemmImpl{
	name: "avx512", mr: 12, nr: 32,
	tile:      tileAVX512,
	copyRows:  copyRows512,
	transpose: transpose512,
	toBF16:    avx2Gemm.toBF16,
	rowPacked: func(c, a, b []float32, stride int) {
		_, _ = c[127], b[3*stride+32*len(a)-1]
		rowPackedAVX512(len(a), &a[0], &b[0], stride, &c[0])
	},
}

// avx512BF16Gemm is for products of bfloat16. Its panels keep their size, but a word holds two numbers, of rows 2i and 2i+1, and
// row 2i+1 is not read: each step of a sum adds both products. Numbers below the least normal one count as zero.
var avx512BF16Gemm = gemmImpl{
	name: "avx512bf16", mr: 12, nr: 32,
	tile:      tileBF16AVX512,
	copyRows:  copyRows512,
	transpose: transpose512,
	toBF16:    pairs512,
}

func tileAVX512(rows, kc int, a, b, c []float32, ldc int, add bool) {
	_, _, _ = a[rows*kc-1], b[32*kc-1], c[(rows-1)*ldc+31]
	pa, pb, pc := &a[0], &b[0], &c[0]
	switch rows {
	case 12:
		tile12AVX512(kc, pa, pb, pc, ldc, add)
	case 11:
		tile11AVX512(kc, pa, pb, pc, ldc, add)
	case 10:
		tile10AVX512(kc, pa, pb, pc, ldc, add)
	case 9:
		tile9AVX512(kc, pa, pb, pc, ldc, add)
	case 8:
		tile8AVX512(kc, pa, pb, pc, ldc, add)
	case 7:
		tile7AVX512(kc, pa, pb, pc, ldc, add)
	case 6:
		tile6AVX512(kc, pa, pb, pc, ldc, add)
	case 5:
		tile5AVX512(kc, pa, pb, pc, ldc, add)
	case 4:
		tile4AVX512(kc, pa, pb, pc, ldc, add)
	case 3:
		tile3AVX512(kc, pa, pb, pc, ldc, add)
	case 2:
		tile2AVX512(kc, pa, pb, pc, ldc, add)
	case 1:
		tile1AVX512(kc, pa, pb, pc, ldc, add)
	}
}

func tileBF16AVX512(rows, kc int, a, b, c []float32, ldc int, add bool) {
	_, _, _ = a[rows*kc-1], b[32*kc-1], c[(rows-1)*ldc+31]
	pa, pb, pc := &a[0], &b[0], &c[0]
	switch rows {
	case 12:
		tile12BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 11:
		tile11BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 10:
		tile10BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 9:
		tile9BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 8:
		tile8BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 7:
		tile7BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 6:
		tile6BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 5:
		tile5BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 4:
		tile4BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 3:
		tile3BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 2:
		tile2BF16AVX512(kc, pa, pb, pc, ldc, add)
	case 1:
		tile1BF16AVX512(kc, pa, pb, pc, ldc, add)
	}
}

// columns is a mask of the first n lanes, at most 16.
func columns(n int) uint32 { return 1<<min(n, 16) - 1 }

func copyRows512(dst, src []float32, ld, kc, width int) bool {
	_, _ = dst[kc*width-1], src[(kc-1)*ld+width-1]
	for i := 0; i < width; i += 16 {
		copyRowsAVX512(kc, &dst[i], width, &src[i], ld, columns(width-i))
	}
	return true
}

// transpose512 packs the largest multiple of 8 columns.
func transpose512(dst, src []float32, ld, kc, width int) int {
	blocks := kc / 8
	if blocks == 0 {
		return 0
	}
	_, _ = dst[8*blocks*width-1], src[(width-1)*ld+8*blocks-1]
	for i := 0; i < width; i += 8 {
		rows := min(8, width-i)
		transposeAVX512(blocks, &dst[i], width, &src[i*ld], ld, rows, columns(rows))
	}
	return 8 * blocks
}

func pairs512(panel []float32, width int) {
	for i := 0; i < width; i += 16 {
		pairsAVX512(len(panel)/width, &panel[i], width, columns(width-i))
	}
}
