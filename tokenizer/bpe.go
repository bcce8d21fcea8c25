package tokenizer

import (
	"math"
	"math/rand/v2"
)

// A pair is two neighbouring tokens.
type pair struct{ left, right int32 }

// mergeTable finds what a pair of tokens becomes: an open-addressing hash table, as it is looked up for every pair of every
// piece that is not a token by itself.
type mergeTable struct {
	slots []mergeSlot
	shift uint
	seed  uint64 // odd, and random so that no file can be made to collide
}

type mergeSlot struct {
	pair
	rank, id int32 // an empty slot has left -1
}

// noRank is the rank of a pair that does not merge.
const noRank = math.MaxInt32

func newMergeTable(n int) mergeTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	t := mergeTable{slots: make([]mergeSlot, 1<<bits), shift: 64 - bits, seed: rand.Uint64() | 1}
	for i := range t.slots {
		t.slots[i].left = -1
	}
	return t
}

// slot returns where p is, or the empty slot where it would go. The table is at most half full, so there is one.
func (t *mergeTable) slot(p pair) *mergeSlot {
	key := uint64(uint32(p.left))<<32 | uint64(uint32(p.right))
	i := key * t.seed >> t.shift
	for {
		s := &t.slots[i]
		if s.pair == p || s.left < 0 {
			return s
		}
		i = (i + 1) & uint64(len(t.slots)-1)
	}
}

// set gives p a rank and a result. Of a pair that is given twice the later counts, as with Hugging Face.
func (t *mergeTable) set(p pair, rank, id int32) { *t.slot(p) = mergeSlot{p, rank, id} }

// find returns the rank of p, lower merging first, and the token it becomes; noRank if it does not merge.
func (t *mergeTable) find(p pair) (rank, id int32) {
	if s := t.slot(p); s.left >= 0 {
		return s.rank, s.id
	}
	return noRank, -1
}

// shortPiece is the length in bytes up to which scanning for the lowest rank beats keeping a heap.
const shortPiece = 48

// merge appends to dst the tokens of piece: its bytes, merged by rank, the leftmost first among equals.
func (t *Tokenizer) merge(dst []int32, piece string) []int32 {
	if len(piece) > shortPiece {
		dst, _ = t.mergeLong(dst, piece)
		return dst
	}
	return t.mergeShort(dst, piece)
}

// mergeShort looks at all the ranks for each merge: O(n²), but in a few cache lines and without allocation.
func (t *Tokenizer) mergeShort(dst []int32, piece string) []int32 {
	var idBuf, rankBuf, nextBuf [shortPiece + 1]int32
	n := len(piece)
	ids, ranks, results := idBuf[:n], rankBuf[:n], nextBuf[:n] // ranks[i], results[i]: of the pair i, i+1
	for i := range n {
		ids[i] = t.byteIDs[piece[i]]
	}
	for i := range n - 1 {
		ranks[i], results[i] = t.merges.find(pair{ids[i], ids[i+1]})
	}
	for n > 1 {
		best, rank := 0, int32(noRank)
		for i, r := range ranks[:n-1] {
			if r < rank {
				best, rank = i, r
			}
		}
		if rank == noRank {
			break
		}
		ids[best] = results[best]
		n--
		copy(ids[best+1:n], ids[best+2:n+1])
		copy(ranks[best:n], ranks[best+1:n+1])
		copy(results[best:n], results[best+1:n+1])
		if best > 0 {
			ranks[best-1], results[best-1] = t.merges.find(pair{ids[best-1], ids[best]})
		}
		if best < n-1 {
			ranks[best], results[best] = t.merges.find(pair{ids[best], ids[best+1]})
		}
	}
	return append(dst, ids[:n]...)
}

// A node is a token in the linked list of mergeLong.
type node struct {
	id         int32 // -1 once merged into the node before
	prev, next int32 // -1 at the ends
	rank       int32 // of the pair this node starts
	result     int32
}

// mergeLong keeps the mergeable pairs in a heap, O(n log n). It also returns how many pairs went through the heap, at most 3n.
func (t *Tokenizer) mergeLong(dst []int32, piece string) ([]int32, int) {
	nodes := make([]node, len(piece))
	for i := range nodes {
		nodes[i] = node{id: t.byteIDs[piece[i]], prev: int32(i - 1), next: int32(i + 1)}
	}
	nodes[len(nodes)-1].next = -1
	var queue pairQueue
	pushed := 0
	push := func(i int32) {
		n := &nodes[i]
		n.rank = noRank
		if n.next >= 0 {
			n.rank, n.result = t.merges.find(pair{n.id, nodes[n.next].id})
		}
		if n.rank != noRank {
			queue.push(uint64(n.rank)<<32 | uint64(i))
			pushed++
		}
	}
	for i := range nodes {
		push(int32(i))
	}
	for len(queue) > 0 {
		top := queue.pop()
		i := int32(uint32(top))
		n := &nodes[i]
		if n.id < 0 || n.rank != int32(top>>32) {
			continue // one of the pair's tokens has merged with another since
		}
		gone := &nodes[n.next]
		n.id, n.next, gone.id = n.result, gone.next, -1
		if n.next >= 0 {
			nodes[n.next].prev = i
		}
		push(i)
		if n.prev >= 0 {
			push(n.prev)
		}
	}
	for i := int32(0); i >= 0; i = nodes[i].next {
		dst = append(dst, nodes[i].id)
	}
	return dst, pushed
}

// pairQueue is a binary heap of rank<<32 | position, the smallest first.
type pairQueue []uint64

func (q *pairQueue) push(x uint64) {
	h := append(*q, x)
	i := len(h) - 1
	for i > 0 && h[(i-1)/2] > x {
		h[i] = h[(i-1)/2]
		i = (i - 1) / 2
	}
	h[i] = x
	*q = h
}

func (q *pairQueue) pop() uint64 {
	h := *q
	top, x := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	i := 0
	for child := 1; child < len(h); child = 2*i + 1 {
		if child+1 < len(h) && h[child+1] < h[child] {
			child++
		}
		if x <= h[child] {
			break
		}
		h[i] = h[child]
		i = child
	}
	if len(h) > 0 {
		h[i] = x
	}
	*q = h
	return top
}
