package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// tiles are the inner loops of matrix products, one for each number of rows. The largest has twelve accumulators or more, which
// hides the latency of fused multiply-add (4 cycles, two a cycle: eight in flight); the rest of the registers hold a row of
// B and a broadcast of A.
func tiles() {
	for rows := 1; rows <= 6; rows++ {
		tile(fmt.Sprintf("tile%dAVX2", rows), rows, 2, 32, YMM)
	}
	gemvPacked()
	roundBF16()
}

// tile writes a tile of rows x vectors registers of size bytes each.
func tile(name string, rows, vectors, size int, vec func() VecVirtual) {
	TEXT(name, NOSPLIT, "func(kc int, a, b, c *float32, ldc int, add bool)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes %d rows and %d columns of C from packed panels.", name, rows, vectors*size/4))
	k := Load(Param("kc"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	c := Load(Param("c"), GP64())
	ld := Load(Param("ldc"), GP64())
	add := Load(Param("add"), GP8())
	SHLQ(Imm(2), ld)

	acc := make([][]VecVirtual, rows)
	for i := range acc {
		acc[i] = make([]VecVirtual, vectors)
		for j := range acc[i] {
			acc[i][j] = vec()
			zero(acc[i][j])
		}
	}
	TESTB(add, add)
	JZ(LabelRef("loop"))
	eachRow(c, ld, rows, func(i int, p Register) {
		for j := range acc[i] {
			VMOVUPS(Mem{Base: p, Disp: size * j}, acc[i][j])
		}
	})

	Label("loop")
	row := make([]VecVirtual, vectors)
	for j := range row {
		row[j] = vec()
		VMOVUPS(Mem{Base: b, Disp: size * j}, row[j])
	}
	if rows <= 4 {
		PREFETCHT0(Mem{Base: b, Disp: 1024}) // few rows leave no time to wait for B
	}
	for i := range acc {
		x := vec()
		VBROADCASTSS(Mem{Base: a, Disp: 4 * i}, x)
		for j := range row {
			VFMADD231PS(row[j], x, acc[i][j])
		}
	}
	ADDQ(Imm(uint64(4*rows)), a)
	ADDQ(U32(uint32(size*vectors)), b)
	DECQ(k)
	JNZ(LabelRef("loop"))

	eachRow(c, ld, rows, func(i int, p Register) {
		for j := range acc[i] {
			VMOVUPS(acc[i][j], Mem{Base: p, Disp: size * j})
		}
	})
	VZEROUPPER()
	RET()
}

// gemvPacked writes one row times four packed panels of B. Eight accumulators hide the latency.
func gemvPacked() {
	const panels = 4
	TEXT("gemvPackedAVX2", NOSPLIT, "func(k int, a, b *float32, stride int, c *float32)")
	Pragma("noescape")
	Doc("gemvPackedAVX2 adds a·b to 64 elements of c: a has k elements, b four panels of 16 columns, stride elements apart.")
	n := Load(Param("k"), GP64())
	a := Load(Param("a"), GP64())
	b := Load(Param("b"), GP64())
	stride := Load(Param("stride"), GP64())
	c := Load(Param("c"), GP64())
	SHLQ(Imm(2), stride)
	far := GP64()
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, far)
	panel := func(i, disp int) Mem {
		switch i {
		case 0:
			return Mem{Base: b, Disp: disp}
		case 3:
			return Mem{Base: b, Index: far, Scale: 1, Disp: disp}
		}
		return Mem{Base: b, Index: stride, Scale: uint8(i), Disp: disp}
	}
	var acc [panels][2]VecVirtual
	for i := range acc {
		for j := range acc[i] {
			acc[i][j] = YMM()
			VMOVUPS(Mem{Base: c, Disp: 64*i + 32*j}, acc[i][j])
		}
	}
	Label("loop")
	x := YMM()
	VBROADCASTSS(Mem{Base: a}, x)
	for i := range acc {
		for j := range acc[i] {
			VFMADD231PS(panel(i, 32*j), x, acc[i][j])
		}
	}
	ADDQ(Imm(4), a)
	ADDQ(Imm(64), b)
	DECQ(n)
	JNZ(LabelRef("loop"))
	for i := range acc {
		for j := range acc[i] {
			VMOVUPS(acc[i][j], Mem{Base: c, Disp: 64*i + 32*j})
		}
	}
	VZEROUPPER()
	RET()
}

// turn4 turns a block of 8 x 4: load(i) is row i in the low half and row i+4 in the high one; the result has the columns.
func turn4(load func(i int) VecVirtual) [4]VecVirtual {
	var r, out [4]VecVirtual
	for i := range r {
		r[i] = load(i)
		out[i] = YMM()
	}
	lo01, hi01, lo23, hi23 := YMM(), YMM(), YMM(), YMM()
	VUNPCKLPS(r[1], r[0], lo01)
	VUNPCKHPS(r[1], r[0], hi01)
	VUNPCKLPS(r[3], r[2], lo23)
	VUNPCKHPS(r[3], r[2], hi23)
	VUNPCKLPD(lo23, lo01, out[0])
	VUNPCKHPD(lo23, lo01, out[1])
	VUNPCKLPD(hi23, hi01, out[2])
	VUNPCKHPD(hi23, hi01, out[3])
	return out
}

// roundBF16 writes the rounding of toBF16.
func roundBF16() {
	function("roundBF16AVX2", "func(n int, x *float32)", "rounds x to bfloat16, to nearest even.", []string{"x"}, func(l loop8) {
		mask := YMM()
		VMOVUPS(constantBits("i", 0xffff0000), mask)
		Label("loop")
		x := l.load("x")
		odd := YMM()
		VPSRLD(Imm(16), x, odd)
		VPAND(constantBits("i", 1), odd, odd)
		VPADDD(constantBits("i", 0x7fff), odd, odd)
		VPADDD(odd, x, odd)
		VPAND(mask, odd, odd)
		nan := YMM()
		VCMPPS(Imm(3), x, x, nan)
		VBLENDVPS(nan, x, odd, odd)
		l.store(odd, "x")
		l.end([]string{"x"}, 1)
	}, nil)
}

func zero(v VecVirtual) {
	if v.Size() == 64 {
		VPXORD(v, v, v)
		return
	}
	VXORPS(v, v, v)
}

// eachRow calls f with a pointer to each row of C.
func eachRow(c, ld Register, rows int, f func(i int, p Register)) {
	p := GP64()
	MOVQ(c, p)
	for i := range rows {
		f(i, p)
		if i+1 < rows {
			ADDQ(ld, p)
		}
	}
}

// ceilings are loops that do nothing but what they measure.
func ceilings() {
	TEXT("fmaLoopAVX2", NOSPLIT, "func(rounds int)")
	Pragma("noescape")
	Doc("fmaLoopAVX2 does 12 independent multiply-adds of 8 elements in each round.")
	n := Load(Param("rounds"), GP64())
	x := YMM()
	VXORPS(x, x, x)
	acc := make([]VecVirtual, 12)
	for i := range acc {
		acc[i] = YMM()
		VXORPS(acc[i], acc[i], acc[i])
	}
	Label("loop")
	for _, a := range acc {
		VFMADD231PS(x, x, a)
	}
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()

	TEXT("readAVX2", NOSPLIT, "func(n int, x *float32)")
	Pragma("noescape")
	Doc("readAVX2 loads n elements, a multiple of 64.")
	n = Load(Param("n"), GP64())
	p := Load(Param("x"), GP64())
	Label("loop")
	v := YMM()
	for i := range 8 {
		VMOVUPS(Mem{Base: p, Disp: 32 * i}, v)
	}
	ADDQ(U32(256), p)
	SUBQ(Imm(64), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}
