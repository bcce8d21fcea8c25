package tasks

import (
	"math"
	"math/rand/v2"
)

// dial turns a difficulty into a size: lo at 0, hi at 1, and on along that line. Between two whole sizes it draws one of them.
func dial(rng *rand.Rand, difficulty float64, lo, hi int) int {
	x := float64(lo) + float64(hi-lo)*difficulty
	n := math.Floor(x)
	if rng.Float64() < x-n {
		n++
	}
	return int(n)
}

// between draws from lo to hi, both included.
func between(rng *rand.Rand, lo, hi int) int { return lo + rng.IntN(hi-lo+1) }

// chance is true one time in n.
func chance(rng *rand.Rand, n int) bool { return rng.IntN(n) == 0 }

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }
