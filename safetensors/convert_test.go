package safetensors

import (
	"math"
	"path/filepath"
	"testing"
)

// halfValue is the value of an IEEE half-precision number, from its definition.
func halfValue(h uint16) float64 {
	sign, e, m := 1-2*float64(h>>15), int(h>>10&31), float64(h&1023)
	switch {
	case e == 31 && m == 0:
		return sign * math.Inf(1)
	case e == 31:
		return math.NaN()
	case e == 0:
		return sign * math.Ldexp(m, -24)
	}
	return sign * math.Ldexp(1024+m, e-25)
}

// TestF16 tries all codes, and rounding at and beside the middle between each two neighbours.
func TestF16(t *testing.T) {
	for c := range 1 << 16 {
		h := uint16(c)
		got, want := fromF16(h), halfValue(h)
		if !same(got, float32(want)) {
			t.Fatalf("%#04x is %v, want %v", h, got, want)
		}
		if want != want {
			if back := fromF16(toF16(got)); back == back {
				t.Fatalf("NaN %#04x came back as %v", h, back)
			}
			continue
		}
		if back := toF16(got); back != h {
			t.Fatalf("%#04x came back as %#04x", h, back)
		}
		if math.IsInf(want, 0) {
			continue
		}
		next := halfValue(h + 1)
		if math.IsInf(next, 0) {
			next = math.Copysign(65536, want) // the next number if the exponent went on
		}
		checkMiddle(t, uint32(h), float32((want+next)/2), func(x float32) uint32 { return uint32(toF16(x)) })
	}
}

// TestBF16 does the same for bfloat16.
func TestBF16(t *testing.T) {
	for c := range 1 << 16 {
		x := math.Float32frombits(uint32(c) << 16)
		if x != x {
			if back := math.Float32frombits(uint32(toBF16(x)) << 16); back == back {
				t.Fatalf("NaN %#04x came back as %v", c, back)
			}
			continue
		}
		if back := toBF16(x); int(back) != c {
			t.Fatalf("%#04x came back as %#04x", c, back)
		}
		if !math.IsInf(float64(x), 0) {
			checkMiddle(t, uint32(c), math.Float32frombits(uint32(c)<<16|0x8000), func(x float32) uint32 { return uint32(toBF16(x)) })
		}
	}
}

// checkMiddle: middle lies between the codes c and c+1, and goes to the even one; its neighbours go where they are closer.
func checkMiddle(t *testing.T, c uint32, middle float32, round func(float32) uint32) {
	t.Helper()
	b := math.Float32bits(middle) // magnitudes order as their bits
	below, above := math.Float32frombits(b-1), math.Float32frombits(b+1)
	if got := round(middle); got != c+c&1 {
		t.Fatalf("%v, between %#04x and %#04x, goes to %#04x", middle, c, c+1, got)
	}
	if lo, hi := round(below), round(above); lo != c || hi != c+1 {
		t.Fatalf("beside %v: %#04x and %#04x, want %#04x and %#04x", middle, lo, hi, c, c+1)
	}
}

func BenchmarkRead(b *testing.B) {
	const rows, cols = 2048, 2048
	x := make([]float32, rows*cols)
	for i := range x {
		x[i] = float32(i%1999) - 1000
	}
	for _, dtype := range []DType{F32, BF16, F16, F8_E4M3} {
		path := filepath.Join(b.TempDir(), "a.safetensors")
		if err := Write(path, []Tensor{{"x", []int{rows, cols}, x, dtype}}, nil); err != nil {
			b.Fatal(err)
		}
		r, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer r.Close()
		b.Run(string(dtype), func(b *testing.B) {
			b.SetBytes(rows * cols * dtype.size())
			for b.Loop() {
				if err := r.ReadFloat32("x", x); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
