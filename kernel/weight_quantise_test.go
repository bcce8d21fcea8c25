package kernel

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRows compares groups with their definition.
func TestRows(t *testing.T) {
	for _, k := range []int{1, 5, 31, 32, 33, 64, 100} {
		rng := rand.New(rand.NewPCG(1, uint64(k)))
		x := normals(rng, k)
		for i := range x {
			if i/intGroup == 1 {
				x[i] = 0
			}
		}
		forEachImpl(t, func(t *testing.T) {
			var r Rows
			r.Reset(FormatInt8, 3, k)
			for i := range r.data {
				r.data[i] = 99 // of another use
			}
			r.Set(1, x)
			for g := 0; g*intGroup < k; g++ {
				group, record := x[g*intGroup:min((g+1)*intGroup, k)], r.data[r.stride+g*intRecord:][:intRecord]
				amax, sum := float32(0), int32(0)
				for _, v := range group {
					amax = max(amax, float32(math.Abs(float64(v))))
				}
				if scale := getFloat(record[recordScale:]); scale != amax/127 {
					t.Fatalf("k %d, group %d: scale %v, want %v", k, g, scale, amax/127)
				}
				for i, v := range record[:intGroup] {
					want := 0.0
					if i < len(group) && amax > 0 {
						want = math.RoundToEven(float64(group[i] * (127 / amax)))
					}
					if int8(v) != int8(want) {
						t.Fatalf("k %d, group %d: %d is %d, want %v", k, g, i, int8(v), want)
					}
					sum += int32(int8(v))
				}
				for at, weight := range map[int]int32{recordInt8: -128, recordInt4: -8} {
					if got := int32(binary.LittleEndian.Uint32(record[at:])); got != weight*sum {
						t.Fatalf("k %d, group %d: start %d, want %d", k, g, got, weight*sum)
					}
				}
			}
		})
	}
}

// TestRowsExtremes: NaN and infinity spoil their group and no other; what is next to nothing is nothing; the largest numbers stay.
func TestRowsExtremes(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		x     float32
		scale float32
		q     int8
	}{{inf, nan, 0}, {-inf, nan, 0}, {nan, nan, 0}, {1e-31, 0, 0}, {math.SmallestNonzeroFloat32, 0, 0}, {math.MaxFloat32, math.MaxFloat32 / 127, 127},
		{-math.MaxFloat32, math.MaxFloat32 / 127, -127}, {-1e-30, 1e-30 / 127, -127}} {
		forEachImpl(t, func(t *testing.T) {
			var r Rows
			r.Reset(FormatInt4, 1, 96)
			x := make([]float32, 96)
			x[33], x[95] = c.x, 1
			r.Set(0, x)
			record := r.data[intRecord:]
			scale := getFloat(record[recordScale:])
			if scale != c.scale && !(scale != scale && c.scale != c.scale) || int8(record[1]) != c.q {
				t.Errorf("%v: %d times %v, want %d times %v", c.x, int8(record[1]), scale, c.q, c.scale)
			}
			if s := getFloat(r.data[2*intRecord+intGroup:]); s != 1.0/127 {
				t.Errorf("%v: the next group's scale is %v", c.x, s)
			}
		})
	}
}

// TestQuantiseError: quantisation's error is no worse than that of the formats that everybody knows, llama.cpp's Q8_0 and Q4_0, on normal
// numbers and on such with outliers. By the formats' definitions; both have 32 numbers to a scale in half precision.
func TestQuantiseError(t *testing.T) {
	const n = 32 * 2000
	rng := rand.New(rand.NewPCG(11, 12))
	normal, heavy := normals(rng, n), normals(rng, n)
	for i := range heavy {
		heavy[i] /= float32(math.Sqrt(rng.ExpFloat64() + 0.01)) // Student's t, about
	}
	for name, x := range map[string][]float32{"normal": normal, "heavy-tailed": heavy} {
		for _, c := range []struct {
			f         Format
			reference func(x []float32) []float32
			share     float64 // of the reference's error that there may be
		}{{FormatInt8, q8_0, 0.88}, {FormatInt4, q4_0, 0.95}} {
			ours, theirs := 0.0, 0.0
			w := NewWeight(c.f, 1, 1, n, make([]byte, WeightBytes(c.f, 1, 1, n)))
			w.SetRow(0, 0, x)
			got := make([]float32, n)
			w.ReadRow(got, 0, 0)
			for i := 0; i < n; i += intGroup {
				ours += squaredError(x[i:i+intGroup], got[i:])
				theirs += squaredError(x[i:i+intGroup], c.reference(x[i:i+intGroup]))
			}
			t.Logf("format %d, %s: %.4f of the reference's squared error", c.f, name, ours/theirs)
			if ours > c.share*theirs {
				t.Errorf("format %d, %s: %.4f of the reference's squared error, want at most %v", c.f, name, ours/theirs, c.share)
			}
		}
	}
}

func squaredError(x, y []float32) float64 {
	sum := 0.0
	for i, v := range x {
		d := float64(v) - float64(y[i])
		sum += d * d
	}
	return sum
}

// q8_0: d = amax/127, q = round(x/d).
func q8_0(x []float32) []float32 {
	amax := 0.0
	for _, v := range x {
		amax = max(amax, math.Abs(float64(v)))
	}
	d := amax / 127
	var y []float32
	for _, v := range x {
		y = append(y, float32(math.Round(float64(v)/d)*half(d)))
	}
	return y
}

// q4_0: d = the number of largest magnitude / -8, q = trunc(x/d + 8.5), 15 at most, less 8.
func q4_0(x []float32) []float32 {
	largest := 0.0
	for _, v := range x {
		if math.Abs(float64(v)) > math.Abs(largest) {
			largest = float64(v)
		}
	}
	d := largest / -8
	var y []float32
	for _, v := range x {
		q := min(15, math.Trunc(float64(v)/d+8.5))
		y = append(y, float32((q-8)*half(d)))
	}
	return y
}

// half rounds to 11 bits of mantissa; exponents are not checked.
func half(x float64) float64 {
	fraction, exponent := math.Frexp(x)
	return math.Ldexp(math.RoundToEven(fraction*2048)/2048, exponent)
}

// TestScaleFast: every implementation finds the portable one's scales and integers, bit for bit.
func TestScaleFast(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for _, size := range []float32{1, 1e-25, 1e12, 1e30, 0} {
		for _, n := range []int{32, 31, 17, 1, 100} {
			for i := range 60 {
				x, weight := normals(rng, n), []float32(nil)
				for i := range x {
					x[i] *= size
				}
				if i%3 == 0 {
					weight = normals(rng, n)
					for i, v := range weight {
						weight[i] = v * v
					}
				}
				for _, f := range []Format{FormatInt8, FormatInt4} {
					run := func() (float32, []int8) {
						q, s := make([]int8, n), f.Scale(x, weight)
						f.Round(q, x, s)
						return s, q
					}
					restore := use(portableGemm.name)
					scale, want := run()
					restore()
					forEachImpl(t, func(t *testing.T) {
						if s, q := run(); s != scale || !slices.Equal(q, want) {
							t.Fatalf("format %d of %d elements of order %v: %v times %v, want %v times %v", f, n, size, q, s, want, scale)
						}
					})
				}
			}
		}
	}
}

// TestQuantiseIsTheBest tries every scale near the ordinary one, by brute force: none in reach is much better.
func TestQuantiseIsTheBest(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	for _, f := range []Format{FormatInt8, FormatInt4} {
		ours, best := 0.0, 0.0
		for range 200 {
			x := normals(rng, intGroup)
			var q [intGroup]int8
			scale := f.quantise(&q, x)
			y := make([]float32, intGroup)
			for i := range y {
				y[i] = float32(q[i]) * scale
			}
			ours += squaredError(x, y)
			best += bruteForce(f, x)
		}
		t.Logf("format %d: %.3f of the least squared error", f, ours/best)
		if most := map[Format]float64{FormatInt8: 1.25, FormatInt4: 1.1}[f]; ours > most*best {
			t.Errorf("format %d: %.3f times the least squared error, want at most %v", f, ours/best, most)
		}
	}
}

func bruteForce(f Format, x []float32) float64 {
	low, high := -127.0, 127.0
	if f == FormatInt4 {
		low, high = -8, 7
	}
	amax, least := 0.0, math.Inf(1)
	for _, v := range x {
		amax = max(amax, math.Abs(float64(v)))
	}
	y := make([]float32, len(x))
	for d := amax / high * 0.7; d < amax/high*1.3; d *= 1.001 {
		for _, s := range []float64{d, -d} {
			s = float64(toBF16(float32(s)))
			for i, v := range x {
				y[i] = float32(min(max(math.RoundToEven(float64(v)/s), low), high) * s)
			}
			least = min(least, squaredError(x, y))
		}
	}
	return least
}

// TestQuantiseAgain: numbers that came from integers come back as they were.
func TestQuantiseAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	for _, f := range []Format{FormatInt8, FormatInt4} {
		for range 100 {
			x, scale := make([]float32, intGroup), toBF16(rng.Float32()*2-1)
			for i := range x {
				x[i] = float32(rng.IntN(255)-127) * scale
				if f == FormatInt4 {
					x[i] = float32(rng.IntN(16)-8) * scale
				}
			}
			x[3] = -127 * scale
			if f == FormatInt4 {
				x[3] = -8 * scale
			}
			var q [intGroup]int8
			s := f.quantise(&q, x)
			for i, v := range x {
				if float32(q[i])*s != v {
					t.Fatalf("format %d: %v became %v·%v", f, v, q[i], s)
				}
			}
		}
	}
}

// TestQuantiseExtremes: zeros stay zero, also of weights so small that they count as nothing; NaN and infinity aren't hidden.
func TestQuantiseExtremes(t *testing.T) {
	for _, f := range []Format{FormatInt8, FormatInt4} {
		w := NewWeight(f, 1, 1, 64, make([]byte, WeightBytes(f, 1, 1, 64)))
		x, got := make([]float32, 64), make([]float32, 64)
		for _, v := range []float32{0, 1e-40, float32(math.Inf(-1)), float32(math.NaN()), 1e38} {
			x[3], x[40] = v, -2
			w.SetRow(0, 0, x)
			w.ReadRow(got, 0, 0)
			switch {
			case v < 1e-30 && v >= 0:
				if got[3] != 0 || got[0] != 0 {
					t.Errorf("format %d: %v is read as %v", f, v, got[3])
				}
			case v > 1:
				if math.Abs(float64(got[3])/1e38-1) > 0.01 {
					t.Errorf("format %d: %v is read as %v", f, v, got[3])
				}
			case got[3] == got[3]:
				t.Errorf("format %d: %v is read as %v", f, v, got[3])
			}
			if math.Abs(float64(got[40])+2) > 0.01 {
				t.Errorf("format %d: beside %v, -2 is read as %v", f, v, got[40])
			}
		}
	}
}

// TestScaleOfAnyLength: of a long group the scale fits all of it, and where numbers are weighed it fits the heavy ones.
func TestScaleOfAnyLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	for _, f := range []Format{FormatInt8, FormatInt4} {
		for _, n := range []int{1, 31, 64, 100} {
			x, weight := normals(rng, n), make([]float32, n)
			plain, heavy := 0.0, 0.0
			for i := range weight {
				weight[i] = 1
				if i%8 == 0 {
					weight[i] = 1000
				}
			}
			for _, w := range [][]float32{nil, weight} {
				q := make([]int8, n)
				scale := f.Scale(x, w)
				f.Round(q, x, scale)
				sum, least := 0.0, math.Inf(1)
				for i, v := range x {
					d := float64(v) - float64(q[i])*float64(scale)
					sum += float64(weight[i]) * d * d
				}
				for _, v := range int4Tries { // another scale is not better
					if f == FormatInt4 && w != nil {
						s := toBF16(math.Float32frombits(absMax(x, 0)) * v)
						least = min(least, float64(quantError(x, w, s, -8, 7)))
					}
				}
				if sum > least*1.0001 {
					t.Errorf("format %d, %d numbers: error %g where %g can be had", f, n, sum, least)
				}
				if w == nil {
					plain = sum
				} else {
					heavy = sum
				}
			}
			if heavy > plain*1.0001 {
				t.Errorf("format %d, %d numbers: weighed error %g, and %g for the scale that does not weigh", f, n, heavy, plain)
			}
		}
	}
}
