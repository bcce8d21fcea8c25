// Command attend writes ../attend_amd64.s and ../attend_stubs_amd64.go: attention's inner loops for processors with AVX-512 and BF16.
//
//	cd kernel/_asm && go run ./attend -out ../attend_amd64.s -stubs ../attend_stubs_amd64.go -pkg kernel
package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("amd64")
	ConstraintExpr("!purego")
	pairLanes()
	scores("scoresBF16AVX512", 2)
	scores("scoresHalfBF16AVX512", 1)
	softmax()
	values()
	order()
	narrow()
	widen()
	decode()
	columns()
	Generate()
}

// All registers are fixed, since avo doesn't see into what is written as bytes.
var zmm = []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
}

func begin(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	doc[0] = name + " " + doc[0]
	Doc(doc...)
}

func end() {
	VZEROUPPER()
	RET()
}

// dot is VDPBF16PS a, b, acc: acc += the sum of both products of each pair of bfloat16's.
func dot(b, a, acc VecPhysical) { evex(2, 0x52, acc, b, a) }

// toBF16 is VCVTNE2PS2BF16: it rounds the float32's of low and high to bfloat16's, to nearest even, low in the lower half of out.
func toBF16(low, high, out VecPhysical) { evex(3, 0x72, out, high, low) }

// evex writes an instruction on three 512-bit registers: EVEX.512.pp.0F38.W0 operation /r with pp 2 for F3 and 3 for F2.
func evex(pp, operation uint8, out, first, second VecPhysical) {
	d, v, m := uint8(out.PhysicalIndex()), uint8(first.PhysicalIndex()), uint8(second.PhysicalIndex())
	not := func(x uint8, bit, to int) uint8 { return ^(x >> bit) & 1 << to }
	for _, x := range []uint8{
		0x62,
		not(d, 3, 7) | not(m, 4, 6) | not(m, 3, 5) | not(d, 4, 4) | 2, // R X B R', map 0F38
		^v&15<<3 | 4 | pp,   // W0, vvvv
		2<<5 | not(v, 4, 3), // 512 bits, V', no mask
		operation,
		3<<6 | d&7<<3 | m&7, // registers
	} {
		Instruction(&ir.Instruction{Opcode: "BYTE", Operands: []Op{U8(x)}})
	}
}

// splat fills a register with one word.
func splat(bits uint32, v VecPhysical) {
	MOVL(U32(bits), EAX)
	VPBROADCASTD(EAX, v)
}

var interleave *Mem

// interleaved is the places of VPERMW that bring two halves together, word by word.
func interleaved() Mem {
	if interleave == nil {
		m := GLOBL("interleavedWords", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(uint32(i|(16+i)<<16)))
		}
		interleave = &m
	}
	return *interleave
}
