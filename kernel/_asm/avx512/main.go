// Command avx512 writes ../avx512_amd64.s and ../avx512_stubs_amd64.go: the products' inner loops for processors with AVX-512 (F,
// BW, DQ, VL), and with BF16 besides.
//
//	cd kernel/_asm && go run ./avx512 -out ../avx512_amd64.s -stubs ../avx512_stubs_amd64.go -pkg kernel
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A tile has up to maxRows rows and two registers' columns. Of the 32 registers 24 accumulate: latency 4 to 6, at most two a
// cycle.
const (
	maxRows = 12
	lanes   = 16
	width   = 2 * lanes
)

func main() {
	ConstraintExpr("amd64")
	ConstraintExpr("!purego")
	for rows := 1; rows <= maxRows; rows++ {
		tile(fmt.Sprintf("tile%dAVX512", rows), rows, 2, "", fma)
		tile(fmt.Sprintf("tile%dBF16AVX512", rows), rows, 2, " of pairs of bfloat16", dot)
		scaledTile(fmt.Sprintf("scaled%dBF16AVX512", rows), rows)
		tile(fmt.Sprintf("half%dAVX512", rows), rows, 1, "", fma)
		tile(fmt.Sprintf("half%dBF16AVX512", rows), rows, 1, " of pairs of bfloat16", dot)
	}
	rowPacked()
	packColumns("packColumnsAVX512", 1)
	packColumns("packColumnsBF16AVX512", 2)
	packRows("packRowsAVX512", 1, 1)
	packRows("packWideRowsAVX512", 1, 2)
	packRows("packRowsBF16AVX512", 2, 1)
	packRows("packWideRowsBF16AVX512", 2, 2)
	vectors()
	eights()
	weightTiles()
	peakLoop("fmaLoopAVX512", "16 elements", func(x, acc VecVirtual) { VFMADD231PS(x, x, acc) })
	peakLoop("int8LoopAVX512", "64 bytes", func(x, acc VecVirtual) { VPDPBUSD(x, x, acc) })
	Generate()
}

// Registers of a tile, fixed since dot is written as bytes: B in Z0 and Z1, a broadcast of A in Z2 to Z7 in turn, accumulators
// from Z8 on.
func registerB(j int) VecPhysical      { return zmm[j] }
func broadcastA(i int) VecPhysical     { return zmm[2+i%6] }
func accumulator(i, j int) VecPhysical { return zmm[8+2*i+j] }

var zmm = []VecPhysical{
	Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
	Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
}

func fma(b, a, acc VecPhysical) { VFMADD231PS(b, a, acc) }

// tile writes a tile of rows rows. With one vector it has up to 16 columns, those that mask names, on a panel of full width.
func tile(name string, rows, vectors int, of string, multiply func(b, a, acc VecPhysical)) {
	signature, columns := "func(words int, a, b, c *float32, ldc int, add bool)", fmt.Sprint(width, " columns")
	if vectors == 1 {
		signature, columns = "func(words int, a, b, c *float32, ldc int, mask uint32, add bool)", "the columns that mask names"
	}
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes %d rows and %s of C from packed panels%s.", name, rows, columns, of))
	k := Load(Param("words"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	c := Load(Param("c"), GP64())
	ld := Load(Param("ldc"), GP64())
	load, store := func(at Mem, v VecPhysical) { VMOVUPS(at, v) }, func(v VecPhysical, at Mem) { VMOVUPS(v, at) }
	if vectors == 1 {
		mask := loadMask()
		load, store = func(at Mem, v VecPhysical) { VMOVUPS_Z(at, mask, v) }, func(v VecPhysical, at Mem) { VMOVUPS(v, mask, at) }
	}
	add := Load(Param("add"), GP8())
	SHLQ(Imm(2), ld)
	for i := range rows {
		for j := range vectors {
			VPXORD(accumulator(i, j), accumulator(i, j), accumulator(i, j))
		}
	}
	TESTB(add, add)
	JNZ(LabelRef("load"))
	next := GP64() // the tile below, which comes next: it is likely not in a cache
	IMUL3Q(Imm(uint64(rows)), ld, next)
	ADDQ(c, next)
	eachRow(next, ld, rows, vectors, func(i, j int, at Mem) { PREFETCHT0(at) })
	JMP(LabelRef("loop"))
	Label("load")
	eachRow(c, ld, rows, vectors, func(i, j int, at Mem) { load(at, accumulator(i, j)) })

	multiplyPanels(rows, vectors, k, a, b, multiply)
	eachRow(c, ld, rows, vectors, func(i, j int, at Mem) { store(accumulator(i, j), at) })
	VZEROUPPER()
	RET()
}

// multiplyPanels is the inner loop: it adds the product of two panels of k words to the accumulators.
func multiplyPanels(rows, vectors int, k, a, b Register, multiply func(b, a, acc VecPhysical)) {
	Label("loop")
	for j := range vectors {
		VMOVUPS(Mem{Base: b, Disp: 4 * lanes * j}, registerB(j))
	}
	for i := range rows {
		VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, broadcastA(i))
		for j := range vectors {
			multiply(registerB(j), broadcastA(i), accumulator(i, j))
		}
	}
	ADDQ(Imm(uint64(4*rows)), a)
	ADDQ(U32(uint32(4*width)), b)
	DECQ(k)
	JNZ(LabelRef("loop"))
}

// scaledTile writes a tile whose sums are multiplied by a scale for each row and column as they go into C.
func scaledTile(name string, rows int) {
	TEXT(name, NOSPLIT, "func(words int, a, b, c *float32, ldc int, scaleA, scaleB *float32, add bool)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes %d rows and %d columns of C from packed panels of pairs of bfloat16, times scaleA[row]·scaleB[column].", name, rows, width))
	k, ld := Load(Param("words"), GP64()), Load(Param("ldc"), GP64())
	a, b, c := Load(Param("a"), GP64()), Load(Param("b"), GP64()), Load(Param("c"), GP64())
	SHLQ(Imm(2), ld)
	for i := range rows {
		for j := range 2 {
			VPXORD(accumulator(i, j), accumulator(i, j), accumulator(i, j))
		}
	}
	multiplyPanels(rows, 2, k, a, b, dot)
	add, old := GP32(), K() // all lanes of C count, or none
	Load(Param("add"), add.As8())
	MOVBLZX(add.As8(), add)
	NEGL(add)
	KMOVW(add, old)
	scaleA, scaleB := Load(Param("scaleA"), GP64()), Load(Param("scaleB"), GP64())
	for j := range 2 {
		VMOVUPS(Mem{Base: scaleB, Disp: 4 * lanes * j}, registerB(j))
	}
	eachRow(c, ld, rows, 2, func(i, j int, at Mem) {
		scale, sum := zmm[2+2*j], zmm[3+2*j]
		VMULPS_BCST(Mem{Base: scaleA, Disp: 4 * i}, registerB(j), scale)
		VMOVUPS_Z(at, old, sum)
		VFMADD231PS(scale, accumulator(i, j), sum)
		VMOVUPS(sum, at)
	})
	VZEROUPPER()
	RET()
}

// eachRow calls f for each row's registers of C.
func eachRow(c, ld Register, rows, vectors int, f func(i, j int, at Mem)) {
	p := GP64()
	MOVQ(c, p)
	for i := range rows {
		for j := range vectors {
			f(i, j, Mem{Base: p, Disp: 4 * lanes * j})
		}
		if i+1 < rows {
			ADDQ(ld, p)
		}
	}
}

// rowPacked writes one row times four packed panels of B. Eight accumulators hide the latency.
func rowPacked() {
	const panels = 4
	TEXT("rowPackedAVX512", NOSPLIT, "func(k int, a, b *float32, stride int, c *float32)")
	Pragma("noescape")
	Doc("rowPackedAVX512 adds a·b to 128 elements of c: a has k elements, b four panels of 32 columns, stride elements apart.")
	n := Load(Param("k"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	c := Load(Param("c"), GP64())
	stride := Load(Param("stride"), GP64())
	SHLQ(Imm(2), stride)
	far := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, far)
	panel := [panels]Mem{{Base: b}, {Base: b, Index: stride, Scale: 1}, {Base: b, Index: stride, Scale: 2}, {Base: b, Index: far, Scale: 1}}
	var acc [2 * panels]VecVirtual
	for i := range acc {
		acc[i] = ZMM()
		VMOVUPS(Mem{Base: c, Disp: 64 * i}, acc[i])
	}
	Label("loop")
	x := ZMM()
	VBROADCASTSS(Mem{Base: a}, x)
	for i := range acc {
		VFMADD231PS(panel[i/2].Offset(64*(i%2)), x, acc[i])
	}
	ADDQ(Imm(4), a)
	ADDQ(U32(4*width), b)
	DECQ(n)
	JNZ(LabelRef("loop"))
	for i := range acc {
		VMOVUPS(acc[i], Mem{Base: c, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

// peakLoop does nothing but what it measures.
func peakLoop(name, of string, multiply func(x, acc VecVirtual)) {
	const chains = 24
	TEXT(name, NOSPLIT, "func(rounds int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s does %d independent multiply-adds of %s in each round.", name, chains, of))
	n := Load(Param("rounds"), GP64())
	x := ZMM()
	VPXORD(x, x, x)
	acc := make([]VecVirtual, chains)
	for i := range acc {
		acc[i] = ZMM()
		VPXORD(acc[i], acc[i], acc[i])
	}
	Label("loop")
	for _, v := range acc {
		multiply(x, v)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
