package engine

import (
	"cmp"
	"math"
	"slices"
)

// sampler draws tokens from logits.
type sampler struct {
	temperature, topP float64
	order             []int32 // candidates, most likely first
	prob              []float64
}

func newSampler(temperature, topP float64, vocab int) *sampler {
	if topP <= 0 || topP > 1 {
		topP = 1
	}
	return &sampler{temperature: temperature, topP: topP, order: make([]int32, vocab), prob: make([]float64, vocab)}
}

// pick draws a token by u, uniform in [0, 1). Of equal logits the lower id is the more likely.
func (s *sampler) pick(logits []float32, u float64) int32 {
	best := 0
	for i, l := range logits {
		if l > logits[best] {
			best = i
		}
	}
	if s.temperature <= 0 {
		return int32(best)
	}
	total := 0.0
	for i, l := range logits {
		s.order[i] = int32(i)
		s.prob[i] = math.Exp(float64(l-logits[best]) / s.temperature)
		total += s.prob[i]
	}
	candidates := s.order
	if s.topP < 1 {
		candidates, total = s.nucleus(total)
	}
	u *= total
	for _, id := range candidates {
		if u -= s.prob[id]; u < 0 {
			return id
		}
	}
	return int32(best)
}

// nucleus is the shortest list of most likely tokens whose probability is at least topP of total, and its sum.
func (s *sampler) nucleus(total float64) ([]int32, float64) {
	slices.SortFunc(s.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.prob[b], s.prob[a]), cmp.Compare(a, b))
	})
	sum := 0.0
	for i, id := range s.order {
		if sum += s.prob[id]; sum >= s.topP*total {
			return s.order[:i+1], sum
		}
	}
	return s.order, sum
}
