package cpu

import (
	"fmt"
	"math"
	"unsafe"

	"sprat/device"
	"sprat/float8"
	"sprat/kernel"
	"sprat/tensor"
)

// pages implements device.Pages: rows of a page lie together, pages in the order of their numbers, layers one after the other. A row
// is [cKV | kR], either padded to a multiple of four, which products of bfloat16 take at a time:
//
//	PagesF32, PagesBF16  numbers, padded with zeros to whole cache lines
//	PagesFP8             cKV's codes, then in bfloat16 a scale for each 128 of them, then kR; padded to 16 bytes
//
// Scales are powers of two, so that a number times its scale is a bfloat16: what is computed with them is exactly what is stored.
type pages struct {
	device.PagesShape
	c, r     int // C and R, padded
	row      int // bytes
	bytes    []byte
	halves   []uint16  // the same memory
	floats   []float32 // likewise
	zero     int       // where a row of zeros begins, in bytes
	slab     *slab     // keeps the memory
	unitMark []int32   // of PagedLatentAttention: the last unit of work that begins with a page
}

func (p *pages) Bytes() int64 { return int64(p.zero) }

const scaleGroup = 128 // numbers of cKV that share a scale

// NewPages implements device.Inference.
func (d *Device) NewPages(s device.PagesShape) device.Pages {
	const most = 1 << 24 // of any number
	for _, n := range []int{s.Layers, s.Pages, s.Rows, s.C} {
		if n < 1 || n > most || s.R < 0 || s.R > most || s.Format > device.PagesFP8 {
			panic(fmt.Sprintf("cpu: NewPages: %+v", s))
		}
	}
	p := &pages{PagesShape: s, c: roundUp(s.C, 4), r: roundUp(s.R, 4)}
	switch s.Format {
	case device.PagesF32:
		p.row = roundUp(4*(p.c+p.r), 128)
	case device.PagesBF16:
		p.row = roundUp(2*(p.c+p.r), 64)
	case device.PagesFP8:
		p.row = roundUp(p.c+2*(groups(s.C)+p.r), 16)
	}
	total := int64(p.row)
	for _, n := range []int{s.Layers, s.Pages, s.Rows} {
		if total > 1<<46/int64(n) {
			panic(fmt.Sprintf("cpu: NewPages: %+v does not fit any memory", s))
		}
		total *= int64(n)
	}
	p.zero = int(total)
	p.bytes, p.slab = d.reserveBytes(p.zero + roundUp(p.row, 64))
	p.halves = unsafe.Slice((*uint16)(unsafe.Pointer(&p.bytes[0])), len(p.bytes)/2)
	p.floats = unsafe.Slice((*float32)(unsafe.Pointer(&p.bytes[0])), len(p.bytes)/4)
	p.unitMark = make([]int32, s.Pages)
	return p
}

func groups(n int) int { return (n + scaleGroup - 1) / scaleGroup }

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// at is where a row begins, in bytes.
func (p *pages) at(layer int, page int32, row int) int {
	return ((layer*p.Pages+int(page))*p.Rows + row) * p.row
}

// of is where the row of a position of a sequence begins.
func (p *pages) of(layer int, table []int32, position int) int {
	return p.at(layer, table[position/p.Rows], position%p.Rows)
}

// width is the elements of an expanded row.
func (p *pages) width() int { return p.c + p.r }

// store writes a row.
func (p *pages) store(at int, cKV, kR []float32) {
	switch p.Format {
	case device.PagesF32:
		row := p.floats[at/4:]
		copy(row, cKV)
		copy(row[p.c:], kR)
	case device.PagesBF16:
		row := p.halves[at/2:]
		kernel.NarrowBF16(row[:p.C], cKV)
		kernel.NarrowBF16(row[p.c:][:p.R], kR)
	case device.PagesFP8:
		rest := p.halves[(at+p.c)/2:]
		for g := range groups(p.C) {
			lo, hi := g*scaleGroup, min((g+1)*scaleGroup, p.C)
			scale := quantise(p.bytes[at+lo:at+hi], cKV[lo:hi])
			rest[g] = uint16(math.Float32bits(scale) >> 16)
		}
		kernel.NarrowBF16(rest[groups(p.C):][:p.R], kR)
	}
}

// quantise encodes x in E4M3 and returns its scale, the smallest power of two with which all of it fits. A group with a number that
// isn't finite becomes NaN.
func quantise(codes []byte, x []float32) (scale float32) {
	most := float32(1e-4)
	for _, v := range x {
		if v-v != 0 {
			return float32(math.NaN())
		}
		most = max(most, v, -v)
	}
	_, exponent := math.Frexp(float64(most / float8.MaxE4M3))
	if scale = float32(math.Ldexp(1, exponent)); most <= scale/2*float8.MaxE4M3 {
		scale /= 2 // most/448 was a power of two itself
	}
	for i, v := range x {
		codes[i] = float8.EncodeE4M3(v / scale)
	}
	return scale
}

// widen gives a row as width() float32's. It may use some halvesRow() elements of scratch.
func (p *pages) widen(dst []float32, at int, scratch []uint16) {
	switch p.Format {
	case device.PagesF32:
		copy(dst[:p.width()], p.floats[at/4:])
	case device.PagesBF16:
		kernel.WidenBF16(dst[:p.width()], p.halves[at/2:][:p.width()])
	case device.PagesFP8:
		p.narrow(scratch, at)
		kernel.WidenBF16(dst[:p.width()], scratch[:p.width()])
	}
}

// halvesRow is the length of an expanded row of bfloat16's.
func (p *pages) halvesRow() int { return kernel.RowWidth(p.width()) }

// narrow gives a row as bfloat16's, with zeros past width().
func (p *pages) narrow(dst []uint16, at int) {
	switch p.Format {
	case device.PagesF32:
		kernel.NarrowBF16(dst[:p.width()], p.floats[at/4:][:p.width()])
	case device.PagesBF16:
		copy(dst[:p.width()], p.halves[at/2:])
	case device.PagesFP8:
		rest := p.halves[(at+p.c)/2:]
		kernel.DecodeE4M3(dst[:p.C], p.bytes[at:at+p.C], rest[:groups(p.C)])
		clear(dst[p.C:p.c])
		copy(dst[p.c:p.width()], rest[groups(p.C):])
	}
	clear(dst[p.width():])
}

// pagesOf is what an operation's Pages are, which must have been made here.
func pagesOf(op string, p device.Pages, layer int) *pages {
	own, ok := p.(*pages)
	if !ok || layer < 0 || layer >= own.Layers {
		panic(fmt.Sprintf("cpu: %s: layer %d of pages %T", op, layer, p))
	}
	return own
}

// wantContexts panics unless the contexts' rows are among so many, and their tokens have pages.
func (p *pages) wantContexts(op string, contexts []device.Context, rows int) {
	for _, c := range contexts {
		if c.First < 0 || c.Rows < 0 || c.First > rows-c.Rows {
			panic(fmt.Sprintf("cpu: %s: rows [%d, %d + %d) of %d", op, c.First, c.First, c.Rows, rows))
		}
		if space := len(c.Table) * p.Rows; c.Past < 0 || c.Past > space-c.Rows {
			panic(fmt.Sprintf("cpu: %s: %d + %d tokens in %d pages of %d", op, c.Past, c.Rows, len(c.Table), p.Rows))
		}
		for _, page := range c.Table[:(c.Past+c.Rows+p.Rows-1)/p.Rows] {
			if page < 0 || int(page) >= p.Pages {
				panic(fmt.Sprintf("cpu: %s: page %d of %d", op, page, p.Pages))
			}
		}
	}
}

type storeJob struct {
	span
	p        *pages
	layer    int
	cKV, kR  matrix
	contexts []device.Context
}

// StoreLatents implements device.Inference.
func (d *Device) StoreLatents(dst device.Pages, layer int, cKV, kR tensor.Mat, contexts []device.Context) {
	p := pagesOf("StoreLatents", dst, layer)
	want("StoreLatents", "cKV", cKV, cKV.Rows, p.C)
	if p.R > 0 || !kR.IsZero() {
		want("StoreLatents", "kR", kR, cKV.Rows, p.R)
	}
	p.wantContexts("StoreLatents", contexts, cKV.Rows)
	j, rows := &d.jobs.store, 0
	for _, c := range contexts {
		rows += c.Rows
	}
	*j = storeJob{spanOf(rows, p.C+p.R), p, layer, view(cKV), view(kR), contexts}
	d.pool.Run(j, j.parts())
	*j = storeJob{} // let go of the memory
}

// Do stores one part's rows.
func (j *storeJob) Do(_, part int) {
	lo, hi := j.of(part)
	for _, c := range j.contexts {
		for i := max(0, lo); i < min(hi, c.Rows); i++ {
			j.p.store(j.p.of(j.layer, c.Table, c.Past+i), j.cKV.row(c.First+i), j.kR.row(c.First+i))
		}
		lo, hi = lo-c.Rows, hi-c.Rows
	}
}

// CopyPage implements device.Inference.
func (d *Device) CopyPage(dst device.Pages, from, to, rows int) {
	p := pagesOf("CopyPage", dst, 0)
	if from < 0 || from >= p.Pages || to < 0 || to >= p.Pages || rows < 0 || rows > p.Rows {
		panic(fmt.Sprintf("cpu: CopyPage: %d rows of page %d to page %d, of %d with %d rows", rows, from, to, p.Pages, p.Rows))
	}
	for layer := range p.Layers {
		copy(p.bytes[p.at(layer, int32(to), 0):][:rows*p.row], p.bytes[p.at(layer, int32(from), 0):])
	}
}
