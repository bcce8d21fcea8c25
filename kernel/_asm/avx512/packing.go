package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The registers are fixed, since toBF16 is written as bytes.

// packColumns writes the function that turns up to 16 rows, whose k's lie side by side, into columns: word w of row i goes to place i
// of the panel's row w. A word is depth k's.
func packColumns(name string, depth int) {
	TEXT(name, NOSPLIT, "func(k int, dst *float32, step int, src *float32, ld, rows int, store uint32)")
	Pragma("noescape")
	what := "k elements"
	if depth == 2 {
		what = "k elements, rounded to bfloat16 and paired,"
	}
	Doc(fmt.Sprintf("%s turns rows, 1 to 16, of %s into columns of dst, whose rows are step elements apart. Places that store", name, what),
		"names are written, with zeros past the rows.")
	pointers := AllocLocal(16 * 8) // of the rows; those that are not there are the last one
	src, ld := Load(Param("src"), GP64()), Load(Param("ld"), GP64())
	rows := Load(Param("rows"), GP64())
	SHLQ(Imm(2), ld)
	for i := range 16 {
		MOVQ(src, pointers.Offset(8*i))
		next := GP64()
		LEAQ(Mem{Base: src, Index: ld, Scale: 1}, next)
		CMPQ(rows, Imm(uint64(i+1)))
		CMOVQGT(next, src)
	}
	there, store, whole := K(), K(), K()
	bits, one := GP64(), GP64()
	MOVQ(rows, RCX)
	MOVQ(U32(1), one)
	SHLQ(CL, one)
	DECQ(one)
	KMOVW(one.As32(), there)
	KMOVW(Load(Param("store"), GP32()), store)
	MOVQ(I32(-1), bits)
	KMOVW(bits.As32(), whole)
	k := Load(Param("k"), GP64())
	dst, step := Load(Param("dst"), GP64()), Load(Param("step"), GP64())
	SHLQ(Imm(2), step)
	off := GP64()
	XORQ(off, off)

	low, high := K(), K() // the elements to load
	KMOVW(whole, low)
	KMOVW(whole, high)
	Label("blocks")
	CMPQ(k, U32(uint32(lanes*depth)))
	JL(LabelRef("last"))
	turn(pointers, off, low, high, depth)
	for w := range lanes {
		out(w, there, store, dst)
		ADDQ(step, dst)
	}
	ADDQ(U32(uint32(4*lanes*depth)), off)
	SUBQ(U32(uint32(lanes*depth)), k)
	JMP(LabelRef("blocks"))

	Label("last")
	TESTQ(k, k)
	JZ(LabelRef("done"))
	MOVQ(k, RCX)
	MOVQ(U32(1), one)
	SHLQ(CL, one)
	DECQ(one)
	KMOVW(one.As32(), low)
	SHRQ(Imm(16), one)
	KMOVW(one.As32(), high)
	turn(pointers, off, low, high, depth)
	if depth == 2 {
		INCQ(k)
		SHRQ(Imm(1), k)
	}
	for w := range lanes {
		out(w, there, store, dst)
		ADDQ(step, dst)
		DECQ(k)
		JZ(LabelRef("done"))
	}
	Label("done")
	VZEROUPPER()
	RET()
}

// out stores word w, as turn leaves it.
func out(w int, there, store, dst Register) {
	VMOVUPS_Z(zmm[w], there, zmm[w])
	VMOVUPS(zmm[w], store, Mem{Base: dst})
}

// turn loads 16 words of each row and leaves words w of all rows in zmm[w].
func turn(pointers Mem, off, low, high Register, depth int) {
	p := GP64()
	for i := range 16 {
		MOVQ(pointers.Offset(8*i), p)
		if depth == 1 {
			VMOVUPS_Z(Mem{Base: p, Index: off, Scale: 1}, low, zmm[i])
			continue
		}
		VMOVUPS_Z(Mem{Base: p, Index: off, Scale: 1}, low, zmm[30])
		VMOVUPS_Z(Mem{Base: p, Index: off, Scale: 1, Disp: 64}, high, zmm[31])
		toBF16(zmm[30], zmm[31], zmm[i])
	}
	for i := 0; i < 16; i += 2 { // pairs of rows, interleaved
		VUNPCKLPS(zmm[i+1], zmm[i], zmm[16+i])
		VUNPCKHPS(zmm[i+1], zmm[i], zmm[17+i])
	}
	for g := 0; g < 16; g += 4 { // words c of four rows, for c, 4 + c, 8 + c, 12 + c in zmm[g+c]
		for c := range 4 {
			from := 16 + g + c/2
			if c%2 == 0 {
				VUNPCKLPD(zmm[from+2], zmm[from], zmm[g+c])
			} else {
				VUNPCKHPD(zmm[from+2], zmm[from], zmm[g+c])
			}
		}
	}
	for c := range 4 { // quarters of those, turned
		for g := 0; g < 16; g += 8 {
			VSHUFF32X4(Imm(0x88), zmm[g+4+c], zmm[g+c], zmm[16+g+c])
			VSHUFF32X4(Imm(0xdd), zmm[g+4+c], zmm[g+c], zmm[16+g+4+c])
		}
	}
	for c := range 4 {
		even, odd := 16+c, 16+4+c
		VSHUFF32X4(Imm(0x88), zmm[even+8], zmm[even], zmm[c])
		VSHUFF32X4(Imm(0xdd), zmm[even+8], zmm[even], zmm[8+c])
		VSHUFF32X4(Imm(0x88), zmm[odd+8], zmm[odd], zmm[4+c])
		VSHUFF32X4(Imm(0xdd), zmm[odd+8], zmm[odd], zmm[12+c])
	}
}

// packRows writes the function that lays rows out as panels of up to 16·vectors columns side by side: each row of the source is
// read from its beginning to its end. With depth 2 the words are pairs of rows.
func packRows(name string, depth, vectors int) {
	TEXT(name, NOSPLIT, "func(k int, dst *float32, step, panel int, src *float32, ld, panels, width int, load, store uint32)")
	Pragma("noescape")
	what := ""
	if depth == 2 {
		what = ", rounded to bfloat16 and paired,"
	}
	Doc(fmt.Sprintf("%s lays k rows%s out as panels, panel elements apart, of rows that are step elements apart; a panel takes", name, what),
		"the columns that load names, of width, and writes the places that store names.")
	k := Load(Param("k"), GP64())
	dst, step, panel := Load(Param("dst"), GP64()), Load(Param("step"), GP64()), Load(Param("panel"), GP64())
	src, ld, width := Load(Param("src"), GP64()), Load(Param("ld"), GP64()), Load(Param("width"), GP64())
	for _, r := range []Register{step, panel, ld, width} {
		SHLQ(Imm(2), r)
	}
	masks := func(name string) (m [2]Register) {
		bits := Load(Param(name), GP32())
		for j := range vectors {
			m[j] = K()
			KMOVW(bits, m[j])
			SHRL(Imm(16), bits)
		}
		return m
	}
	load, store := masks("load"), masks("store")
	if depth == 2 {
		VMOVUPS(interleaved(), zmm[31])
	}
	n, from, to := GP64(), GP64(), GP64()
	row := func(odd bool) {
		Load(Param("panels"), n)
		MOVQ(src, from)
		MOVQ(dst, to)
		label := map[bool]string{false: "panels", true: "panels1"}[odd]
		Label(label)
		for j := range vectors {
			low, high := zmm[4*j], zmm[4*j+1]
			VMOVUPS_Z(Mem{Base: from, Disp: 64 * j}, load[j], low)
			if depth == 2 {
				if odd {
					VPXORD(high, high, high)
				} else {
					VMOVUPS_Z(Mem{Base: from, Index: ld, Scale: 1, Disp: 64 * j}, load[j], high)
				}
				toBF16(low, high, zmm[4*j+2])
				VPERMW(zmm[4*j+2], zmm[31], low)
			}
			VMOVUPS(low, store[j], Mem{Base: to, Disp: 64 * j})
		}
		ADDQ(width, from)
		ADDQ(panel, to)
		DECQ(n)
		JNZ(LabelRef(label))
	}
	if depth == 2 {
		CMPQ(k, Imm(2))
		JL(LabelRef("last"))
	}
	Label("rows")
	row(false)
	ADDQ(step, dst)
	if depth == 1 {
		ADDQ(ld, src)
		DECQ(k)
		JNZ(LabelRef("rows"))
	} else {
		LEAQ(Mem{Base: src, Index: ld, Scale: 2}, src)
		SUBQ(Imm(2), k)
		CMPQ(k, Imm(2))
		JGE(LabelRef("rows"))
		Label("last")
		TESTQ(k, k)
		JZ(LabelRef("done"))
		row(true)
		Label("done")
	}
	VZEROUPPER()
	RET()
}

var interleave *Mem

// interleaved is the places of VPERMW that bring two halves together, word by word.
func interleaved() Mem {
	if interleave == nil {
		m := GLOBL("interleaved", RODATA|NOPTR)
		for i := range 16 {
			DATA(4*i, U32(uint32(i|(16+i)<<16)))
		}
		interleave = &m
	}
	return *interleave
}

func loadMask() Register {
	m, k := GP32(), K()
	Load(Param("mask"), m)
	KMOVW(m, k)
	return k
}
