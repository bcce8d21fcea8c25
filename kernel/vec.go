package kernel

import (
	"fmt"
	"math"
)

// Functions of vectors, each on the calling goroutine. Sums run over lanes that depend on the length alone, so that equal rows
// give equal results wherever they are.

func sameLength(what string, n int, others ...int) {
	for _, o := range others {
		if o != n {
			panic(fmt.Sprintf("kernel: %s of vectors of %d and %d elements", what, n, o))
		}
	}
}

// Exp sets dst = e^src. The relative error is under 2e-7; results under the smallest normal float32 are 0.
func Exp(dst, src []float32) {
	sameLength("exp", len(dst), len(src))
	n := expBlocks(dst, src, 1, 0)
	for i := n; i < len(src); i++ {
		dst[i] = exp32(src[i])
	}
}

// ExpScaled sets dst = e^(scale·src - lse).
func ExpScaled(dst, src []float32, scale, lse float32) {
	sameLength("exp", len(dst), len(src))
	n := expBlocks(dst, src, scale, lse)
	for i := n; i < len(src); i++ {
		dst[i] = exp32(float32(scale*src[i]) - lse)
	}
}

// Constants of exp32: e^x = 2^n · e^r with n = round(x/ln 2), r = x - n·ln 2 in two steps, and a polynomial for e^r.
const (
	expLow   = -87.33654
	expHigh  = 88.72283
	log2e    = 1.44269504
	ln2High  = 0.693359375
	ln2Low   = -2.12194440e-4
	roundBig = 12582912 // 1.5·2^23: adding it rounds to a whole number
	expC0    = 1.9875691500e-4
	expC1    = 1.3981999507e-3
	expC2    = 8.3334519073e-3
	expC3    = 4.1665795894e-2
	expC4    = 1.6666665459e-1
	expC5    = 5.0000001201e-1
)

// exp32 is e^x; the coefficients are those of the Cephes library's expf.
func exp32(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > expHigh:
		return float32(math.Inf(1))
	case x < expLow:
		return 0
	}
	n := float32(float32(x*log2e)+roundBig) - roundBig
	r := x - float32(n*ln2High)
	r -= float32(n * ln2Low)
	p := float32(expC0*r) + expC1
	p = float32(p*r) + expC2
	p = float32(p*r) + expC3
	p = float32(p*r) + expC4
	p = float32(p*r) + expC5
	y := float32(float32(p*r)*r) + r + 1
	// n is -126 to 128: 2^n in two factors, since 2^128 is no float32.
	half := int32(n) / 2
	return y * power2(half) * power2(int32(n)-half)
}

func power2(n int32) float32 { return math.Float32frombits(uint32(n+127) << 23) }

// Sigmoid sets dst = 1/(1 + e^-src).
func Sigmoid(dst, src []float32) {
	sameLength("sigmoid", len(dst), len(src))
	for i := sigmoidBlocks(dst, src); i < len(src); i++ {
		dst[i] = sigmoid(src[i])
	}
}

func sigmoid(x float32) float32 { return 1 / (1 + exp32(-x)) }

// SwiGLU sets y = silu(gate)·up·scale with silu(x) = x·sigmoid(x).
func SwiGLU(y, gate, up []float32, scale float32) {
	sameLength("swiglu", len(y), len(gate), len(up))
	for i := swigluBlocks(y, gate, up, scale); i < len(y); i++ {
		y[i] = float32(float32(gate[i]*sigmoid(gate[i]))*up[i]) * scale
	}
}

// SwiGLUBackward sets the gradients of gate and up from that of y = silu(gate)·up·scale, and returns the scale's own:
//
//	dup = dy·scale·silu(gate)    dgate = dy·scale·up·s·(1 + gate·(1 - s)), s = sigmoid(gate)    dscale = Σ dy·silu(gate)·up
func SwiGLUBackward(dGate, dUp, dy, gate, up []float32, scale float32) (dscale float32) {
	sameLength("swiglu backward", len(dy), len(dGate), len(dUp), len(gate), len(up))
	var l [lanes]float32
	for i := swigluBackwardBlocks(dGate, dUp, dy, gate, up, &l, scale); i < len(dy); i++ {
		g, u := gate[i], up[i]
		s := sigmoid(g)
		silu := float32(g * s)
		l[i%lanes] += float32(dy[i] * float32(silu*u))
		d := float32(dy[i] * scale)
		dUp[i] = d * silu
		dGate[i] = float32(d*u) * float32(s*(1+float32(g*(1-s))))
	}
	return reduce(&l)
}

// Softmax sets x = softmax(scale·x) and returns log Σ e^(scale·x). Entries may be -Inf, but not all. scale is positive.
func Softmax(x []float32, scale float32) (lse float32) {
	if len(x) == 0 {
		panic("kernel: softmax of no elements")
	}
	top, sum := ExpSum(x, scale)
	Scale(x, 1/sum)
	return top + float32(math.Log(float64(sum)))
}

// ExpSum is the first half of Softmax: it sets x = e^(scale·x - top) with top = max(scale·x), and returns top and the new x's sum.
func ExpSum(x []float32, scale float32) (top, sum float32) {
	top = float32(scale * Max(x))
	return top, expSum(x, scale, top)
}

// expSum sets x = e^(scale·x - top), and returns the new x's sum.
func expSum(x []float32, scale, top float32) float32 {
	var l [lanes]float32
	n := expSumBlocks(x, &l, scale, top)
	ExpScaled(x[n:], x[n:], scale, top)
	addLanes(&l, x, n)
	return reduce(&l)
}

// SoftmaxBackward sets p = e^(scale·p - lse) and dp = p·(dp - mean)·scale: with p the scores before they are scaled, lse
// what Softmax returned for them, dp the gradient of its result, and mean that of p·dp, dp becomes the scores' gradient.
func SoftmaxBackward(p, dp []float32, scale, lse, mean float32) {
	sameLength("softmax backward", len(p), len(dp))
	n := softmaxBackwardBlocks(p, dp, scale, lse, mean)
	p, dp = p[n:], dp[n:]
	ExpScaled(p, p, scale, lse)
	for i := scoreGradientBlocks(dp, p, scale, mean); i < len(p); i++ {
		dp[i] = float32(p[i]*(dp[i]-mean)) * scale
	}
}

// Max is the largest of x, -Inf of none.
func Max(x []float32) float32 {
	n, top := maxBlocks(x)
	for _, v := range x[n:] {
		top = max(top, v)
	}
	return top
}

// lanes is the number of partial sums of a reduction: element i goes to lane i mod lanes.
const lanes = 16

// reduce adds the lanes up in a fixed tree.
func reduce(l *[lanes]float32) float32 {
	for n := lanes / 2; n > 0; n /= 2 {
		for i := range n {
			l[i] += l[i+n]
		}
	}
	return l[0]
}

// addLanes adds x up from element n on, a multiple of lanes.
func addLanes(l *[lanes]float32, x []float32, n int) {
	n += sumBlocks(l, x[n:])
	for i := n; i < len(x); i++ {
		l[i%lanes] += x[i]
	}
}

// Sum adds up x.
func Sum(x []float32) float32 {
	var l [lanes]float32
	addLanes(&l, x, 0)
	return reduce(&l)
}

// SumAtLeast adds up those of x that are no less than cut.
func SumAtLeast(x []float32, cut float32) float32 {
	var l [lanes]float32
	for i := sumAtLeastBlocks(&l, x, cut); i < len(x); i++ {
		if x[i] >= cut {
			l[i%lanes] += x[i]
		}
	}
	return reduce(&l)
}

// Dot is Σ a·b.
func Dot(a, b []float32) float32 {
	sameLength("dot", len(a), len(b))
	var l [lanes]float32
	n := dotBlocks(&l, a, b)
	for i := n; i < len(a); i++ {
		l[i%lanes] += float32(a[i] * b[i])
	}
	return reduce(&l)
}

// SumSquares is Σ x².
func SumSquares(x []float32) float64 {
	s := 0.0
	for len(x) > 0 {
		n := min(len(x), 4096)
		s += float64(Dot(x[:n], x[:n]))
		x = x[n:]
	}
	return s
}

// Axpy sets y += alpha·x.
func Axpy(y []float32, alpha float32, x []float32) {
	sameLength("axpy", len(y), len(x))
	for i := axpyBlocks(y, alpha, x); i < len(x); i++ {
		y[i] += float32(alpha * x[i])
	}
}

// Add sets dst += src.
func Add(dst, src []float32) { Axpy(dst, 1, src) }

// Scale sets x = alpha·x.
func Scale(x []float32, alpha float32) {
	for i := scaleBlocks(x, alpha); i < len(x); i++ {
		x[i] *= alpha
	}
}

// RMSNorm sets y = w·x·rstd and returns rstd = 1/sqrt(mean(x²) + eps).
func RMSNorm(y, x, w []float32, eps float32) (rstd float32) {
	sameLength("rmsnorm", len(x), len(y), len(w))
	rstd = float32(1 / math.Sqrt(float64(Dot(x, x))/float64(len(x))+float64(eps)))
	for i := mulScaleBlocks(y, x, w, rstd); i < len(x); i++ {
		y[i] = float32(x[i]*rstd) * w[i]
	}
	return rstd
}

// RMSNormBackward adds the gradients of y = w·x·rstd. With g = w·dy and x̂ = x·rstd, rstd's own dependence on x gives
//
//	dx += rstd·(g - x̂·mean(g·x̂))     dw += dy·x̂
func RMSNormBackward(dx, dw, dy, x, w []float32, rstd float32) {
	sameLength("rmsnorm backward", len(x), len(dx), len(dw), len(dy), len(w))
	var l [lanes]float32
	n := dot3Blocks(&l, dy, w, x)
	for i := n; i < len(x); i++ {
		l[i%lanes] += float32(float32(dy[i]*w[i]) * x[i])
	}
	c := float32(float64(reduce(&l)) * float64(rstd) * float64(rstd) / float64(len(x)))
	for i := rmsBackwardBlocks(dx, dw, dy, x, w, rstd, c); i < len(x); i++ {
		dw[i] += float32(float32(dy[i]*x[i]) * rstd)
		dx[i] += float32(rstd * (float32(w[i]*dy[i]) - float32(x[i]*c)))
	}
}

// RoPE turns, in place, pair i = (x[2i], x[2i+1]) by the angle with cos[i] and sin[i]; inverse turns back.
func RoPE(x, cos, sin []float32, inverse bool) {
	sameLength("rope", len(x), 2*len(cos), 2*len(sin))
	for i := ropeBlocks(x, cos, sin, inverse); i < len(cos); i++ {
		c, s := cos[i], sin[i]
		if inverse {
			s = -s
		}
		a, b := x[2*i], x[2*i+1]
		x[2*i] = float32(a*c) - float32(b*s)
		x[2*i+1] = float32(a*s) + float32(b*c)
	}
}

// AdamWStep is one step's numbers: Correction1 is 1/(1-Beta1^t), Correction2 likewise, and GradScale multiplies the gradient
// first.
type AdamWStep struct {
	LR, Beta1, Beta2, Eps, WeightDecay float32
	Correction1, Correction2           float32
	GradScale                          float32
}

// AdamW steps w by its gradient g with the moments m and v:
//
//	m = β1·m + (1-β1)·g   v = β2·v + (1-β2)·g²   w -= LR·(m·Correction1/(sqrt(v·Correction2) + Eps) + WeightDecay·w)
func AdamW(w, m, v, g []float32, h AdamWStep) {
	sameLength("adamw", len(w), len(m), len(v), len(g))
	n := adamwBlocks(w, m, v, g, &h)
	for i := n; i < len(w); i++ {
		d := float32(g[i] * h.GradScale)
		m[i] = float32(h.Beta1*m[i]) + float32((1-h.Beta1)*d)
		v[i] = float32(h.Beta2*v[i]) + float32((1-h.Beta2)*float32(d*d))
		root := float32(math.Sqrt(float64(float32(v[i] * h.Correction2))))
		w[i] -= float32(h.LR * (float32(m[i]*h.Correction1)/(root+h.Eps) + float32(h.WeightDecay*w[i])))
	}
}
