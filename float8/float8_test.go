package float8

import (
	"math"
	"math/rand/v2"
	"testing"
)

// format describes one of the two codecs to the tests that both must pass.
type format struct {
	name    string
	encode  func(float32) uint8
	decode  func(uint8) float32
	largest float64
	formula func(code uint8) float64 // the value, from the definition of the format
}

var formats = []format{
	{"E4M3", EncodeE4M3, DecodeE4M3, 448, func(c uint8) float64 {
		e, m := int(c>>3&15), float64(c&7)
		switch {
		case e == 15 && m == 7:
			return math.NaN()
		case e == 0:
			return signOf(c) * m / 512
		}
		return signOf(c) * (1 + m/8) * math.Pow(2, float64(e-7))
	}},
	{"E5M2", EncodeE5M2, DecodeE5M2, 57344, func(c uint8) float64 {
		e, m := int(c>>2&31), float64(c&3)
		switch {
		case e == 31 && m == 0:
			return signOf(c) * math.Inf(1)
		case e == 31:
			return math.NaN()
		case e == 0:
			return signOf(c) * m / 65536
		}
		return signOf(c) * (1 + m/4) * math.Pow(2, float64(e-15))
	}},
}

// values are the magnitudes of the codes 0 to 127.
func (f format) values() (v [128]float64) {
	for c := range v {
		v[c] = f.formula(uint8(c))
	}
	return v
}

func signOf(c uint8) float64 { return 1 - 2*float64(c>>7) }

func TestDecodeAllCodes(t *testing.T) {
	for _, f := range formats {
		for c := range 256 {
			got, want := float64(f.decode(uint8(c))), f.formula(uint8(c))
			same := got == want && math.Signbit(got) == math.Signbit(want)
			if !same && !(math.IsNaN(got) && math.IsNaN(want)) {
				t.Errorf("%s: code %#02x decodes to %v, want %v", f.name, c, got, want)
			}
		}
	}
}

// TestEncodeInvertsDecode: a number of the format encodes to its own code; NaN gives 0x7F; infinities saturate.
func TestEncodeInvertsDecode(t *testing.T) {
	for _, f := range formats {
		for c := range 256 {
			v, want := f.decode(uint8(c)), uint8(c)
			switch {
			case v != v:
				want = 0x7F
			case math.IsInf(float64(v), 0):
				want--
			}
			if got := f.encode(v); got != want {
				t.Errorf("%s: %v encodes to %#02x, want %#02x", f.name, v, got, want)
			}
		}
	}
}

// nearest is the code of the finite number closest to x, found by trying all of them; ties go to the even code.
// The sign is x's, zero included.
func (f format) nearest(values *[128]float64, x float64) uint8 {
	if math.IsNaN(x) {
		return 0x7F
	}
	x0 := min(math.Abs(x), f.largest)
	best, distance := 0, math.Inf(1)
	for c, v := range values {
		d := math.Abs(v - x0) // NaN and infinity are never near
		if d < distance || d == distance && c%2 == 0 {
			best, distance = c, d
		}
	}
	if math.Signbit(x) {
		best |= 0x80
	}
	return uint8(best)
}

func (f format) check(t *testing.T, values *[128]float64, x float32) {
	t.Helper()
	if got, want := f.encode(x), f.nearest(values, float64(x)); got != want {
		t.Fatalf("%s: %v (%#08x) encodes to %#02x, want %#02x", f.name, x, math.Float32bits(x), got, want)
	}
}

// TestEncodeIsNearest compares with brute force: around every number and every midpoint, and in a dense sweep of all float32.
func TestEncodeIsNearest(t *testing.T) {
	for _, f := range formats {
		values := f.values()
		for c := range 127 {
			v, next := f.formula(uint8(c)), f.formula(uint8(c+1))
			if math.IsNaN(next) || math.IsInf(next, 0) {
				next = 2 * f.largest // beyond the last number: everything saturates
			}
			for _, x := range []float32{float32(v), float32((v + next) / 2)} { // both exact in float32
				for _, y := range []float32{x, math.Nextafter32(x, 0), math.Nextafter32(x, math.MaxFloat32)} {
					f.check(t, &values, y)
					f.check(t, &values, -y)
				}
			}
		}
		const stride = 7919 // a prime: visits all exponents and spreads over the mantissas
		for b := uint64(0); b < 1<<32; b += stride {
			f.check(t, &values, math.Float32frombits(uint32(b)))
		}
	}
}

// TestGoldenE4M3 has values worked out by hand.
func TestGoldenE4M3(t *testing.T) {
	tests := []struct {
		x    float32
		code uint8
		back float32
	}{
		{0x1p-10, 0x00, 0}, // tie
		{0.001, 0x01, 0x1p-9},
		{0.015625, 0x08, 0.015625},
		{0.3, 0x2A, 0.3125},
		{1.0625, 0x38, 1},    // tie
		{1.1875, 0x3A, 1.25}, // tie
		{17, 0x58, 16},
		{19, 0x5A, 20},
		{239.9, 0x77, 240},
		{440, 0x7E, 448},
		{464, 0x7E, 448}, // would be the tie with 480 if the format had it
		{1e30, 0x7E, 448},
		{float32(math.Inf(-1)), 0xFE, -448},
		{float32(math.Copysign(0, -1)), 0x80, 0},
	}
	for _, tt := range tests {
		code := EncodeE4M3(tt.x)
		if code != tt.code || DecodeE4M3(code) != tt.back {
			t.Errorf("%v: code %#02x, value %v; want %#02x, %v", tt.x, code, DecodeE4M3(code), tt.code, tt.back)
		}
	}
	for _, c := range []uint8{0x7F, 0xFF} {
		if v := DecodeE4M3(c); v == v {
			t.Errorf("code %#02x decodes to %v, want NaN", c, v)
		}
	}
}

func TestScaleUE8M0(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	tests := []struct{ s, want float32 }{
		{1, 1}, {math.Nextafter32(1, 2), 2}, {1.5, 2}, {2, 2}, {0.0013392857, 0x1p-9}, {0.75, 1},
		{0, 0x1p-127}, {-3, 0x1p-127}, {0x1p-149, 0x1p-127}, {0x1p-127, 0x1p-127}, {0x1.8p-127, 0x1p-126},
		{0x1p-126, 0x1p-126}, {0x1p127, 0x1p127}, {math.MaxFloat32, 0x1p127},
		{nan, nan}, {inf, nan}, {-inf, nan},
	}
	for _, tt := range tests {
		got := ScaleUE8M0(tt.s)
		if got != tt.want && (got == got || tt.want == tt.want) {
			t.Errorf("ScaleUE8M0(%v) = %v, want %v", tt.s, got, tt.want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		s := math.Float32frombits(1<<23 + rng.Uint32N(253<<23)) // normal, below 2^127
		if got, want := ScaleUE8M0(s), float32(math.Exp2(math.Ceil(math.Log2(float64(s))))); got != want {
			t.Fatalf("ScaleUE8M0(%v) = %v, want %v", s, got, want)
		}
	}
}

// FuzzCodec: both codecs agree with brute force on any float32, and encoding what was decoded changes nothing.
func FuzzCodec(f *testing.F) {
	for _, b := range []uint32{0, 1 << 31, 0x7F800000, 0x7FC00000, 0x3F880000, 0x3A800000, 0x43E00001} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b uint32) {
		x := math.Float32frombits(b)
		for _, fm := range formats {
			values := fm.values()
			fm.check(t, &values, x)
			if c := fm.encode(x); fm.encode(fm.decode(c)) != c {
				t.Errorf("%s: code %#02x of %v does not survive", fm.name, c, x)
			}
		}
	})
}
