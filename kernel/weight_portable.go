package kernel

import "encoding/binary"

// weightTile multiplies up to tileRows rows of A with a panel of a weight:
//
//	c[i·ldc + j] = Σ_k a_i[k]·w_j[k], or += with add, for j < cols
//
// where a_i begins at a[s.off[i]], in the form for the panel's format, and has the k's that the panel has, at least one.
type weightTile func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool)

// tileRows is the most rows of a tile.
const tileRows = 8

// tileSpace is the rows of a tile, and a worker's space.
type tileSpace struct {
	rows int
	off  [tileRows]int
	sums [2 * panelRows]float32
}

// portableTiles are the tiles by format: what the others are compared with.
var portableTiles = [...]weightTile{
	FormatF32:  eachRow(rowF32),
	FormatBF16: eachRow(rowBF16),
	FormatFP8:  eachRow(rowFP8),
	FormatInt8: eachRow(func(k int, w, a []byte, sums *[panelRows]float32) { rowInt(FormatInt8, k, w, a, sums) }),
	FormatInt4: eachRow(func(k int, w, a []byte, sums *[panelRows]float32) { rowInt(FormatInt4, k, w, a, sums) }),
}

// eachRow makes a tile of what computes one row's sums, beginning at zero.
func eachRow(row func(k int, w, a []byte, sums *[panelRows]float32)) weightTile {
	return func(k int, w, a []byte, s *tileSpace, c []float32, ldc, cols int, add bool) {
		for i, o := range s.off[:s.rows] {
			var sums [panelRows]float32
			row(k, w, a[o:], &sums)
			putSums(c[i*ldc:i*ldc+cols], sums[:], add)
		}
	}
}

// putSums sets a tile's row, or adds to it.
func putSums(c, sums []float32, add bool) {
	if !add {
		copy(c, sums)
		return
	}
	for j := range c {
		c[j] += sums[j]
	}
}

func rowF32(k int, w, a []byte, sums *[panelRows]float32) {
	for i := range k {
		x, word := getFloat(a[4*i:]), w[i*wordBytes:(i+1)*wordBytes]
		for j := range sums {
			sums[j] += float32(x * getFloat(word[4*j:]))
		}
	}
}

func rowBF16(k int, w, a []byte, sums *[panelRows]float32) {
	for i := range k {
		x, word := getBF16(a[2*i:]), w[i/2*wordBytes+i%2*2:]
		for j := range sums {
			sums[j] += float32(x * getBF16(word[4*j:]))
		}
	}
}

func rowFP8(k int, w, a []byte, sums *[panelRows]float32) {
	for b := 0; b*fp8Group < k; b++ {
		var part [panelRows]float32
		codes, scale := fp8Block(w, b)
		for i := range min(fp8Group, k-b*fp8Group) {
			x, word := getBF16(a[2*(b*fp8Group+i):]), codes[i/4*wordBytes+i%4:]
			for j := range part {
				part[j] += float32(x * e4m3[word[4*j]])
			}
		}
		for j := range sums {
			sums[j] += float32(part[j] * getFloat(scale[4*j:]))
		}
	}
}

// rowInt sums 32 products in int32, exactly, and those sums, times both scales, in float32.
func rowInt(f Format, k int, w, a []byte, sums *[panelRows]float32) {
	for g := 0; g*intGroup < k; g++ {
		record := a[g*intRecord : (g+1)*intRecord]
		q, scale := f.group(w, g)
		var part [panelRows]int32
		if f == FormatInt8 {
			dotsInt8(&part, q[:panelRows*intGroup], record)
		} else {
			dotsInt4(&part, q[:panelRows*intGroup/2], record)
		}
		s := getFloat(record[recordScale:])
		for j := range sums {
			sums[j] += float32(float32(part[j]) * float32(getBF16(scale[4*j:])*s))
		}
	}
}

func dotsInt8(part *[panelRows]int32, q, record []byte) {
	start := int32(binary.LittleEndian.Uint32(record[recordInt8:]))
	for j := range part {
		part[j] = start
	}
	for i := range intGroup {
		x, word := int32(int8(record[i])), q[i/4*wordBytes+i%4:]
		for j := range part {
			part[j] += x * int32(word[4*j])
		}
	}
}

func dotsInt4(part *[panelRows]int32, q, record []byte) {
	start := int32(binary.LittleEndian.Uint32(record[recordInt4:]))
	for j := range part {
		part[j] = start
	}
	for i := range intGroup {
		x, word, shift := int32(int8(record[i])), q[i/8*wordBytes+i%4:], i&4
		for j := range part {
			part[j] += x * int32(word[4*j]>>shift&15)
		}
	}
}
