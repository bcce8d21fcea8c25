//go:build !purego

package kernel

//go:generate sh -c "cd _asm && go run ./avx512 -out ../avx512_amd64.s -stubs ../avx512_stubs_amd64.go -pkg kernel"

// avx512Gemm gives the bits that avx2Gemm gives: both fuse each step of each sum.
var avx512Gemm = gemmImpl{
	name: "avx512", mr: 12, nr: 32, depth: 1,
	tile:        tiles512.run,
	half:        halves512.run,
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
	tile:        tilesBF16.run,
	half:        halvesBF16.run,
	scaled:      scaledBF16.run,
	packRows:    packRowsBF16,
	packColumns: packColumnsBF16,
}

// tileFunc is a tile of full width, halfFunc one of up to 16 columns, scaledFunc one with scales.
type (
	tileFunc   func(words int, a, b, c *float32, ldc int, add bool)
	halfFunc   func(words int, a, b, c *float32, ldc int, mask uint32, add bool)
	scaledFunc func(words int, a, b, c *float32, ldc int, scaleA, scaleB *float32, add bool)

	tileTable   [13]tileFunc
	halfTable   [13]halfFunc
	scaledTable [13]scaledFunc
)

// The tiles by their numbers of rows.
var (
	tiles512 = tileTable{nil,
		tile1AVX512, tile2AVX512, tile3AVX512, tile4AVX512, tile5AVX512, tile6AVX512,
		tile7AVX512, tile8AVX512, tile9AVX512, tile10AVX512, tile11AVX512, tile12AVX512}
	halves512 = halfTable{nil,
		half1AVX512, half2AVX512, half3AVX512, half4AVX512, half5AVX512, half6AVX512,
		half7AVX512, half8AVX512, half9AVX512, half10AVX512, half11AVX512, half12AVX512}
	tilesBF16 = tileTable{nil,
		tile1BF16AVX512, tile2BF16AVX512, tile3BF16AVX512, tile4BF16AVX512, tile5BF16AVX512, tile6BF16AVX512,
		tile7BF16AVX512, tile8BF16AVX512, tile9BF16AVX512, tile10BF16AVX512, tile11BF16AVX512, tile12BF16AVX512}
	halvesBF16 = halfTable{nil,
		half1BF16AVX512, half2BF16AVX512, half3BF16AVX512, half4BF16AVX512, half5BF16AVX512, half6BF16AVX512,
		half7BF16AVX512, half8BF16AVX512, half9BF16AVX512, half10BF16AVX512, half11BF16AVX512, half12BF16AVX512}
	scaledBF16 = scaledTable{nil,
		scaled1BF16AVX512, scaled2BF16AVX512, scaled3BF16AVX512, scaled4BF16AVX512, scaled5BF16AVX512, scaled6BF16AVX512,
		scaled7BF16AVX512, scaled8BF16AVX512, scaled9BF16AVX512, scaled10BF16AVX512, scaled11BF16AVX512, scaled12BF16AVX512}
)

func (tiles *tileTable) run(rows, words int, a, b, c []float32, ldc int, add bool) {
	_, _, _ = a[rows*words-1], b[32*words-1], c[(rows-1)*ldc+31]
	tiles[rows](words, &a[0], &b[0], &c[0], ldc, add)
}

func (halves *halfTable) run(rows, words int, a, b, c []float32, ldc, cols int, add bool) {
	_, _, _ = a[rows*words-1], b[32*words-1], c[(rows-1)*ldc+cols-1]
	halves[rows](words, &a[0], &b[0], &c[0], ldc, columns(cols), add)
}

func (tiles *scaledTable) run(rows, words int, a, b, c []float32, ldc int, scaleA, scaleB []float32, add bool) {
	_, _, _, _, _ = a[rows*words-1], b[32*words-1], c[(rows-1)*ldc+31], scaleA[rows-1], scaleB[31]
	tiles[rows](words, &a[0], &b[0], &c[0], ldc, &scaleA[0], &scaleB[0], add)
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
