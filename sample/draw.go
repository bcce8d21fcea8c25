package sample

import (
	"math"
	"slices"

	"sprat/kernel"
)

// Candidates are keys, so that sorting and selecting need nothing else: a float32 in the upper half, in a form in which greater
// numbers are greater, and the id in the lower, inverted, so that of equal numbers the lower id is the greater key.

func newKey(v float32, id int) uint64 {
	b := math.Float32bits(v + 0) // -0 becomes 0
	if b>>31 != 0 {
		b = ^b
	} else {
		b |= 1 << 31
	}
	return uint64(b)<<32 | uint64(^uint32(id))
}

func keyID(k uint64) int32 { return int32(^uint32(k)) }

func keyValue(k uint64) float64 {
	b := uint32(k >> 32)
	if b>>31 != 0 {
		b &^= 1 << 31
	} else {
		b = ^b
	}
	return float64(math.Float32frombits(b))
}

// block is how many tokens share an entry of Sampler.peaks.
const block = 64

// kept returns the candidates that top-k, top-p and min-p leave of weights x with this sum, the largest being 1.
func (s *Sampler) kept(x []float32, sum float64) []uint64 {
	topP := s.opt.TopP
	if topP == 0 {
		topP = 1
	}
	var keys []uint64
	if k := s.opt.TopK; k > 0 && k < len(x) {
		keys = s.largest(x, k)
		sum = 0
		for _, k := range keys {
			sum += keyValue(k)
		}
	} else {
		// Tokens under (1-topP)/vocab of the sum weigh together less than what top-p leaves out, so it keeps none of them.
		cut := max(s.opt.MinP, (1-topP)*sum/float64(len(x)))
		s.peak(x)
		keys = s.atLeast(x, float32(0.999*cut)) // rounding aside
	}
	if topP < 1 {
		keys = keys[:head(keys, topP*sum, keyValue)]
	}
	if s.opt.MinP > 0 {
		keys = slices.DeleteFunc(keys, func(k uint64) bool { return keyValue(k) < s.opt.MinP })
	}
	return keys
}

// largest returns the k largest of x, or all.
func (s *Sampler) largest(x []float32, k int) []uint64 {
	s.peak(x)
	least := float32(math.Inf(-1))
	if k <= len(s.peaks) { // so many blocks have one that is no less than the k-th peak, so the k-th largest is no less
		s.keys = s.keys[:0]
		for b, v := range s.peaks {
			s.keys = append(s.keys, newKey(v, b))
		}
		least = float32(keyValue(slices.Min(s.keys[:head(s.keys, float64(k), one)])))
	}
	keys := s.atLeast(x, least)
	return keys[:head(keys, float64(k), one)]
}

func one(uint64) float64 { return 1 }

// peak sets peaks to the largest of each block of x.
func (s *Sampler) peak(x []float32) {
	for b := range s.peaks {
		s.peaks[b] = kernel.Max(x[b*block : min((b+1)*block, len(x))])
	}
}

// atLeast makes candidates of the x that are no less than cut, given their peaks.
func (s *Sampler) atLeast(x []float32, cut float32) []uint64 {
	s.keys = s.keys[:0]
	for b, top := range s.peaks {
		if top < cut {
			continue
		}
		for i, v := range x[b*block : min((b+1)*block, len(x))] {
			if v >= cut {
				s.keys = append(s.keys, newKey(v, b*block+i))
			}
		}
	}
	return s.keys
}

// head brings the largest keys to the front and returns how many it takes, of these, to weigh target; all of them if they don't.
// It halves the range in which the last of them lies, and looks only at keys in it.
func head(keys []uint64, target float64, weight func(uint64) float64) int {
	if len(keys) == 0 {
		return 0
	}
	low, high := slices.Min(keys), slices.Max(keys)
	in, end := 0, len(keys) // keys[:in] are taken, keys[end:] are not
	for end-in > 1 {
		pivot := high - (high-low)/2 // low < pivot <= high
		n, sum := in, 0.0
		for i, k := range keys[in:end] {
			if k >= pivot {
				keys[in+i], keys[n] = keys[n], k
				n++
				sum += weight(k)
			}
		}
		if sum >= target {
			end, low = n, pivot
		} else {
			in, high = n, pivot-1
			target -= sum
		}
	}
	return end
}

// draw returns the token at target, between 0 and the sum of the weights x.
func draw(x []float32, target float64) int32 {
	const part = 256
	for at := 0; at < len(x); at += part {
		p := x[at:min(at+part, len(x))]
		if sum := float64(kernel.Sum(p)); target >= sum {
			target -= sum
			continue
		}
		last := 0
		for i, w := range p {
			if w == 0 {
				continue
			}
			if target -= float64(w); target < 0 {
				return int32(at + i)
			}
			last = i
		}
		return int32(at + last) // target was that near to the sum
	}
	return int32(slices.Index(x, kernel.Max(x))) // likewise
}

// drawKey is draw for candidates and u in [0, 1).
func drawKey(keys []uint64, u float64) int32 {
	sum := 0.0
	for _, k := range keys {
		sum += keyValue(k)
	}
	target := u * sum
	for _, k := range keys {
		if target -= keyValue(k); target < 0 {
			return keyID(k)
		}
	}
	return keyID(slices.Max(keys)) // target was that near to the sum
}
