package kernel

import (
	"fmt"
	"math"
)

// Attention goes through the keys a block at a time, for QueryLanes queries that share keys and values: the heads of a token in
// multi-head latent attention's absorbed form, tokens of one head in its explicit form. The scores of a block are all that
// ever exists of the matrix of scores.
//
//	q.Reset(prec, 16, k); q.Set(0, k, x, ld)
//	s.Reset(prec, v, nil)
//	for each block: keys.Pack(…), or InPlace and Place; ws.Attend(s, q, keys, scale, seen, step)
//	s.Value(y, lane)
//
// A query's result depends on its own elements, on the keys that it sees and on where blocks begin, and on nothing else: neither
// on the other lanes nor on keys of the block that it doesn't see.
const (
	QueryLanes = 16  // queries taken together
	BlockKeys  = 256 // the most keys of a block
)

// KeysInPlace tells whether products of prec read keys and values as rows of bfloat16 where they lie: Keys are then given by Place, and not by
// Pack.
func KeysInPlace(prec Precision) bool { return prec == BF16 && attendsRows() }

// Queries are up to QueryLanes queries, laid out for Attend.
type Queries struct {
	prec     Precision
	rows     bool // of bfloat16
	lanes, k int
	data     []float32 // [lanes][k]; for rows in quads, padded as keys are
}

// Reset makes q so many queries of k elements, all zero.
func (q *Queries) Reset(prec Precision, lanes, k int) {
	if lanes < 1 || lanes > QueryLanes || k < 1 {
		panic(fmt.Sprintf("kernel: %d queries of %d elements", lanes, k))
	}
	q.prec, q.rows, q.lanes, q.k = prec, KeysInPlace(prec), lanes, k
	space := QueryLanes * k
	if q.rows {
		space = 3 * q.half() // a half of the lanes has the words of all as scratch
	}
	q.data = grow(q.data, space) // whatever the number of lanes, so that it grows once
	clear(q.data[:q.size()])
}

// size is what Set fills, and what of it stays.
func (q *Queries) size() int {
	switch {
	case !q.rows:
		return q.lanes * q.k
	case q.lanes <= QueryLanes/2:
		return q.half()
	}
	return 2 * q.half()
}

// half is what half of the lanes need, in quads.
func (q *Queries) half() int { return roundUp(q.k, 32) / 4 * QueryLanes }

// Set sets elements [at, at+n) of every query from rows of x, ld elements apart. at is a multiple of 4.
func (q *Queries) Set(at, n int, x []float32, ld int) {
	if at < 0 || at%4 != 0 || n < 0 || at+n > q.k || !fits(x, q.lanes, n, ld) {
		panic(fmt.Sprintf("kernel: elements [%d, %d) of %d queries of %d, from %d elements in rows of %d", at, at+n, q.lanes, q.k, len(x), ld))
	}
	switch {
	case n == 0:
	case q.rows:
		q.setRows(at, n, x, ld)
	default:
		for i := range q.lanes {
			copy(q.data[i*q.k+at:], x[i*ld:i*ld+n])
		}
	}
}

// Keys are a block of n keys of k elements with values of v elements.
type Keys struct {
	prec    Precision
	rows    bool // of bfloat16, in place
	n, k, v int

	keys, values Packed

	data           []uint16
	keyAt, valueAt [BlockKeys + 8]int // where rows begin in data
	zero           int                // where a row of zeros does
}

// InPlace makes b a block without keys, for Place: keys of k elements and values of v elements are rows of bfloat16 in data. In memory a row is
// padded to RowWidth: keys by zeros, values by anything. A row of zeros begins at zero.
func (b *Keys) InPlace(prec Precision, k, v int, data []uint16, zero int) {
	b.prec, b.rows, b.n, b.k, b.v, b.data, b.zero = prec, true, 0, k, v, data, zero
	b.wantRow(zero, max(k, v))
	for i := range b.keyAt { // what is fetched and read beside the last keys
		b.keyAt[i], b.valueAt[i] = zero, zero
	}
}

// Place appends n keys and their values: the first begin at key and value in data, the others ld elements after another.
func (b *Keys) Place(key, value, ld, n int) {
	if n < 1 || n > BlockKeys-b.n || ld < 0 {
		panic(fmt.Sprintf("kernel: %d + %d keys, %d elements apart", b.n, n, ld))
	}
	b.wantRow(key, b.k)
	b.wantRow(value, b.v)
	b.wantRow(key+(n-1)*ld, b.k)
	b.wantRow(value+(n-1)*ld, b.v)
	keyAt, valueAt := b.keyAt[b.n:][:n], b.valueAt[b.n:][:n]
	for i := range keyAt {
		keyAt[i], valueAt[i] = key, value
		key, value = key+ld, value+ld
	}
	b.n += n
}

func (b *Keys) wantRow(at, n int) {
	if at < 0 || at+RowWidth(n) > len(b.data) {
		panic(fmt.Sprintf("kernel: a row of %d elements at %d of %d", n, at, len(b.data)))
	}
}

// Pack sets keys [n, k] and values [n, v], rows ldk and ldv elements apart. It is for precisions whose keys are not taken in place.
func (b *Keys) Pack(prec Precision, n, k, v int, keys []float32, ldk int, values []float32, ldv int) {
	if n < 0 || n > BlockKeys || KeysInPlace(prec) {
		panic(fmt.Sprintf("kernel: %d keys of precision %d to pack", n, prec))
	}
	b.prec, b.rows, b.n, b.k, b.v = prec, false, n, k, v
	b.keys.Pack(NT, prec, n, k, keys, ldk)
	b.values.Pack(NN, prec, v, n, values, ldv)
}

// Reserve makes space, so that Pack of as many keys allocates nothing.
func (b *Keys) Reserve(prec Precision, n, k, v int) {
	if !KeysInPlace(prec) {
		b.keys.Reserve(prec, n, k)
		b.values.Reserve(prec, v, n)
	}
}

// Sums are the softmax-weighted sums of values of up to QueryLanes queries over the blocks taken so far.
type Sums struct {
	v, width int
	lanes    int                 // in use
	begun    bool                // o has been written
	rows     bool                // of keys in place
	top, sum [QueryLanes]float32 // the largest score, and Σ e^(score - top)
	o        []float32           // [QueryLanes][width] Σ e^(score - top)·value; for rows in the order of the fast path, see order
}

// RowWidth is the length of a row of n elements in memory: of Keys in place, and of Sums.
func RowWidth(n int) int { return roundUp(n, 32) }

// noTop is the top of no scores: finite, so that differences from it are numbers.
const noTop = -math.MaxFloat32

// Reset makes s the sums of no keys, in space o of QueryLanes·RowWidth(v) elements; nil is space of its own.
func (s *Sums) Reset(prec Precision, v int, o []float32) {
	s.v, s.width, s.lanes, s.rows = v, RowWidth(v), 0, KeysInPlace(prec)
	if o == nil {
		o = grow(s.o, QueryLanes*s.width)
	}
	s.o = o[:QueryLanes*s.width]
	if s.begun = !s.rows; s.begun { // otherwise the first block writes all of it
		clear(s.o)
	}
	clear(s.sum[:])
	for i := range s.top {
		s.top[i] = noTop
	}
}

// Attend adds a block to s: lane i sees its first seen + i·step keys, or all.
func (ws *Workspace) Attend(s *Sums, q *Queries, b *Keys, scale float32, seen, step int) {
	if s.v != b.v || s.rows != b.rows || q.k != b.k || q.prec != b.prec || q.rows != b.rows || step < 0 {
		panic(fmt.Sprintf("kernel: queries of %d elements and sums of %d for keys of %d and values of %d", q.k, s.v, b.k, b.v))
	}
	s.lanes = q.lanes
	n := min(b.n, seen+(q.lanes-1)*step) // none sees more
	switch {
	case n <= 0:
	case q.rows:
		ws.attendRows(s, q, b, n, scale, seen, step)
		s.begun = true
	default:
		ws.attendPacked(s, q, b, n, scale, seen, step)
	}
}

// attendPacked is Attend by whole products.
func (ws *Workspace) attendPacked(s *Sums, q *Queries, b *Keys, n int, scale float32, seen, step int) {
	p := ws.scores[:QueryLanes*BlockKeys]
	ws.Gemm(NT, q.prec, Product{M: q.lanes, N: n, K: q.k, A: q.data, LDA: q.k, Packed: &b.keys, C: p, LDC: BlockKeys})
	for i := range q.lanes {
		row, m := p[i*BlockKeys:][:n], min(max(0, seen+i*step), n)
		clear(row[m:])
		if m == 0 {
			continue
		}
		top := max(s.top[i], float32(scale*Max(row[:m])))
		if top > s.top[i] {
			s.rescale(i, exp32(s.top[i]-top))
			s.top[i] = top
		}
		s.sum[i] += expSum(row[:m], scale, top)
	}
	ws.Gemm(NN, q.prec, Product{M: q.lanes, N: b.v, K: n, A: p, LDA: BlockKeys, Packed: &b.values, C: s.o, LDC: s.width, Accumulate: true})
}

func (s *Sums) rescale(i int, by float32) {
	s.sum[i] *= by
	Scale(s.o[i*s.width:][:s.width], by)
}

// Merge adds later blocks' sums to s. A chain of blocks merged one after another gives the same bits whoever computed them.
func (s *Sums) Merge(later *Sums) {
	if s.v != later.v {
		panic(fmt.Sprintf("kernel: sums of %d and %d elements", s.v, later.v))
	}
	for i := range later.lanes {
		if later.sum[i] == 0 {
			continue
		}
		weight := float32(1)
		switch {
		case later.top[i] > s.top[i]:
			s.rescale(i, exp32(s.top[i]-later.top[i]))
			s.top[i] = later.top[i]
		default:
			weight = exp32(later.top[i] - s.top[i])
		}
		s.sum[i] += float32(weight * later.sum[i])
		Axpy(s.o[i*s.width:][:s.width], weight, later.o[i*s.width:][:s.width])
	}
}

// Value sets y to lane i's sum of values, weighted by a softmax over all keys that it has seen.
func (s *Sums) Value(y []float32, i int) {
	sameLength("values", len(y), s.v)
	s.order(y, i, 1/s.sum[i])
}
