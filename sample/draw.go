package sample

import (
	"math"
	"slices"

	"sprat/kernel"
)

// What is drawn from are weights: e^((logit - largest)/temperature), of which the largest is 1.

// weights makes them of logits, scale being 1/temperature, and returns their sum and log Σ e^(scale·logit).
func weights(x []float32, scale float32) (sum, lse float64, err error) {
	top := kernel.Max(x)
	if math.IsInf(float64(top), 0) {
		return 0, 0, noLargest(x, top)
	}
	top *= scale
	// Equal logits must weigh the same, wherever they are: what comes after the last whole vector is done in a vector too.
	var vector [16]float32
	n := len(x) &^ (len(vector) - 1)
	copy(vector[:], x[n:])
	kernel.ExpScaled(vector[:], vector[:], scale, top)
	kernel.ExpScaled(x[:n], x[:n], scale, top)
	copy(x[n:], vector[:])
	if sum = float64(kernel.Sum(x)); math.IsNaN(sum) || math.IsInf(sum, 0) {
		return 0, 0, ErrNotFinite
	}
	return sum, float64(top) + math.Log(sum), nil
}

// noLargest is the error of logits whose largest is infinite.
func noLargest(x []float32, top float32) error {
	if top < 0 && !slices.ContainsFunc(x, func(v float32) bool { return v != top }) {
		return ErrNoToken
	}
	return ErrNotFinite
}

// cut is a place in the order of tokens, the heaviest first, and of equally heavy ones those with lower ids. It stands for the
// tokens before it.
type cut struct {
	weight, above float32 // tokens with lower ids than id need this weight, the others more: the next float32 at least
	id            int
}

// before is the cut right before a token.
func before(weight float32, id int32) cut {
	return cut{weight: weight, above: math.Nextafter32(weight, 2), id: int(id)}
}

// sum weighs those before the cut among x, of which the first is token at.
func (c cut) sum(x []float32, at int) float64 {
	n := min(max(c.id-at, 0), len(x))
	sum := 0.0
	if n > 0 {
		sum = float64(kernel.SumAtLeast(x[:n], c.weight))
	}
	if n < len(x) {
		sum += float64(kernel.SumAtLeast(x[n:], c.above))
	}
	return sum
}

func (c cut) has(weight float32, id int) bool {
	return weight > c.weight || weight == c.weight && id < c.id
}

// draw returns the token at target of the tokens before the cut, laid side by side by id, with their weights for lengths.
func (c cut) draw(x []float32, target float64) int32 {
	const part = 256
	last := 0
	for at := 0; at < len(x); at += part {
		p := x[at:min(at+part, len(x))]
		sum := c.sum(p, at)
		if target >= sum {
			if target -= sum; sum > 0 {
				last = at
			}
			continue
		}
		return int32(at + c.find(p, at, target))
	}
	// Rounding has brought target to the end of them all.
	return int32(last + c.find(x[last:min(last+part, len(x))], last, math.Inf(1)))
}

// find is draw within a part that has a token, which starts with token at: the last if target is too large by rounding.
func (c cut) find(p []float32, at int, target float64) int {
	last := 0
	for i, w := range p {
		if w > 0 && c.has(w, at+i) {
			if target -= float64(w); target < 0 {
				return i
			}
			last = i
		}
	}
	return last
}

// nucleus draws from the tokens that top-p and min-p leave of weights with this sum.
//
// It draws from all of min-p's, and looks whether top-p has the token: whether those before it weigh less than topP. If not,
// it and what follows are out, and the next draw is from what is before. That is the same as drawing from what top-p keeps, but
// needs no order: a draw and a sum, 1/topP times at most on average.
func (s *Sampler) nucleus(x []float32, sum float64) int32 {
	c, left := cut{weight: float32(s.opt.MinP), id: len(x)}, sum
	if s.opt.MinP > 0 {
		left = c.sum(x, 0)
	}
	most := sum
	if s.opt.TopP > 0 {
		most *= s.opt.TopP
	}
	for try := uint64(0); ; try++ {
		id := c.draw(x, s.random.uniform(try)*left)
		if left <= most {
			return id
		}
		c = before(x[id], id)
		if left = c.sum(x, 0); left < most {
			return id
		}
	}
}

// ofLargest draws from the tokens that top-k, top-p and min-p leave.
func (s *Sampler) ofLargest(x []float32) int32 {
	keys := s.largest(x, s.opt.TopK)
	all := 0.0
	for _, k := range keys {
		all += keyValue(k)
	}
	most, sum, n := all, 0.0, 0
	if s.opt.TopP > 0 {
		most *= s.opt.TopP
	}
	for n < len(keys) && sum < most && keyValue(keys[n]) >= s.opt.MinP {
		sum += keyValue(keys[n])
		n++
	}
	target := s.random.uniform(0) * sum
	for _, k := range keys[:n] {
		if target -= keyValue(k); target < 0 {
			return keyID(k)
		}
	}
	return keyID(keys[0]) // rounding has brought target to the end of them all
}
