package latent

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Match looks for the longest prefix of ids that is in the index under t's tenant, puts its pages into t, and returns how many
// of t's tokens have their latents now. have is how many had them before: 0 for an empty t. A sequence may call it again later on:
// what others have published meanwhile, it need not compute.
//
// Match takes references: what it found is t's until Release, and can be read at once. It evicts nothing and takes no free
// page. Append must follow before anything is written: the last page may be partly filled, and its first owner still filling it.
func (p *Pool) Match(t *Table, have int, ids []int32) int {
	for {
		start := t.indexed * p.size
		if len(ids)-start < p.size {
			break
		}
		q := p.find(t, ids[start:start+p.size])
		if q == none {
			break
		}
		p.adopt(t, q)
		t.indexed++
	}
	start := t.indexed * p.size
	have = max(have, start)
	for end := min(len(ids), start+p.size-1); end > have; end-- {
		if q := p.find(t, ids[start:end]); q != none {
			p.adopt(t, q)
			return end
		}
	}
	return have
}

// Publish enters t's pages into the index, for Match to find: ids are the sequence's first tokens, whose latents must be there
// and stay as they are. A last page that they fill partly is entered as well, and may then be shared: Append must follow before the
// sequence writes on, so one that goes on had better publish only whole pages until it ends. Where the index has the same prefix in
// another page already, t changes to that one and its own is dropped: look at t.Pages() anew. No page's content changes, and none is
// evicted.
func (p *Pool) Publish(t *Table, ids []int32) {
	for {
		start := t.indexed * p.size
		part := ids[min(start, len(ids)):min(start+p.size, len(ids))]
		if len(part) == 0 {
			return
		}
		if q := p.find(t, part); q != none {
			p.adopt(t, q)
		} else if !p.enter(t, part) {
			return
		}
		if len(part) < p.size {
			return
		}
		t.indexed++
	}
}

// find returns the page that follows t's indexed pages with these ids, or none.
func (p *Pool) find(t *Table, ids []int32) Page {
	parent, above := p.tip(t)
	d := p.hash(above, ids)
	q, ok := p.index[d]
	if !ok || p.pages[q].parent != parent || !slices.Equal(p.tokens(q), ids) {
		return none
	}
	return q
}

// enter puts t's page after its indexed ones into the index, unless another prefix has the same digest.
func (p *Pool) enter(t *Table, ids []int32) bool {
	parent, above := p.tip(t)
	d := p.hash(above, ids)
	if _, taken := p.index[d]; taken {
		return false
	}
	q := t.pages[t.indexed]
	p.forget(q) // it may have been found as a shorter prefix's end, and filled further
	e := &p.pages[q]
	e.rows, e.parent, e.digest = int32(len(ids)), parent, d
	copy(p.tokens(q), ids)
	p.index[d] = q
	return true
}

// forget takes q out of the index.
func (p *Pool) forget(q Page) {
	if e := &p.pages[q]; e.rows > 0 {
		delete(p.index, e.digest)
		e.rows = 0
	}
}

// adopt makes q the page after t's indexed ones.
func (p *Pool) adopt(t *Table, q Page) {
	p.hold(q)
	if t.indexed == len(t.pages) {
		t.pages = append(t.pages, q)
		return
	}
	p.drop(t.pages[t.indexed])
	t.pages[t.indexed] = q
}

// tip is the last of t's indexed pages, and the digest that the next one's is keyed with.
func (p *Pool) tip(t *Table) (Page, *digest) {
	if t.indexed == 0 {
		return none, &t.root
	}
	q := t.pages[t.indexed-1]
	return q, &p.pages[q].digest
}

// tokens are the ids of q's indexed rows.
func (p *Pool) tokens(q Page) []int32 {
	return p.ids[int(q)*p.size:][:p.pages[q].rows]
}

// sha256 is the digest of a page's ids. A secret before the message makes SHA-256 a keyed hash for whoever can't see a digest and
// extend it; none ever leaves the Pool.
func (p *Pool) sha256(parent *digest, ids []int32) digest {
	p.buf = append(p.buf[:0], parent[:]...)
	for _, id := range ids {
		p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(id))
	}
	return sha256.Sum256(p.buf)
}
