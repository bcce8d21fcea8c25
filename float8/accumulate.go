package float8

import "math"

// Dot is Σ a·b of two vectors of E4M3 codes as an NVIDIA H800's tensor cores add it up, which is less exactly than float32. 32 products at a
// time are shifted to the largest exponent among them and cut off 13 bits after its leading one; their sum goes into a register that
// keeps 13 bits of fraction too. Every promote elements the register is added to a float32 and starts again at zero, as
// DeepSeek-V3 does every 128; with promote 0 only the end is.
//
// It is for the study of that error, and slow. The products of package kernel accumulate in float32.
// Sources: DeepSeek-V3 technical report, section 3.3.2; Insights into DeepSeek-V3, section 3.1.1.
func Dot(a, b []uint8, promote int) float32 {
	total, register := float32(0), 0.0
	for k := 0; k < len(a); k += tensorCoreK {
		end := min(k+tensorCoreK, len(a))
		register = keep(register+alignedSum(a[k:end], b[k:end]), 0)
		if promote > 0 && end%promote == 0 {
			total, register = total+float32(register), 0
		}
	}
	return total + float32(register)
}

const (
	tensorCoreK = 32 // products added at a time
	fraction    = 13 // bits after the leading one that are kept
)

// alignedSum adds products, each cut off where the largest ends.
func alignedSum(a, b []uint8) float64 {
	largest := math.MinInt
	for i := range a {
		if p := product(a[i], b[i]); p != 0 {
			largest = max(largest, exponent(p))
		}
	}
	sum := 0.0
	for i := range a {
		if p := product(a[i], b[i]); p != 0 {
			sum += keep(p, largest-exponent(p))
		}
	}
	return sum
}

// product is exact: each factor has four bits.
func product(a, b uint8) float64 { return float64(e4m3[a]) * float64(e4m3[b]) }

// exponent is that of x's leading one.
func exponent(x float64) int {
	_, e := math.Frexp(x)
	return e - 1
}

// keep cuts off what lies more than fraction bits below x's leading one shifted up by shift.
func keep(x float64, shift int) float64 {
	if x == 0 || math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	e := exponent(x) + shift - fraction
	return math.Ldexp(math.Trunc(math.Ldexp(x, -e)), e)
}
