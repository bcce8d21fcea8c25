package latent

import (
	"errors"
	"fmt"
	"iter"
)

// Check says everything that is wrong with p, given all tables that name its pages; nil if nothing is. It changes nothing.
//
//   - each page is free, cached or held, and in one place only
//   - a page has as many references as tables that name it, and no table names one twice
//   - every entry of the index leads to a page that says the same, and a digest of its ids
//   - the page before an indexed one is indexed and full, is in every table that names the later one, and is evicted after it
func (p *Pool) Check(tables iter.Seq[*Table]) error {
	c := checker{Pool: p, state: make([]string, p.Pages()), refs: make([]int32, p.Pages())}
	for t := range tables {
		c.table(t)
	}
	for _, q := range p.free {
		c.place(q, "free")
		if p.pages[q].rows > 0 {
			c.fail("page %d is free, but in the index", q)
		}
	}
	c.ring()
	indexed := 0
	for q := range Page(p.Pages()) {
		if c.state[q] == "" {
			c.fail("page %d is nowhere: it has leaked", q)
		}
		if got, want := p.pages[q].refs, c.refs[q]; got != want {
			c.fail("page %d has %d references, but %d tables name it", q, got, want)
		}
		if p.pages[q].rows > 0 {
			indexed++
			c.entry(q)
		}
	}
	if indexed != len(p.index) {
		c.fail("the index has %d entries, but %d pages are in it", len(p.index), indexed)
	}
	return errors.Join(c.errs...)
}

// checker is a Check under way.
type checker struct {
	*Pool
	state []string // of each page
	refs  []int32
	errs  []error
}

func (c *checker) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("latent: "+format, args...))
}

func (c *checker) place(q Page, state string) {
	if old := c.state[q]; old != "" && (old != "held" || state != "held") {
		c.fail("page %d is %s and %s", q, old, state)
	}
	c.state[q] = state
}

// table counts a table's references.
func (c *checker) table(t *Table) {
	seen := map[Page]bool{}
	for i, q := range t.pages {
		c.place(q, "held")
		c.refs[q]++
		if seen[q] {
			c.fail("page %d is twice in one table", q)
		}
		seen[q] = true
		e := &c.pages[q]
		if full := int(e.rows) == c.size; full != (i < t.indexed) {
			c.fail("page %d is indexed with %d rows, but is page %d of a table with %d indexed", q, e.rows, i, t.indexed)
		}
		before, above := none, &t.root
		if i > 0 {
			before = t.pages[i-1]
			above = &c.pages[before].digest
		}
		if e.rows > 0 && e.parent != before {
			c.fail("page %d follows page %d in the index, but page %d in a table", q, e.parent, before)
		}
		if e.rows > 0 && c.hash(above, c.tokens(q)) != e.digest {
			c.fail("page %d's digest is not of its ids, or it is another tenant's", q)
		}
	}
}

// ring walks the cached pages, from the one that goes first.
func (c *checker) ring() {
	n, head := 0, Page(c.Pages())
	for q := c.pages[head].next; q != head && n <= c.cached; q = c.pages[q].next {
		n++
		c.place(q, "cached")
		if c.pages[q].rows == 0 {
			c.fail("page %d is cached, but not in the index", q)
		}
		if parent := c.pages[q].parent; parent != none && c.state[parent] == "cached" {
			c.fail("page %d goes before page %d, which needs it", parent, q)
		}
		if c.pages[c.pages[q].next].prev != q {
			c.fail("page %d and the next cached one disagree", q)
		}
	}
	if n != c.cached {
		c.fail("%d cached pages, but the count says %d", n, c.cached)
	}
}

// entry checks what the index has of q.
func (c *checker) entry(q Page) {
	e := &c.pages[q]
	if got, ok := c.index[e.digest]; !ok || got != q {
		c.fail("page %d is not under its digest", q)
	}
	if e.parent == none {
		return // its digest is keyed with a tenant's root, which only tables have
	}
	above := &c.pages[e.parent]
	if int(above.rows) != c.size {
		c.fail("page %d follows page %d, which has %d indexed rows and not %d", q, e.parent, above.rows, c.size)
	}
	if above.refs < e.refs {
		c.fail("page %d has %d references, page %d after it %d", e.parent, above.refs, q, e.refs)
	}
	if c.hash(&above.digest, c.tokens(q)) != e.digest {
		c.fail("page %d's digest is not of its ids", q)
	}
}
