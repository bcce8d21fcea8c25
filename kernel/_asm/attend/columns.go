package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// columns write a weight's panel as float32, turned: its k's as rows of 16 elements, ld elements apart.
func columns() {
	panel("columnsBF16AVX512", "2 k's a word, as bfloat16", func() {
		splat(0xffff0000, Z31)
	}, func() {
		Label("loop")
		VMOVUPS(Mem{Base: RSI}, Z0)
		ADDQ(Imm(64), RSI)
		VPSLLD(Imm(16), Z0, Z1)
		put(Z1)
		VPANDD(Z31, Z0, Z1)
		put(Z1)
		SUBQ(Imm(2), RCX)
		JNZ(LabelRef("loop"))
	})
	integers := func(name, of string, bits, perWord int, bias uint32) {
		panel(name, of, func() {
			splat(0xffff0000, Z31)
			splat(1<<bits-1, Z30)
			splat(bias, Z29)
		}, func() {
			Label("loop")
			VMOVUPS(Mem{Base: RSI}, Z0)
			ADDQ(Imm(64), RSI)
			VPSLLD(Imm(16), Z0, Z8)
			VPANDD(Z31, Z0, Z9)
			for group, scale := range []VecPhysical{Z8, Z9} {
				MOVQ(U32(uint32(32/perWord)), RDX)
				words := []string{"first", "second"}[group]
				Label(words)
				VMOVUPS(Mem{Base: RSI}, Z0)
				ADDQ(Imm(64), RSI)
				for i := range perWord {
					VPSRLD(Imm(uint64(8*(i%4)+4*(i/4))), Z0, Z1)
					VPANDD(Z30, Z1, Z1)
					VPSUBD(Z29, Z1, Z1)
					VCVTDQ2PS(Z1, Z1)
					VMULPS(scale, Z1, Z1)
					put(Z1)
				}
				DECQ(RDX)
				JNZ(LabelRef(words))
			}
			SUBQ(Imm(64), RCX)
			JNZ(LabelRef("loop"))
		})
	}
	integers("columnsInt8AVX512", "64 k's at a time, as Int8", 8, 4, 128)
	integers("columnsInt4AVX512", "64 k's at a time, as Int4", 4, 8, 8)
	panel("columnsFP8AVX512", "128 k's at a time, as FP8", func() {
		splat(247<<23, Z31) // 2^120, see decode
		splat(0x87f00000, Z30)
		splat(0x0fe00000, Z29) // a NaN's bits but for the sign
	}, func() {
		Label("loop")
		VMOVUPS(Mem{Base: RSI}, Z8)
		ADDQ(Imm(64), RSI)
		MOVQ(U32(32), RDX)
		Label("words")
		VMOVUPS(Mem{Base: RSI}, Z0)
		ADDQ(Imm(64), RSI)
		for i := range 4 {
			VPSLLD(Imm(uint64(24-8*i)), Z0, Z1)
			VPSRAD(Imm(4), Z1, Z1)
			VPANDD(Z30, Z1, Z1)
			VPADDD(Z1, Z1, Z2)
			VPCMPEQD(Z29, Z2, K1)
			VMULPS(Z31, Z1, Z1)
			VMULPS(Z8, Z1, Z1)
			VPTERNLOGD(Imm(0xff), Z1, Z1, K1, Z1)
			put(Z1)
		}
		DECQ(RDX)
		JNZ(LabelRef("words"))
		SUBQ(U32(128), RCX)
		JNZ(LabelRef("loop"))
	})
}

// panel writes a function for one format.
func panel(name, of string, constants, body func()) {
	begin(name, "func(k int, dst *float32, ld int, panel *byte)", "writes a panel of "+of+", turned: k's as rows of 16 elements, ld elements apart.")
	Load(Param("k"), RCX)
	Load(Param("dst"), RDI)
	Load(Param("ld"), RBX)
	SHLQ(Imm(2), RBX)
	Load(Param("panel"), RSI)
	constants()
	body()
	end()
}

// put stores the next k.
func put(v VecPhysical) {
	VMOVUPS(v, Mem{Base: RDI})
	ADDQ(RBX, RDI)
}
