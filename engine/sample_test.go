package engine

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestGreedyTakesTheFirstOfTheBest(t *testing.T) {
	s := newSampler(0, 1, 4)
	if got := s.pick([]float32{1, 3, 3, 2}, 0.99); got != 1 {
		t.Errorf("picked %d, want 1", got)
	}
}

func TestPickFollowsTheDistribution(t *testing.T) {
	logits := []float32{0, 1, 2, -1}
	const temperature, n = 0.8, 200000
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) / temperature)
	}
	s := newSampler(temperature, 1, len(logits))
	rng := rand.New(rand.NewPCG(1, 1))
	count := make([]int, len(logits))
	for range n {
		count[s.pick(logits, rng.Float64())]++
	}
	for i, l := range logits {
		p := math.Exp(float64(l)/temperature) / sum
		// Five standard deviations of a binomial.
		if got := float64(count[i]) / n; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("token %d: share %.4f, want %.4f", i, got, p)
		}
	}
}

func TestTopPKeepsTheNucleus(t *testing.T) {
	logits := []float32{float32(math.Log(0.1)), float32(math.Log(0.6)), float32(math.Log(0.3))}
	for _, c := range []struct {
		topP float64
		want map[int32]bool
	}{
		{0.5, map[int32]bool{1: true}},
		{0.7, map[int32]bool{1: true, 2: true}},
		{0.95, map[int32]bool{0: true, 1: true, 2: true}},
	} {
		s := newSampler(1, c.topP, 3)
		got := map[int32]bool{}
		for u := 0.0; u < 1; u += 0.001 {
			got[s.pick(logits, u)] = true
		}
		if len(got) != len(c.want) {
			t.Errorf("top-p %v: tokens %v, want %v", c.topP, got, c.want)
		}
	}
}
