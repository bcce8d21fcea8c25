package data

import (
	"cmp"
	"math/bits"
	"slices"
)

// BestFit puts things of the given sizes into bins that hold size each, the largest first and each where it leaves the least room, and
// returns the bins' things by their index. Those that are larger than a bin, or of no size, are in none. What it does depends on
// nothing but its arguments.
func BestFit(sizes []int, size int) (bins [][]int) {
	order := make([]int, 0, len(sizes))
	for i, n := range sizes {
		if n > 0 && n <= size {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	open := newRooms(size)
	for _, i := range order {
		room := open.least(sizes[i])
		if room < 0 {
			room = size
			open.put(room, len(bins))
			bins = append(bins, nil)
		}
		bin := open.take(room)
		bins[bin] = append(bins[bin], i)
		open.put(room-sizes[i], bin)
	}
	return bins
}

// rooms are bins by the room that is left in them.
type rooms struct {
	bins [][]int  // by room
	some []uint64 // a bit for each room: there are bins with it
}

func newRooms(size int) *rooms {
	return &rooms{make([][]int, size+1), make([]uint64, size/64+1)}
}

// least is the least room of any bin that has n, or -1.
func (r *rooms) least(n int) int {
	word := r.some[n/64] >> (n % 64) << (n % 64)
	for i := n / 64; ; word = r.some[i] {
		if word != 0 {
			return i*64 + bits.TrailingZeros64(word)
		}
		if i++; i == len(r.some) {
			return -1
		}
	}
}

func (r *rooms) put(room, bin int) {
	r.bins[room] = append(r.bins[room], bin)
	r.some[room/64] |= 1 << (room % 64)
}

func (r *rooms) take(room int) (bin int) {
	last := len(r.bins[room]) - 1
	bin = r.bins[room][last]
	if r.bins[room] = r.bins[room][:last]; last == 0 {
		r.some[room/64] &^= 1 << (room % 64)
	}
	return bin
}
