package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// transpose writes the function that turns up to 8 rows. Rows that are not there are read as the last one, and masked off.
func transpose() {
	TEXT("transposeAVX512", NOSPLIT, "func(blocks int, dst *float32, step int, src *float32, ld, rows int, mask uint32)")
	Pragma("noescape")
	Doc("transposeAVX512 turns rows, 1 to 8, of 8·blocks elements, ld elements apart, into columns of dst, whose rows are step elements",
		"apart; mask has a bit for each row.")
	n := Load(Param("blocks"), GP64())
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	rows := Load(Param("rows"), GP64())
	mask := loadMask()
	SHLQ(Imm(2), ld)
	row := [8]Register{src}
	for i := 1; i < len(row); i++ {
		next := GP64()
		MOVQ(row[i-1], next)
		ADDQ(ld, next)
		CMPQ(rows, Imm(uint64(i)))
		CMOVQLE(row[i-1], next)
		row[i] = next
	}
	step := Load(Param("step"), GP64())
	SHLQ(Imm(2), step)
	Label("loop")
	for k := 0; k < 8; k += 4 {
		for _, column := range turn(func(i int) (low, high Mem) {
			return Mem{Base: row[i], Disp: 4 * k}, Mem{Base: row[i+4], Disp: 4 * k}
		}) {
			VMOVUPS(column, mask, Mem{Base: dst})
			ADDQ(step, dst)
		}
	}
	for _, r := range row {
		ADDQ(Imm(32), r)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// turn returns four columns of a block of 8 x 4, of which at(i) are the places of rows i and i+4.
func turn(at func(i int) (low, high Mem)) [4]VecVirtual {
	var r, out [4]VecVirtual
	for i := range r {
		low, high := at(i)
		r[i], out[i] = YMM(), YMM()
		VBROADCASTF32X4(low, r[i])
		VINSERTF32X4(Imm(1), high, r[i], r[i])
	}
	for i := 0; i < 4; i += 2 { // pairs of rows, interleaved
		low, high := YMM(), YMM()
		VUNPCKLPS(r[i+1], r[i], low)
		VUNPCKHPS(r[i+1], r[i], high)
		r[i], r[i+1] = low, high
	}
	for half := range 2 {
		VUNPCKLPD(r[2+half], r[half], out[2*half])
		VUNPCKHPD(r[2+half], r[half], out[2*half+1])
	}
	return out
}

// copyRows writes the function that gathers up to 16 columns.
func copyRows() {
	TEXT("copyRowsAVX512", NOSPLIT, "func(rows int, dst *float32, step int, src *float32, ld int, mask uint32)")
	Pragma("noescape")
	Doc("copyRowsAVX512 copies the columns of src that mask names to dst; rows are ld and step elements apart.")
	n := Load(Param("rows"), GP64())
	dst := Load(Param("dst"), GP64())
	step := Load(Param("step"), GP64())
	src := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	mask := loadMask()
	SHLQ(Imm(2), step)
	SHLQ(Imm(2), ld)
	Label("loop")
	v := ZMM()
	VMOVUPS_Z(Mem{Base: src}, mask, v)
	VMOVUPS(v, mask, Mem{Base: dst})
	ADDQ(ld, src)
	ADDQ(step, dst)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
