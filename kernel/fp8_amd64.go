//go:build !purego

package kernel

// As in vec_amd64.go, the functions do as many elements as whole vectors hold, and return how many.

func absMaxBlocks(x []float32, most uint32) (int, uint32) {
	n := whole512(len(x))
	if n > 0 {
		most = absMaxAVX512(n, &x[0], most)
	}
	return n, most
}

func absMaxesBlocks(most, x []float32) int {
	n := whole512(len(x))
	if n > 0 {
		absMaxesAVX512(n, &most[0], &x[0])
	}
	return n
}

func roundE4M3Blocks(dst, src []float32, scale float32) int {
	n := whole512(len(src))
	if n > 0 {
		roundE4M3AVX512(n, &dst[0], &src[0], scale)
	}
	return n
}

func roundE4M3ByBlocks(dst, src, scale []float32) int {
	n := whole512(len(src))
	if n > 0 {
		roundE4M3ByAVX512(n, &dst[0], &src[0], &scale[0])
	}
	return n
}
