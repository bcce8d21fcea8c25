package sample

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sorted are ids in the order of x: the largest first, of equal ones the lower id.
func sorted(x []float32) []int32 {
	ids := make([]int32, len(x))
	for i := range ids {
		ids[i] = int32(i)
	}
	slices.SortStableFunc(ids, func(a, b int32) int { return cmp.Compare(x[b], x[a]) })
	return ids
}

// lengths have every kind of tail, of vectors, blocks and parts.
var lengths = []int{1, 7, 16, 63, 64, 65, 255, 257, 1000, 5003}

func TestLargest(t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 15))
	for _, n := range lengths {
		for range 5 {
			x := randomLogits(rng, n)
			for _, k := range []int{1, 2, 5, 78, 79, 80, 1000, n - 1, n, n + 1} {
				if k < 1 {
					continue
				}
				s := Sampler{peaks: make([]float32, (n+block-1)/block)}
				var got []int32
				for _, key := range s.largest(x, k) {
					if got = append(got, keyID(key)); keyValue(key) != float64(x[keyID(key)]) {
						t.Fatalf("token %d has %v, want %v", keyID(key), keyValue(key), x[keyID(key)])
					}
				}
				if want := sorted(x)[:min(k, n)]; !slices.Equal(got, want) {
					t.Fatalf("%d largest of %d: %v, want %v", k, n, got, want)
				}
			}
		}
	}
}

func TestKeys(t *testing.T) {
	inf := float32(math.Inf(1))
	var last uint64
	for i, v := range []float32{-inf, -math.MaxFloat32, -1, -1e-45, 0, 1e-45, 0.5, 1, math.MaxFloat32, inf} {
		for _, id := range []int{math.MaxInt32, 7, 0} {
			k := newKey(v, id)
			if k <= last || keyValue(k) != float64(v) || keyID(k) != int32(id) {
				t.Errorf("%d: key %x of %v and %d is %v and %d, after key %x", i, k, v, id, keyValue(k), keyID(k), last)
			}
			last = k
		}
	}
	if newKey(float32(math.Copysign(0, -1)), 3) != newKey(0, 3) {
		t.Error("0 and -0 differ")
	}
}

// Equal logits weigh the same in a vector and in what comes after the last.
func TestEqualLogitsWeighTheSame(t *testing.T) {
	for v := float32(-20); v < 0; v += 0.37 {
		x := make([]float32, 16+15)
		for i := range x {
			x[i] = v
		}
		x[3] = 0.1
		weights(x, 1.3)
		for i, w := range x {
			if i != 3 && w != x[0] {
				t.Fatalf("logit %v weighs %v at 0 and %v at %d", v, x[0], w, i)
			}
		}
	}
}

// A cut before each token in turn has the weights before it, and draws give each of these its share, by id.
func TestCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 17))
	for _, n := range lengths {
		x := randomLogits(rng, n)
		weights(x, 1)
		order := sorted(x)
		for _, place := range []int{1, 1 + n/3, 1 + n/2, n} {
			all := 0.0
			in := slices.Sorted(slices.Values(order[:place]))
			for _, id := range in {
				all += float64(x[id])
			}
			c := cut{id: n}
			if place < n {
				c = before(x[order[place]], order[place])
			}
			if got := c.sum(x, 0); math.Abs(got-all) > 1e-5*all {
				t.Fatalf("%d before a cut among %d: %v, want %v", place, n, got, all)
			}
			sum := 0.0
			for _, id := range in {
				w := float64(x[id])
				if got := c.draw(x, sum+w/2); got != id && w > 1e-4*all {
					t.Fatalf("%d before a cut among %d: token %d at %v, want %d", place, n, got, sum+w/2, id)
				}
				sum += w
			}
			// What rounding makes too large is the last that weighs something.
			slices.Reverse(in)
			want := in[slices.IndexFunc(in, func(id int32) bool { return x[id] > 0 })]
			if got := c.draw(x, 2*all); got != want {
				t.Fatalf("%d before a cut among %d: token %d after the end, want %d", place, n, got, want)
			}
		}
	}
}

// The number of tries stays small where much is cut away, be it of equal weights.
func TestNucleusOfMany(t *testing.T) {
	const n = 20000
	for _, topP := range []float64{1e-9, 1e-3, 0.5} {
		s, err := New(Options{Temperature: 1, TopP: topP}, n, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			token, err := s.Next(make([]float32, n))
			if err != nil {
				t.Fatal(err)
			}
			if most := math.Ceil(topP * n); float64(token.ID) >= most+1 {
				t.Errorf("top-p %v of %d equal ones: token %d", topP, n, token.ID)
			}
		}
	}
}
