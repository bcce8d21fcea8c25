package tasks

import (
	"iter"
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

// orders yields all orders of the numbers below n. The slice is only good until the next.
func orders(n int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		var from func(i int) bool // goes through the orders of what stands from i on
		from = func(i int) bool {
			if i == n {
				return yield(order)
			}
			for j := i; j < n; j++ {
				order[i], order[j] = order[j], order[i]
				more := from(i + 1)
				order[i], order[j] = order[j], order[i]
				if !more {
					return false
				}
			}
			return true
		}
		from(0)
	}
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }
