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
	amax := math.Float32frombits(absMax(x, 0))
	switch {
	case amax < tiniest:
		return 0
	case !(amax <= math.MaxFloat32):
		return float32(math.NaN())
	}
	low, high := f.intRange()
	tries := int8Tries[:]
	if f == FormatInt4 {
		tries = int4Tries[:]
	}
	least := float32(math.Inf(1))
	for _, t := range tries {
		s := toBF16(amax * t)
		if e := quantErrors(x, weight, s, low, high); e < least || scale == 0 { // or all errors are too large to square
			least, scale = e, s
		}
	}
	return scale
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
	for i, v := range x {
		q[i] = int8(quantOf(v, inverse, low, high))
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

// The scales that are tried, in units of the largest magnitude. The ordinary one maps that to 127, or 8 of either sign. A larger scale
// rounds more coarsely and a smaller one cuts off, but among several each rounds this group's numbers differently, and the best of them
// is well below the average. The integers' -8 has no 8 beside it, so that there the sign matters.
var (
	int8Tries = [8]float32{1 / 127.0, 1 / 127.4, 1 / 126.5, 1 / 126.0, 1 / 125.4, 1 / 124.8, 1 / 124.2, 1 / 123.6}
	int4Tries = [24]float32{
		1 / 7.0, 1 / 8.8, 1 / 8.5, 1 / 8.2, 1 / 8.0, 1 / 7.8, 1 / 7.6, 1 / 7.4, 1 / 7.2, 1 / 6.7, 1 / 6.4, 1 / 6.0,
		-1 / 8.8, -1 / 8.5, -1 / 8.2, -1 / 8.0, -1 / 7.8, -1 / 7.6, -1 / 7.4, -1 / 7.2, -1 / 7.0, -1 / 6.7, -1 / 6.4, -1 / 6.0,
	}
)

// quantOf is the integer nearest to x·inverse in [low, high], ties to even.
func quantOf(x, inverse, low, high float32) float32 {
	return float32(min(max(float32(x*inverse), low), high)+roundBig) - roundBig
}

// quantErrors is Σ weight·(x - scale·q)² over any length.
func quantErrors(x, weight []float32, scale, low, high float32) (sum float32) {
	var whole, weights [intGroup]float32
	for i := 0; i < len(x); i += intGroup {
		n := copy(whole[:], x[i:])
		clear(whole[n:]) // which are 0 times any scale
		if weight == nil {
			sum += quantError(&whole, scale, low, high)
			continue
		}
		copy(weights[:], weight[i:])
		sum += weighedError(&whole, &weights, scale, low, high)
	}
	return sum
}

// quantError is Σ (x - scale·q)².
func quantError(x *[intGroup]float32, scale, low, high float32) float32 {
	var l [lanes]float32
	inverse := 1 / scale
	for i, v := range x {
		e := v - float32(scale*quantOf(v, inverse, low, high))
		l[i%lanes] += float32(e * e)
	}
	return reduce(&l)
}

// weighedError is Σ weight·(x - scale·q)².
func weighedError(x, weight *[intGroup]float32, scale, low, high float32) float32 {
	var l [lanes]float32
	inverse := 1 / scale
	for i, v := range x {
		e := v - float32(scale*quantOf(v, inverse, low, high))
		l[i%lanes] += float32(float32(e*e) * weight[i])
	}
	return reduce(&l)
}
