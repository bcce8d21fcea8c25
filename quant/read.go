package quant

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
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
	ints, scale, err := w.read(p)
	if err != nil {
		return err
	}
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
// rounded to it, by 0.2 % at most.
func (w *Weights) Values(name string) (device.Values, error) {
	if p, ok := w.packed[name]; ok {
		ints, scale, err := w.read(p)
		if err != nil {
			return device.Values{}, err
		}
		scale, err = p.spread(scale)
		return device.Values{Rows: p.rows, Cols: p.cols, Int: ints, Scale: scale}, err
	}
	info, ok := w.r.Info(name)
	if !ok || len(info.Shape) < 1 || len(info.Shape) > 2 {
		return device.Values{}, fmt.Errorf("no matrix or vector %s among the weights", quote(name))
	}
	v := device.Values{Rows: 1, Cols: info.Shape[len(info.Shape)-1]}
	if len(info.Shape) == 2 {
		v.Rows = info.Shape[0]
	}
	if info.DType != safetensors.F8_E4M3 {
		v.F32 = make([]float32, v.Rows*v.Cols)
		return v, w.r.ReadFloat32(name, v.F32)
	}
	v.E4M3 = make([]byte, v.Rows*v.Cols)
	if err := w.r.ReadBytes(name, v.E4M3, 0); err != nil {
		return v, err
	}
	var err error
	v.Scale, err = w.readScale(name+blockScaleSuffix, float8.Blocks(v.Rows)*float8.Blocks(v.Cols))
	return v, err
}

// readScale reads n scales, which must be numbers.
func (w *Weights) readScale(name string, n int) ([]float32, error) {
	scale := make([]float32, n)
	if err := w.r.ReadFloat32(name, scale); err != nil {
		return nil, err
	}
	for i, s := range scale {
		if s-s != 0 { // as it is for infinities and NaN
			return nil, fmt.Errorf("scales %s: number %d is %v; the file is damaged", quote(name), i, s)
		}
	}
	return scale, nil
}

// chunk is about how many bytes of packed integers are read at a time, by each core.
const chunk = 1 << 16

// read reads integers [rows, cols] and scales [rows, groups], on all cores.
func (w *Weights) read(p packed) ([]int8, []float32, error) {
	scale, err := w.readScale(p.module+scaleSuffix, p.rows*p.groups())
	if err != nil {
		return nil, nil, err
	}
	var (
		ints   = make([]int8, p.rows*p.cols)
		size   = 4 * p.words() // bytes of a row
		step   = max(1, chunk/size)
		chunks = ceil(p.rows, step)
		next   atomic.Int64
		errs   = make([]error, min(runtime.GOMAXPROCS(0), chunks))
		wait   sync.WaitGroup
	)
	for i := range errs {
		wait.Go(func() {
			buf := make([]byte, min(step, p.rows)*size)
			for errs[i] == nil {
				lo := (int(next.Add(1)) - 1) * step
				if lo >= p.rows {
					return
				}
				words := buf[:min(step, p.rows-lo)*size]
				errs[i] = w.r.ReadBytes(p.module+packedSuffix, words, int64(lo*size))
				for r := lo; len(words) > 0; r, words = r+1, words[size:] {
					unpack(ints[r*p.cols:(r+1)*p.cols], words, p.bits)
				}
			}
		})
	}
	wait.Wait()
	return ints, scale, cmp.Or(errs...)
}

// spread gives the scales that a device takes, [rows, ⌈cols/GroupSize⌉] in bfloat16.
func (p packed) spread(scale []float32) ([]float32, error) {
	if !p.bf16 {
		for i, s := range scale {
			if scale[i] = roundBF16(s); math.IsInf(float64(scale[i]), 0) {
				return nil, fmt.Errorf("scales %s: number %d is %v, which bfloat16 does not hold", quote(p.module+scaleSuffix), i, s)
			}
		}
	}
	if p.group == device.GroupSize {
		return scale, nil
	}
	n := ceil(p.cols, device.GroupSize)
	out := make([]float32, p.rows*n)
	for r := range p.rows {
		for g := range n {
			out[r*n+g] = scale[r*p.groups()+g*device.GroupSize/p.group]
		}
	}
	return out, nil
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
