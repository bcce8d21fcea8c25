package kernel

import "math"

// roundBF16 rounds x to bfloat16 in place, to nearest even; NaN stays NaN.
func roundBF16(x []float32) {
	for i, v := range x {
		x[i] = toBF16(v)
	}
}

func toBF16(v float32) float32 {
	if v != v {
		return v
	}
	b := math.Float32bits(v)
	b += 0x7fff + b>>16&1
	return math.Float32frombits(b &^ 0xffff)
}
