package cpu

import (
	"fmt"

	"sprat/device"
	"sprat/float8"
	"sprat/kernel"
	"sprat/tensor"
)

// weight implements device.Weight.
type weight struct {
	kernel.Weight
	slab *slab // keeps the memory; nil where it is the heap's
}

// Bytes implements device.Weight.
func (w *weight) Bytes() int64 { return int64(w.Weight.Bytes()) }

// Format implements device.Weight.
func (w *weight) Format() device.Format { return device.Format(w.Weight.Format()) }

// Formats are the same in both packages.
var _ = [1]struct{}{}[int(device.FormatInt4)-int(kernel.FormatInt4)+int(device.FormatF32)-int(kernel.FormatF32)]

// NewWeight implements device.Inference.
func (d *Device) NewWeight(parts, n, k int, f device.Format) device.Weight {
	w := new(weight)
	var mem []byte
	mem, w.slab = d.reserveBytes(kernel.WeightBytes(kernel.Format(f), parts, n, k))
	w.Weight = *kernel.NewWeight(kernel.Format(f), parts, n, k, mem)
	return w
}

// weightOf is the weight, of so many parts [n, k]; a negative number is any.
func weightOf(op, name string, w device.Weight, parts, n, k int) *weight {
	our, ok := w.(*weight)
	if !ok {
		panic(fmt.Sprintf("cpu: %s: %s is a %T of another device", op, name, w))
	}
	p, rows, cols := our.Shape()
	if parts >= 0 && p != parts || n >= 0 && rows != n || k >= 0 && cols != k {
		panic(fmt.Sprintf("cpu: %s: %s is %d x %d x %d, want %d x %d x %d (-1 is any)", op, name, p, rows, cols, parts, n, k))
	}
	return our
}

// FillWeight implements device.Inference. In FP8 the blocks of 128 x 128 are counted from the first row on.
func (d *Device) FillWeight(w device.Weight, part, row int, v device.Values) {
	our := weightOf("FillWeight", "w", w, -1, -1, v.Cols)
	wantRows("FillWeight", our, part, row, v.Rows)
	groups := (v.Cols + device.GroupSize - 1) / device.GroupSize
	blocks := float8.Blocks(v.Cols)
	ok := false
	switch f := our.Format(); {
	case v.F32 != nil:
		ok = len(v.F32) == v.Rows*v.Cols && v.Int == nil && v.E4M3 == nil
		if ok && f == device.FormatFP8 {
			v.E4M3, v.Scale = make([]byte, v.Rows*v.Cols), make([]float32, float8.Blocks(v.Rows)*blocks)
			float8.QuantizeBlocks(v.E4M3, v.Scale, v.F32, v.Rows, v.Cols, false)
			v.F32 = nil
		}
	case v.Int != nil:
		ok = len(v.Int) == v.Rows*v.Cols && len(v.Scale) == v.Rows*groups && v.E4M3 == nil && (f == device.FormatInt8 || f == device.FormatInt4)
	case v.E4M3 != nil:
		ok = len(v.E4M3) == v.Rows*v.Cols && len(v.Scale) == float8.Blocks(v.Rows)*blocks && f == device.FormatFP8
	default:
		ok = v.Rows*v.Cols == 0
	}
	if !ok {
		panic(fmt.Sprintf("cpu: FillWeight: %d numbers, %d integers, %d codes and %d scales for %d x %d in format %d",
			len(v.F32), len(v.Int), len(v.E4M3), len(v.Scale), v.Rows, v.Cols, our.Format()))
	}
	if v.Rows*v.Cols == 0 {
		return
	}
	k := v.Cols
	for i := range v.Rows {
		switch to := row + i; {
		case v.F32 != nil:
			our.SetRow(part, to, v.F32[i*k:(i+1)*k])
		case v.Int != nil:
			our.SetInts(part, to, v.Int[i*k:(i+1)*k], v.Scale[i*groups:(i+1)*groups])
		default:
			at := i / device.BlockSize * blocks
			our.SetE4M3(part, to, v.E4M3[i*k:(i+1)*k], v.Scale[at:at+blocks])
		}
	}
}

// wantRows panics unless the weight has the rows.
func wantRows(op string, w *weight, part, row, rows int) {
	if parts, n, _ := w.Shape(); part < 0 || part >= parts || row < 0 || rows < 0 || row > n-rows {
		panic(fmt.Sprintf("cpu: %s: rows [%d, %d) of part %d of a weight of %d parts of %d rows", op, row, row+rows, part, parts, n))
	}
}

// panelRows are the rows of a weight that share cache lines: two workers never write the same.
const panelRows = 16

// panelSpan splits rows from row on so that parts are whole panels.
func panelSpan(row, rows int) span { return span{row%panelRows + rows, panelRows} }

// rowsOf are the rows of a part, counted from the first that is filled.
func rowsOf(s span, row, part int) (lo, hi int) {
	lo, hi = s.of(part)
	return max(0, lo-row%panelRows), hi - row%panelRows
}

// ReadWeight implements device.Inference.
func (d *Device) ReadWeight(dst []float32, w device.Weight, part, row, rows int) {
	our := weightOf("ReadWeight", "w", w, -1, -1, -1)
	wantRows("ReadWeight", our, part, row, rows)
	_, _, k := our.Shape()
	if len(dst) != rows*k {
		panic(fmt.Sprintf("cpu: ReadWeight: %d numbers for %d x %d", len(dst), rows, k))
	}
	j := &d.jobs.readWeight
	*j = readWeightJob{panelSpan(row, rows), our, dst, part, row}
	d.pool.Run(j, j.parts())
	*j = readWeightJob{}
}

type readWeightJob struct {
	span
	w         *weight
	dst       []float32
	part, row int
}

// Do reads one panel.
func (j *readWeightJob) Do(_, part int) {
	_, _, k := j.w.Shape()
	lo, hi := rowsOf(j.span, j.row, part)
	for i := lo; i < hi; i++ {
		j.w.ReadRow(j.dst[i*k:(i+1)*k], j.part, j.row+i)
	}
}

type lookUpJob struct {
	span
	x   matrix
	w   *weight
	ids ints
}

// LookUp implements device.Inference.
func (d *Device) LookUp(x tensor.Mat, w device.Weight, ids tensor.Mat) {
	our := weightOf("LookUp", "w", w, -1, -1, x.Cols)
	want("LookUp", "x", x, ids.Rows, x.Cols)
	wantInts("LookUp", "ids", ids, ids.Rows, 1)
	j := &d.jobs.lookUp
	*j = lookUpJob{spanOf(x.Rows, x.Cols), view(x), our, viewInts(ids)}
	_, n, _ := our.Shape()
	wantBelow("LookUp", "ids", j.ids, x.Rows, n)
	d.pool.Run(j, j.parts())
}

// Do reads one part's rows.
func (j *lookUpJob) Do(_, part int) {
	lo, hi := j.of(part)
	for t := lo; t < hi; t++ {
		j.w.ReadRow(j.x.row(t), 0, j.ids.at(t, 0))
	}
}
