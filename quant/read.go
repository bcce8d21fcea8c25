package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"sprat/device"
	"sprat/float8"
	"sprat/safetensors"
)

// ReadFloat32 reads the parameter called name into dst, which has as many elements as its shape says.
func (w *Weights) ReadFloat32(name string, dst []float32) error {
	p, ok := w.packed[name]
	if !ok {
		return w.r.ReadFloat32(name, dst)
	}
	if len(dst) != p.rows*p.cols {
		return fmt.Errorf("tensor %s has shape [%d %d], but %d elements are wanted", quote(name), p.rows, p.cols, len(dst))
	}
	var v device.Values
	if err := w.read(p, &v); err != nil {
		return err
	}
	ints, scale := v.Int, v.Scale
	for r := range p.rows {
		row, from := dst[r*p.cols:(r+1)*p.cols], ints[r*p.cols:(r+1)*p.cols]
		for g, s := range scale[r*p.groups() : (r+1)*p.groups()] {
			lo, hi := g*p.group, min((g+1)*p.group, p.cols)
			for i, q := range from[lo:hi] {
				row[lo+i] = float32(q) * s
			}
		}
	}
	return nil
}

// Values reads the parameter called name, a matrix or a vector, as it is stored: integers and E4M3 with their scales, all else as
// float32. A scale of a larger group than the device's stands for each of those that it holds for; one that isn't bfloat16 is
// rounded to it, by 0.2 % at most. What v held is lost, and its space used again.
func (w *Weights) Values(name string, v *device.Values) error {
	space := *v
	*v = device.Values{}
	if p, ok := w.packed[name]; ok {
		v.Rows, v.Cols, v.Int, v.Scale = p.rows, p.cols, space.Int, space.Scale
		if err := w.read(p, v); err != nil {
			return err
		}
		return p.spread(v)
	}
	info, ok := w.r.Info(name)
	if !ok || len(info.Shape) < 1 || len(info.Shape) > 2 {
		return fmt.Errorf("no matrix or vector %s among the weights", quote(name))
	}
	v.Rows, v.Cols = 1, info.Shape[len(info.Shape)-1]
	if len(info.Shape) == 2 {
		v.Rows = info.Shape[0]
	}
	if info.DType != safetensors.F8_E4M3 {
		v.F32 = grow(space.F32, v.Rows*v.Cols)
		return w.r.ReadFloat32(name, v.F32)
	}
	v.E4M3 = grow(space.E4M3, v.Rows*v.Cols)
	if err := w.r.ReadBytes(name, v.E4M3, 0); err != nil {
		return err
	}
	v.Scale = grow(space.Scale, float8.Blocks(v.Rows)*float8.Blocks(v.Cols))
	return w.readScale(name+blockScaleSuffix, v.Scale)
}

// grow is n elements in the space of s, if that is enough, with any contents.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// readScale reads n scales, which must be numbers.
func (w *Weights) readScale(name string, scale []float32) error {
	if err := w.r.ReadFloat32(name, scale); err != nil {
		return err
	}
	for i, s := range scale {
		if s-s != 0 { // as it is for infinities and NaN
			return fmt.Errorf("scales %s: number %d is %v; the file is damaged", quote(name), i, s)
		}
	}
	return nil
}

// chunk is about how many bytes of packed integers are read at a time.
const chunk = 1 << 16

// read reads integers [rows, cols] and scales [rows, groups].
func (w *Weights) read(p packed, v *device.Values) error {
	v.Int, v.Scale = grow(v.Int, p.rows*p.cols), grow(v.Scale, p.rows*p.groups())
	if err := w.readScale(p.module+scaleSuffix, v.Scale); err != nil {
		return err
	}
	size := 4 * p.words() // bytes of a row
	step := min(max(1, chunk/size), p.rows)
	buf := make([]byte, step*size)
	for lo := 0; lo < p.rows; lo += step {
		words := buf[:min(step, p.rows-lo)*size]
		if err := w.r.ReadBytes(p.module+packedSuffix, words, int64(lo*size)); err != nil {
			return err
		}
		for r := lo; len(words) > 0; r, words = r+1, words[size:] {
			unpack(v.Int[r*p.cols:(r+1)*p.cols], words, p.bits)
		}
	}
	return nil
}

// spread gives the scales that a device takes, [rows, ⌈cols/GroupSize⌉] in bfloat16.
func (p packed) spread(v *device.Values) error {
	if !p.bf16 {
		for i, s := range v.Scale {
			if v.Scale[i] = roundBF16(s); math.IsInf(float64(v.Scale[i]), 0) {
				return fmt.Errorf("scales %s: number %d is %v, which bfloat16 does not hold", quote(p.module+scaleSuffix), i, s)
			}
		}
	}
	if p.group == device.GroupSize {
		return nil
	}
	n, scale := ceil(p.cols, device.GroupSize), v.Scale
	v.Scale = make([]float32, p.rows*n)
	for r := range p.rows {
		for g := range n {
			v.Scale[r*n+g] = scale[r*p.groups()+g*device.GroupSize/p.group]
		}
	}
	return nil
}

// roundBF16 rounds to bfloat16, to nearest even.
func roundBF16(x float32) float32 {
	b := math.Float32bits(x)
	b += 0x7fff + b>>16&1
	return math.Float32frombits(b &^ 0xffff)
}

// unpack gives the integers of a row, sixteen or eight at a time: what is stored has half the range added.
func unpack(dst []int8, words []byte, bits int) {
	to := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst))
	if bits == 8 {
		for ; len(to) >= 8 && len(words) >= 8; to, words = to[8:], words[8:] {
			binary.LittleEndian.PutUint64(to, binary.LittleEndian.Uint64(words)^0x8080808080808080)
		}
		for i := range to {
			to[i] = words[i] ^ 0x80
		}
		return
	}
	for ; len(to) >= 16 && len(words) >= 8; to, words = to[16:], words[8:] {
		x := binary.LittleEndian.Uint64(words)
		binary.LittleEndian.PutUint64(to, nibbles(x&math.MaxUint32))
		binary.LittleEndian.PutUint64(to[8:], nibbles(x>>32))
	}
	for i := range to {
		to[i] = words[i/2]>>(i%2*4)&15 - 8
	}
}

// nibbles makes a byte v-8 of each four bits v of a word.
func nibbles(v uint64) uint64 {
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	return (v + 0x7878787878787878) ^ 0x8080808080808080 // v + 0x78 has its top bit where v-8 is not negative
}
