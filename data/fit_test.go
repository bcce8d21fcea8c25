package data

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// slowFit is BestFit as one would write it down.
func slowFit(sizes []int, size int) (full []int) {
	sizes = slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return n < 1 || n > size })
	slices.SortFunc(sizes, func(a, b int) int { return b - a })
	for _, n := range sizes {
		best := -1
		for i, f := range full {
			if f+n <= size && (best < 0 || f > full[best]) {
				best = i
			}
		}
		if best < 0 {
			best, full = len(full), append(full, 0)
		}
		full[best] += n
	}
	return full
}

// TestBestFit: each thing is in one bin, no bin is too full, and bins are as full as by the definition.
func TestBestFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		size := 1 + rng.IntN(200)
		sizes := make([]int, rng.IntN(100))
		for i := range sizes {
			sizes[i] = rng.IntN(size + 3)
		}
		var full []int
		seen := make([]int, len(sizes))
		for _, bin := range BestFit(sizes, size) {
			sum := 0
			for _, i := range bin {
				sum += sizes[i]
				seen[i]++
			}
			full = append(full, sum)
		}
		for i, n := range sizes {
			if fits := n > 0 && n <= size; fits != (seen[i] == 1) || seen[i] > 1 {
				t.Fatalf("%d of size %d is in %d bins of %d", i, n, seen[i], size)
			}
		}
		want := slowFit(sizes, size)
		slices.Sort(full)
		slices.Sort(want)
		if !slices.Equal(full, want) {
			t.Fatalf("bins of %d are full to %v, want %v: %v", size, full, want, sizes)
		}
	}
}
