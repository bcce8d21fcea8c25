package devicetest

import (
	"math"
	"slices"

	"sprat/device"
)

// refTop is the indices of the k largest, best first; of equals the lower.
func refTop(u []float64, k int) []int {
	order := make([]int, len(u))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case u[a] > u[b]:
			return -1
		case u[a] < u[b]:
			return 1
		}
		return 0
	})
	return order[:k]
}

// refScores are a token's unbiased scores.
func refScores(logits []float64, spec device.RouteSpec) []float64 {
	if !spec.Sigmoid {
		p, _ := refSoftmax(logits)
		return p
	}
	var s []float64
	for _, l := range logits {
		s = append(s, refSigmoid(l))
	}
	return s
}

// refChoose is the experts of a token with scores s; nil bias is none.
func refChoose(s, bias []float64, spec device.RouteSpec) []int {
	u := slices.Clone(s)
	for i := range bias {
		u[i] += bias[i]
	}
	if spec.Groups > 1 && spec.TopGroups != spec.Groups {
		n := spec.Experts / spec.Groups
		var groups []float64
		for g := range spec.Groups {
			best := slices.Sorted(slices.Values(u[g*n : (g+1)*n]))
			score := best[n-1]
			if spec.GroupTop2 && n > 1 {
				score += best[n-2]
			}
			groups = append(groups, score)
		}
		kept := refTop(groups, spec.TopGroups)
		for i := range u {
			if !slices.Contains(kept, i/n) {
				u[i] = math.Inf(-1)
			}
		}
	}
	return refTop(u, spec.TopK)
}

// routing is what Route gives, by token.
type routing struct{ score, index, weight, start, slot, token []float64 }

// refRoute routes every token; nil bias is none.
func refRoute(logits, bias []float64, spec device.RouteSpec) routing {
	var r routing
	for t := range len(logits) / spec.Experts {
		s := refScores(logits[t*spec.Experts:][:spec.Experts], spec)
		chosen, sum := refChoose(s, bias, spec), 1.0
		if spec.Normalize {
			sum = 0
			for _, e := range chosen {
				sum += s[e]
			}
		}
		r.score = append(r.score, s...)
		for _, e := range chosen {
			r.index = append(r.index, float64(e))
			r.weight = append(r.weight, s[e]/sum*float64(spec.ScalingFactor))
		}
	}
	r.start, r.slot, r.token = refSlots(r.index, spec.Experts, spec.TopK)
	return r
}

// refSlots sorts the (token, choice) pairs by expert, then by token.
func refSlots(index []float64, experts, k int) (start, slot, token []float64) {
	slot = make([]float64, len(index))
	for e := range experts {
		start = append(start, float64(len(token)))
		for i, chosen := range index {
			if int(chosen) == e {
				slot[i] = float64(len(token))
				token = append(token, float64(i/k))
			}
		}
	}
	return append(start, float64(len(token))), slot, token
}

// refBalance is the sequence-wise balance loss (V3 report, equations 17 to 20), over the mean of the sequences.
func refBalance(score []float64, spec device.RouteSpec, balance float64, starts []int32) float64 {
	e, k, loss := spec.Experts, spec.TopK, 0.0
	for b := range len(starts) - 1 {
		length := float64(starts[b+1] - starts[b])
		f, p := make([]float64, e), make([]float64, e)
		for t := starts[b]; t < starts[b+1]; t++ {
			s := score[int(t)*e:][:e]
			for _, i := range refTop(s, k) {
				f[i] += float64(e) / (float64(k) * length)
			}
			sum := 0.0
			for _, v := range s {
				sum += v
			}
			for i, v := range s {
				p[i] += v / sum / length
			}
		}
		loss += refDot(f, p)
	}
	return balance * loss / float64(len(starts)-1)
}
