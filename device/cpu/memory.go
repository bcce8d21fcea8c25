package cpu

import (
	"fmt"
	"unsafe"

	"sprat/kernel"
	"sprat/tensor"
)

// memory is bytes of the Go heap.
type memory struct{ bytes []byte }

func (m *memory) Bytes() []byte { return m.bytes }

// alignment in elements of what Alloc returns: a cache line.
const alignment = 16

// Alloc implements device.Device.
func (d *Device) Alloc(rows, cols int, t tensor.DType) tensor.Mat {
	if rows < 0 || cols < 0 || cols > 0 && rows > (1<<48)/cols {
		panic(fmt.Sprintf("cpu: Alloc: %d x %d", rows, cols))
	}
	words := make([]float32, rows*cols+alignment)
	if off := int(uintptr(unsafe.Pointer(&words[0])) / 4 % alignment); off > 0 {
		words = words[alignment-off:]
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 4*rows*cols)
	return tensor.Mat{Mem: &memory{b}, Rows: rows, Cols: cols, Stride: cols, DType: t}
}

// slab is memory for weights and pages: a mapping of large pages where the system has them. It is freed once nothing refers to it.
type slab struct{ free []byte }

const (
	slabBytes = 32 << 20
	smallest  = 64 << 10 // of a weight in a slab; others are on the heap
	cacheLine = 64
)

// reserveBytes returns n zeroed bytes at the beginning of a cache line, and what keeps them, nil for the heap's.
func (d *Device) reserveBytes(n int) ([]byte, *slab) {
	if n >= smallest {
		size := (n + cacheLine - 1) &^ (cacheLine - 1)
		s := d.slab
		if s == nil || len(s.free) < size {
			s = newSlab(max(size, slabBytes))
		}
		if s != nil {
			b := s.free[:n:size]
			s.free = s.free[size:]
			if d.slab == nil || len(s.free) > len(d.slab.free) {
				d.slab = s
			}
			return b, s
		}
	}
	b := make([]byte, n+cacheLine)
	off := -int(uintptr(unsafe.Pointer(&b[0]))) & (cacheLine - 1)
	return b[off : off+n : off+n], nil
}

// words looks at the elements of either type as float32, to be moved but not computed with.
func words(m tensor.Mat) matrix {
	m.DType = tensor.F32
	return view(m)
}

// Upload implements device.Device.
func (d *Device) Upload(dst tensor.Mat, src []float32) {
	want("Upload", "dst", dst, dst.Rows, dst.Cols)
	wantLen("Upload", dst, len(src))
	for m, i := view(dst), 0; i < m.rows; i++ {
		copy(m.row(i), src[i*m.cols:])
	}
}

// UploadInts implements device.Device.
func (d *Device) UploadInts(dst tensor.Mat, src []int32) {
	wantInts("UploadInts", "dst", dst, dst.Rows, dst.Cols)
	wantLen("UploadInts", dst, len(src))
	if len(src) == 0 {
		return
	}
	for m, i := viewInts(dst), 0; i < dst.Rows; i++ {
		copy(m.row(i), src[i*m.cols:])
	}
}

// Read implements device.Device.
func (d *Device) Read(dst []float32, src tensor.Mat) {
	want("Read", "src", src, src.Rows, src.Cols)
	wantLen("Read", src, len(dst))
	for m, i := view(src), 0; i < m.rows; i++ {
		copy(dst[i*m.cols:], m.row(i))
	}
}

// ReadInts implements device.Device.
func (d *Device) ReadInts(dst []int32, src tensor.Mat) {
	wantInts("ReadInts", "src", src, src.Rows, src.Cols)
	wantLen("ReadInts", src, len(dst))
	if len(dst) == 0 {
		return
	}
	for m, i := viewInts(src), 0; i < src.Rows; i++ {
		copy(dst[i*m.cols:], m.row(i))
	}
}

func wantLen(op string, m tensor.Mat, n int) {
	if n != m.Rows*m.Cols {
		panic(fmt.Sprintf("cpu: %s: %d host values for %d x %d", op, n, m.Rows, m.Cols))
	}
}

type zeroJob struct {
	span
	m matrix
}

// Zero implements device.Device.
func (d *Device) Zero(m tensor.Mat) {
	wantType("Zero", "m", m, m.Rows, m.Cols, m.DType)
	d.zero(words(m))
}

func (d *Device) zero(m matrix) {
	j := &d.jobs.zero
	*j = zeroJob{spanOf(m.rows, m.cols), m}
	d.pool.Run(j, j.parts())
}

// Do zeroes one part's rows.
func (j *zeroJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		clear(j.m.row(i))
	}
}

type copyJob struct {
	span
	dst, src matrix
}

// Copy implements device.Device.
func (d *Device) Copy(dst, src tensor.Mat) {
	wantType("Copy", "dst", dst, src.Rows, src.Cols, src.DType)
	wantType("Copy", "src", src, src.Rows, src.Cols, src.DType)
	j := &d.jobs.copy
	*j = copyJob{spanOf(src.Rows, src.Cols), words(dst), words(src)}
	d.pool.Run(j, j.parts())
}

// Do copies one part's rows.
func (j *copyJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		copy(j.dst.row(i), j.src.row(i))
	}
}

type addJob struct {
	span
	dst, src matrix
}

// Add implements device.Device.
func (d *Device) Add(dst, src tensor.Mat) {
	want("Add", "dst", dst, src.Rows, src.Cols)
	want("Add", "src", src, src.Rows, src.Cols)
	j := &d.jobs.add
	*j = addJob{spanOf(src.Rows, src.Cols), view(dst), view(src)}
	d.pool.Run(j, j.parts())
}

// Do adds one part's rows.
func (j *addJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		kernel.Add(j.dst.row(i), j.src.row(i))
	}
}

// sumJob adds n matrices of dst's shape, which lie one after the other in src, to dst: part i after part i-1.
type sumJob struct {
	span
	dst matrix
	src []float32
	n   int
}

func (d *Device) sum(dst matrix, src []float32, n int) {
	j := &d.jobs.sum
	*j = sumJob{spanOf(dst.rows, dst.cols*n), dst, src, n}
	d.pool.Run(j, j.parts())
}

// Do sums one part's rows.
func (j *sumJob) Do(_, part int) {
	lo, hi := j.of(part)
	for i := lo; i < hi; i++ {
		for k := range j.n {
			kernel.Add(j.dst.row(i), j.src[(k*j.dst.rows+i)*j.dst.cols:][:j.dst.cols])
		}
	}
}
