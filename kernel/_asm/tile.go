package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// tiles are the inner loops of matrix products. Twelve accumulators or more hide the latency of fused multiply-add (4 cycles,
// two a cycle: eight in flight); the rest of the registers hold a row of B and a broadcast of A.
func tiles() {
	tile("tileAVX2", 6, 2, 32, YMM)
	tile("tileAVX512", 12, 2, 64, ZMM)
}

// tile writes a tile of rows x vectors registers of size bytes each.
func tile(name string, rows, vectors, size int, vec func() VecVirtual) {
	TEXT(name, NOSPLIT, "func(kc int, a, b, c *float32, ldc int, add bool)")
	Pragma("noescape")
	Doc(name + " computes a tile of C from packed panels.")
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
