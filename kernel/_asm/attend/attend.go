package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Queries lie as quads: four elements of each lane side by side, eight lanes in a register. A key's four elements, broadcast, meet
// them with half the loads that pairs would need; a lane's sums of even and odd pairs are added at the end.

// pairLanes turns words of 16 lanes, which packColumns made, into quads.
func pairLanes() {
	begin("pairLanesAVX512", "func(quads int, x *float32)",
		"brings words 2i and 2i+1 of each of 16 lanes together: lanes 0, 1, 4, 5, 8, 9, 12 and 13 in the first register, the others in the second.")
	Load(Param("quads"), RCX)
	Load(Param("x"), RDI)
	Label("loop")
	VMOVUPS(Mem{Base: RDI}, Z0)
	VMOVUPS(Mem{Base: RDI, Disp: 64}, Z1)
	VUNPCKLPS(Z1, Z0, Z2)
	VUNPCKHPS(Z1, Z0, Z3)
	VMOVUPS(Z2, Mem{Base: RDI})
	VMOVUPS(Z3, Mem{Base: RDI, Disp: 64})
	ADDQ(U32(128), RDI)
	DECQ(RCX)
	JNZ(LabelRef("loop"))
	end()

	begin("pairHalfLanesAVX512", "func(quads int, dst, x *float32)",
		"is pairLanesAVX512 for lanes 0 to 7 alone, in one register: 0, 1, 4, 5, 2, 3, 6 and 7. dst may be x.")
	Load(Param("quads"), RCX)
	Load(Param("dst"), RDI)
	Load(Param("x"), RSI)
	Label("loop")
	VMOVUPS(Mem{Base: RSI}, Y0)
	VMOVUPS(Mem{Base: RSI, Disp: 64}, Y1)
	VUNPCKLPS(Y1, Y0, Y2)
	VUNPCKHPS(Y1, Y0, Y3)
	VMOVUPS(Y2, Mem{Base: RDI})
	VMOVUPS(Y3, Mem{Base: RDI, Disp: 32})
	ADDQ(U32(128), RSI)
	ADDQ(Imm(64), RDI)
	DECQ(RCX)
	JNZ(LabelRef("loop"))
	end()
}

// scores writes the products of 8 keys with the queries in so many registers.
func scores(name string, registers int) {
	const keys = 8
	begin(name, "func(lines int, q *float32, data *uint16, at *int, scores *float32)",
		fmt.Sprintf("computes the dot products of 8 keys of 32·lines elements, which begin at data[at[i]], with %d queries in quads: a row of", 8*registers),
		"16 scores for each key. It fetches the next 8 keys.")
	rows := []GPPhysical{R8, R9, R10, R11, R12, R13, RSI, RBX}
	Load(Param("data"), RAX)
	Load(Param("at"), RDI)
	for i, r := range rows {
		MOVQ(Mem{Base: RDI, Disp: 8 * i}, r)
		LEAQ(Mem{Base: RAX, Index: r, Scale: 2}, r)
	}
	Load(Param("q"), RDX)
	acc := func(i, j int) VecPhysical { return zmm[16+registers*i+j] }
	for i := range keys * registers {
		VPXORD(acc(0, i), acc(0, i), acc(0, i))
	}
	Load(Param("lines"), RCX)
	Label("loop")
	for quad := range 8 {
		q := zmm[2*(quad%2) : 2*(quad%2)+registers]
		for j := range q {
			VMOVUPS(Mem{Base: RDX, Disp: 64 * (registers*quad + j)}, q[j])
		}
		// one line of each of the next keys
		MOVQ(Mem{Base: RDI, Disp: 8 * (keys + quad)}, R15)
		LEAQ(Mem{Base: RAX, Index: R15, Scale: 2}, R15)
		PREFETCHT0(Mem{Base: R15})
		for i, r := range rows {
			x := zmm[4+i]
			VBROADCASTSD(Mem{Base: r, Disp: 8 * quad}, x)
			for j := range q {
				dot(q[j], x, acc(i, j))
			}
		}
	}
	ADDQ(U32(uint32(512*registers)), RDX)
	ADDQ(Imm(64), RAX) // the next line of the keys to fetch
	for _, r := range rows {
		ADDQ(Imm(64), r)
	}
	DECQ(RCX)
	JNZ(LabelRef("loop"))
	Load(Param("scores"), RDX)
	if registers == 1 {
		VMOVUPS(lanesOf2Keys(), Z15)
	}
	for i := 0; i < keys; i += 3 - registers {
		first, second := acc(i, 0), acc(i, 1) // with one register of the next key
		even, odd := zmm[2*(i%4)], zmm[2*(i%4)+1]
		VSHUFPS(Imm(0x88), second, first, even)
		VSHUFPS(Imm(0xdd), second, first, odd)
		VADDPS(odd, even, even)
		if registers == 2 {
			VMOVUPS(even, Mem{Base: RDX, Disp: 64 * i})
			continue
		}
		VPERMPS(even, Z15, even)
		VMOVUPS(even.AsY(), Mem{Base: RDX, Disp: 64 * i})
		VEXTRACTF64X4(Imm(1), even, odd.AsY())
		VMOVUPS(odd.AsY(), Mem{Base: RDX, Disp: 64 * (i + 1)})
	}
	end()
}

// lanesOf2Keys is where sums of two keys lie, lanes 0 to 7 of the first key, then those of the second.
func lanesOf2Keys() Mem {
	m := GLOBL("lanesOf2Keys", RODATA|NOPTR)
	for i, from := range []uint32{0, 1, 8, 9, 4, 5, 12, 13, 2, 3, 10, 11, 6, 7, 14, 15} {
		DATA(4*i, U32(from))
	}
	return m
}

// Constants of softmax's exponential, 2^t: the polynomial is the best in relative error for |t| <= 1/2.
var exp2 = []float64{0.001112550768273673, 0.009666282524684459, 0.05557400473319779, 0.24022350650686214, 0.6931428306083526}

const low = -200 // 2^low is 0

// softmax writes the way from scores to weights, for 16 lanes at once.
func softmax() {
	begin("softmaxLanesAVX512", "func(n int, scores, weights *float32, limits *int32, scale float32, top, sum, keep *float32)",
		"takes n rows of scores of 16 lanes, of which lane i counts the first limits[i]. It raises top to the largest score·scale, sets keep =",
		"e^(old top - top), weights = e^(score·scale - top), as pairs of bfloat16 of rows 2i and 2i+1, and sum = sum·keep + Σ weights. Row n is",
		"read where n is odd.")
	index, limit, one := Z31, Z30, Z29
	Load(Param("n"), RCX)
	Load(Param("scores"), RSI)
	Load(Param("limits"), RDX)
	VMOVDQU32(Mem{Base: RDX}, limit)
	splat(1, one)
	VPXORD(index, index, index)
	splat(math.Float32bits(-math.MaxFloat32), Z0)
	Label("max")
	VPCMPD(Imm(1), limit, index, K1)
	VMOVUPS(Mem{Base: RSI}, Z1)
	VMAXPS(Z1, Z0, K1, Z0)
	VPADDD(one, index, index)
	ADDQ(Imm(64), RSI)
	DECQ(RCX)
	JNZ(LabelRef("max"))

	scale, log2e, shift := Z28, Z27, Z26
	Load(Param("scale"), X2)
	VBROADCASTSS(X2, scale)
	splat(math.Float32bits(math.Log2E), log2e)
	VMULPS(scale, Z0, Z0)
	Load(Param("top"), RDX)
	VMOVUPS(Mem{Base: RDX}, Z1)
	VMAXPS(Z1, Z0, Z0)
	VMOVUPS(Z0, Mem{Base: RDX})
	VSUBPS(Z0, Z1, Z1)
	VMULPS(log2e, Z1, Z1)
	VMULPS(log2e, Z0, shift)
	VMULPS(log2e, scale, scale)
	c := constants()
	pow2(c, Z1, Z2, Z3, nil)
	Load(Param("keep"), RDX)
	VMOVUPS(Z3, Mem{Base: RDX})
	Load(Param("sum"), RDX)
	VMULPS(Mem{Base: RDX}, Z3, Z0)

	VMOVDQU16(interleaved(), Z25)
	VPXORD(index, index, index)
	Load(Param("n"), RCX)
	INCQ(RCX)
	SHRQ(Imm(1), RCX)
	Load(Param("scores"), RSI)
	Load(Param("weights"), RDI)
	Label("exp")
	for i, z := range [][3]VecPhysical{{Z1, Z2, Z3}, {Z4, Z5, Z6}} {
		VPCMPD(Imm(1), limit, index, []Register{K1, K2}[i])
		VPADDD(one, index, index)
		VMOVUPS(Mem{Base: RSI, Disp: 64 * i}, z[0])
		VFMSUB213PS(shift, scale, z[0])
		pow2(c, z[0], z[1], z[2], []Register{K1, K2}[i])
	}
	VADDPS(Z3, Z0, Z0)
	VADDPS(Z6, Z0, Z0)
	toBF16(Z3, Z6, Z7)
	VPERMW(Z7, Z25, Z7)
	VMOVUPS(Z7, Mem{Base: RDI})
	ADDQ(U32(128), RSI)
	ADDQ(Imm(64), RDI)
	DECQ(RCX)
	JNZ(LabelRef("exp"))
	VMOVUPS(Z0, Mem{Base: RDX})
	end()
}

// constants are low and the polynomial's coefficients, the highest first, in registers from Z24 down; the last is 1.
func constants() []VecPhysical {
	c := []VecPhysical{Z24}
	splat(math.Float32bits(low), Z24)
	for _, x := range exp2 {
		v := zmm[24-len(c)]
		splat(math.Float32bits(float32(x)), v)
		c = append(c, v)
	}
	v := zmm[24-len(c)]
	splat(math.Float32bits(1), v)
	return append(c, v)
}

// pow2 sets out = 2^t, and zero where a mask says so; t and n are spent. A NaN stays.
func pow2(c []VecPhysical, t, n, out VecPhysical, mask Register) {
	VMAXPS(t, c[0], t)
	VRNDSCALEPS(Imm(0), t, n)
	VSUBPS(n, t, t)
	VMOVAPS(c[1], out)
	for _, k := range c[2:] {
		VFMADD213PS(k, t, out)
	}
	if mask == nil {
		VSCALEFPS(n, out, out)
	} else {
		VSCALEFPS_Z(n, out, mask, out)
	}
}

// values writes the sums of values by weights.
func values() {
	begin("valuesBF16AVX512", "func(chunks, pairs, halves int, data *uint16, at *int, weights, keep, o *float32, width int, add bool)",
		"adds Σ weight·value of pairs of values, which begin at data[at[i]], to keep·o, or sets o to it: sums of 8·halves lanes, of chunks of 32 elements,",
		"width elements apart. In a chunk of sums elements 0-3, 8-11, 16-19 and 24-27 come first, then the others.")
	acc := func(lane, j int) VecPhysical { return zmm[16+2*lane+j] }
	Load(Param("data"), RAX)
	Load(Param("width"), R13)
	SHLQ(Imm(2), R13)
	Load(Param("o"), RBX)
	Load(Param("chunks"), R14)
	Label("chunk")
	Load(Param("weights"), RDX)
	Load(Param("keep"), RSI)
	Load(Param("halves"), R12)
	MOVQ(RBX, R11)
	Label("half")
	for i := range 16 {
		VPXORD(acc(0, i), acc(0, i), acc(0, i))
	}
	Load(Param("add"), R8B)
	TESTB(R8B, R8B)
	JZ(LabelRef("sum"))
	MOVQ(R11, R10)
	for lane := range 8 {
		VBROADCASTSS(Mem{Base: RSI, Disp: 4 * lane}, Z0)
		for j := range 2 {
			VMULPS(Mem{Base: R10, Disp: 64 * j}, Z0, acc(lane, j))
		}
		ADDQ(R13, R10)
	}
	Label("sum")
	Load(Param("pairs"), RCX)
	Load(Param("at"), RDI)
	MOVQ(RDX, R10)
	Label("pair")
	MOVQ(Mem{Base: RDI}, R8)
	MOVQ(Mem{Base: RDI, Disp: 8}, R9)
	VMOVDQU16(Mem{Base: RAX, Index: R8, Scale: 2}, Z0)
	VMOVDQU16(Mem{Base: RAX, Index: R9, Scale: 2}, Z1)
	VPUNPCKLWD(Z1, Z0, Z2)
	VPUNPCKHWD(Z1, Z0, Z3)
	for lane := range 8 {
		x := zmm[4+lane]
		VBROADCASTSS(Mem{Base: R10, Disp: 4 * lane}, x)
		dot(Z2, x, acc(lane, 0))
		dot(Z3, x, acc(lane, 1))
	}
	ADDQ(Imm(16), RDI)
	ADDQ(Imm(64), R10)
	DECQ(RCX)
	JNZ(LabelRef("pair"))
	for lane := range 8 {
		for j := range 2 {
			VMOVUPS(acc(lane, j), Mem{Base: R11, Disp: 64 * j})
		}
		ADDQ(R13, R11)
	}
	ADDQ(Imm(32), RDX)
	ADDQ(Imm(32), RSI)
	DECQ(R12)
	JNZ(LabelRef("half"))
	ADDQ(Imm(64), RAX)
	ADDQ(U32(128), RBX)
	DECQ(R14)
	JNZ(LabelRef("chunk"))
	end()
}

// order writes sums in the order of elements.
func order() {
	begin("orderAVX512", "func(chunks int, y, o *float32, scale float32)", "sets y = scale·o, from the order of valuesBF16AVX512 to that of elements.")
	Load(Param("chunks"), RCX)
	Load(Param("y"), RDI)
	Load(Param("o"), RSI)
	Load(Param("scale"), X0)
	VBROADCASTSS(X0, Z0)
	Label("loop")
	VMULPS(Mem{Base: RSI}, Z0, Z1)
	VMULPS(Mem{Base: RSI, Disp: 64}, Z0, Z2)
	for i, halves := range []uint64{0x44, 0xee} {
		VSHUFF32X4(Imm(halves), Z2, Z1, Z3)
		VSHUFF32X4(Imm(0xd8), Z3, Z3, Z3)
		VMOVUPS(Z3, Mem{Base: RDI, Disp: 64 * i})
	}
	ADDQ(U32(128), RSI)
	ADDQ(U32(128), RDI)
	DECQ(RCX)
	JNZ(LabelRef("loop"))
	end()
}

// narrow and widen go between float32 and bfloat16.
func narrow() {
	begin("narrowBF16AVX512", "func(n int, dst *uint16, src *float32)", "rounds n elements, a multiple of 32 and not 0, to bfloat16.")
	Load(Param("n"), RCX)
	Load(Param("dst"), RDI)
	Load(Param("src"), RSI)
	Label("loop")
	VMOVUPS(Mem{Base: RSI}, Z0)
	VMOVUPS(Mem{Base: RSI, Disp: 64}, Z1)
	toBF16(Z0, Z1, Z2)
	VMOVDQU16(Z2, Mem{Base: RDI})
	ADDQ(U32(128), RSI)
	ADDQ(Imm(64), RDI)
	SUBQ(Imm(32), RCX)
	JNZ(LabelRef("loop"))
	end()
}

func widen() {
	begin("widenBF16AVX512", "func(n int, dst *float32, src *uint16)", "widens n elements, a multiple of 16 and not 0.")
	Load(Param("n"), RCX)
	Load(Param("dst"), RDI)
	Load(Param("src"), RSI)
	Label("loop")
	VPMOVZXWD(Mem{Base: RSI}, Z0)
	VPSLLD(Imm(16), Z0, Z0)
	VMOVUPS(Z0, Mem{Base: RDI})
	ADDQ(Imm(32), RSI)
	ADDQ(Imm(64), RDI)
	SUBQ(Imm(16), RCX)
	JNZ(LabelRef("loop"))
	end()
}

// decode writes E4M3 as bfloat16, a group of 128 with its scale, a power of two, after another. Where all of 32 codes are of normal numbers
// and the scale is a number, the code's bits are moved into place and the exponents added. Otherwise they are moved into place in a
// float32, which then is the number times 2^-120, a subnormal one too, and multiplied.
func decode() {
	begin("decodeE4M3AVX512", "func(groups int, dst *uint16, codes *byte, scales *uint16)",
		"sets dst to codes times their groups' scales in bfloat16; the codes of NaN are not among them.")
	Load(Param("groups"), RCX)
	Load(Param("dst"), RDI)
	Load(Param("codes"), RSI)
	Load(Param("scales"), RBX)
	splat(247<<23, Z31) // 2^120
	splat(0x87f00000, Z30)
	splat(0x87f087f0, Z29)
	splat(0x07800780, Z28)
	Label("group")
	MOVWLZX(Mem{Base: RBX}, R8.As32())
	MOVL(R8.As32(), R9.As32())
	SHLL(Imm(16), R9.As32())
	VPBROADCASTD(R9.As32(), Z27)
	MOVL(R8.As32(), R9.As32())
	SUBL(U32((127-120)<<7), R9.As32())
	VPBROADCASTW(R9.As32(), Z26)
	for i := range 4 {
		exact, next := fmt.Sprint("exact", i), fmt.Sprint("next", i)
		CMPL(R8.As32(), U32(0x7f80))
		JAE(LabelRef(exact))
		VPMOVSXBW(Mem{Base: RSI, Disp: 32 * i}, Z0)
		VPSLLW(Imm(4), Z0, Z0)
		VPANDD(Z29, Z0, Z0)
		VPTESTNMW(Z28, Z0, K1)
		VPADDW(Z26, Z0, Z0)
		VMOVDQU16(Z0, Mem{Base: RDI, Disp: 64 * i})
		KTESTD(K1, K1)
		JZ(LabelRef(next))
		Label(exact)
		for k := range 2 {
			z := zmm[3+k]
			VPMOVSXBD(Mem{Base: RSI, Disp: 32*i + 16*k}, z)
			VPSLLD(Imm(20), z, z)
			VPANDD(Z30, z, z)
			VMULPS(Z31, z, z)
			VMULPS(Z27, z, z)
		}
		toBF16(Z3, Z4, Z5)
		VMOVDQU16(Z5, Mem{Base: RDI, Disp: 64 * i})
		Label(next)
	}
	ADDQ(U32(128), RSI)
	ADDQ(U32(256), RDI)
	ADDQ(Imm(2), RBX)
	DECQ(RCX)
	JNZ(LabelRef("group"))
	end()
}
