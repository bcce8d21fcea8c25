package kernel

import (
	"fmt"
	"unsafe"
)

// Format is how a Weight keeps its elements.
type Format uint8

const (
	FormatF32 Format = iota
	FormatBF16
	FormatFP8  // E4M3, with a float32 scale for each 128 k's of a row
	FormatInt8 // with a bfloat16 scale for each 32 k's of a row
	FormatInt4 // likewise
)

// Weight is a stack of parts, each a matrix [n, k] whose rows are outputs, laid out to be read once from its beginning to its end for
// every few rows that are multiplied with it; see Multiply. All implementations share the layout.
//
// A part is panels of 16 rows. A panel is words of 64 bytes, in each of which all rows have as many consecutive k's, side by side:
//
//	F32    1 k a word
//	BF16   2 k's
//	FP8    4 k's; before those of each 128 k's a word with the rows' scales
//	Int8   4 k's, w + 128; before those of each two groups of 32 k's a word with the rows' pairs of scales
//	Int4   8 k's, w + 8: the first four in the low halves of the bytes; scales as in Int8
//
// So of 32 weights the integers' scale takes 16 bits. What is beyond n or k stays as the memory was, zero; so do the k's that follow
// a row that is multiplied.
type Weight struct {
	format      Format
	parts, n, k int
	mem         []byte
}

const (
	panelRows = 16
	wordBytes = 4 * panelRows
	intGroup  = 32 // k's that share a scale in Int8 and Int4
	pairK     = 2 * intGroup
)

// WeightBytes is the size of a weight's memory.
func WeightBytes(f Format, parts, n, k int) int {
	const limit = 1 << 44
	if f > FormatInt4 || parts < 0 || n < 0 || k < 0 || n > limit || k > limit || parts > limit ||
		float64(parts)*float64(n+panelRows)*float64(k+fp8Group) > limit {
		panic(fmt.Sprintf("kernel: a weight of %d x %d x %d in format %d", parts, n, k, f))
	}
	return parts * panels(n) * f.panelBytes(k)
}

// NewWeight is a weight over mem, WeightBytes of zeros. It is zero.
func NewWeight(f Format, parts, n, k int, mem []byte) *Weight {
	if want := WeightBytes(f, parts, n, k); len(mem) != want {
		panic(fmt.Sprintf("kernel: a weight of %d x %d x %d in format %d over %d bytes, want %d", parts, n, k, f, len(mem), want))
	}
	return &Weight{f, parts, n, k, mem}
}

// Shape is the number of parts, and of a part's rows and columns.
func (w *Weight) Shape() (parts, n, k int) { return w.parts, w.n, w.k }

// Format is how the elements are kept.
func (w *Weight) Format() Format { return w.format }

// Bytes is the size of the memory.
func (w *Weight) Bytes() int { return len(w.mem) }

func panels(n int) int { return (n + panelRows - 1) / panelRows }

// groupsOf is the number of groups of size k's.
func groupsOf(k, size int) int { return (k + size - 1) / size }

func (f Format) panelBytes(k int) int {
	switch f {
	case FormatBF16:
		return groupsOf(k, 2) * wordBytes
	case FormatFP8:
		return (groupsOf(k, fp8Group) + groupsOf(k, 4)) * wordBytes
	case FormatInt8, FormatInt4:
		return groupsOf(k, pairK)*wordBytes + groupsOf(k, intGroup)*f.groupBytes()
	}
	return k * wordBytes
}

// groupBytes is the size of the 16 x 32 integers of a group.
func (f Format) groupBytes() int {
	if f == FormatInt4 {
		return panelRows * intGroup / 2
	}
	return panelRows * intGroup
}

// panel is the memory of panel i of a part.
func (w *Weight) panel(part, i int) []byte {
	size := w.format.panelBytes(w.k)
	at := (part*panels(w.n) + i) * size
	return w.mem[at : at+size]
}

// row is the panel of a row, from the row's place in its first word on.
func (w *Weight) row(part, row int) []byte {
	if part < 0 || part >= w.parts || row < 0 || row >= w.n {
		panic(fmt.Sprintf("kernel: row %d of part %d of a weight of %d x %d x %d", row, part, w.parts, w.n, w.k))
	}
	if w.k == 0 {
		return nil
	}
	return w.panel(part, row/panelRows)[row%panelRows*4:]
}

// group finds the integers and the scale of group g, in a row or a panel.
func (f Format) group(p []byte, g int) (q, scale []byte) {
	size := f.groupBytes()
	pair := p[g/2*(wordBytes+2*size):]
	return pair[wordBytes+g%2*size:], pair[g%2*2:]
}

// fp8Block finds the codes and the scale of the 128 k's from b·128 on.
func fp8Block(p []byte, b int) (codes, scale []byte) {
	block := p[b*wordBytes*(1+fp8Group/4):]
	return block[wordBytes:], block
}

// SetRow sets a row to numbers, rounded to the format, which is not FP8.
func (w *Weight) SetRow(part, row int, x []float32) {
	sameLength("a weight's row", w.k, len(x))
	p := w.row(part, row)
	switch w.format {
	case FormatF32:
		for i, v := range x {
			putFloat(p[i*wordBytes:], v)
		}
	case FormatBF16:
		for i, v := range x {
			putBF16(p[i/2*wordBytes+i%2*2:], v)
		}
	case FormatInt8, FormatInt4:
		var q [intGroup]int8
		for g := 0; g*intGroup < w.k; g++ {
			group := x[g*intGroup : min((g+1)*intGroup, w.k)]
			s := w.format.quantise(&q, group)
			w.format.setGroup(p, g, q[:len(group)], s)
		}
	default:
		panic("kernel: a row of FP8 takes codes and scales")
	}
}

// SetInts sets a row of integers; scale has one for each group, rounded to bfloat16.
func (w *Weight) SetInts(part, row int, q []int8, scale []float32) {
	sameLength("a weight's integers", w.k, len(q))
	sameLength("a weight's scales", groupsOf(w.k, intGroup), len(scale))
	w.mustBeInt()
	p := w.row(part, row)
	for g, s := range scale {
		w.format.setGroup(p, g, q[g*intGroup:min((g+1)*intGroup, w.k)], s)
	}
}

func (w *Weight) mustBeInt() {
	if w.format != FormatInt8 && w.format != FormatInt4 {
		panic(fmt.Sprintf("kernel: integers for a weight in format %d", w.format))
	}
}

// setGroup sets a group of a row.
func (f Format) setGroup(p []byte, g int, q []int8, scale float32) {
	to, s := f.group(p, g)
	putBF16(s, scale)
	if len(q) < intGroup {
		var whole [intGroup]int8
		copy(whole[:], q)
		q = whole[:]
	}
	words := (*[intGroup / 4]uint32)(unsafe.Pointer(unsafe.SliceData(q)))
	to = to[:f.groupBytes()-wordBytes+4]
	at := unsafe.Pointer(unsafe.SliceData(to))
	if f == FormatInt8 {
		for i, four := range words {
			*(*uint32)(unsafe.Add(at, i*wordBytes)) = four ^ 0x80808080
		}
		return
	}
	for i := range intGroup / 8 {
		const eights, halves = 0x08080808, 0x0f0f0f0f
		*(*uint32)(unsafe.Add(at, i*wordBytes)) = (words[2*i]^eights)&halves | (words[2*i+1]^eights)&halves<<4
	}
}

// SetE4M3 sets a row of E4M3 codes; scale has one for each 128 k's.
func (w *Weight) SetE4M3(part, row int, codes []byte, scale []float32) {
	sameLength("a weight's codes", w.k, len(codes))
	sameLength("a weight's scales", groupsOf(w.k, fp8Group), len(scale))
	if w.format != FormatFP8 {
		panic(fmt.Sprintf("kernel: E4M3 for a weight in format %d", w.format))
	}
	p := w.row(part, row)
	for b, s := range scale {
		to, at := fp8Block(p, b)
		putFloat(at, s)
		for i, c := range codes[b*fp8Group : min((b+1)*fp8Group, w.k)] {
			to[i/4*wordBytes+i%4] = c
		}
	}
}

// ReadRow gives the numbers of a row.
func (w *Weight) ReadRow(dst []float32, part, row int) {
	sameLength("a weight's row", w.k, len(dst))
	p := w.row(part, row)
	switch w.format {
	case FormatF32:
		for i := range dst {
			dst[i] = getFloat(p[i*wordBytes:])
		}
	case FormatBF16:
		for i := range dst {
			dst[i] = getBF16(p[i/2*wordBytes+i%2*2:])
		}
	case FormatFP8:
		for b := 0; b*fp8Group < w.k; b++ {
			codes, scale := fp8Block(p, b)
			s := getFloat(scale)
			for i := range dst[b*fp8Group : min((b+1)*fp8Group, w.k)] {
				dst[b*fp8Group+i] = e4m3[codes[i/4*wordBytes+i%4]] * s
			}
		}
	default:
		for g := 0; g*intGroup < w.k; g++ {
			w.format.readGroup(dst[g*intGroup:min((g+1)*intGroup, w.k)], p, g)
		}
	}
}

// readGroup gives the numbers of a group of a row.
func (f Format) readGroup(dst []float32, p []byte, g int) {
	q, scale := f.group(p, g)
	s := getBF16(scale)
	for i := range dst {
		if f == FormatInt8 {
			dst[i] = float32(int(q[i/4*wordBytes+i%4])-128) * s
		} else {
			dst[i] = float32(int(q[i/8*wordBytes+i%4]>>(i&4)&15)-8) * s
		}
	}
}
