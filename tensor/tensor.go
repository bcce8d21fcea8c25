// Package tensor holds the two nouns that every layer shares: Mat, a matrix that looks into memory that a device owns, and
// Param, a named weight with its gradient.
//
// A Mat is a value: slicing one makes another that looks into the same memory. Layers never index its elements; they hand
// Mats to the operations of package device. Host gives the elements to tests and to the CPU device.
package tensor

import (
	"fmt"
	"unsafe"
)

// DType is the type of a matrix's elements.
type DType uint8

const (
	F32 DType = iota
	I32
)

// Size is the number of bytes of one element.
func (DType) Size() int { return 4 }

// Memory is a run of bytes that a device owns. Bytes is nil where the host cannot address it.
type Memory interface {
	Bytes() []byte
}

// Mat is a row-major matrix: element (i, j) lies Off + i·Stride + j elements into Mem.
// The zero Mat is no matrix; operations take it where an argument is optional.
type Mat struct {
	Mem                Memory
	Off                int
	Rows, Cols, Stride int
	DType              DType
}

// IsZero tells whether m is the zero Mat.
func (m Mat) IsZero() bool { return m.Mem == nil }

// Contiguous tells whether the rows follow each other without a gap.
func (m Mat) Contiguous() bool { return m.Stride == m.Cols || m.Rows <= 1 }

// RowSlice is rows [lo, hi) of m.
func (m Mat) RowSlice(lo, hi int) Mat {
	if lo < 0 || hi < lo || hi > m.Rows {
		panic(fmt.Sprintf("tensor: rows [%d, %d) of a %d x %d matrix", lo, hi, m.Rows, m.Cols))
	}
	m.Off += lo * m.Stride
	m.Rows = hi - lo
	return m
}

// ColSlice is columns [lo, hi) of m.
func (m Mat) ColSlice(lo, hi int) Mat {
	if lo < 0 || hi < lo || hi > m.Cols {
		panic(fmt.Sprintf("tensor: columns [%d, %d) of a %d x %d matrix", lo, hi, m.Rows, m.Cols))
	}
	m.Off += lo
	m.Cols = hi - lo
	return m
}

// Reshape looks at the same contiguous elements as rows x cols.
func (m Mat) Reshape(rows, cols int) Mat {
	if !m.Contiguous() || rows*cols != m.Rows*m.Cols {
		panic(fmt.Sprintf("tensor: reshape %d x %d (stride %d) to %d x %d", m.Rows, m.Cols, m.Stride, rows, cols))
	}
	m.Rows, m.Cols, m.Stride = rows, cols, cols
	return m
}

// Host is m's elements from its first to its last, gaps between rows included. It panics where the device's memory is out
// of the host's reach: it is for the CPU device, for tests, and for rare work on the host.
func (m Mat) Host() []float32 {
	m.mustBe(F32)
	return hostSlice[float32](m)
}

// HostInts is Host for an I32 matrix.
func (m Mat) HostInts() []int32 {
	m.mustBe(I32)
	return hostSlice[int32](m)
}

func (m Mat) mustBe(t DType) {
	if m.DType != t {
		panic(fmt.Sprintf("tensor: elements of type %d read as type %d", m.DType, t))
	}
}

func hostSlice[T float32 | int32](m Mat) []T {
	if m.Rows == 0 || m.Cols == 0 {
		return nil
	}
	b := m.Mem.Bytes()
	if b == nil {
		panic("tensor: this device's memory is out of the host's reach")
	}
	n := (m.Rows-1)*m.Stride + m.Cols
	b = b[m.Off*4 : (m.Off+n)*4]
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), n)
}

// Param is a weight that the optimizer may change and a checkpoint holds.
type Param struct {
	Name   string // the Hugging Face key
	Shape  []int  // as the checkpoint has it; W is its matrix, a vector being one row
	W      Mat
	G      Mat  // the gradient that Backward adds to; the zero Mat if Frozen, or where the model was made for inference alone
	Frozen bool // no gradient reaches it: the gate's bias, which training moves by the experts' load
}

// IsMatrix tells whether the parameter is a matrix: vectors (norms) take no weight decay.
func (p *Param) IsMatrix() bool { return len(p.Shape) > 1 }
