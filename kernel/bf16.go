package kernel

import (
	"encoding/binary"
	"math"
)

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

// Numbers in memory.

func putFloat(b []byte, v float32) { binary.LittleEndian.PutUint32(b, math.Float32bits(v)) }

func getFloat(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

// putBF16 rounds to bfloat16.
func putBF16(b []byte, v float32) {
	bits := math.Float32bits(toBF16(v))
	if v != v {
		bits |= 1 << 22 // what is left of a NaN must not be an infinity
	}
	binary.LittleEndian.PutUint16(b, uint16(bits>>16))
}

func getBF16(b []byte) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
}

// NarrowBF16 rounds src to bfloat16, to nearest even; NaN stays NaN.
func NarrowBF16(dst []uint16, src []float32) {
	sameLength("narrowing", len(dst), len(src))
	for i := narrowBlocks(dst, src); i < len(src); i++ {
		v := src[i]
		if v != v {
			dst[i] = 0x7fc0
			continue
		}
		dst[i] = uint16(math.Float32bits(toBF16(v)) >> 16)
	}
}

// WidenBF16 gives bfloat16's as float32.
func WidenBF16(dst []float32, src []uint16) {
	sameLength("widening", len(dst), len(src))
	for i := widenBlocks(dst, src); i < len(src); i++ {
		dst[i] = math.Float32frombits(uint32(src[i]) << 16)
	}
}

// DecodeE4M3 sets dst to numbers in E4M3 times a scale, in bfloat16, for each 128 of them. Scales are powers of two, so that the results
// are exact, or NaN; the codes are of numbers.
func DecodeE4M3(dst []uint16, codes []byte, scales []uint16) {
	sameLength("decoding", len(dst), len(codes))
	sameLength("scales", len(scales), groups(len(codes)))
	for i := decodeBlocks(dst, codes, scales); i < len(codes); i++ {
		scale := math.Float32frombits(uint32(scales[i/fp8Group]) << 16)
		dst[i] = uint16(math.Float32bits(e4m3[codes[i]]*scale) >> 16)
	}
}
