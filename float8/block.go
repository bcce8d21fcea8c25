package float8

import (
	"fmt"
	"math"
)

// Block is the side of a block of weights and the length of a tile of activations.
const Block = 128

// minAmax keeps the scale of a group of zeros, or nearly so, away from zero. DeepSeek's kernels have the same floor.
const minAmax = 1e-4

// Blocks is the number of blocks, or tiles, that cover n values: ceil(n/128).
func Blocks(n int) int { return n/Block + min(1, n%Block) }

// QuantizeTiles encodes x [rows, cols] as E4M3 into q [rows, cols], with one scale for each tile of 1 x 128 in scale
// [rows, Blocks(cols)]; pow2 rounds the scales up to powers of two. It panics where a length does not match.
func QuantizeTiles(q []uint8, scale []float32, x []float32, rows, cols int, pow2 bool) {
	mustFit("QuantizeTiles", len(q), len(x), len(scale), rows, cols, rows)
	for r := range rows {
		for lo := 0; lo < cols; lo += Block {
			hi := min(lo+Block, cols)
			tile := x[r*cols+lo : r*cols+hi]
			s := scaleOf(amaxBits(tile, 0), pow2)
			scale[r*Blocks(cols)+lo/Block] = s
			encode(q[r*cols+lo:r*cols+hi], tile, s)
		}
	}
}

// DequantizeTiles undoes QuantizeTiles: x = q · scale.
func DequantizeTiles(x []float32, q []uint8, scale []float32, rows, cols int) {
	mustFit("DequantizeTiles", len(q), len(x), len(scale), rows, cols, rows)
	for r := range rows {
		decodeRow(x[r*cols:(r+1)*cols], q[r*cols:], scale[r*Blocks(cols):])
	}
}

// QuantizeBlocks encodes w [rows, cols] as E4M3 into q [rows, cols], with one scale for each block of 128 x 128 in scale
// [Blocks(rows), Blocks(cols)]; pow2 rounds the scales up to powers of two. It panics where a length does not match.
func QuantizeBlocks(q []uint8, scale []float32, w []float32, rows, cols int, pow2 bool) {
	mustFit("QuantizeBlocks", len(q), len(w), len(scale), rows, cols, Blocks(rows))
	BlockScales(scale, w, rows, cols, pow2)
	for r := range rows {
		for lo := 0; lo < cols; lo += Block {
			hi := min(lo+Block, cols)
			encode(q[r*cols+lo:r*cols+hi], w[r*cols+lo:r*cols+hi], scale[r/Block*Blocks(cols)+lo/Block])
		}
	}
}

// BlockScales computes the scales of QuantizeBlocks alone.
func BlockScales(scale []float32, w []float32, rows, cols int, pow2 bool) {
	mustFit("BlockScales", len(w), len(w), len(scale), rows, cols, Blocks(rows))
	for i := range scale {
		top, lo := i/Blocks(cols)*Block, i%Blocks(cols)*Block
		var amax uint32
		for r := top; r < min(top+Block, rows); r++ {
			amax = amaxBits(w[r*cols+lo:r*cols+min(lo+Block, cols)], amax)
		}
		scale[i] = scaleOf(amax, pow2)
	}
}

// DequantizeBlocks undoes QuantizeBlocks: w = q · scale.
func DequantizeBlocks(w []float32, q []uint8, scale []float32, rows, cols int) {
	mustFit("DequantizeBlocks", len(q), len(w), len(scale), rows, cols, Blocks(rows))
	for r := range rows {
		decodeRow(w[r*cols:(r+1)*cols], q[r*cols:], scale[r/Block*Blocks(cols):])
	}
}

// amaxBits is the largest magnitude among amax and the values of x, as the bits of a float32. Bits of magnitudes order as the
// magnitudes do, with infinity above the numbers and NaN above infinity.
func amaxBits(x []float32, amax uint32) uint32 {
	for _, v := range x {
		amax = max(amax, math.Float32bits(v)&^signBit)
	}
	return amax
}

// scaleOf is the scale of a group whose largest magnitude has the bits amax.
func scaleOf(amax uint32, pow2 bool) float32 {
	s := max(math.Float32frombits(amax), minAmax) / MaxE4M3
	if pow2 {
		return ScaleUE8M0(s)
	}
	return s
}

// encode writes E4M3(x / s) into q.
func encode(q []uint8, x []float32, s float32) {
	q = q[:len(x)]
	for i, v := range x {
		q[i] = EncodeE4M3(v / s)
	}
}

// decodeRow writes one row of q · scale into x; scale has one value for each 128 columns.
func decodeRow(x []float32, q []uint8, scale []float32) {
	for lo := 0; lo < len(x); lo += Block {
		tile, s := x[lo:min(lo+Block, len(x))], scale[lo/Block]
		codes := q[lo : lo+len(tile)]
		for i, c := range codes {
			tile[i] = e4m3[c] * s
		}
	}
}

// mustFit panics unless q and x hold rows·cols values and scale holds scaleRows rows of scales.
func mustFit(op string, q, x, scale, rows, cols, scaleRows int) {
	if rows < 0 || cols < 0 || q != rows*cols || x != q || scale != scaleRows*Blocks(cols) {
		panic(fmt.Sprintf("float8: %s of a %d x %d matrix: %d codes, %d values, %d scales; want %d, %d, %d",
			op, rows, cols, q, x, scale, rows*cols, rows*cols, scaleRows*Blocks(cols)))
	}
}
