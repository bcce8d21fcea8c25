package float8

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestDotError repeats the observation of DeepSeek-V3's report (section 3.3.2): over 4096 random products the tensor core's register alone
// errs by up to a percent or so (the report: nearly two), and promotion every 128 keeps almost all of it away.
func TestDotError(t *testing.T) {
	const k, rows = 4096, 24
	for _, c := range []struct {
		name           string
		random         func(rng *rand.Rand) float32
		alone, promote float64 // bounds of the largest error, relative to the results' root mean square
	}{
		{"uniform in [0, 1)", func(rng *rand.Rand) float32 { return rng.Float32() }, 0.01, 0.0005},
		{"normal", func(rng *rand.Rand) float32 { return float32(rng.NormFloat64()) }, 0.02, 0.001},
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		matrix := func() []uint8 {
			x, q := make([]float32, rows*k), make([]uint8, rows*k)
			for i := range x {
				x[i] = c.random(rng)
			}
			QuantizeTiles(q, make([]float32, rows*Blocks(k)), x, rows, k, false)
			return q
		}
		a, b := matrix(), matrix()
		largest := map[int]float64{}
		squares := 0.0
		for i := range rows {
			for j := range rows {
				x, y := a[i*k:(i+1)*k], b[j*k:(j+1)*k]
				exact := 0.0
				for l := range x {
					exact += product(x[l], y[l])
				}
				squares += exact * exact
				for _, promote := range []int{0, 128} {
					largest[promote] = math.Max(largest[promote], math.Abs(float64(Dot(x, y, promote))-exact))
				}
			}
		}
		rms := math.Sqrt(squares / rows / rows)
		alone, promoted := largest[0]/rms, largest[128]/rms
		t.Logf("%-18s largest error over K = %d: %.4f %% in the register alone, %.4f %% promoted every 128", c.name, k, 100*alone, 100*promoted)
		if !(alone < c.alone && alone > c.alone/10 && promoted < c.promote && promoted < alone/3) {
			t.Errorf("%s: errors %v and %v", c.name, alone, promoted)
		}
	}
}

func TestDotIsExactWhereNothingIsLost(t *testing.T) {
	a, b := make([]uint8, 100), make([]uint8, 100)
	for i := range a {
		a[i], b[i] = EncodeE4M3(float32(i%3)-1), EncodeE4M3(2)
	}
	for _, promote := range []int{0, 32, 128} {
		if got := Dot(a, b, promote); got != -2 {
			t.Errorf("promoted every %d: %v, want -2", promote, got)
		}
	}
	// 2^12 + 1 + ... : what lies 14 bits below the largest product is cut off.
	a, b = []uint8{EncodeE4M3(128), EncodeE4M3(1.0 / 64)}, []uint8{EncodeE4M3(128), EncodeE4M3(1)}
	if got := Dot(a, b, 0); got != 1<<14 {
		t.Errorf("2^14 + 2^-6 is %v, want 2^14", got)
	}
	b[1] = EncodeE4M3(128)
	if got := Dot(a, b, 0); got != 1<<14+2 {
		t.Errorf("2^14 + 2 is %v, want both", got)
	}
}
