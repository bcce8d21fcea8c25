package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The tiles of weights; the layout is that of kernel.Weight. The registers are fixed, since dot is written as bytes: sums of a group in Z0
// to Z7, and in Z8 to Z15 of FP8's second halves; results in Z16 to Z23; the rest is the format's.

// weightTiles writes the tiles of 1, 2, 4 and 8 rows.
func weightTiles() {
	for _, rows := range []int{1, 2, 4, 8} {
		weightTile("Int8", rows, intLoop(false))
		weightTile("Int4", rows, intLoop(true))
		weightTile("BF16", rows, wordLoop(4, func(rows, i int, w Mem, a func(row, disp int) Mem) {
			VMOVUPS(w, zmm[24])
			for r := range rows {
				dotWith(a(r, 4*i), zmm[24], zmm[16+r])
			}
		}))
		weightTile("F32", rows, wordLoop(4, func(rows, i int, w Mem, a func(row, disp int) Mem) {
			VMOVUPS(w, zmm[24])
			for r := range rows {
				VFMADD231PS_BCST(a(r, 4*i), zmm[24], zmm[16+r])
			}
		}))
		weightTile("FP8", rows, fp8Loop)
	}
	quantiseGroups()
	bestScale("bestScaleAVX512", false)
	bestScale("bestWeighedScaleAVX512", true)
	roundInts()
	roundRow()
}

// weightLoop is what the loops of a tile have at hand.
type weightLoop struct {
	rows     int
	n, w     Register // words or groups left, and where the next ones are
	at       Register // bytes into the rows
	a        []Register
	prefetch func(m Mem)
}

// row is where a row's next bytes are.
func (l *weightLoop) row(r, disp int) Mem {
	return Mem{Base: l.a[r], Index: l.at, Scale: 1, Disp: disp}
}

// weight is the word i bytes on.
func (l *weightLoop) weight(disp int) Mem {
	m := Mem{Base: l.w, Disp: disp}
	l.prefetch(m)
	return m
}

// prefetches are what was measured to be the fastest: one row is done with a word at once, and many are long enough with it for the
// second cache.
var prefetches = map[int]func(m Mem){
	1: func(m Mem) { PREFETCHT1(m.Offset(1024)) },
	2: func(m Mem) { PREFETCHT0(m.Offset(8192)) },
	4: func(m Mem) { PREFETCHT1(m.Offset(8192)) },
	8: func(m Mem) { PREFETCHT1(m.Offset(8192)) },
}

// weightTile writes one tile; loop adds to the results.
func weightTile(of string, rows int, loop func(l *weightLoop)) {
	name := fmt.Sprintf("weight%s%dAVX512", of, rows)
	TEXT(name, NOSPLIT, "func(n int, w, a *byte, off *int, c *float32, ldc int, mask uint32, add bool)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s multiplies %d rows, which begin at a + off[i], with a panel of %s.", name, rows, of))
	l := &weightLoop{rows: rows, n: RCX, w: RSI, at: RAX, prefetch: prefetches[rows]}
	Load(Param("n"), l.n)
	Load(Param("w"), l.w)
	a, off := Load(Param("a"), RDX), Load(Param("off"), RBX)
	for r, p := range []GPPhysical{R8, R9, R10, R11, R12, R13, R14, R15}[:rows] {
		MOVQ(Mem{Base: off, Disp: 8 * r}, p)
		ADDQ(a, p)
		l.a = append(l.a, p)
		VPXORD(zmm[16+r], zmm[16+r], zmm[16+r])
	}
	XORQ(l.at, l.at)
	loop(l)

	mask, add := loadMask(), GP32()
	c, ld := Load(Param("c"), GP64()), Load(Param("ldc"), GP64())
	SHLQ(Imm(2), ld)
	Load(Param("add"), add.As8())
	TESTB(add.As8(), add.As8())
	JZ(LabelRef("store"))
	p := GP64()
	MOVQ(c, p)
	for r := range rows {
		VMOVUPS_Z(Mem{Base: p}, mask, zmm[24])
		VADDPS(zmm[24], zmm[16+r], zmm[16+r])
		ADDQ(ld, p)
	}
	Label("store")
	for r := range rows {
		VMOVUPS(zmm[16+r], mask, Mem{Base: c})
		ADDQ(ld, c)
	}
	VZEROUPPER()
	RET()
}

// wordLoop does step for every word, unroll at a time and then one by one.
func wordLoop(unroll int, step func(rows, i int, w Mem, a func(row, disp int) Mem)) func(l *weightLoop) {
	return func(l *weightLoop) {
		turn := func(words int) {
			for i := range words {
				step(l.rows, i, l.weight(4*lanes*i), l.row)
			}
			ADDQ(U32(uint32(4*lanes*words)), l.w)
			ADDQ(Imm(uint64(4*words)), l.at)
			SUBQ(Imm(uint64(words)), l.n)
		}
		CMPQ(l.n, Imm(uint64(unroll)))
		JL(LabelRef("rest"))
		Label("loop")
		turn(unroll)
		CMPQ(l.n, Imm(uint64(unroll)))
		JGE(LabelRef("loop"))
		Label("rest")
		TESTQ(l.n, l.n)
		JZ(LabelRef("done"))
		Label("one")
		turn(1)
		JNZ(LabelRef("one"))
		Label("done")
	}
}

// intRecord is the size of a group of a row: 32 integers, the scale, and what the sums of Int8 and of Int4 begin with.
const intRecord = 44

// intLoop takes two groups at a time, n being the number of groups.
func intLoop(nibbles bool) func(l *weightLoop) {
	return func(l *weightLoop) {
		size, start := 512, 36
		if nibbles {
			size, start = 256, 40
			VMOVDQA32(broadcast(0x0f0f0f0f), zmm[30])
		}
		VMOVDQA32(broadcast(0xffff0000), zmm[31])
		group := func(g int) {
			for r := range l.rows {
				VPBROADCASTD(l.row(r, g*intRecord+start), zmm[r])
			}
			multiplyGroup(l, nibbles, 4*lanes+g*size, g*intRecord)
			if g == 0 {
				VPSLLD(Imm(16), zmm[28], zmm[29])
			} else {
				VPANDD(zmm[31], zmm[28], zmm[29])
			}
			for r := range l.rows {
				product := zmm[8+r]
				VMULPS_BCST(l.row(r, g*intRecord+32), zmm[29], product)
				VCVTDQ2PS(zmm[r], zmm[r])
				VMULPS(zmm[r], product, product)
				VADDPS(product, zmm[16+r], zmm[16+r])
			}
		}
		SUBQ(Imm(2), l.n)
		JL(LabelRef("last"))
		Label("loop")
		VMOVDQU32(l.weight(0), zmm[28])
		group(0)
		group(1)
		ADDQ(U32(uint32(4*lanes+2*size)), l.w)
		ADDQ(Imm(2*intRecord), l.at)
		SUBQ(Imm(2), l.n)
		JGE(LabelRef("loop"))
		Label("last")
		CMPQ(l.n, I8(-2))
		JE(LabelRef("done"))
		VMOVDQU32(l.weight(0), zmm[28])
		group(0)
		Label("done")
	}
}

// multiplyGroup adds the products of a group to the sums.
func multiplyGroup(l *weightLoop, nibbles bool, w, a int) {
	if !nibbles {
		for s := range 8 {
			four := zmm[24+s%2]
			VMOVDQU32(l.weight(w+4*lanes*s), four)
			for r := range l.rows {
				VPDPBUSD_BCST(l.row(r, a+4*s), four, zmm[r])
			}
		}
		return
	}
	for s := range 4 {
		low, high := zmm[24+2*(s%2)], zmm[25+2*(s%2)]
		VMOVDQU32(l.weight(w+4*lanes*s), low)
		VPSRLD(Imm(4), low, high)
		VPANDD(zmm[30], low, low)
		VPANDD(zmm[30], high, high)
		for r := range l.rows {
			VPDPBUSD_BCST(l.row(r, a+8*s), low, zmm[r])
		}
		for r := range l.rows {
			VPDPBUSD_BCST(l.row(r, a+8*s+4), high, zmm[r])
		}
	}
}

// fp8Loop takes 4 k's at a time, n being their number, and 32 of those to a block. A code becomes the bytes of a bfloat16 by two tables,
// of the magnitudes, and its sign. Bytes are paired within 128 bits, so that the sums of rows 0 and 1 of four, a pair of k's each, come to
// be in one register, and those of 2 and 3 in another.
func fp8Loop(l *weightLoop) {
	l.prefetch = func(m Mem) { PREFETCHT0(m.Offset(4096)) }
	for i, table := range fp8Tables() {
		for j := range 2 {
			VMOVDQU32(table.Offset(64*j), zmm[26+2*i+j])
		}
	}
	VMOVDQA32(broadcast(0x80808080), zmm[30])
	words, scale := RDX, RBX
	Label("block")
	for r := range l.rows {
		VPXORD(zmm[r], zmm[r], zmm[r])
		VPXORD(zmm[8+r], zmm[8+r], zmm[8+r])
	}
	MOVQ(l.w, scale)
	ADDQ(Imm(4*lanes), l.w)
	MOVQ(U32(32), words)
	CMPQ(l.n, words)
	CMOVQLT(l.n, words)
	SUBQ(words, l.n)
	Label("loop")
	codes, low, high := zmm[31], zmm[24], zmm[25]
	VMOVDQU32(l.weight(0), codes)
	VMOVDQA32(codes, low)
	VMOVDQA32(codes, high)
	VPERMI2B(zmm[27], zmm[26], low)
	VPERMI2B(zmm[29], zmm[28], high)
	VPTERNLOGD(Imm(0xf8), zmm[30], codes, high) // high | codes & sign
	VPUNPCKLBW(high, low, codes)
	VPUNPCKHBW(high, low, high)
	for r := range l.rows {
		VBROADCASTSD(l.row(r, 0), low)
		dot(codes, low, zmm[r])
		dot(high, low, zmm[8+r])
	}
	ADDQ(Imm(4*lanes), l.w)
	ADDQ(Imm(8), l.at)
	DECQ(words)
	JNZ(LabelRef("loop"))
	VMOVUPS(Mem{Base: scale}, zmm[24])
	for r := range l.rows {
		VSHUFPS(Imm(0x88), zmm[8+r], zmm[r], zmm[25])
		VSHUFPS(Imm(0xdd), zmm[8+r], zmm[r], zmm[31])
		VADDPS(zmm[31], zmm[25], zmm[25])
		VMULPS(zmm[24], zmm[25], zmm[25])
		VADDPS(zmm[25], zmm[16+r], zmm[16+r])
	}
	TESTQ(l.n, l.n)
	JNZ(LabelRef("block"))
}

var tables []Mem

// fp8Tables are the low and the high bytes of the bfloat16's of the 128 magnitudes of E4M3.
func fp8Tables() []Mem {
	if tables != nil {
		return tables
	}
	for _, half := range []struct {
		name  string
		shift int
	}{{"e4m3Low", 0}, {"e4m3High", 8}} {
		m := GLOBL(half.name, RODATA|NOPTR)
		for code := range 128 {
			DATA(code, U8(uint8(bfloat16OfE4M3(code)>>half.shift)))
		}
		tables = append(tables, m)
	}
	return tables
}

// bfloat16OfE4M3 is the bits of a magnitude.
func bfloat16OfE4M3(code int) int {
	exponent, mantissa := code>>3, code&7
	switch {
	case code == 127:
		return 0x7fc0 // NaN
	case code == 0:
		return 0
	case exponent == 0:
		exponent = 1
		for mantissa < 8 { // bfloat16 has it as a normal number
			mantissa *= 2
			exponent--
		}
		mantissa &= 7
	}
	return (exponent-7+127)<<7 | mantissa<<4
}

// quantiseGroups writes the rounding of Rows to integers.
func quantiseGroups() {
	const name = "quantiseGroupsAVX512"
	TEXT(name, NOSPLIT, "func(n int, to *byte, x *float32)")
	Pragma("noescape")
	Doc(name + " makes the records of n groups of 32.")
	n, to, x := Load(Param("n"), GP64()), Load(Param("to"), GP64()), Load(Param("x"), GP64())
	magnitude, limit := broadcast(1<<31-1), XMM()
	bits := GP32()
	MOVL(U32(0x42fe0000), bits) // 127
	VMOVD(bits, limit)
	nan := GP32()
	low, high, most := ZMM(), ZMM(), ZMM()
	Label("loop")
	VMOVUPS(Mem{Base: x}, low)
	VMOVUPS(Mem{Base: x, Disp: 64}, high)
	t := ZMM()
	VPANDD(magnitude, low, most)
	VPANDD(magnitude, high, t)
	VPMAXUD(t, most, most)
	one := reduce(most, VPMAXUD)
	VMOVD(one, bits)
	CMPL(bits, U32(0x0d800000)) // 2^-100
	JB(LabelRef("nothing"))
	CMPL(bits, U32(0x7f800000))
	JAE(LabelRef("spoilt"))
	scale, inverse, by := XMM(), XMM(), ZMM()
	VDIVSS(limit, one, scale)
	VDIVSS(one, limit, inverse)
	VBROADCASTSS(inverse, by)
	for i, v := range []VecVirtual{low, high} {
		VMULPS(by, v, v)
		VCVTPS2DQ(v, v)
		VPMOVDB(v, Mem{Base: to, Disp: 16 * i})
	}
	VMOVSS(scale, Mem{Base: to, Disp: 32})
	VPADDD(high, low, low)
	sum := GP32()
	VMOVD(reduce(low, VPADDD), sum)
	NEGL(sum)
	SHLL(Imm(3), sum)
	MOVL(sum, Mem{Base: to, Disp: 40})
	SHLL(Imm(4), sum)
	MOVL(sum, Mem{Base: to, Disp: 36})
	Label("next")
	ADDQ(Imm(intRecord), to)
	ADDQ(U32(128), x)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	Label("nothing")
	XORL(nan, nan)
	JMP(LabelRef("empty"))
	Label("spoilt")
	MOVL(U32(0x7fc00000), nan)
	Label("empty")
	zero := YMM()
	VPXORD(zero, zero, zero)
	VMOVDQU32(zero, Mem{Base: to})
	VMOVDQU32(zero.AsX(), Mem{Base: to, Disp: intRecord - 16})
	MOVL(nan, Mem{Base: to, Disp: 32})
	JMP(LabelRef("next"))
}

// reduce folds a register's 16 lanes into the first of one of 128 bits.
func reduce(v VecVirtual, fold func(...Op)) VecVirtual {
	half, quarter := YMM(), XMM()
	VEXTRACTI64X4(Imm(1), v, half)
	fold(v.AsY(), half, half)
	VEXTRACTI32X4(Imm(1), half, quarter)
	fold(half.AsX(), quarter, quarter)
	for _, shuffle := range []uint64{0x4e, 0xb1} {
		t := XMM()
		VPSHUFD(Imm(shuffle), quarter, t)
		fold(t, quarter, quarter)
	}
	return quarter
}

// roundRow writes the rounding of Rows to bfloat16.
func roundRow() {
	const name = "roundRowAVX512"
	TEXT(name, NOSPLIT, "func(n int, to *byte, x *float32)")
	Pragma("noescape")
	Doc(name + " rounds n elements, a multiple of 32, to bfloat16.")
	n, to, x := Load(Param("n"), GP64()), Load(Param("to"), GP64()), Load(Param("x"), GP64())
	Label("loop")
	VMOVUPS(Mem{Base: x}, zmm[0])
	VMOVUPS(Mem{Base: x, Disp: 64}, zmm[1])
	toBF16(zmm[0], zmm[1], zmm[2])
	VMOVUPS(zmm[2], Mem{Base: to})
	ADDQ(Imm(64), to)
	ADDQ(U32(128), x)
	SUBQ(Imm(32), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// bestScale writes the search for a weight's scale: a lane for each try.
func bestScale(name string, weighed bool) {
	signature, what := "func(n int, x, tries *float32, amax, low, high float32) float32", "x"
	if weighed {
		signature, what = "func(n int, x, weight, tries *float32, amax, low, high float32) float32", "x, by weight"
	}
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s returns the best of 16 scales for n elements of %s: amax·tries rounded to bfloat16.", name, what))
	n, x, to := Load(Param("n"), GP64()), Load(Param("x"), GP64()), Load(Param("tries"), GP64())
	scales, inverses, odd, sum := splat("amax"), constant(1), ZMM(), ZMM()
	VMULPS(Mem{Base: to}, scales, scales)
	VPSRLD(Imm(16), scales, odd)
	VPANDD(broadcast(1), odd, odd)
	VPADDD(broadcast(0x7fff), odd, odd)
	VPADDD(odd, scales, scales)
	VPANDD(broadcast(0xffff0000), scales, scales)
	VDIVPS(scales, inverses, inverses)
	low, high := splat("low"), splat("high")
	VPXORD(sum, sum, sum)
	var weight Register
	if weighed {
		weight = Load(Param("weight"), GP64())
	}
	Label("loop")
	v, e := ZMM(), ZMM()
	VBROADCASTSS(Mem{Base: x}, e)
	round(op3(VMULPS, e, inverses), low, high, v)
	VMULPS(scales, v, v)
	VSUBPS(v, e, e)
	VMULPS(e, e, e)
	if weighed {
		VMULPS_BCST(Mem{Base: weight}, e, e)
		ADDQ(Imm(4), weight)
	}
	VADDPS(e, sum, sum)
	ADDQ(Imm(4), x)
	DECQ(n)
	JNZ(LabelRef("loop"))

	least, best := ZMM(), K()
	VBROADCASTSS(reduce(sum, VMINPS), least)
	VCMPPS(Imm(0), least, sum, best)
	VCOMPRESSPS_Z(scales, best, scales)
	Store(scales.AsX(), ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// round leaves the whole number nearest to v within low and high in out.
func round(v, low, high, out VecVirtual) {
	VMAXPS(low, v, v)
	VMINPS(high, v, v)
	VRNDSCALEPS(Imm(0), v, out)
}

// roundInts writes the rounding of a weight to integers.
func roundInts() {
	const name = "roundIntsAVX512"
	TEXT(name, NOSPLIT, "func(n int, q *int8, x *float32, inverse, low, high float32)")
	Pragma("noescape")
	Doc(name + " rounds n elements, a multiple of 16, times inverse, to integers from low to high.")
	l := begin("q", "x")
	inverse, low, high := splat("inverse"), splat("low"), splat("high")
	Label("loop")
	v := mul(l.at(1), inverse)
	VMAXPS(low, v, v)
	VMINPS(high, v, v)
	VCVTPS2DQ(v, v)
	VPMOVDB(v, l.at(0))
	ADDQ(Imm(16), l.ptrs[0])
	ADDQ(Imm(64), l.ptrs[1])
	SUBQ(Imm(lanes), l.n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
