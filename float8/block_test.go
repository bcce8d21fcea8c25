package float8

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestGoldenTile is DeepSeek's act_quant of a tile whose largest magnitude is 0.6.
func TestGoldenTile(t *testing.T) {
	x := []float32{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.1, -0.2, -0.3, -0.4, -0.5, -0.6}
	tests := []struct {
		pow2  bool
		scale float32
		codes []float32
	}{
		{false, 0.0013392857, []float32{72, 144, 224, 288, 384, 448}},
		{true, 0x1p-9, []float32{52, 104, 160, 208, 256, 320}},
	}
	for _, tt := range tests {
		q, scale := make([]uint8, len(x)), make([]float32, 1)
		QuantizeTiles(q, scale, x, 1, len(x), tt.pow2)
		if scale[0] != tt.scale {
			t.Errorf("pow2 %v: scale %v, want %v", tt.pow2, scale[0], tt.scale)
		}
		for i := range q {
			want := tt.codes[i%6]
			if i >= 6 {
				want = -want
			}
			if got := DecodeE4M3(q[i]); got != want {
				t.Errorf("pow2 %v: %v is %v, want %v", tt.pow2, x[i], got, want)
			}
		}
	}
}

// layout is one of the two ways of grouping, so that both pass the same tests.
type layout struct {
	name       string
	quantize   func(q []uint8, scale, x []float32, rows, cols int, pow2 bool)
	dequantize func(x []float32, q []uint8, scale []float32, rows, cols int)
	height     int // rows in a group
}

var layouts = []layout{
	{"tiles", QuantizeTiles, DequantizeTiles, 1},
	{"blocks", QuantizeBlocks, DequantizeBlocks, Block},
}

var shapes = [][2]int{{0, 0}, {0, 5}, {3, 0}, {1, 1}, {1, 127}, {2, 128}, {128, 128}, {129, 129}, {5, 300}, {576, 7}, {256, 257}}

// TestQuantize checks every group by itself, ragged ones included: its scale is the formula's, and each value comes back within
// half a step of E4M3 at its own magnitude.
func TestQuantize(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, l := range layouts {
		for _, s := range shapes {
			for _, pow2 := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%dx%d/%v", l.name, s[0], s[1], pow2), func(t *testing.T) {
					l.check(t, rng, s[0], s[1], pow2)
				})
			}
		}
	}
}

func (l layout) check(t *testing.T, rng *rand.Rand, rows, cols int, pow2 bool) {
	x, back, q := make([]float32, rows*cols), make([]float32, rows*cols), make([]uint8, rows*cols)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * math.Exp(4*rng.NormFloat64()))
	}
	across := (cols + 127) / 128
	scale := make([]float32, (rows+l.height-1)/l.height*across)
	l.quantize(q, scale, x, rows, cols, pow2)
	l.dequantize(back, q, scale, rows, cols)

	amax := make([]float64, len(scale))
	group := func(i int) int { return i/cols/l.height*across + i%cols/128 }
	for i, v := range x {
		amax[group(i)] = max(amax[group(i)], math.Abs(float64(v)))
	}
	for g, a := range amax {
		want := max(a, 1e-4) / 448
		if pow2 {
			want = math.Exp2(math.Ceil(math.Log2(float64(float32(want)))))
		}
		// One division in float32 is within 2^-24 of the exact quotient; 1e-4 itself is rounded to float32 too.
		if math.Abs(float64(scale[g])/want-1) > 0x1p-23 {
			t.Fatalf("scale %d is %v, want %v", g, scale[g], want)
		}
	}
	for i, v := range x {
		s := float64(scale[group(i)])
		// Half a step is 1/16 of the power of two below |x/s|, and 2^-10 in the subnormal range. The quotient and the product
		// are rounded to float32, which 2^-20 more covers.
		y := math.Abs(float64(v)) / s
		half := max(math.Exp2(math.Floor(math.Log2(y)))/16, 0x1p-10)
		if diff := math.Abs(float64(back[i])-float64(v)) / s; diff > half*(1+0x1p-20)+y*0x1p-22 {
			t.Fatalf("element (%d, %d): %v came back as %v, off by %v of the scale, half a step is %v",
				i/cols, i%cols, v, back[i], diff, half)
		}
	}
}

// TestGroupsAreSeparate: an outlier spoils its own group and no other.
func TestGroupsAreSeparate(t *testing.T) {
	const rows, cols = 130, 260
	for _, l := range layouts {
		x, back, q := make([]float32, rows*cols), make([]float32, rows*cols), make([]uint8, rows*cols)
		for i := range x {
			x[i] = 1
		}
		bad := 129*cols + 128 // the first element of the middle group, in the lower row of groups
		x[bad] = float32(math.Inf(1))
		scale := make([]float32, (rows+l.height-1)/l.height*3)
		l.quantize(q, scale, x, rows, cols, false)
		l.dequantize(back, q, scale, rows, cols)
		for i, v := range back {
			same := i/cols/l.height == bad/cols/l.height && i%cols/128 == 1
			if same && v == v || !same && math.Abs(float64(v)-1) > 1e-6 {
				t.Fatalf("%s: element (%d, %d) is %v beside an infinity at (%d, %d)", l.name, i/cols, i%cols, v, bad/cols, bad%cols)
			}
		}
	}
}

func TestZerosStayZero(t *testing.T) {
	x, q, scale := make([]float32, 200), make([]uint8, 200), make([]float32, 2)
	QuantizeTiles(q, scale, x, 1, 200, false)
	DequantizeTiles(x, q, scale, 1, 200)
	for i, v := range x {
		if v != 0 || scale[i/128] <= 0 {
			t.Fatalf("element %d is %v with scale %v", i, v, scale[i/128])
		}
	}
}

func TestPanicsOnWrongLengths(t *testing.T) {
	calls := map[string]func(){
		"codes":       func() { QuantizeTiles(make([]uint8, 9), make([]float32, 2), make([]float32, 10), 2, 5, false) },
		"tile scales": func() { QuantizeTiles(make([]uint8, 10), make([]float32, 1), make([]float32, 10), 2, 5, false) },
		"scales":      func() { DequantizeBlocks(make([]float32, 10), make([]uint8, 10), make([]float32, 2), 2, 5) },
		"negative":    func() { BlockScales(nil, nil, -1, 0, false) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func ExampleQuantizeTiles() {
	x := []float32{0.1, -0.5, 0.6}
	q, scale := make([]uint8, 3), make([]float32, 1)
	QuantizeTiles(q, scale, x, 1, 3, false)
	DequantizeTiles(x, q, scale, 1, 3)
	fmt.Printf("scale %.6f, codes %#x, values %.3f\n", scale[0], q, x)
	// Output: scale 0.001339, codes 0x69fc7e, values [0.096 -0.514 0.600]
}

func BenchmarkBlocks(b *testing.B) {
	const rows, cols = 512, 2048
	x, q := make([]float32, rows*cols), make([]uint8, rows*cols)
	scale := make([]float32, Blocks(rows)*Blocks(cols))
	for i := range x {
		x[i] = float32(i%1999) - 1000
	}
	b.Run("quantize", func(b *testing.B) {
		b.SetBytes(rows * cols)
		for b.Loop() {
			QuantizeBlocks(q, scale, x, rows, cols, false)
		}
	})
	b.Run("dequantize", func(b *testing.B) {
		b.SetBytes(rows * cols)
		for b.Loop() {
			DequantizeBlocks(x, q, scale, rows, cols)
		}
	})
}
