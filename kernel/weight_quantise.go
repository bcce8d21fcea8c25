package kernel

import "math"

// quantise rounds a group of a weight's row to q and returns its scale: of the candidates the one with the least Σ (x - scale·q)².
// A group with an infinity or a NaN gets the scale NaN.
func (f Format) quantise(q *[intGroup]int8, x []float32) (scale float32) {
	var whole [intGroup]float32
	copy(whole[:], x)
	*q = [intGroup]int8{}
	amax := math.Float32frombits(absMax(x, 0))
	switch {
	case amax < tiniest:
		return 0
	case !(amax <= math.MaxFloat32):
		return float32(math.NaN())
	}
	low, high, tries := float32(-127), float32(127), int8Tries[:]
	if f == FormatInt4 {
		low, high, tries = -8, 7, int4Tries[:]
	}
	least := float32(math.Inf(1))
	for _, t := range tries {
		s := toBF16(amax * t)
		if e := quantError(&whole, s, low, high); e < least || scale == 0 { // or all errors are too large to square
			least, scale = e, s
		}
	}
	inverse := 1 / scale
	for i, v := range whole {
		q[i] = int8(quantOf(v, inverse, low, high))
	}
	return scale
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
