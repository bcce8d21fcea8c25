// Package cpu is the device that the host's own cores make: package device's operations on package kernel's matrix products
// and vector functions.
//
//	d := cpu.New(0) // all cores
//	defer d.Close()
//	y := d.Alloc(t, out, tensor.F32)
//	d.Linear(y, x, w, device.F32, false)
//
// An operation is cut into parts, which the workers of a kernel.Pool take as they become free: a part is a run of rows, a
// (sequence, head, block of queries), or a tile of a product. Which worker takes a part changes no bit of a result. Where
// parts must be summed (the gradient of a norm's weight, of the key that all heads share) each has a buffer of its own, and
// the buffers are added in the order of the parts, whose borders depend on shapes alone.
//
// The parts' arguments and all scratch memory belong to the Device and only grow: an operation that has run once with
// the same shapes allocates nothing. One goroutine uses a Device at a time.
package cpu

import (
	"sprat/device"
	"sprat/kernel"
	"sprat/tensor"
)

// Device implements device.Inference.
type Device struct {
	pool     *kernel.Pool
	workers  []worker
	products []kernel.Product // the list for the pool, made anew by each operation
	weights  []kernel.WeightProduct
	jobs     jobs

	partial  []float32 // a gradient's parts, before they are summed
	partials []float64 // SumSquares' and BalanceLoss's parts
	counts   []float32 // [B, E] of the balance loss
	next     []int32   // [E] the next free slot of each expert
	slots    []float32 // [T·K, D] expert outputs, and output gradients
	dAct     []float32 // [T·K, F]
	dGateUp  []float32 // [T·K, 2F]
	logits   []float32 // [headRows, vocab]

	head, headT kernel.Packed // the output head's weights, of one call

	slab  *slab       // that the next weight's memory comes from
	rows  kernel.Rows // of a Project
	mixed mixed
}

// worker is the scratch memory of one of the pool's workers.
type worker struct {
	ws     *kernel.Workspace
	head   headSpace
	latent latentScratch
	paged  pagedScratch
	row    []float32
	taken  []bool // [E]
	chosen []int32
}

// jobs holds the arguments of each kind of part, so that handing them to the pool allocates nothing.
type jobs struct {
	zero          zeroJob
	copy          copyJob
	add           addJob
	sum           sumJob
	embed         embedJob
	embedBackward embedBackwardJob
	norm          normJob
	normBackward  normBackwardJob
	rope          ropeJob
	swiglu        swigluJob
	attention     attentionJob
	attnBackward  attentionBackwardJob
	store         storeJob
	pagedLatent   pagedLatent
	paged         pagedAttention
	route         routeJob
	balance       balanceJob
	routeBackward routeBackwardJob
	gather        gatherJob
	scatter       scatterJob
	activate      activateJob
	actBackward   activateBackwardJob
	loss          lossJob
	sumSquares    sumSquaresJob
	adamW         adamWJob
	mix           mixJob
	muon          muonJob
	readWeight    readWeightJob
	lookUp        lookUpJob
	rows          rowsJob
	activateRows  activateRowsJob
}

var _ device.Inference = (*Device)(nil)

// New makes a device of the given number of threads, the caller's among them; all cores where threads <= 0.
func New(threads int) *Device {
	d := &Device{pool: kernel.NewPool(threads)}
	d.workers = make([]worker, d.pool.Workers())
	for i := range d.workers {
		d.workers[i].ws = kernel.NewWorkspace()
	}
	return d
}

// Close ends the threads. Memory from Alloc stays valid.
func (d *Device) Close() { d.pool.Close() }

// Threads is the number of threads, the caller's among them.
func (d *Device) Threads() int { return d.pool.Workers() }

// gemm runs the products in d.products.
func (d *Device) gemm(op kernel.Op, p device.Precision) {
	d.pool.Gemm(op, precision(p), d.products...)
}

func precision(p device.Precision) kernel.Precision {
	switch p {
	case device.BF16:
		return kernel.BF16
	case device.FP8:
		return kernel.FP8
	}
	return kernel.F32
}

// reserve gives each worker a row of n scratch elements.
func (d *Device) reserve(n int) {
	for i := range d.workers {
		grow(&d.workers[i].row, n)
	}
}

// grow makes *s n long, with any contents.
func grow[T any](s *[]T, n int) []T {
	if cap(*s) < n {
		*s = make([]T, n)
	}
	*s = (*s)[:n]
	return *s
}

// matrix is a Mat whose elements are at hand.
type matrix struct {
	data               []float32
	rows, cols, stride int
}

func view(m tensor.Mat) matrix {
	if m.IsZero() {
		return matrix{}
	}
	return matrix{m.Host(), m.Rows, m.Cols, m.Stride}
}

// dense looks at a scratch buffer as a matrix.
func dense(data []float32, rows, cols int) matrix {
	return matrix{data, rows, cols, cols}
}

func (m matrix) isZero() bool { return m.data == nil }

func (m matrix) row(i int) []float32 {
	if m.cols == 0 {
		return nil
	}
	o := i * m.stride
	return m.data[o : o+m.cols : o+m.cols]
}

// from is the elements from (i, j) on: an operand of a product.
func (m matrix) from(i, j int) []float32 {
	if len(m.data) == 0 {
		return nil
	}
	return m.data[i*m.stride+j:]
}

// ints is an I32 Mat whose elements are at hand.
type ints struct {
	data         []int32
	cols, stride int
}

func viewInts(m tensor.Mat) ints {
	return ints{m.HostInts(), m.Cols, m.Stride}
}

func (m ints) at(i, j int) int { return int(m.data[i*m.stride+j]) }

func (m ints) row(i int) []int32 { return m.data[i*m.stride:][:m.cols] }

// span says how rows are split into parts.
type span struct{ rows, per int }

// grain is about how many elements a part of an elementwise operation should have: enough to outweigh handing it out.
const grain = 1 << 13

// spanOf splits rows of the given width.
func spanOf(rows, cols int) span {
	return span{rows, max(1, grain/max(1, cols))}
}

func (s span) parts() int { return (s.rows + s.per - 1) / s.per }

// of is the rows [lo, hi) of a part.
func (s span) of(part int) (lo, hi int) {
	lo = part * s.per
	return lo, min(lo+s.per, s.rows)
}
