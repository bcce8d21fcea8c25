package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

func packing() {
	transpose(6)
	transpose(8)
	copyRows(6)
	copyRows(16)
}

// transpose writes the function that turns rows of 8·blocks elements into 8·blocks rows, stride bytes apart. It writes 8
// elements each time, those past its rows being zero: the caller goes forward, so that the next row covers them.
func transpose(rows int) {
	name := fmt.Sprintf("transpose%dAVX2", rows)
	TEXT(name, NOSPLIT, "func(blocks int, dst *float32, stride int, src *float32, ld int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s turns %d rows of 8·blocks elements, ld elements apart, into columns; rows of dst are stride bytes apart.", name, rows))
	n := Load(Param("blocks"), GP64())
	dst := Load(Param("dst"), GP64())
	stride := Load(Param("stride"), GP64())
	src := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	SHLQ(Imm(2), ld)
	far := GP64() // three rows on, to reach all by scaled indexes
	LEAQ(Mem{Base: ld, Index: ld, Scale: 2}, far)
	src4 := GP64()
	LEAQ(Mem{Base: src, Index: ld, Scale: 4}, src4)

	at := func(base Register, i int) Mem {
		switch i {
		case 0:
			return Mem{Base: base}
		case 3:
			return Mem{Base: base, Index: far, Scale: 1}
		}
		return Mem{Base: base, Index: ld, Scale: uint8(i)}
	}
	row := func(i, disp int) Mem {
		m := at(src, i)
		if i >= 4 {
			m = at(src4, i-4)
		}
		m.Disp = disp
		return m
	}

	Label("loop")
	// Halves of rows i and i+4 side by side, so that the rest stays within 128 bits.
	half := func(i, disp int) VecVirtual {
		v := YMM()
		VBROADCASTF128(row(i, disp), v)
		if i+4 < rows {
			VINSERTF128(Imm(1), row(i+4, disp), v, v)
		}
		return v
	}
	for _, disp := range []int{0, 16} { // columns 0-3, then 4-7
		out := turn4(func(i int) VecVirtual { return half(i, disp) })
		for _, o := range out {
			VMOVUPS(o, Mem{Base: dst})
			ADDQ(stride, dst)
		}
	}
	ADDQ(Imm(32), src)
	ADDQ(Imm(32), src4)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// copyRows writes the function that gathers rows of width elements.
func copyRows(width int) {
	name := fmt.Sprintf("copyRows%dAVX2", width)
	TEXT(name, NOSPLIT, "func(rows int, dst, src *float32, ld int)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s copies rows of %d elements, ld elements apart, to dst without gaps.", name, width))
	n := Load(Param("rows"), GP64())
	dst := Load(Param("dst"), GP64())
	src := Load(Param("src"), GP64())
	ld := Load(Param("ld"), GP64())
	SHLQ(Imm(2), ld)
	Label("loop")
	for at := 0; at < width; {
		switch left := width - at; {
		case left >= 8:
			v := YMM()
			VMOVUPS(Mem{Base: src, Disp: 4 * at}, v)
			VMOVUPS(v, Mem{Base: dst, Disp: 4 * at})
			at += 8
		case left >= 4:
			v := XMM()
			VMOVUPS(Mem{Base: src, Disp: 4 * at}, v)
			VMOVUPS(v, Mem{Base: dst, Disp: 4 * at})
			at += 4
		default: // 2
			v := XMM()
			VMOVSD(Mem{Base: src, Disp: 4 * at}, v)
			VMOVSD(v, Mem{Base: dst, Disp: 4 * at})
			at += 2
		}
	}
	ADDQ(ld, src)
	ADDQ(Imm(uint64(4*width)), dst)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
