package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"sprat/float8"
)

// attention is a case of Attend: queries over a context, a block of keys at a time.
type attention struct {
	prec            Precision
	lanes, n, k, v  int
	q, keys, values []float32
}

func newAttention(rng *rand.Rand, prec Precision, lanes, n, k, v int) attention {
	a := attention{prec, lanes, n, k, v, randomVector(rng, lanes*k, 1), randomVector(rng, n*k, 1), randomVector(rng, n*v, 1)}
	if prec == BF16 { // so that a reference need not round
		for _, x := range [][]float32{a.q, a.keys, a.values} {
			roundBF16(x)
		}
	}
	return a
}

// block gives keys [lo, hi), in place where that is how they are taken: then in rows of no order, among rows of NaN.
func (a attention) block(b *Keys, lo, hi int) {
	if !KeysInPlace(a.prec) {
		b.Pack(a.prec, hi-lo, a.k, a.v, a.keys[lo*a.k:], a.k, a.values[lo*a.v:], a.v)
		return
	}
	row := RowWidth(max(a.k, a.v))
	data := make([]uint16, (2*BlockKeys+2)*row)
	for i := range data[row:] {
		data[row+i] = 0x7fc0
	}
	b.InPlace(a.prec, a.k, a.v, data, 0)
	for i := lo; i < hi; i++ {
		key, value := (2*BlockKeys-2*(i-lo))*row, (2*(i-lo)+1)*row
		clear(data[key : key+row])
		NarrowBF16(data[key:][:a.k], a.keys[i*a.k:][:a.k])
		NarrowBF16(data[value:][:a.v], a.values[i*a.v:][:a.v])
		b.Place(key, value, 0, 1)
	}
}

// run attends with the first block of size keys and the others of BlockKeys, and returns all lanes' values.
func (a attention) run(first, seen, step int, scale float32) []float32 {
	ws := NewWorkspace()
	var q Queries
	var s Sums
	var b Keys
	q.Reset(a.prec, a.lanes, a.k)
	cut := a.k / 2 &^ 3
	q.Set(0, cut, a.q, a.k)
	q.Set(cut, a.k-cut, a.q[cut:], a.k)
	s.Reset(a.prec, a.v, nil)
	for lo, hi := 0, min(first, a.n); lo < a.n; lo, hi = hi, min(hi+BlockKeys, a.n) {
		a.block(&b, lo, hi)
		ws.Attend(&s, &q, &b, scale, seen-lo, step)
	}
	y := make([]float32, a.lanes*a.v)
	for i := range a.lanes {
		s.Value(y[i*a.v:][:a.v], i)
	}
	return y
}

// reference is one lane in float64.
func (a attention) reference(lane, seen int, scale float64) []float64 {
	var p []float64
	for i := range min(seen, a.n) {
		dot := 0.0
		for j := range a.k {
			dot += float64(a.q[lane*a.k+j]) * float64(a.keys[i*a.k+j])
		}
		p = append(p, scale*dot)
	}
	top, sum, y := slices.Max(p), 0.0, make([]float64, a.v)
	for i := range p {
		p[i] = math.Exp(p[i] - top)
		sum += p[i]
	}
	for i, w := range p {
		for j := range y {
			y[j] += w / sum * float64(a.values[i*a.v+j])
		}
	}
	return y
}

func TestAttend(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(11, 12))
		for _, prec := range []Precision{F32, BF16} {
			for _, c := range []struct{ lanes, n, k, v, first, seen, step int }{
				{16, 300, 96, 64, 256, 300, 0}, {1, 1, 4, 1, 1, 1, 0}, {16, 40, 33, 32, 16, 10, 1}, {5, 7, 7, 3, 7, 2, 1},
				{9, 265, 20, 70, 256, 252, 1}, {8, 256, 32, 33, 256, 255, 0}, {8, 20, 50, 40, 20, 4, 2}, {3, 70, 96, 64, 64, 70, 0}, {16, 255, 64, 32, 255, 1, 17},
			} {
				a := newAttention(rng, prec, c.lanes, c.n, c.k, c.v)
				const scale = 0.2
				y := a.run(c.first, c.seen, c.step, scale)
				// Weights are rounded to bfloat16, 2^-9 of each; float32 keeps sums of a few hundred to 1e-6 of the largest, and scores of order ten
				// make that 1e-5.
				tolerance := map[Precision]float64{F32: 1e-5, BF16: 4e-3}[prec]
				for lane := range c.lanes {
					want, got := a.reference(lane, c.seen+lane*c.step, scale), y[lane*c.v:][:c.v]
					for i, w := range want {
						if !(math.Abs(float64(got[i])-w) <= tolerance*3) { // values are of order one, the largest below five
							t.Fatalf("%+v, precision %d: lane %d, element %d is %v, want %v", c, prec, lane, i, got[i], w)
						}
					}
				}
			}
		}
	})
}

// TestAttendLanes: a lane's bits depend neither on the other lanes nor on keys that it doesn't see.
func TestAttendLanes(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(13, 14))
		for _, prec := range []Precision{F32, BF16} {
			a := newAttention(rng, prec, 16, 300, 40, 24)
			all := a.run(BlockKeys, 281, 1, 0.3)
			for _, lane := range []int{0, 3, 15} {
				one := a
				one.lanes, one.q, one.n = 1, a.q[lane*a.k:][:a.k], 281+lane
				got := one.run(BlockKeys, 281+lane, 0, 0.3)
				if want := all[lane*a.v:][:a.v]; !slices.Equal(got, want) {
					t.Errorf("precision %d: lane %d alone is %v, in a batch %v", prec, lane, got[:4], want[:4])
				}
			}
		}
	})
}

// TestMergedSums: sums of blocks apart, merged, are those of all blocks within rounding.
func TestMergedSums(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(15, 16))
		for _, prec := range []Precision{F32, BF16} {
			a := newAttention(rng, prec, 16, 600, 40, 24)
			want := a.run(BlockKeys, a.n, 0, 0.3)
			ws := NewWorkspace()
			var q Queries
			var b Keys
			var sums [3]Sums
			q.Reset(prec, a.lanes, a.k)
			q.Set(0, a.k, a.q, a.k)
			for i := range sums {
				sums[i].Reset(prec, a.v, nil)
				a.block(&b, i*BlockKeys, min((i+1)*BlockKeys, a.n))
				ws.Attend(&sums[i], &q, &b, 0.3, BlockKeys, 0)
			}
			sums[0].Merge(&sums[1])
			sums[0].Merge(&sums[2])
			y := make([]float32, a.v)
			for i := range a.lanes {
				sums[0].Value(y, i)
				for j := range y {
					// In bfloat16 the weights are rounded relative to another largest one.
					if d := math.Abs(float64(y[j] - want[i*a.v+j])); d > map[Precision]float64{F32: 1e-5, BF16: 1e-2}[prec] {
						t.Fatalf("precision %d: lane %d, element %d is %v, want %v", prec, i, j, y[j], want[i*a.v+j])
					}
				}
			}
		}
	})
}

func TestNarrowWiden(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		x := []float32{0, 1, 1 + 1.0/256, 1 + 3.0/256, -3.5, float32(math.Inf(1)), float32(math.NaN()), math.MaxFloat32, 1e-30}
		for len(x) < 100 {
			x = append(x, float32(len(x))*0.37)
		}
		half, back := make([]uint16, len(x)), make([]float32, len(x))
		NarrowBF16(half, x)
		WidenBF16(back, half)
		for i, v := range x {
			if want := toBF16(v); back[i] != want && v == v || v != v && back[i] == back[i] {
				t.Errorf("%v becomes %v, want %v", v, back[i], want)
			}
		}
	})
}

func TestDecodeE4M3(t *testing.T) {
	forEachImpl(t, func(t *testing.T) {
		var codes []byte
		scale := func(i int) float32 {
			return []float32{1, 1.0 / 1024, float32(math.Ldexp(1, 119)), float32(math.NaN()), float32(math.Ldexp(1, -22))}[i/128%5]
		}
		for i := range 5 * 128 * 4 {
			c := byte(i * 7)
			if i/32%2 == 0 && c&0x78 == 0 { // no subnormal number among some 32
				c |= 8
			}
			if c&127 == 127 {
				c--
			}
			codes = append(codes, c)
		}
		for _, n := range []int{len(codes), 130, 127} {
			dst, got, scales := make([]uint16, n), make([]float32, n), make([]uint16, groups(n))
			for g := range scales {
				scales[g] = uint16(math.Float32bits(scale(g*128)) >> 16)
			}
			DecodeE4M3(dst, codes[:n], scales)
			WidenBF16(got, dst)
			for i, c := range codes[:n] {
				if want := float8.DecodeE4M3(c) * scale(i); got[i] != want && !(want != want && got[i] != got[i]) {
					t.Fatalf("element %d, code %#x times %v is %v, want %v", i, c, scale(i), got[i], want)
				}
			}
		}
	})
}
