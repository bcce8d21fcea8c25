package kernel

import (
	"fmt"
	"math"
)

// quantise rounds a group of a weight's row to q and returns its scale.
func (f Format) quantise(q *[intGroup]int8, x []float32) (scale float32) {
	*q = [intGroup]int8{}
	scale = f.Scale(x, nil)
	f.Round(q[:len(x)], x, scale)
	return scale
}

// Scale is the bfloat16 number that the integers of FormatInt8 or FormatInt4 are best multiplied with to give x, consecutive numbers
// of a weight's row: of the candidates the one with the least Σ weight·(x - scale·q)², weight nil being 1 everywhere. It is 0 where all
// of x is next to nothing, and NaN where an infinity or a NaN is among it.
func (f Format) Scale(x, weight []float32) (scale float32) {
	if weight != nil {
		sameLength("weighed numbers", len(x), len(weight))
	}
	amax := math.Float32frombits(absMax(x, 0))
	switch {
	case amax < tiniest:
		return 0
	case !(amax <= math.MaxFloat32):
		return float32(math.NaN())
	}
	low, high := f.intRange()
	if f == FormatInt4 {
		return bestScale(x, weight, &int4Tries, amax, low, high)
	}
	return bestScale(x, weight, &int8Tries, amax, low, high)
}

// Round sets q to the integers that give x when multiplied with scale, as nearly as may be.
func (f Format) Round(q []int8, x []float32, scale float32) {
	sameLength("rounded integers", len(q), len(x))
	if scale == 0 || scale != scale {
		clear(q)
		return
	}
	low, high := f.intRange()
	inverse := 1 / scale
	for i := roundIntBlocks(q, x, inverse, low, high); i < len(x); i++ {
		q[i] = int8(quantOf(x[i], inverse, low, high))
	}
}

// intRange is the range of the integers. Int8 leaves out -128, which has no counterpart.
func (f Format) intRange() (low, high float32) {
	switch f {
	case FormatInt8:
		return -127, 127
	case FormatInt4:
		return -8, 7
	}
	panic(fmt.Sprintf("kernel: integers of format %d", f))
}

// The scales that are tried, in units of the largest magnitude. The ordinary one, which gives back what such integers made, maps that to
// 127, or to 7 or 8 of either sign. A larger scale rounds more coarsely and a smaller one cuts off, but each rounds this group's
// numbers differently, and the best of them is well below the average. The integers' -8 has no 8 beside it, so that there the sign matters.
var (
	int8Tries = [lanes]float32{1 / 127.0, 1 / 127.4, 1 / 126.2, 1 / 125.4, 1 / 124.6, 1 / 123.8, 1 / 123.0, 1 / 122.2,
		1 / 121.4, 1 / 120.6, 1 / 119.8, 1 / 119.0, 1 / 118.2, 1 / 117.4, 1 / 116.6, 1 / 115.8}
	int4Tries = [lanes]float32{1 / 7.0, 1 / 8.0, 1 / 6.8, 1 / 7.25, 1 / 7.5, 1 / 7.75, 1 / 8.3, 1 / 8.6,
		-1 / 7.0, -1 / 8.0, -1 / 6.8, -1 / 7.25, -1 / 7.5, -1 / 7.75, -1 / 8.3, -1 / 8.6}
)

// bestScalePortable tries amax times each of tries, rounded to bfloat16. Of equals it takes the first.
func bestScalePortable(x, weight []float32, tries *[lanes]float32, amax, low, high float32) (scale float32) {
	least := float32(math.Inf(1))
	for i, t := range tries {
		s := toBF16(amax * t)
		if e := quantError(x, weight, s, low, high); i == 0 || e < least {
			least, scale = e, s
		}
	}
	return scale
}

// quantOf is the integer nearest to x·inverse in [low, high], ties to even.
func quantOf(x, inverse, low, high float32) float32 {
	return float32(min(max(float32(x*inverse), low), high)+roundBig) - roundBig
}

// quantError is Σ weight·(x - scale·q)².
func quantError(x, weight []float32, scale, low, high float32) float32 {
	sum, inverse := float32(0), 1/scale
	for i, v := range x {
		e := v - float32(scale*quantOf(v, inverse, low, high))
		e = float32(e * e)
		if weight != nil {
			e = float32(e * weight[i])
		}
		sum += e
	}
	return sum
}
