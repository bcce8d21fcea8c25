package sample

import (
	"cmp"
	"math"
	"slices"

	"sprat/kernel"
)

// Numbers with their ids are ordered as keys: a float32 in the upper half, in a form in which greater numbers are greater, and the
// id in the lower, inverted, so that of equal numbers the lower id has the greater key.

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

// largest returns the k largest of x, or all, the largest first.
func (s *Sampler) largest(x []float32, k int) []uint64 {
	for b := range s.peaks {
		s.peaks[b] = kernel.Max(x[b*block : min((b+1)*block, len(x))])
	}
	// The k-th largest is no less than the k-th peak, since so many blocks have one as large.
	least := float32(math.Inf(-1))
	if k <= len(s.peaks) {
		s.keys = s.keys[:0]
		for b, v := range s.peaks {
			s.keys = append(s.keys, newKey(v, b))
		}
		toFront(s.keys, k)
		least = float32(keyValue(slices.Min(s.keys[:k])))
	}
	s.keys = s.keys[:0]
	for b, top := range s.peaks {
		if top < least {
			continue
		}
		for i, v := range x[b*block : min((b+1)*block, len(x))] {
			if v >= least {
				s.keys = append(s.keys, newKey(v, b*block+i))
			}
		}
	}
	k = min(k, len(s.keys))
	toFront(s.keys, k)
	slices.SortFunc(s.keys[:k], func(a, b uint64) int { return cmp.Compare(b, a) })
	return s.keys[:k]
}

// toFront brings the n largest keys to the front. It halves the range in which the last of them lies, looking only at keys in it.
func toFront(keys []uint64, n int) {
	if n == 0 || n >= len(keys) {
		return
	}
	low, high := slices.Min(keys), slices.Max(keys)
	in, end := 0, len(keys) // keys[:in] are of the n largest, keys[end:] are not
	for in < n && n < end {
		pivot := high - (high-low)/2 // low < pivot <= high
		mid := in
		for i, k := range keys[in:end] {
			if k >= pivot {
				keys[in+i], keys[mid] = keys[mid], k
				mid++
			}
		}
		if mid >= n {
			end, low = mid, pivot
		} else {
			in, high = mid, pivot-1
		}
	}
}
