package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// weightTiles writes the tiles of weights of 1 and 2 rows; the layout is that of kernel.Weight. A panel's 16 rows are two registers.
func weightTiles() {
	for rows := 1; rows <= 2; rows++ {
		weightTile("F32", rows, func(l *weightLoop) { l.words(4, f32Word) })
		weightTile("BF16", rows, func(l *weightLoop) { l.words(4, bf16Word) })
		weightTile("FP8", rows, fp8Loop)
		weightTile("Int8", rows, func(l *weightLoop) { l.groups(512, 36, int8Group) })
		weightTile("Int4", rows, func(l *weightLoop) { l.groups(256, 40, int4Group) })
	}
}

// weightLoop is what the loops of a tile have at hand.
type weightLoop struct {
	n, w Register // words or groups left, and where the next ones are
	a    []Register
	sums [][2]VecVirtual
}

const (
	wordBytes = 64
	intRecord = 44 // a group of a row: 32 integers, the scale, and what the sums of Int8 and of Int4 begin with
)

// weightTile writes one tile; loop adds to the results.
func weightTile(of string, rows int, loop func(l *weightLoop)) {
	name := fmt.Sprintf("weight%s%dAVX2", of, rows)
	TEXT(name, NOSPLIT, "func(n int, w, a *byte, off *int, sums *float32)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s multiplies %d rows, which begin at a + off[i], with a panel of %s; sums has 16 for each row.", name, rows, of))
	l := &weightLoop{n: Load(Param("n"), GP64()), w: Load(Param("w"), GP64())}
	a, off := Load(Param("a"), GP64()), Load(Param("off"), GP64())
	for r := range rows {
		p := GP64()
		MOVQ(Mem{Base: off, Disp: 8 * r}, p)
		ADDQ(a, p)
		l.a = append(l.a, p)
		l.sums = append(l.sums, zeros())
	}
	loop(l)
	to := Load(Param("sums"), GP64())
	for r := range rows {
		for h, sum := range l.sums[r] {
			VMOVUPS(sum, Mem{Base: to, Disp: wordBytes*r + 32*h})
		}
	}
	VZEROUPPER()
	RET()
}

func zeros() (v [2]VecVirtual) {
	for h := range v {
		v[h] = YMM()
		VXORPS(v[h], v[h], v[h])
	}
	return v
}

// words does step for every word; a row moves on by size bytes.
func (l *weightLoop) words(size uint64, step func(l *weightLoop)) {
	Label("loop")
	step(l)
	for _, a := range l.a {
		ADDQ(Imm(size), a)
	}
	ADDQ(Imm(wordBytes), l.w)
	DECQ(l.n)
	JNZ(LabelRef("loop"))
}

func f32Word(l *weightLoop) {
	for r, a := range l.a {
		x := YMM()
		VBROADCASTSS(Mem{Base: a}, x)
		for h, sum := range l.sums[r] {
			VFMADD231PS(Mem{Base: l.w, Disp: 32 * h}, x, sum)
		}
	}
}

// bf16Word multiplies the pairs' lower halves first.
func bf16Word(l *weightLoop) {
	low := func(v VecVirtual) VecVirtual { return op3(VPSLLD, Imm(16), v) }
	high := func(v VecVirtual) VecVirtual { return ymm3(VPAND, constantBits("i", 0xffff0000), v) }
	for _, half := range []func(VecVirtual) VecVirtual{low, high} {
		var w [2]VecVirtual
		for h := range w {
			w[h] = YMM()
			VMOVUPS(Mem{Base: l.w, Disp: 32 * h}, w[h])
			w[h] = half(w[h])
		}
		for r, a := range l.a {
			x := YMM()
			VPBROADCASTD(Mem{Base: a}, x)
			x = half(x)
			for h, sum := range l.sums[r] {
				VFMADD231PS(w[h], x, sum)
			}
		}
	}
}

// fp8Loop takes 4 k's at a time, n being their number, and 32 of those to a block.
func fp8Loop(l *weightLoop) {
	parts := make([][2]VecVirtual, len(l.a))
	words, scale := GP64(), GP64()
	for r := range parts {
		parts[r] = zeros()
	}
	Label("block")
	MOVQ(l.w, scale)
	ADDQ(Imm(wordBytes), l.w)
	MOVQ(U32(32), words)
	CMPQ(l.n, words)
	CMOVQLT(l.n, words)
	SUBQ(words, l.n)
	Label("loop")
	for k := range 4 {
		var w [2]VecVirtual
		for h := range w {
			w[h] = e4m3(Mem{Base: l.w, Disp: 32 * h}, k)
		}
		for r, a := range l.a {
			x := YMM()
			VPBROADCASTW(Mem{Base: a, Disp: 2 * k}, x)
			x = op3(VPSLLD, Imm(16), x)
			for h, part := range parts[r] {
				VFMADD231PS(w[h], x, part)
			}
		}
	}
	for _, a := range l.a {
		ADDQ(Imm(8), a)
	}
	ADDQ(Imm(wordBytes), l.w)
	DECQ(words)
	JNZ(LabelRef("loop"))
	for r := range l.a {
		for h, part := range parts[r] {
			VMULPS(Mem{Base: scale, Disp: 32 * h}, part, part)
			VADDPS(part, l.sums[r][h], l.sums[r][h])
			VXORPS(part, part, part)
		}
	}
	TESTQ(l.n, l.n)
	JNZ(LabelRef("block"))
}

// e4m3 is the number in byte k of each word of eight: its exponent and mantissa, at a float32's place, are worth 2^-120 of it. NaN comes
// out as 480, so it is put back.
func e4m3(at Mem, k int) VecVirtual {
	v := YMM()
	VMOVDQU(at, v)
	if k < 3 {
		VPSLLD(Imm(uint64(24-8*k)), v, v)
	}
	magnitude := ymm3(VPAND, constantBits("i", 0x7f000000), v)
	VPAND(constantBits("i", 0x80000000), v, v)
	nan := op3(VPCMPEQD, constantBits("i", 0x7f000000), magnitude)
	VPSRLD(Imm(4), magnitude, magnitude)
	VMULPS(constant(math.Ldexp(1, 120)), magnitude, magnitude)
	VORPS(nan, magnitude, magnitude)
	VORPS(v, magnitude, magnitude)
	return magnitude
}

// groups does step for every group, n being their number: two at a time, that share a word of scales.
func (l *weightLoop) groups(size, start int, step func(l *weightLoop, r, w int) [2]VecVirtual) {
	group := func(g int) {
		for r, a := range l.a {
			sums := step(l, r, wordBytes+g*size)
			first, by := YMM(), YMM()
			VPBROADCASTD(Mem{Base: a, Disp: start}, first)
			VBROADCASTSS(Mem{Base: a, Disp: 32}, by)
			for h, sum := range sums {
				scale := YMM()
				VMOVDQU(Mem{Base: l.w, Disp: 32 * h}, scale)
				if g == 0 {
					VPSLLD(Imm(16), scale, scale)
				} else {
					VPAND(constantBits("i", 0xffff0000), scale, scale)
				}
				VMULPS(by, scale, scale)
				VPADDD(first, sum, sum)
				VCVTDQ2PS(sum, sum)
				VMULPS(sum, scale, scale)
				VADDPS(scale, l.sums[r][h], l.sums[r][h])
			}
			ADDQ(Imm(intRecord), a)
		}
	}
	SUBQ(Imm(2), l.n)
	JL(LabelRef("last"))
	Label("loop")
	group(0)
	group(1)
	ADDQ(U32(uint32(wordBytes+2*size)), l.w)
	SUBQ(Imm(2), l.n)
	JGE(LabelRef("loop"))
	Label("last")
	CMPQ(l.n, I8(-2))
	JE(LabelRef("done"))
	group(0)
	Label("done")
}

// int8Group widens to 16 bits, as products of a byte and a signed byte overflow the instruction that takes both.
func int8Group(l *weightLoop, r, w int) [2]VecVirtual {
	var sums [4]VecVirtual // of four rows each: k's 0 and 1, and 2 and 3, apart
	for q := range sums {
		sums[q] = YMM()
		VPXOR(sums[q], sums[q], sums[q])
	}
	for s := range 8 {
		x, four := YMM(), XMM()
		VPBROADCASTD(Mem{Base: l.a[r], Disp: 4 * s}, four)
		VPMOVSXBW(four, x)
		for q, sum := range sums {
			v := YMM()
			VPMOVZXBW(Mem{Base: l.w, Disp: w + wordBytes*s + 16*q}, v)
			VPMADDWD(v, x, v)
			VPADDD(v, sum, sum)
		}
	}
	var both [2]VecVirtual
	for h := range both {
		both[h] = ymm3(VPHADDD, sums[2*h+1], sums[2*h])
		VPERMQ(Imm(0xd8), both[h], both[h])
	}
	return both
}

// int4Group adds 16 products up in 16 bits: 2·8·15·127 is less than 2^15.
func int4Group(l *weightLoop, r, w int) [2]VecVirtual {
	var sums [2]VecVirtual
	mask := YMM()
	VMOVDQU(constantBits("i", 0x0f0f0f0f), mask)
	for h := range sums {
		sums[h] = YMM()
		VPXOR(sums[h], sums[h], sums[h])
		for s := range 4 {
			low, high, x := YMM(), YMM(), YMM()
			VMOVDQU(Mem{Base: l.w, Disp: w + wordBytes*s + 32*h}, low)
			VPSRLD(Imm(4), low, high)
			for i, v := range []VecVirtual{low, high} {
				VPAND(mask, v, v)
				VPBROADCASTD(Mem{Base: l.a[r], Disp: 8*s + 4*i}, x)
				VPMADDUBSW(x, v, v)
				VPADDW(v, sums[h], sums[h])
			}
		}
		VPMADDWD(constantBits("i", 0x00010001), sums[h], sums[h])
	}
	return sums
}

// ymm3 is op3 for instructions of three operands alone.
func ymm3(f func(a, b, to Op), a Op, b VecVirtual) VecVirtual {
	v := YMM()
	f(a, b, v)
	return v
}
