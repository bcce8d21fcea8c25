package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// loop8 writes a loop over n elements, 8 at a time; n is a multiple of 8 and not 0. Pointers named in ptrs move along.
type loop8 struct {
	n    Register
	ptrs map[string]Register
}

func begin(ptrs ...string) loop8 {
	l := loop8{n: Load(Param("n"), GP64()), ptrs: map[string]Register{}}
	for _, p := range ptrs {
		l.ptrs[p] = Load(Param(p), GP64())
	}
	return l
}

func (l loop8) load(ptr string) VecVirtual {
	v := YMM()
	VMOVUPS(Mem{Base: l.ptrs[ptr]}, v)
	return v
}

func (l loop8) store(v VecVirtual, ptr string) { VMOVUPS(v, Mem{Base: l.ptrs[ptr]}) }

// end moves on by count vectors and goes back to label loop.
func (l loop8) end(order []string, count int) {
	for _, p := range order {
		ADDQ(Imm(uint64(32*count)), l.ptrs[p])
	}
	SUBQ(Imm(uint64(8*count)), l.n)
	JNZ(LabelRef("loop"))
}

func broadcast(param string) VecVirtual {
	v := YMM()
	x := Load(Param(param), XMM())
	VBROADCASTSS(x, v)
	return v
}

// constants makes vectors of one value each, in read-only memory.
var constantMem = map[uint32]Mem{}

func constant(x float64) Mem {
	return constantBits("f", math.Float32bits(float32(x)))
}

func constantBits(kind string, bits uint32) Mem {
	if m, ok := constantMem[bits]; ok {
		return m
	}
	m := GLOBL(kind+hex(bits), RODATA|NOPTR)
	for i := range 8 {
		DATA(4*i, U32(bits))
	}
	constantMem[bits] = m
	return m
}

func hex(b uint32) string {
	const digits = "0123456789abcdef"
	s := ""
	for i := 28; i >= 0; i -= 4 {
		s += string(digits[b>>i&15])
	}
	return s
}

func op3(f func(...Op), a Op, b VecVirtual) VecVirtual {
	v := YMM()
	f(a, b, v)
	return v
}

func mul(a Op, b VecVirtual) VecVirtual  { return op3(VMULPS, a, b) }
func plus(a Op, b VecVirtual) VecVirtual { return op3(VADDPS, a, b) }

// minus is b - a.
func minus(a Op, b VecVirtual) VecVirtual { return op3(VSUBPS, a, b) }

// exp is e^x by the steps of exp32 in vec.go, fused.
func exp(x VecVirtual) VecVirtual {
	alive := YMM()
	VCMPPS(Imm(5), constant(-87.33654), x, alive) // not less, or NaN
	y := YMM()
	high, low := YMM(), YMM()
	VMOVUPS(constant(89), high)
	VMINPS(x, high, y) // a NaN in x stays
	VMOVUPS(constant(-88), low)
	VMAXPS(y, low, y)
	n := mul(constant(1.44269504), y)
	VROUNDPS(Imm(0), n, n)
	VFNMADD231PS(constant(0.693359375), n, y)
	VFNMADD231PS(constant(-2.12194440e-4), n, y)
	p := YMM()
	VMOVUPS(constant(1.9875691500e-4), p)
	for _, c := range []float64{1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1} {
		VFMADD213PS(constant(c), y, p)
	}
	square := mul(y, y)
	VFMADD213PS(y, square, p)
	p = plus(constant(1), p)
	// 2^n in two factors: 2^128 is no float32.
	whole, half := YMM(), YMM()
	VCVTPS2DQ(n, whole)
	VPSRAD(Imm(1), whole, half)
	VPSUBD(half, whole, whole)
	for _, e := range []VecVirtual{half, whole} {
		VPADDD(constantBits("i", 127), e, e)
		VPSLLD(Imm(23), e, e)
		VMULPS(e, p, p)
	}
	VANDPS(alive, p, p)
	return p
}

// sigmoid is 1/(1 + e^-x).
func sigmoid(x VecVirtual) VecVirtual {
	negative := YMM()
	VXORPS(constantBits("s", 1<<31), x, negative)
	d := plus(constant(1), exp(negative))
	one := YMM()
	VMOVUPS(constant(1), one)
	VDIVPS(d, one, d)
	return d
}

func function(name, signature, doc string, ptrs []string, body func(l loop8), finish func()) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
	body(begin(ptrs...))
	if finish != nil {
		finish()
	}
	VZEROUPPER()
	RET()
}

func exponentials() {
	function("expAVX2", "func(n int, dst, src *float32, scale, shift float32)", "sets dst = e^(scale·src - shift).",
		[]string{"dst", "src"}, func(l loop8) {
			scale, shift := broadcast("scale"), broadcast("shift")
			Label("loop")
			l.store(exp(minus(shift, mul(l.load("src"), scale))), "dst")
			l.end([]string{"dst", "src"}, 1)
		}, nil)
	function("sigmoidAVX2", "func(n int, dst, src *float32)", "sets dst = 1/(1 + e^-src).", []string{"dst", "src"}, func(l loop8) {
		Label("loop")
		l.store(sigmoid(l.load("src")), "dst")
		l.end([]string{"dst", "src"}, 1)
	}, nil)
	rope()
	function("swigluAVX2", "func(n int, y, gate, up *float32, scale float32)", "sets y = silu(gate)·up·scale.",
		[]string{"y", "gate", "up"}, func(l loop8) {
			scale := broadcast("scale")
			Label("loop")
			g := l.load("gate")
			l.store(mul(mul(l.load("up"), mul(g, sigmoid(g))), scale), "y")
			l.end([]string{"y", "gate", "up"}, 1)
		}, nil)
	swigluBackward()
	function("scoreGradientAVX2", "func(n int, dp, p *float32, scale, mean float32)", "sets dp = p·(dp - mean)·scale.",
		[]string{"dp", "p"}, func(l loop8) {
			scale, mean := broadcast("scale"), broadcast("mean")
			Label("loop")
			l.store(mul(scale, mul(minus(mean, l.load("dp")), l.load("p"))), "dp")
			l.end([]string{"dp", "p"}, 1)
		}, nil)
}

// swigluBackward takes 16 elements at a time, for the lanes of the sum.
func swigluBackward() {
	ptrs := []string{"dGate", "dUp", "dy", "gate", "up"}
	TEXT("swigluBackwardAVX2", NOSPLIT, "func(n int, dGate, dUp, dy, gate, up, lanes *float32, scale float32)")
	Pragma("noescape")
	Doc("swigluBackwardAVX2 sets the gradients of gate and up in silu(gate)·up·scale, and adds dy·silu(gate)·up up in 16 lanes.",
		"n is a multiple of 16.")
	l := begin(ptrs...)
	lanes, scale := Load(Param("lanes"), GP64()), broadcast("scale")
	Label("loop")
	for i := range 2 {
		at := func(p string) Mem { return Mem{Base: l.ptrs[p], Disp: 32 * i} }
		load := func(p string) VecVirtual {
			v := YMM()
			VMOVUPS(at(p), v)
			return v
		}
		g, dy, u := load("gate"), load("dy"), load("up")
		s := sigmoid(g)
		silu, sum := mul(g, s), YMM()
		VMOVUPS(Mem{Base: lanes, Disp: 32 * i}, sum)
		VFMADD231PS(mul(u, silu), dy, sum)
		VMOVUPS(sum, Mem{Base: lanes, Disp: 32 * i})
		VMULPS(scale, dy, dy)
		// s·(1 + g·(1 - s)) = s + silu·(1 - s)
		one := YMM()
		VMOVUPS(constant(1), one)
		slope := minus(s, one)
		VFMADD213PS(s, silu, slope)
		VMOVUPS(mul(silu, dy), at("dUp"))
		VMOVUPS(mul(slope, mul(dy, u)), at("dGate"))
	}
	l.end(ptrs, 2)
	VZEROUPPER()
	RET()
}

// rope turns four pairs at a time: (a, b)·cos + (b, a)·(-sin, sin).
func rope() {
	TEXT("ropeAVX2", NOSPLIT, "func(n int, x, cos, sin *float32, flip uint32)")
	Pragma("noescape")
	Doc("ropeAVX2 turns n pairs, a multiple of 4; flip is the sign bit where it turns back, else 0.")
	n := Load(Param("n"), GP64())
	x := Load(Param("x"), GP64())
	cos := Load(Param("cos"), GP64())
	sin := Load(Param("sin"), GP64())
	twice, signs, flip := YMM(), YMM(), YMM()
	VMOVUPS(words("twice", 0, 0, 1, 1, 2, 2, 3, 3), twice) // places within 128 bits
	VMOVUPS(words("signs", 1<<31, 0, 1<<31, 0, 1<<31, 0, 1<<31, 0), signs)
	f := XMM()
	VMOVD(Load(Param("flip"), GP32()), f)
	VPBROADCASTD(f, flip)
	VXORPS(flip, signs, signs)
	double := func(p Register) VecVirtual {
		v := YMM()
		VBROADCASTF128(Mem{Base: p}, v)
		VPERMILPS(twice, v, v)
		return v
	}
	Label("loop")
	c, s := double(cos), double(sin)
	VXORPS(signs, s, s)
	v, swapped := YMM(), YMM()
	VMOVUPS(Mem{Base: x}, v)
	VPERMILPS(Imm(0xb1), v, swapped)
	VMULPS(c, v, v)
	VFMADD231PS(s, swapped, v)
	VMOVUPS(v, Mem{Base: x})
	ADDQ(Imm(32), x)
	ADDQ(Imm(16), cos)
	ADDQ(Imm(16), sin)
	SUBQ(Imm(4), n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// words is a vector in read-only memory.
func words(name string, w ...uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i, x := range w {
		DATA(4*i, U32(x))
	}
	return m
}

func reductions() {
	type sum struct {
		name, signature, doc string
		ptrs                 []string
		cut                  bool // it has a parameter cut, for each to find in cuts
		add                  func(l loop8, i int, acc VecVirtual)
	}
	var cuts VecVirtual
	at := func(l loop8, p string, i int) Mem { return Mem{Base: l.ptrs[p], Disp: 32 * i} }
	for _, s := range []sum{
		{"sumAVX2", "func(n int, lanes, x *float32)", "adds x up in 16 lanes.", []string{"x"}, false, func(l loop8, i int, acc VecVirtual) {
			VADDPS(at(l, "x", i), acc, acc)
		}},
		{"sumAtLeastAVX2", "func(n int, lanes, x *float32, cut float32)", "adds the x >= cut up in 16 lanes.", []string{"x"}, true, func(l loop8, i int, acc VecVirtual) {
			v, in := YMM(), YMM()
			VMOVUPS(at(l, "x", i), v)
			VCMPPS(Imm(0x1d), cuts, v, in) // greater or equal, false of a NaN
			VANDPS(v, in, v)
			VADDPS(v, acc, acc)
		}},
		{"dotAVX2", "func(n int, lanes, a, b *float32)", "adds a·b up in 16 lanes.", []string{"a", "b"}, false, func(l loop8, i int, acc VecVirtual) {
			v := YMM()
			VMOVUPS(at(l, "a", i), v)
			VFMADD231PS(at(l, "b", i), v, acc)
		}},
		{"dot3AVX2", "func(n int, lanes, a, b, c *float32)", "adds a·b·c up in 16 lanes.", []string{"a", "b", "c"}, false, func(l loop8, i int, acc VecVirtual) {
			v := YMM()
			VMOVUPS(at(l, "a", i), v)
			VMULPS(at(l, "b", i), v, v)
			VFMADD231PS(at(l, "c", i), v, acc)
		}},
	} {
		TEXT(s.name, NOSPLIT, s.signature)
		Pragma("noescape")
		Doc(s.name + " " + s.doc + " n is a multiple of 16.")
		l := begin(s.ptrs...)
		lanes := Load(Param("lanes"), GP64())
		acc := []VecVirtual{YMM(), YMM()}
		for i, a := range acc {
			VMOVUPS(Mem{Base: lanes, Disp: 32 * i}, a)
		}
		if s.cut {
			cuts = broadcast("cut")
		}
		Label("loop")
		for i, a := range acc {
			s.add(l, i, a)
		}
		l.end(s.ptrs, 2)
		for i, a := range acc {
			VMOVUPS(a, Mem{Base: lanes, Disp: 32 * i})
		}
		VZEROUPPER()
		RET()
	}
	TEXT("maxAVX2", NOSPLIT, "func(n int, x *float32) float32")
	Pragma("noescape")
	Doc("maxAVX2 returns the largest of x, which holds no NaN.")
	l := begin("x")
	top := l.load("x")
	Label("loop")
	VMAXPS(Mem{Base: l.ptrs["x"]}, top, top)
	l.end([]string{"x"}, 1)
	other := XMM()
	VEXTRACTF128(Imm(1), top, other)
	VMAXPS(other, top.AsX(), other)
	for _, shuffle := range []uint64{0x4e, 0xb1} {
		t := XMM()
		VPERMILPS(Imm(shuffle), other, t)
		VMAXPS(t, other, other)
	}
	Store(other, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

func elementwise() {
	function("axpyAVX2", "func(n int, y, x *float32, alpha float32)", "sets y += alpha·x.", []string{"y", "x"}, func(l loop8) {
		alpha := broadcast("alpha")
		Label("loop")
		y := l.load("y")
		VFMADD231PS(Mem{Base: l.ptrs["x"]}, alpha, y)
		l.store(y, "y")
		l.end([]string{"y", "x"}, 1)
	}, nil)
	function("scaleAVX2", "func(n int, x *float32, alpha float32)", "sets x = alpha·x.", []string{"x"}, func(l loop8) {
		alpha := broadcast("alpha")
		Label("loop")
		l.store(mul(l.load("x"), alpha), "x")
		l.end([]string{"x"}, 1)
	}, nil)
	function("mulScaleAVX2", "func(n int, y, x, w *float32, alpha float32)", "sets y = x·alpha·w.", []string{"y", "x", "w"}, func(l loop8) {
		alpha := broadcast("alpha")
		Label("loop")
		l.store(mul(l.load("w"), mul(l.load("x"), alpha)), "y")
		l.end([]string{"y", "x", "w"}, 1)
	}, nil)
	rms := []string{"dx", "dw", "dy", "x", "w"}
	function("rmsBackwardAVX2", "func(n int, dx, dw, dy, x, w *float32, rstd, c float32)", "sets dw += dy·x·rstd and dx += rstd·(w·dy - x·c).", rms, func(l loop8) {
		rstd, c := broadcast("rstd"), broadcast("c")
		Label("loop")
		x, dy := l.load("x"), l.load("dy")
		dw := l.load("dw")
		VFMADD231PS(mul(dy, x), rstd, dw)
		l.store(dw, "dw")
		g := mul(l.load("w"), dy)
		VFNMADD231PS(x, c, g)
		dx := l.load("dx")
		VFMADD231PS(g, rstd, dx)
		l.store(dx, "dx")
		l.end(rms, 1)
	}, nil)
	adam := []string{"w", "m", "v", "grad"}
	function("adamwAVX2", "func(n int, w, m, v, grad *float32, lr, beta1, rest1, beta2, rest2, eps, decay, correction1, correction2, gradScale float32)",
		"steps w; rest is 1 - beta.", adam, func(l loop8) {
			p := map[string]VecVirtual{}
			for _, name := range []string{"lr", "beta1", "rest1", "beta2", "rest2", "eps", "decay", "correction1", "correction2"} {
				p[name] = broadcast(name)
			}
			gradScale := broadcast("gradScale")
			Label("loop")
			g := mul(l.load("grad"), gradScale)
			m := mul(l.load("m"), p["beta1"])
			VFMADD231PS(g, p["rest1"], m)
			l.store(m, "m")
			VMULPS(g, g, g)
			v := mul(l.load("v"), p["beta2"])
			VFMADD231PS(g, p["rest2"], v)
			l.store(v, "v")
			VMULPS(p["correction2"], v, v)
			VSQRTPS(v, v)
			VADDPS(p["eps"], v, v)
			VMULPS(p["correction1"], m, m)
			VDIVPS(v, m, m)
			w := l.load("w")
			VFMADD231PS(w, p["decay"], m)
			VFNMADD231PS(m, p["lr"], w)
			l.store(w, "w")
			l.end(adam, 1)
		}, nil)
}
