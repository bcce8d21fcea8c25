package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// dot is VDPBF16PS a, b, acc: acc += the sum of both products of each pair of bfloat16's. Neither avo nor Go's assembler knows
// it: EVEX.512.F3.0F38.W0 52 /r.
func dot(b, a, acc VecPhysical) {
	d, v, m := uint8(acc.PhysicalIndex()), uint8(b.PhysicalIndex()), uint8(a.PhysicalIndex())
	not := func(x uint8, bit, to int) uint8 { return ^(x >> bit) & 1 << to }
	for _, x := range []uint8{
		0x62,
		not(d, 3, 7) | not(m, 4, 6) | not(m, 3, 5) | not(d, 4, 4) | 2, // R X B R', map 0F38
		^v&15<<3 | 4 | 2,    // W0, vvvv, F3
		2<<5 | not(v, 4, 3), // 512 bits, V', no mask
		0x52,                // the operation
		3<<6 | d&7<<3 | m&7, // registers
	} {
		Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(x)}})
	}
}

// pairs writes the rounding of a panel's rows to bfloat16, two rows to one of pairs, in the first row's place.
func pairs() {
	TEXT("pairsAVX512", NOSPLIT, "func(rows int, x *float32, step int, mask uint32)")
	Pragma("noescape")
	Doc("pairsAVX512 rounds the columns of x that mask names to bfloat16, to nearest even, and puts the words of rows 2i and 2i+1,",
		"low and high, into row 2i; a last row without a partner gets zeros. Rows are step elements apart.")
	n := Load(Param("rows"), GP64())
	x := Load(Param("x"), GP64())
	step := Load(Param("step"), GP64())
	SHLQ(Imm(2), step)
	mask := loadMask()
	one, half, quiet, top := broadcast(1), broadcast(0x7fff), broadcast(1<<22), broadcast(0xffff0000)

	// round rounds v in the upper half of each word. The rest of the word is not cleared.
	round := func(v VecVirtual) VecVirtual {
		r, nan := ZMM(), K()
		VPSRLD(Imm(16), v, r)
		VPANDD(one, r, r)
		VPADDD(half, r, r)
		VPADDD(v, r, r)
		VCMPPS(Imm(3), v, v, nan)
		VPORD(quiet, v, nan, r) // a NaN may be one by its lower half alone
		return r
	}
	load := func(at Mem) VecVirtual {
		v := ZMM()
		VMOVUPS_Z(at, mask, v)
		return v
	}
	CMPQ(n, Imm(2))
	JL(LabelRef("last"))
	Label("loop")
	low, high := round(load(Mem{Base: x})), round(load(Mem{Base: x, Index: step, Scale: 1}))
	VPSRLD(Imm(16), low, low)
	VPANDD(top, high, high)
	VPORD(high, low, low)
	VMOVUPS(low, mask, Mem{Base: x})
	LEAQ(Mem{Base: x, Index: step, Scale: 2}, x)
	SUBQ(Imm(2), n)
	CMPQ(n, Imm(2))
	JGE(LabelRef("loop"))
	Label("last")
	TESTQ(n, n)
	JZ(LabelRef("done"))
	low = round(load(Mem{Base: x}))
	VPSRLD(Imm(16), low, low)
	VMOVUPS(low, mask, Mem{Base: x})
	Label("done")
	VZEROUPPER()
	RET()
}

func loadMask() Register {
	m, k := GP32(), K()
	Load(Param("mask"), m)
	KMOVW(m, k)
	return k
}

func broadcast(bits uint32) VecVirtual {
	r, v := GP32(), ZMM()
	MOVL(U32(bits), r)
	VPBROADCASTD(r, v)
	return v
}
