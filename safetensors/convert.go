package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"sprat/float8"
)

// chunk is the number of bytes that are converted at a time: small enough to stay in a core's cache.
const chunk = 1 << 18

// ReadFloat32 reads the tensor called name into dst, which has as many elements as its shape says. It converts F32, BF16, F16
// and, with the scales beside it, F8_E4M3.
func (r *Reader) ReadFloat32(name string, dst []float32) error {
	t, err := r.lookup(name, len(dst))
	if err != nil {
		return err
	}
	switch t.DType {
	case F32:
		return t.readF32(dst)
	case BF16:
		return t.eachChunk(chunk, func(off int64, b []byte) { decodeBF16(dst[off/2:], b) })
	case F16:
		return t.eachChunk(chunk, func(off int64, b []byte) { decodeF16(dst[off/2:], b) })
	case F8_E4M3:
		return r.readE4M3(t, dst)
	}
	return t.errorf("holds %s; only F32, BF16, F16 and F8_E4M3 become float32", t.DType)
}

// ReadInts reads the tensor called name, I32 or I64, into dst, which has as many elements as its shape says.
func (r *Reader) ReadInts(name string, dst []int64) error {
	t, err := r.lookup(name, len(dst))
	if err != nil {
		return err
	}
	switch t.DType {
	case I32:
		return t.eachChunk(chunk, func(off int64, b []byte) {
			for i := range len(b) / 4 {
				dst[off/4+int64(i)] = int64(int32(binary.LittleEndian.Uint32(b[4*i:])))
			}
		})
	case I64:
		return t.eachChunk(chunk, func(off int64, b []byte) {
			for i := range len(b) / 8 {
				dst[off/8+int64(i)] = int64(binary.LittleEndian.Uint64(b[8*i:]))
			}
		})
	}
	return t.errorf("holds %s; only I32 and I64 are read as integers", t.DType)
}

// eachChunk reads the tensor piece bytes at a time and hands each piece, with its offset, to convert.
func (t Info) eachChunk(piece int64, convert func(off int64, b []byte)) error {
	buf := make([]byte, min(piece, t.size))
	for off := int64(0); off < t.size; off += piece {
		b := buf[:min(piece, t.size-off)]
		if err := t.readAt(b, off); err != nil {
			return err
		}
		convert(off, b)
	}
	return nil
}

// readF32 reads straight into the memory of dst.
func (t Info) readF32(dst []float32) error {
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), 4*len(dst))
	if err := t.readAt(b, 0); err != nil {
		return err
	}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // a big-endian machine
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	}
	return nil
}

// readE4M3 reads a matrix of 128 x 128 blocks, one row of blocks at a time.
func (r *Reader) readE4M3(t Info, dst []float32) error {
	s := r.tensors[scaleName(t.Name)]
	scale := make([]float32, s.Len())
	if err := s.readF32(scale); err != nil {
		return err
	}
	cols := t.Shape[1]
	across := float8.Blocks(cols)
	return t.eachChunk(float8.Block*int64(cols), func(off int64, b []byte) {
		rows := len(b) / cols
		first := int(off) / cols / float8.Block * across
		float8.DequantizeBlocks(dst[off:off+int64(len(b))], b, scale[first:first+float8.Blocks(rows)*across], rows, cols)
	})
}

// scaleName is the name of the block scales of an F8_E4M3 tensor.
func scaleName(tensor string) string { return tensor + "_scale_inv" }

// scaleShape is the shape of the block scales of a matrix.
func scaleShape(shape []int) []int { return []int{float8.Blocks(shape[0]), float8.Blocks(shape[1])} }

// checkScales makes sure that every F8_E4M3 tensor is a matrix with block scales that fit it.
func (r *Reader) checkScales() error {
	for _, name := range r.Names() {
		t := r.tensors[name]
		if t.DType != F8_E4M3 {
			continue
		}
		if err := r.checkScale(t); err != nil {
			return fmt.Errorf("%s: tensor %s: %w", t.where, quote(name), err)
		}
	}
	return nil
}

func (r *Reader) checkScale(t Info) error {
	if len(t.Shape) != 2 {
		return fmt.Errorf("F8_E4M3 with %d dimensions; only matrices with scales of 128 x 128 blocks are read", len(t.Shape))
	}
	s, ok := r.tensors[scaleName(t.Name)]
	switch want := scaleShape(t.Shape); {
	case !ok:
		return fmt.Errorf("its scales %s are missing; open the whole directory, or convert the model to BF16", quote(scaleName(t.Name)))
	case s.DType != F32 || !slices.Equal(s.Shape, want):
		return fmt.Errorf("its scales %s are not F32 of shape %v; only scales of 128 x 128 blocks are read", quote(s.Name), want)
	}
	return nil
}

func decodeBF16(dst []float32, b []byte) {
	dst = dst[:len(b)/2]
	for ; len(dst) >= 4 && len(b) >= 8; dst, b = dst[4:], b[8:] { // four at a time are twice as fast
		v := binary.LittleEndian.Uint64(b)
		dst[0] = math.Float32frombits(uint32(v) << 16)
		dst[1] = math.Float32frombits(uint32(v) &^ 0xFFFF)
		dst[2] = math.Float32frombits(uint32(v>>32) << 16)
		dst[3] = math.Float32frombits(uint32(v>>32) &^ 0xFFFF)
	}
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
	}
}

func decodeF16(dst []float32, b []byte) {
	dst = dst[:len(b)/2]
	for i := range dst {
		dst[i] = fromF16(binary.LittleEndian.Uint16(b[2*i:]))
	}
}

// fromF16 widens an IEEE half-precision number: five bits of exponent (bias 15) and ten of mantissa.
func fromF16(h uint16) float32 {
	sign, a := uint32(h>>15)<<31, uint32(h&0x7FFF)<<13
	const inf = 31 << 23 // where a half's infinity lands
	if a >= inf {
		return math.Float32frombits(sign | 0xFF<<23 | a&^uint32(inf))
	}
	// With the exponent read under float32's bias the number is 2^112 too small; the product is exact, subnormals included.
	return math.Float32frombits(sign | math.Float32bits(math.Float32frombits(a)*0x1p112))
}

// toF16 rounds to nearest, ties to even; beyond 65504 it rounds to infinity where nearest would be 65536.
func toF16(x float32) uint16 {
	const drop = 23 - 10
	b := math.Float32bits(x)
	sign, a := uint16(b>>31)<<15, b&^(1<<31)
	switch {
	case a > 0xFF<<23:
		return sign | 0x7E00
	case a < (127-14)<<23: // the last bit of 0.5's mantissa is worth 2^-24, the subnormal step: the addition rounds
		return sign | uint16(math.Float32bits(math.Float32frombits(a)+0.5))
	}
	a = min(a, (127+16)<<23)
	a += 1<<(drop-1) - 1 + a>>drop&1
	return sign | uint16(a>>drop-(127-15)<<10)
}

// toBF16 rounds to nearest, ties to even.
func toBF16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&^(1<<31) > 0xFF<<23 {
		return uint16(b>>16) | 0x40 // a NaN must not lose the bits that make it one
	}
	return uint16((b + 0x7FFF + b>>16&1) >> 16)
}
