//go:build !purego

package kernel

// The functions below do as many elements as whole vectors hold and return how many; those of vec.go do the rest.

func whole(n, by int) int {
	if !useAVX2 {
		return 0
	}
	return n / by * by
}

// whole512 is whole for vectors of 16.
func whole512(n int) int {
	if !useAVX512 {
		return 0
	}
	return n &^ 15
}

func expBlocks(dst, src []float32, scale, shift float32) int {
	n := whole512(len(dst))
	if n > 0 {
		expAVX512(n, &dst[0], &src[0], scale, shift)
	}
	rest := whole(len(dst)-n, 8)
	if rest > 0 {
		expAVX2(rest, &dst[n], &src[n], scale, shift)
	}
	return n + rest
}

func expSumBlocks(x []float32, l *[lanes]float32, scale, shift float32) int {
	n := whole512(len(x))
	if n > 0 {
		expSumAVX512(n, &x[0], &l[0], scale, shift)
	}
	return n
}

func softmaxBackwardBlocks(p, dp []float32, scale, lse, mean float32) int {
	n := whole512(len(p))
	if n > 0 {
		softmaxBackwardAVX512(n, &p[0], &dp[0], scale, lse, mean)
	}
	return n
}

func scoreGradientBlocks(dp, p []float32, scale, mean float32) int {
	n := whole(len(p), 8)
	if n > 0 {
		scoreGradientAVX2(n, &dp[0], &p[0], scale, mean)
	}
	return n
}

func sigmoidBlocks(dst, src []float32) int {
	n := whole(len(dst), 8)
	if n > 0 {
		sigmoidAVX2(n, &dst[0], &src[0])
	}
	return n
}

func ropeBlocks(x, cos, sin []float32, inverse bool) int {
	n, flip := whole(len(cos), 4), uint32(0)
	if inverse {
		flip = 1 << 31
	}
	if n > 0 {
		ropeAVX2(n, &x[0], &cos[0], &sin[0], flip)
	}
	return n
}

func swigluBlocks(y, gate, up []float32, scale float32) int {
	n := whole512(len(y))
	if n > 0 {
		swigluAVX512(n, &y[0], &gate[0], &up[0], scale)
	}
	rest := whole(len(y)-n, 8)
	if rest > 0 {
		swigluAVX2(rest, &y[n], &gate[n], &up[n], scale)
	}
	return n + rest
}

func swigluBackwardBlocks(dGate, dUp, dy, gate, up []float32, l *[lanes]float32, scale float32) int {
	n := whole(len(dy), lanes)
	switch {
	case n == 0:
	case useAVX512:
		swigluBackwardAVX512(n, &dGate[0], &dUp[0], &dy[0], &gate[0], &up[0], &l[0], scale)
	default:
		swigluBackwardAVX2(n, &dGate[0], &dUp[0], &dy[0], &gate[0], &up[0], &l[0], scale)
	}
	return n
}

func maxBlocks(x []float32) (int, float32) {
	n := whole(len(x), 8)
	if n > 0 {
		return n, maxAVX2(n, &x[0])
	}
	return 0, x[0]
}

func sumBlocks(l *[lanes]float32, x []float32) int {
	n := whole(len(x), lanes)
	if n > 0 {
		sumAVX2(n, &l[0], &x[0])
	}
	return n
}

func sumAtLeastBlocks(l *[lanes]float32, x []float32, cut float32) int {
	n := whole(len(x), lanes)
	if n > 0 {
		sumAtLeastAVX2(n, &l[0], &x[0], cut)
	}
	return n
}

func dotBlocks(l *[lanes]float32, a, b []float32) int {
	n := whole(len(a), lanes)
	if n > 0 {
		dotAVX2(n, &l[0], &a[0], &b[0])
	}
	return n
}

func dot3Blocks(l *[lanes]float32, a, b, c []float32) int {
	n := whole(len(a), lanes)
	if n > 0 {
		dot3AVX2(n, &l[0], &a[0], &b[0], &c[0])
	}
	return n
}

func axpyBlocks(y []float32, alpha float32, x []float32) int {
	n := whole(len(x), 8)
	if n > 0 {
		axpyAVX2(n, &y[0], &x[0], alpha)
	}
	return n
}

func scaleBlocks(x []float32, alpha float32) int {
	n := whole(len(x), 8)
	if n > 0 {
		scaleAVX2(n, &x[0], alpha)
	}
	return n
}

func mulScaleBlocks(y, x, w []float32, alpha float32) int {
	n := whole(len(x), 8)
	if n > 0 {
		mulScaleAVX2(n, &y[0], &x[0], &w[0], alpha)
	}
	return n
}

func rmsBackwardBlocks(dx, dw, dy, x, w []float32, rstd, c float32) int {
	n := whole(len(x), 8)
	if n > 0 {
		rmsBackwardAVX2(n, &dx[0], &dw[0], &dy[0], &x[0], &w[0], rstd, c)
	}
	return n
}

func adamwBlocks(w, m, v, g []float32, h *AdamWStep) int {
	n := whole(len(w), 8)
	if n > 0 {
		adamwAVX2(n, &w[0], &m[0], &v[0], &g[0], h.LR, h.Beta1, 1-h.Beta1, h.Beta2, 1-h.Beta2, h.Eps, h.WeightDecay,
			h.Correction1, h.Correction2, h.GradScale)
	}
	return n
}
