package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// The functions here do what those of the same names in the AVX2 generator do, step by step, so that the bits are the same.

// loop16 writes a loop over n elements, 16 at a time; n is a multiple of 16 and not 0.
type loop16 struct {
	n    Register
	ptrs []Register
}

func begin(names ...string) loop16 {
	l := loop16{n: Load(Param("n"), GP64())}
	for _, p := range names {
		l.ptrs = append(l.ptrs, Load(Param(p), GP64()))
	}
	return l
}

func (l loop16) at(i int) Mem { return Mem{Base: l.ptrs[i]} }

func (l loop16) load(i int) VecVirtual {
	v := ZMM()
	VMOVUPS(l.at(i), v)
	return v
}

func (l loop16) end() {
	for _, p := range l.ptrs {
		ADDQ(Imm(64), p)
	}
	SUBQ(Imm(lanes), l.n)
	JNZ(LabelRef("loop"))
}

func splat(param string) VecVirtual {
	v := ZMM()
	VBROADCASTSS(Load(Param(param), XMM()), v)
	return v
}

func constant(x float64) VecVirtual { return broadcast(math.Float32bits(float32(x))) }

func op3(f func(...Op), a Op, b VecVirtual) VecVirtual {
	v := ZMM()
	f(a, b, v)
	return v
}

func mul(a Op, b VecVirtual) VecVirtual  { return op3(VMULPS, a, b) }
func plus(a Op, b VecVirtual) VecVirtual { return op3(VADDPS, a, b) }

// minus is b - a.
func minus(a Op, b VecVirtual) VecVirtual { return op3(VSUBPS, a, b) }

// expConstants are kept in registers over the loop.
type expConstants struct {
	least, high, low, log2e, ln2High, ln2Low, one VecVirtual
	p                                             []VecVirtual
}

func newExp() expConstants {
	c := expConstants{constant(-87.33654), constant(89), constant(-88), constant(1.44269504), constant(0.693359375),
		constant(-2.12194440e-4), constant(1), nil}
	for _, p := range []float64{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		c.p = append(c.p, constant(p))
	}
	return c
}

// exp is e^x.
func (c expConstants) exp(x VecVirtual) VecVirtual {
	alive := K()
	VCMPPS(Imm(5), c.least, x, alive) // not less, or NaN
	y := op3(VMINPS, x, c.high)       // a NaN in x stays
	VMAXPS(y, c.low, y)
	n := mul(c.log2e, y)
	VRNDSCALEPS(Imm(0), n, n)
	VFNMADD231PS(c.ln2High, n, y)
	VFNMADD231PS(c.ln2Low, n, y)
	p := ZMM()
	VMOVAPS(c.p[0], p)
	for _, k := range c.p[1:] {
		VFMADD213PS(k, y, p)
	}
	VFMADD213PS(y, mul(y, y), p)
	VADDPS(c.one, p, p)
	VSCALEFPS_Z(n, p, alive, p)
	return p
}

// sigmoid is 1/(1 + e^-x).
func (c expConstants) sigmoid(x, sign VecVirtual) VecVirtual {
	d := plus(c.one, c.exp(op3(VXORPS, sign, x)))
	return op3(VDIVPS, d, c.one)
}

func function(name, signature, doc string, body func()) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
	body()
	VZEROUPPER()
	RET()
}

func vectors() {
	function("expAVX512", "func(n int, dst, src *float32, scale, shift float32)", "sets dst = e^(scale·src - shift).", func() {
		l := begin("dst", "src")
		scale, shift, c := splat("scale"), splat("shift"), newExp()
		Label("loop")
		VMOVUPS(c.exp(minus(shift, mul(l.load(1), scale))), l.at(0))
		l.end()
	})
	function("expSumAVX512", "func(n int, x, lanes *float32, scale, shift float32)", "sets x = e^(scale·x - shift) and adds it up in 16 lanes.", func() {
		l := begin("x")
		scale, shift, c := splat("scale"), splat("shift"), newExp()
		to, sum := Load(Param("lanes"), GP64()), ZMM()
		VMOVUPS(Mem{Base: to}, sum)
		Label("loop")
		e := c.exp(minus(shift, mul(l.load(0), scale)))
		VADDPS(e, sum, sum)
		VMOVUPS(e, l.at(0))
		l.end()
		VMOVUPS(sum, Mem{Base: to})
	})
	function("softmaxBackwardAVX512", "func(n int, p, dp *float32, scale, lse, mean float32)", "sets p = e^(scale·p - lse) and dp = p·(dp - mean)·scale.", func() {
		l := begin("p", "dp")
		scale, lse, mean, c := splat("scale"), splat("lse"), splat("mean"), newExp()
		Label("loop")
		p := c.exp(minus(lse, mul(l.load(0), scale)))
		VMOVUPS(p, l.at(0))
		VMOVUPS(mul(scale, mul(minus(mean, l.load(1)), p)), l.at(1))
		l.end()
	})
	function("swigluAVX512", "func(n int, y, gate, up *float32, scale float32)", "sets y = silu(gate)·up·scale.", func() {
		l := begin("y", "gate", "up")
		scale, sign, c := splat("scale"), broadcast(1<<31), newExp()
		Label("loop")
		g := l.load(1)
		VMOVUPS(mul(mul(l.load(2), mul(g, c.sigmoid(g, sign))), scale), l.at(0))
		l.end()
	})
	function("swigluBackwardAVX512", "func(n int, dGate, dUp, dy, gate, up, lanes *float32, scale float32)",
		"sets the gradients of gate and up in silu(gate)·up·scale, and adds dy·silu(gate)·up up in 16 lanes.", func() {
			l := begin("dGate", "dUp", "dy", "gate", "up")
			scale, sign, c := splat("scale"), broadcast(1<<31), newExp()
			to, sum := Load(Param("lanes"), GP64()), ZMM()
			VMOVUPS(Mem{Base: to}, sum)
			Label("loop")
			g, dy, u := l.load(3), l.load(2), l.load(4)
			s := c.sigmoid(g, sign)
			silu := mul(g, s)
			VFMADD231PS(mul(u, silu), dy, sum)
			VMULPS(scale, dy, dy)
			slope := minus(s, c.one) // s·(1 + g·(1 - s)) = s + silu·(1 - s)
			VFMADD213PS(s, silu, slope)
			VMOVUPS(mul(silu, dy), l.at(1))
			VMOVUPS(mul(slope, mul(dy, u)), l.at(0))
			l.end()
			VMOVUPS(sum, Mem{Base: to})
		})
}

// eights writes what products in E4M3 need before packing; see fp8.go.
func eights() {
	function("absMaxAVX512", "func(n int, x *float32, most uint32) uint32", "returns the largest of most and the bits of x's magnitudes.", func() {
		l := begin("x")
		mask, most := broadcast(1<<31-1), ZMM()
		VPBROADCASTD(Load(Param("most"), GP32()), most)
		Label("loop")
		VPMAXUD(op3(VPANDD, mask, l.load(0)), most, most)
		l.end()
		half := YMM()
		VEXTRACTI64X4(Imm(1), most, half)
		VPMAXUD(most.AsY(), half, half)
		quarter := XMM()
		VEXTRACTI32X4(Imm(1), half, quarter)
		VPMAXUD(half.AsX(), quarter, quarter)
		for _, shuffle := range []uint64{0x4e, 0xb1} {
			t := XMM()
			VPSHUFD(Imm(shuffle), quarter, t)
			VPMAXUD(t, quarter, quarter)
		}
		r := GP32()
		VMOVD(quarter, r)
		Store(r, ReturnIndex(0))
	})
	function("absMaxesAVX512", "func(n int, most, x *float32)", "raises most to the bits of x's magnitudes, one by one.", func() {
		l := begin("most", "x")
		mask := broadcast(1<<31 - 1)
		Label("loop")
		m := op3(VPANDD, mask, l.load(1))
		VPMAXUD(l.at(0), m, m)
		VMOVUPS(m, l.at(0))
		l.end()
	})
	function("roundE4M3AVX512", "func(n int, dst, src *float32, scale float32)", "sets dst = E4M3(src / scale).", func() {
		l := begin("dst", "src")
		scale, c := splat("scale"), newE4M3()
		Label("loop")
		VMOVUPS(c.round(op3(VDIVPS, scale, l.load(1))), l.at(0))
		l.end()
	})
	function("roundE4M3ByAVX512", "func(n int, dst, src, scale *float32)", "sets dst = E4M3(src / scale), one by one.", func() {
		l := begin("dst", "src", "scale")
		c := newE4M3()
		Label("loop")
		VMOVUPS(c.round(op3(VDIVPS, l.at(2), l.load(1))), l.at(0))
		l.end()
	})
}

// e4m3 is the constants of roundE4M3 in fp8.go, kept in registers over the loop.
type e4m3 struct{ magnitude, least, most, big, half, one, keep VecVirtual }

func newE4M3() e4m3 {
	return e4m3{broadcast(1<<31 - 1), constant(1.0 / 64), constant(448), constant(1 << 14), broadcast(1<<19 - 1), broadcast(1), broadcast(0xfff00000)}
}

func (c e4m3) round(x VecVirtual) VecVirtual {
	nan, small := K(), K()
	a := op3(VPANDD, c.magnitude, x)
	VCMPPS(Imm(3), x, x, nan)
	VCMPPS(Imm(1), c.least, a, small) // less
	fine := plus(c.big, a)
	VSUBPS(c.big, fine, fine)
	VPMINUD(c.most, a, a)
	odd := ZMM()
	VPSRLD(Imm(20), a, odd)
	VPANDD(c.one, odd, odd)
	VPADDD(c.half, a, a)
	VPADDD(odd, a, a)
	VPANDD(c.keep, a, a)
	VMOVAPS(fine, small, a)
	// The sign is x's; a NaN is x itself.
	VPTERNLOGD(Imm(0xe4), c.magnitude, x, a)
	VMOVAPS(x, nan, a)
	return a
}
