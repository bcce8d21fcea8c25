// Package latent keeps the books of the context cache: which page holds which tokens' latents, for whom, and for how long. It
// deals in page numbers only and has no memory of its own behind them.
//
// The cache holds, for each token and layer, the normed c_KV and the rotated k_R of multi-head latent attention (V2 report,
// section 2.1). It is cut into pages of a fixed number of tokens; one page number stands for the same page in every layer. A
// sequence has a Table of the pages that its tokens lie in, in order. Its life:
//
//	pool := latent.New(pages, 64, key)
//	t := pool.NewTable(tenant)
//	have := pool.Match(&t, 0, ids)                        // what is there already, from the start on
//	copies, ok := pool.Append(&t, have, len(ids), nil)    // pages for the rest; !ok: there are none, try later
//	…do the copies, run ids[have:], writing their latents into t.Pages()…
//	pool.Publish(&t, ids)                                 // let others find them
//	pool.Release(&t)
//
// A page is held while a Table names it, and counts how many do. It is cached when none does but the index of prefixes knows
// what it holds, and free otherwise. Append takes free pages first and then cached ones, those longest unused first, and of a
// prefix the end before the beginning. So held + cached + free is always all pages, and whatever isn't held can be had.
//
// Pages are shared between sequences that begin alike. Rows that two of them share are not written again: who goes on in a shared
// page gets a copy from Append. A page that ends a sequence is usually partly filled. It can be found like the others, by a sequence that goes on where
// that one ended, as a conversation's next turn does.
//
// # How a prefix is found
//
// The index maps a digest to a page. The digest of a prefix's first page is a hash of its token ids keyed with the tenant's
// root, that of each further page a hash of its ids keyed with the digest before; the root is HMAC-SHA256 of the tenant's name
// with the Pool's key. So one tenant's digests say nothing about another's, whose cache it can neither read nor, by timing, probe.
// A hit counts only if the page's ids are those asked for and the page before it is the one just found: a collision is a miss,
// never somebody else's context. The hash is SHA-256, since nothing here is in a hurry (a page of 64 tokens takes a
// microsecond to hash and tens of milliseconds to compute), and collisions are then out of reach even for who has seen the key.
// See docs/adr/0008-pages.md.
//
// A Pool isn't safe for concurrent use: it belongs to the goroutine that runs the engine. It reads no clock and draws no random
// numbers: the same calls have the same effects.
package latent

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// Page is the number of a page, from 0.
type Page = int32

const none Page = -1

// Copy says that the first Rows rows of page From are to be copied to page To, in every layer.
type Copy struct {
	From, To Page
	Rows     int
}

// Table says where a sequence's latents are: those of token i in row i % PageSize of page Pages()[i/PageSize]. It comes from
// NewTable and belongs to that Pool. It must not be copied while it names pages.
type Table struct {
	pages   []Page
	indexed int // of pages, so many are full and in the index, as are all before them
	root    digest
}

// Pages are the sequence's pages in order. Read only, and only until the Pool's next change of t.
func (t *Table) Pages() []Page { return t.pages }

// Pool is a fixed number of pages, and who has them.
type Pool struct {
	size   int    // tokens a page
	pages  []page // and a last one, which is the head of the ring of cached pages: next is longest unused, prev latest used
	free   []Page // a stack
	cached int    // length of the ring
	index  map[digest]Page
	ids    []int32 // [page, row] the tokens of indexed rows
	key    [32]byte
	hash   func(parent *digest, ids []int32) digest // another in tests, to see collisions
	buf    []byte
}

// page is what is known of a page.
type page struct {
	refs       int32 // tables that name it
	rows       int32 // so many of its rows are what the index has under digest; 0: it isn't in the index
	parent     Page  // the page before it in its prefix, or none
	prev, next Page  // in the ring of cached pages
	digest     digest
}

type digest [sha256.Size]byte

// New returns a Pool of pages free pages of size tokens each. The key must be random and secret, for who knows it can compute
// digests. Digests are the same for the same key.
func New(pages, size int, key [32]byte) *Pool {
	if pages < 1 || size < 1 || pages >= 1<<31/size {
		panic(fmt.Sprintf("latent: %d pages of %d tokens: want at least one, and fewer than 2^31 tokens", pages, size))
	}
	p := &Pool{
		size: size, key: key,
		pages: make([]page, pages+1),
		free:  make([]Page, pages),
		index: make(map[digest]Page, pages),
		ids:   make([]int32, pages*size),
	}
	p.hash = p.sha256
	for i := range p.free {
		p.free[i] = Page(pages - 1 - i) // so that page 0 is taken first
	}
	head := Page(pages)
	p.pages[head].prev, p.pages[head].next = head, head
	return p
}

// PageSize is how many tokens a page holds.
func (p *Pool) PageSize() int { return p.size }

// Pages is how many pages there are.
func (p *Pool) Pages() int { return len(p.pages) - 1 }

// PagesOf is how many pages so many tokens take.
func (p *Pool) PagesOf(tokens int) int { return (tokens + p.size - 1) / p.size }

// Available is how many pages Append could take now: those free and those cached.
func (p *Pool) Available() int { return len(p.free) + p.cached }

// Cached is how many pages no table names but the index knows.
func (p *Pool) Cached() int { return p.cached }

// NewTable returns an empty Table for a sequence of the tenant's. It changes nothing.
func (p *Pool) NewTable(tenant string) Table {
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(tenant))
	return Table{root: digest(mac.Sum(nil))}
}

// Append makes room in t for the tokens from to to-1 to be written, all of it or, returning false, none. from is how many have
// their latents; what is published may not be written again. Where the first of those rows is in a page that others share, t gets
// another in its place, and what must be copied is appended to copies. Copies are to be done in their order, and before anything
// is written to a page: a page may be copied from and then given away by a later call. Append evicts cached pages when none are free.
func (p *Pool) Append(t *Table, from, to int, copies []Copy) ([]Copy, bool) {
	last := from / p.size
	split := from%p.size > 0 && p.pages[t.pages[last]].refs > 1
	need := max(0, p.PagesOf(to)-len(t.pages))
	if split {
		need++
	}
	if need > p.Available() {
		return copies, false
	}
	if split {
		c := Copy{From: t.pages[last], To: p.take(), Rows: from % p.size}
		copies = append(copies, c)
		p.drop(c.From)
		t.pages[last] = c.To
	}
	for len(t.pages) < p.PagesOf(to) {
		t.pages = append(t.pages, p.take())
	}
	return copies, true
}

// Release empties t, for the sequence to begin again or to be forgotten. Pages that no other table names are cached if the index
// knows them, and free otherwise. A Table that is dropped without Release loses its pages for good.
func (p *Pool) Release(t *Table) {
	for i := len(t.pages) - 1; i >= 0; i-- { // the end first, so that it is evicted first
		p.drop(t.pages[i])
	}
	t.pages, t.indexed = t.pages[:0], 0
}

// take returns a page with one reference, evicting one if none is free. There must be one.
func (p *Pool) take() Page {
	var q Page
	if n := len(p.free); n > 0 {
		q = p.free[n-1]
		p.free = p.free[:n-1]
	} else {
		q = p.pages[p.Pages()].next
		p.unlink(q)
		p.forget(q)
	}
	p.pages[q].refs = 1
	return q
}

// hold adds a reference to an indexed page.
func (p *Pool) hold(q Page) {
	if p.pages[q].refs == 0 {
		p.unlink(q)
	}
	p.pages[q].refs++
}

// drop takes a reference away.
func (p *Pool) drop(q Page) {
	e := &p.pages[q]
	switch e.refs--; {
	case e.refs > 0:
	case e.rows > 0:
		head := Page(p.Pages())
		e.prev, e.next = p.pages[head].prev, head
		p.pages[e.prev].next, p.pages[head].prev = q, q
		p.cached++
	default:
		p.free = append(p.free, q)
	}
}

// unlink takes q out of the ring of cached pages.
func (p *Pool) unlink(q Page) {
	e := &p.pages[q]
	p.pages[e.prev].next, p.pages[e.next].prev = e.next, e.prev
	p.cached--
}
