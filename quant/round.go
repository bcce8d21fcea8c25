package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"

	"sprat/kernel"
	"sprat/safetensors"
)

// Ints is a matrix of integers, to be stored packed.
type Ints struct {
	Rows, Cols int
	Bits       int       // 4 or 8
	Group      int       // consecutive columns that share a scale; the last group of a row may be shorter
	Q          []int8    // [Rows, Cols]
	Scale      []float32 // [Rows, ⌈Cols/Group⌉], each a bfloat16
}

func newInts(rows, cols, bits, group int) *Ints {
	if rows < 1 || cols < 1 || bits != 4 && bits != 8 || group < 1 {
		panic(fmt.Sprintf("quant: %d x %d integers of %d bits in groups of %d", rows, cols, bits, group))
	}
	m := &Ints{Rows: rows, Cols: cols, Bits: bits, Group: group}
	m.Q, m.Scale = make([]int8, rows*cols), make([]float32, rows*m.groups())
	return m
}

func (m *Ints) groups() int { return ceil(m.Cols, m.Group) }

func (m *Ints) format() kernel.Format {
	if m.Bits == 4 {
		return kernel.FormatInt4
	}
	return kernel.FormatInt8
}

// Nearest rounds x [rows, cols] to nearest, each group with the scale of the least squared error, as an inference device does when
// it is given numbers. Zeros of either sign become 0. It fails where x holds an infinity or a NaN.
func Nearest(x []float32, rows, cols, bits, group int) (*Ints, error) {
	m := newInts(rows, cols, bits, group)
	m.eachRow(func(r int) {
		for g := range m.groups() {
			lo, hi := r*cols+g*group, r*cols+min((g+1)*group, cols)
			s := m.format().Scale(x[lo:hi], nil)
			m.Scale[r*m.groups()+g] = s
			m.format().Round(m.Q[lo:hi], x[lo:hi], s)
		}
	})
	return m, m.check()
}

// check says where a scale is no number, as it is if one of its group was none.
func (m *Ints) check() error {
	for i, s := range m.Scale {
		if !(math.Abs(float64(s)) <= math.MaxFloat32) {
			return fmt.Errorf("row %d holds an infinity or NaN, or numbers that are too large", i/m.groups())
		}
	}
	return nil
}

// eachRow calls f for every row, on all cores.
func (m *Ints) eachRow(f func(r int)) {
	var wait sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for i := range n {
		wait.Go(func() {
			for r := m.Rows * i / n; r < m.Rows*(i+1)/n; r++ {
				f(r)
			}
		})
	}
	wait.Wait()
}

// Float32 writes the numbers that m stands for to dst [Rows, Cols].
func (m *Ints) Float32(dst []float32) {
	for r := range m.Rows {
		for g := range m.groups() {
			s := m.Scale[r*m.groups()+g]
			lo, hi := r*m.Cols+g*m.Group, r*m.Cols+min((g+1)*m.Group, m.Cols)
			for i, q := range m.Q[lo:hi] {
				dst[lo+i] = float32(q) * s
			}
		}
	}
}

// PackedInfos describes the tensors that a weight [rows, cols] of integers is stored as; module is the weight's name without
// ".weight".
func PackedInfos(module string, rows, cols, bits, group int) []safetensors.Info {
	return []safetensors.Info{
		{Name: module + packedSuffix, DType: safetensors.I32, Shape: []int{rows, ceil(cols, 32/bits)}},
		{Name: module + scaleSuffix, DType: safetensors.BF16, Shape: []int{rows, ceil(cols, group)}},
		{Name: module + shapeSuffix, DType: safetensors.I64, Shape: []int{2}},
	}
}

// Pack gives the bytes of the tensors that PackedInfos describes.
func (m *Ints) Pack() [3][]byte {
	words := ceil(m.Cols, 32/m.Bits)
	packed := make([]byte, 4*m.Rows*words)
	m.eachRow(func(r int) {
		to := packed[4*r*words:]
		for i, q := range m.Q[r*m.Cols : (r+1)*m.Cols] {
			if m.Bits == 4 {
				to[i/2] |= (uint8(q) ^ 8) & 15 << (i % 2 * 4)
			} else {
				to[i] = uint8(q) ^ 0x80
			}
		}
	})
	scale := make([]byte, 0, 2*len(m.Scale))
	for _, s := range m.Scale {
		scale = binary.LittleEndian.AppendUint16(scale, uint16(math.Float32bits(s)>>16))
	}
	shape := binary.LittleEndian.AppendUint64(nil, uint64(m.Rows))
	return [3][]byte{packed, scale, binary.LittleEndian.AppendUint64(shape, uint64(m.Cols))}
}
