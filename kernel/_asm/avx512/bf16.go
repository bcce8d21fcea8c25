package main

import (
	"encoding/binary"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Neither avo nor Go's assembler knows the two instructions of AVX512-BF16 that are used.

// dot is VDPBF16PS a, b, acc: acc += the sum of both products of each pair of bfloat16's.
func dot(b, a, acc VecPhysical) { evex(2, 0x52, acc, b, a) }

// dotWith is dot with a pair of bfloat16's in memory as every pair of b.
func dotWith(b Mem, a, acc VecPhysical) {
	d, v := uint8(acc.PhysicalIndex()), uint8(a.PhysicalIndex())
	base, index := gpIndex(b.Base), gpIndex(b.Index)
	bytes := []uint8{
		0x62,
		inverted(d, 3, 7) | inverted(index, 3, 6) | inverted(base, 3, 5) | inverted(d, 4, 4) | 2, // R X B R', map 0F38
		^v&15<<3 | 4 | 2,                // W0, vvvv, F3
		2<<5 | 1<<4 | inverted(v, 4, 3), // 512 bits, broadcast, V', no mask
		0x52,
		2<<6 | d&7<<3 | 4,   // displacement of 32 bits, SIB
		index&7<<3 | base&7, // scale 1
	}
	writeBytes(binary.LittleEndian.AppendUint32(bytes, uint32(b.Disp))...)
}

func gpIndex(r Register) uint8 { return uint8(r.(Physical).PhysicalIndex()) }

// toBF16 is VCVTNE2PS2BF16: it rounds the float32's of low and high to bfloat16's, to nearest even, low in the lower half of out.
func toBF16(low, high, out VecPhysical) { evex(3, 0x72, out, high, low) }

// evex writes an instruction on three 512-bit registers: EVEX.512.pp.0F38.W0 operation /r with pp 2 for F3 and 3 for F2.
func evex(pp, operation uint8, out, first, second VecPhysical) {
	d, v, m := uint8(out.PhysicalIndex()), uint8(first.PhysicalIndex()), uint8(second.PhysicalIndex())
	writeBytes(
		0x62,
		inverted(d, 3, 7)|inverted(m, 4, 6)|inverted(m, 3, 5)|inverted(d, 4, 4)|2, // R X B R', map 0F38
		^v&15<<3|4|pp,          // W0, vvvv
		2<<5|inverted(v, 4, 3), // 512 bits, V', no mask
		operation,
		3<<6|d&7<<3|m&7, // registers
	)
}

// inverted is the opposite of a bit of x, at another place.
func inverted(x uint8, bit, to int) uint8 { return ^(x >> bit) & 1 << to }

func writeBytes(bytes ...uint8) {
	for _, x := range bytes {
		Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(x)}})
	}
}

// broadcast fills a register with one word.
func broadcast(bits uint32) VecVirtual {
	r, v := GP32(), ZMM()
	MOVL(U32(bits), r)
	VPBROADCASTD(r, v)
	return v
}
