// Package float8 reads and writes numbers of eight bits, and the block formats that make eight bits enough for a large model.
//
// # Numbers
//
// E4M3 has one sign bit, four bits of exponent (bias 7) and three of mantissa. This is the "fn" variant of the Open Compute
// Project: no infinities, and only the codes 0x7F and 0xFF are NaN, so the largest number is 448. The smallest normal number is
// 2^-6; below it the numbers are evenly spaced at 2^-9. A code is worth about one and a half decimal digits: neighbours lie
// 6 to 12 percent apart, and rounding errs by 1/16 of the number at most.
//
// E5M2 trades a bit of mantissa for one of exponent (bias 15): it is the upper half of an IEEE half-precision number, reaches
// 57344 and has infinities. DeepSeek-V3 uses E4M3 for weights, activations and gradients alike; E5M2 is here for files and
// experiments that do not.
//
// UE8M0 is a scale: an exponent and nothing else, so always a power of two. Multiplying by it is exact.
//
// Encoding rounds to nearest, ties to the even code, and saturates: what is too large for the format becomes its largest finite
// number, not NaN or infinity. A NaN stays NaN.
//
// # Tiles and blocks
//
// E4M3 spans 2^-9 to 448, eighteen binades. A tensor spans more, because a few outliers dwarf the rest; one scale for all of it would
// push the small values into the subnormal range. So each small group of values has a float32 scale of its own:
//
//	scale = max(amax, 1e-4) / 448      amax is the largest magnitude in the group
//	q     = E4M3(x / scale)
//	x    ≈ q · scale
//
// Activations and their gradients are grouped 1 x 128: one token, 128 consecutive channels. Outliers belong to a token or to
// a channel, and a tile keeps them from the neighbouring tokens. Weights are grouped 128 x 128, which costs 1/4096 more memory
// and lets a matrix product apply one factor for each 128 steps along k, at the moment it moves its partial sum into float32.
// The last tile of a row, and the blocks at the right and lower edges, cover what is left. A group that holds a NaN or an
// infinity decodes to NaN throughout, so that a diverged tensor is not mistaken for a sound one.
//
// Published checkpoints name the block scales weight_scale_inv. In spite of the name they are the multiplier above, in a
// float32 tensor of [ceil(rows/128), ceil(cols/128)]. DeepSeek-V3.1 rounds scales up to powers of two; that is what pow2 asks
// for. It wastes up to one binade of range.
//
// # What stays out of eight bits
//
// Embeddings, the output head, the router of a mixture of experts, norms and the core of attention (scores, softmax, the
// weighted sum) stay in bfloat16 or float32; so do master weights, gradients of weights and the state of the optimizer.
//
// # Products
//
// Package kernel multiplies in these formats, with float32 sums: see its Precision FP8. V3's report adds two savings of memory that
// are left out, since activations are kept in float32 here: inputs of layers cached in eight bits for the backward pass, and those
// of the projection after attention in twelve (E5M6). Dot shows what the 14 bits of an H800's accumulator do to a sum, and what adding up
// every 128 products in float32 does against it.
//
// Sources: OCP 8-bit floating point specification 1.0; DeepSeek-V3 technical report, section 3.3, and its inference kernels.
package float8

import "math"

// A float32 is one sign bit, eight bits of exponent (bias 127) and 23 of mantissa.
const (
	signBit = 1 << 31
	infBits = 0xFF << 23
)

// The largest finite numbers.
const (
	MaxE4M3 = 448
	MaxE5M2 = 57344
)

// EncodeE4M3 is the E4M3 number nearest to x, ties to the even code. Beyond ±448 it is ±448; NaN gives 0x7F.
func EncodeE4M3(x float32) uint8 {
	const (
		drop     = 23 - 3                    // bits of mantissa that go
		smallest = (127 - 6) << 23           // 2^-6, the smallest normal number
		largest  = (127+8)<<23 | 0b110<<drop // 448 = 1.75 · 2^8
	)
	b := math.Float32bits(x)
	sign, a := uint8(b>>31)<<7, b&^signBit
	if a > infBits {
		return 0x7F
	}
	if a < smallest {
		// The last bit of 2^14's mantissa is worth 2^-9: the addition itself rounds to E4M3's subnormal step.
		return sign | uint8(math.Float32bits(math.Float32frombits(a)+1<<14))
	}
	a = min(a, largest)
	a += 1<<(drop-1) - 1 + a>>drop&1 // round half to even
	return sign | uint8(a>>drop-(127-7)<<3)
}

// DecodeE4M3 is the value of the E4M3 code b.
func DecodeE4M3(b uint8) float32 { return e4m3[b] }

// EncodeE5M2 is the E5M2 number nearest to x, ties to the even code. Beyond ±57344, infinities included, it is ±57344;
// NaN gives 0x7F.
func EncodeE5M2(x float32) uint8 {
	const (
		drop     = 23 - 2                    // bits of mantissa that go
		smallest = (127 - 14) << 23          // 2^-14, the smallest normal number
		largest  = (127+15)<<23 | 0b11<<drop // 57344 = 1.75 · 2^15
	)
	b := math.Float32bits(x)
	sign, a := uint8(b>>31)<<7, b&^signBit
	if a > infBits {
		return 0x7F
	}
	if a < smallest {
		// As in EncodeE4M3: the last bit of 2^7's mantissa is worth 2^-16, E5M2's subnormal step.
		return sign | uint8(math.Float32bits(math.Float32frombits(a)+1<<7))
	}
	a = min(a, largest)
	a += 1<<(drop-1) - 1 + a>>drop&1
	return sign | uint8(a>>drop-(127-15)<<2)
}

// DecodeE5M2 is the value of the E5M2 code b.
func DecodeE5M2(b uint8) float32 { return e5m2[b] }

// ScaleUE8M0 is 2^ceil(log2 s), the power of two at or above s, kept within UE8M0's range of 2^-127 to 2^127.
// It is NaN where s is NaN or infinite.
func ScaleUE8M0(s float32) float32 {
	const least, most = 1 << 22, 254 << 23 // 2^-127, a subnormal float32, and 2^127
	b := math.Float32bits(s)
	switch {
	case b&^signBit >= infBits:
		return float32(math.NaN())
	case s <= math.Float32frombits(least):
		return math.Float32frombits(least)
	}
	const mantissa = 1<<23 - 1
	return math.Float32frombits(min((b+mantissa)&^mantissa, most))
}

var (
	e4m3 = decodeTable(3, 7)
	e5m2 = decodeTable(2, 15)
)

// decodeTable lists the values of all codes of a format with the given bits of mantissa and bias of exponent.
func decodeTable(mantissaBits, bias int) *[256]float32 {
	var t [256]float32
	for code := range 128 {
		e, m := code>>mantissaBits, code&(1<<mantissaBits-1)
		if e == 0 {
			e = 1 // subnormal: the exponent of the smallest normal number, without the leading one
		} else {
			m |= 1 << mantissaBits
		}
		v := float32(math.Ldexp(float64(m), e-bias-mantissaBits))
		t[code], t[code|0x80] = v, -v
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	if mantissaBits == 3 {
		t[0x7F], t[0xFF] = nan, nan
		return &t
	}
	t[0x7C], t[0xFC] = inf, -inf
	for _, code := range []int{0x7D, 0x7E, 0x7F} {
		t[code], t[code|0x80] = nan, nan
	}
	return &t
}
