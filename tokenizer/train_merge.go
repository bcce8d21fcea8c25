package tokenizer

import (
	"cmp"
	"container/heap"
)

// A merger joins pairs of tokens in all pieces at once. It knows where each pair occurs, so that a step costs what it changes.
type merger struct {
	texts  []string         // of the tokens, by id
	ids    map[string]int32 // the inverse
	added  int32            // the ids below are never made
	words  []word
	pairs  map[pair]*occurrences
	queue  candidates
	merges []pair // done so far
}

// A word is a piece of text that occurs count times.
type word struct {
	ids   []int32
	count int64
}

// occurrences says how often a pair occurs in the text, and in which words: one may be named twice, or no longer have the pair.
type occurrences struct {
	count  int64
	words  []int32
	grown  bool // in the present step
	merged bool
}

// A candidate is a pair with its count of when it was queued.
type candidate struct {
	count int64
	pair
}

// newMerger returns a merger over pieces, which are in bytes. t has the special and added tokens and the bytes.
func newMerger(t *Tokenizer, pieces map[string]int64) *merger {
	m := &merger{ids: map[string]int32{}, pairs: map[pair]*occurrences{}}
	for id, tok := range t.tokens {
		m.texts = append(m.texts, tok.text)
		m.ids[tok.text] = int32(id)
		if tok.kind != vocabToken {
			m.added++
		}
	}
	size := 0
	for piece := range pieces {
		size += len(piece)
	}
	all := make([]int32, 0, size)
	m.words = make([]word, 0, len(pieces))
	for piece, count := range pieces {
		start := len(all)
		for i := range len(piece) {
			all = append(all, t.byteIDs[piece[i]])
		}
		ids := all[start:len(all):len(all)]
		m.words = append(m.words, word{ids, count})
		for i := range len(ids) - 1 {
			m.add(pair{ids[i], ids[i+1]}, int32(len(m.words)-1), count)
		}
	}
	for p, o := range m.pairs {
		m.queue = append(m.queue, candidate{o.count, p})
	}
	heap.Init(&m.queue)
	return m
}

// add counts p in word w.
func (m *merger) add(p pair, w int32, count int64) *occurrences {
	o := m.pairs[p]
	if o == nil {
		o = &occurrences{}
		m.pairs[p] = o
	}
	o.count += count
	if n := len(o.words); n == 0 || o.words[n-1] != w {
		o.words = append(o.words, w)
	}
	return o
}

// step joins the commonest pair, and says whether there was one.
func (m *merger) step() bool {
	for len(m.queue) > 0 {
		top := &m.queue[0]
		o := m.pairs[top.pair]
		switch {
		case o.merged || o.count <= 0:
			heap.Pop(&m.queue)
		case o.count != top.count:
			top.count = o.count
			heap.Fix(&m.queue, 0)
		default:
			p := top.pair
			heap.Pop(&m.queue)
			m.join(p, o)
			return true
		}
	}
	return false
}

// join makes p a token, everywhere. Two pairs may make the same text, and then are the same token.
func (m *merger) join(p pair, o *occurrences) {
	o.merged = true
	text := m.texts[p.left] + m.texts[p.right]
	id, ok := m.ids[text]
	if ok && id < m.added {
		return
	}
	if !ok {
		id = int32(len(m.texts))
		m.texts = append(m.texts, text)
		m.ids[text] = id
	}
	m.merges = append(m.merges, p)
	var grown []pair
	for _, w := range o.words {
		grown = m.joinIn(w, p, id, grown)
	}
	o.words = nil
	for _, g := range grown {
		o := m.pairs[g]
		o.grown = false
		heap.Push(&m.queue, candidate{o.count, g})
	}
}

// joinIn replaces p by id in a word, and appends to grown the pairs that became more frequent.
func (m *merger) joinIn(w int32, p pair, id int32, grown []pair) []pair {
	ids, count := m.words[w].ids, m.words[w].count
	gain := func(g pair) {
		if o := m.add(g, w, count); !o.grown {
			o.grown = true
			grown = append(grown, g)
		}
	}
	n := 0 // ids[:n] is done
	for i := 0; i < len(ids); i++ {
		if ids[i] != p.left || i+1 == len(ids) || ids[i+1] != p.right {
			ids[n] = ids[i]
			n++
			continue
		}
		if n > 0 {
			m.pairs[pair{ids[n-1], p.left}].count -= count
			gain(pair{ids[n-1], id})
		}
		if i+2 < len(ids) {
			m.pairs[pair{p.right, ids[i+2]}].count -= count
			gain(pair{id, ids[i+2]})
		}
		ids[n] = id
		n++
		i++
	}
	m.words[w].ids = ids[:n]
	return grown
}

// candidates is a heap with the next pair to join first.
type candidates []candidate

func (c candidates) Len() int      { return len(c) }
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c candidates) Less(i, j int) bool {
	return cmp.Or(-cmp.Compare(c[i].count, c[j].count), cmp.Compare(c[i].left, c[j].left), cmp.Compare(c[i].right, c[j].right)) < 0
}
func (c *candidates) Push(x any) { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
