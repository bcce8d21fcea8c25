//go:build !purego

package kernel

// asmTile is a tile of a fixed number of rows, of n words, groups or fours of k's.
type asmTile func(n int, w, a *byte, off *int, c *float32, ldc int, mask uint32, add bool)

// asmTiles are the AVX-512 tiles of 1, 2, 4 and 8 rows.
type asmTiles [4]asmTile

var (
	f32Tiles  = asmTiles{weightF321AVX512, weightF322AVX512, weightF324AVX512, weightF328AVX512}
	bf16Tiles = asmTiles{weightBF161AVX512, weightBF162AVX512, weightBF164AVX512, weightBF168AVX512}
	fp8Tiles  = asmTiles{weightFP81AVX512, weightFP82AVX512, weightFP84AVX512, weightFP88AVX512}
	int8Tiles = asmTiles{weightInt81AVX512, weightInt82AVX512, weightInt84AVX512, weightInt88AVX512}
	int4Tiles = asmTiles{weightInt41AVX512, weightInt42AVX512, weightInt44AVX512, weightInt48AVX512}
)

// run takes so many rows at a time as there are tiles for; perStep are the k's of a step of the tile.
func (tiles *asmTiles) run(perStep, k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
	_ = c[(s.rows-1)*ldc+cols-1]
	n, mask := groupsOf(k, perStep), columns(cols)
	for i := 0; i < s.rows; {
		size := 3
		for 1<<size > s.rows-i {
			size--
		}
		tiles[size](n, &w[0], &a[0], &s.off[i], &c[i*ldc], ldc, mask, add)
		i += 1 << size
	}
}

// avx512Tiles are for AVX-512, with VNNI for the integers, BF16 for BF16 and FP8, VBMI for FP8.
var avx512Tiles = [...]weightTile{
	FormatF32: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		f32Tiles.run(1, k, w, a, s, c, ldc, cols, add)
	},
	FormatBF16: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		bf16Tiles.run(2, k, w, a, s, c, ldc, cols, add)
	},
	FormatFP8: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		fp8Tiles.run(4, k, w, a, s, c, ldc, cols, add)
	},
	FormatInt8: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		int8Tiles.run(intGroup, k, w, a, s, c, ldc, cols, add)
	},
	FormatInt4: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		int4Tiles.run(intGroup, k, w, a, s, c, ldc, cols, add)
	},
}

// avx2Tile is a tile of one row, or of two, whose results are all of sums.
type avx2Tile func(n int, w, a *byte, off *int, sums *float32)

var avx2Tiles = [...]weightTile{
	FormatF32: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		runAVX2(weightF321AVX2, weightF322AVX2, k, &w[0], &a[0], s, c, ldc, cols, add)
	},
	FormatBF16: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		runAVX2(weightBF161AVX2, weightBF162AVX2, groupsOf(k, 2), &w[0], &a[0], s, c, ldc, cols, add)
	},
	FormatFP8: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		runAVX2(weightFP81AVX2, weightFP82AVX2, groupsOf(k, 4), &w[0], &a[0], s, c, ldc, cols, add)
	},
	FormatInt8: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		runAVX2(weightInt81AVX2, weightInt82AVX2, groupsOf(k, intGroup), &w[0], &a[0], s, c, ldc, cols, add)
	},
	FormatInt4: func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		runAVX2(weightInt41AVX2, weightInt42AVX2, groupsOf(k, intGroup), &w[0], &a[0], s, c, ldc, cols, add)
	},
}

// runAVX2 takes two rows at a time.
func runAVX2(one, two avx2Tile, n int, w, a *byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
	for i := 0; i < s.rows; i += 2 {
		rows := min(2, s.rows-i)
		tile := two
		if rows == 1 {
			tile = one
		}
		tile(n, w, a, &s.off[i], &s.sums[0])
		for r := range rows {
			putSums(c[(i+r)*ldc:][:cols], s.sums[r*panelRows:], add)
		}
	}
}

// quantiseBlocks makes the records of all whole groups, and returns their number.
func quantiseBlocks(to []byte, x []float32) int {
	n := len(x) / intGroup
	if !useAVX512 || n == 0 {
		return 0
	}
	_ = to[n*intRecord-1]
	quantiseGroupsAVX512(n, &to[0], &x[0])
	return n
}

// roundBlocks rounds a multiple of 32 elements to bfloat16, and returns how many.
func roundBlocks(to []byte, x []float32) int {
	n := len(x) &^ 31
	if !useAVX512BF16 || n == 0 {
		return 0
	}
	_ = to[2*n-1]
	roundRowAVX512(n, &to[0], &x[0])
	return n
}

func bestScale(x, weight []float32, tries *[lanes]float32, amax, low, high float32) float32 {
	switch {
	case !useAVX512:
		return bestScalePortable(x, weight, tries, amax, low, high)
	case weight != nil:
		return bestWeighedScaleAVX512(len(x), &x[0], &weight[0], &tries[0], amax, low, high)
	}
	return bestScaleAVX512(len(x), &x[0], &tries[0], amax, low, high)
}

// roundIntBlocks rounds a multiple of 16 elements, and returns how many.
func roundIntBlocks(q []int8, x []float32, inverse, low, high float32) int {
	n := whole512(len(x))
	if n > 0 {
		roundIntsAVX512(n, &q[0], &x[0], inverse, low, high)
	}
	return n
}
