package data

import (
	"fmt"
	"math/bits"
	"slices"
)

// Rows deals out the rows of a run in their order.
type Rows struct {
	set      *Set
	sequence int
	total    int64
	seed     uint64
	next     int64
	weights  []float64 // of the sources, for the row under way
	credit   []float64 // rows that a source is owed
	taken    []int64   // rows that a source has given
	ids      []int32   // a row and the token after it
	starts   []int32
	whole    []whole // of the sources; nil where documents need not be
	x        scratch
}

// Row is what is known of a row beside its tokens.
type Row struct {
	Source int     // index into Sources
	Starts []int32 // where sequences begin that must not see each other, 0 first; valid until the next call
}

// Rows returns the rows of a run: total rows of sequence tokens. It goes on past total with the weights of the end.
func (s *Set) Rows(sequence int, total int64, seed uint64) (*Rows, error) {
	if sequence < 1 || total < 1 {
		return nil, fmt.Errorf("%d rows of %d tokens: want one or more of each", total, sequence)
	}
	n := len(s.sources)
	r := &Rows{
		set: s, sequence: sequence, total: total, seed: seed,
		weights: make([]float64, n), credit: make([]float64, n), taken: make([]int64, n), ids: make([]int32, sequence+1),
	}
	for _, src := range s.sources {
		switch {
		case s.pack == Whole:
			w, err := src.shard.whole(sequence, &r.x)
			if err != nil {
				return nil, err
			}
			if len(w.rows) == 0 {
				return nil, fmt.Errorf("source %s: each of its %d documents is longer than train.sequence, which is %d: make that larger",
					src.name, w.tooLong, sequence)
			}
			r.whole = append(r.whole, w)
		case src.shard.tokens <= int64(sequence):
			return nil, fmt.Errorf("source %s has %d tokens, and a sequence takes %d and its last target: give more text or a smaller train.sequence",
				src.name, src.shard.tokens, sequence)
		}
	}
	return r, nil
}

// At is the number of the row that Next gives.
func (r *Rows) At() int64 { return r.next }

// SeekTo makes row the one that Next gives: it counts, from the beginning, which source each row before it came from.
func (r *Rows) SeekTo(row int64) {
	r.next = 0
	clear(r.credit)
	clear(r.taken)
	for r.next < row {
		r.choose()
	}
}

// choose advances by one row and returns the source that gives it, the one that lags most behind its share of the rows.
func (r *Rows) choose() int {
	f := min(1, float64(r.next)/float64(r.total))
	sum := 0.0
	for i, src := range r.set.sources {
		r.weights[i] = src.ramp.weight(f)
		sum += r.weights[i]
	}
	best := -1
	for i, w := range r.weights {
		r.credit[i] += w / sum
		if w > 0 && (best < 0 || r.credit[i] > r.credit[best]) {
			best = i
		}
	}
	r.credit[best]--
	r.taken[best]++
	r.next++
	return best
}

// Next fills ids and targets, one sequence each, with the next row: targets are ids shifted by one, or -1 where a model should not
// learn to write what follows.
func (r *Rows) Next(ids, targets []int32) (Row, error) {
	i := r.choose()
	src := &r.set.sources[i]
	window := r.window(i, r.taken[i]-1)
	if r.whole != nil {
		var err error
		r.starts, err = src.shard.fill(r.whole[i].rows[window], ids[:r.sequence], targets[:r.sequence], r.ids, r.starts[:0], &r.x)
		return Row{i, r.starts}, err
	}
	at := window * int64(r.sequence)
	if err := src.shard.read(r.ids, at, &r.x); err != nil {
		return Row{}, err
	}
	for i, id := range r.ids[:r.sequence] {
		ids[i] = id &^ noTarget
		targets[i] = max(-1, r.ids[i+1])
	}
	var err error
	r.starts, err = r.set.starts(r.starts[:0], src.shard, at, r.sequence, &r.x)
	return Row{i, r.starts}, err
}

// starts appends where the sequences begin in the row of n tokens at number at.
func (s *Set) starts(dst []int32, from *shard, at int64, n int, x *scratch) ([]int32, error) {
	if s.pack != Borders {
		return append(dst, 0), nil
	}
	return from.starts(slices.Grow(dst, n), at, n, x)
}

// Passes is how often each source is read from end to end over all rows of the run.
func (r *Rows) Passes() []float64 {
	defer r.SeekTo(r.next)
	r.SeekTo(r.total)
	list := make([]float64, len(r.taken))
	for i, n := range r.taken {
		list[i] = float64(n) / float64(r.windows(i))
	}
	return list
}

// windows is the number of rows in source i.
func (r *Rows) windows(i int) uint64 {
	if r.whole != nil {
		return uint64(len(r.whole[i].rows))
	}
	return uint64((r.set.sources[i].shard.tokens - 1) / int64(r.sequence))
}

// window is which of source i's windows is its row number k: each once in a pass, and the passes in different orders.
func (r *Rows) window(i int, k int64) int64 {
	src := &r.set.sources[i]
	windows := r.windows(i)
	pass, at := uint64(k)/windows, uint64(k)%windows
	if src.inOrder {
		return int64(at)
	}
	return int64(permute(at, windows, mix(mix(r.seed)^uint64(i))^pass))
}

// permute is where i goes in a permutation of [0, n) that key chooses. It is a Feistel network over the next even number of
// bits, gone through again while it leaves [0, n), so that no table of n numbers is needed.
func permute(i, n, key uint64) uint64 {
	const rounds = 6
	half := max(1, (bits.Len64(n-1)+1)/2)
	mask := uint64(1)<<half - 1
	for {
		left, right := i>>half, i&mask
		for round := range uint64(rounds) {
			left, right = right, left^mix(right^mix(key+round))&mask
		}
		if i = left<<half | right; i < n {
			return i
		}
	}
}

// mix is the finalizer of SplitMix64: each bit of the result depends on all of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
