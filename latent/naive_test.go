package latent

import "slices"

// naive is what a Pool does, said as simply as possible: a page is known by the whole prefix that it ends, and found by looking
// through all of them.
type naive struct {
	total, size int
	pages       []*naivePage // held or cached
	clock       int
}

type naivePage struct {
	prefix string // tenant and ids up to its last indexed one; "" if not indexed
	tables int    // that name it
	since  int    // when the last of them went
}

// naiveTable is a Table.
type naiveTable struct {
	tenant string
	pages  []*naivePage
}

func (t *naiveTable) prefix(ids []int32) string {
	s := []byte(t.tenant)
	for _, id := range ids {
		s = append(s, byte(id))
	}
	return string(s)
}

func (n *naive) find(prefix string) *naivePage {
	for _, p := range n.pages {
		if p.prefix == prefix {
			return p
		}
	}
	return nil
}

func (n *naive) drop(p *naivePage) {
	p.tables--
	p.since = n.clock
	n.clock++
	if p.tables == 0 && p.prefix == "" {
		n.pages = slices.DeleteFunc(n.pages, func(q *naivePage) bool { return q == p })
	}
}

// set makes p the table's page i.
func (n *naive) set(t *naiveTable, i int, p *naivePage) {
	if i == len(t.pages) {
		t.pages = append(t.pages, nil)
	}
	old := t.pages[i]
	t.pages[i] = p
	p.tables++
	if old != nil {
		n.drop(old)
	}
}

// take makes page i of t a new one, for which the longest unused has to go if there are no others.
func (n *naive) take(t *naiveTable, i int) {
	if len(n.pages) == n.total {
		var oldest *naivePage
		for _, p := range n.pages {
			if p.tables == 0 && (oldest == nil || p.since < oldest.since) {
				oldest = p
			}
		}
		n.pages = slices.DeleteFunc(n.pages, func(p *naivePage) bool { return p == oldest })
	}
	p := &naivePage{}
	n.pages = append(n.pages, p)
	n.set(t, i, p)
}

func (n *naive) cached() int {
	c := 0
	for _, p := range n.pages {
		if p.tables == 0 {
			c++
		}
	}
	return c
}

func (n *naive) available() int { return n.total - len(n.pages) + n.cached() }

func (n *naive) match(t *naiveTable, have int, ids []int32) int {
	i := 0
	for ; (i+1)*n.size <= len(ids); i++ {
		p := n.find(t.prefix(ids[:(i+1)*n.size]))
		if p == nil {
			break
		}
		n.set(t, i, p)
		have = max(have, (i+1)*n.size)
	}
	for end := min(len(ids), (i+1)*n.size-1); end > have; end-- {
		if p := n.find(t.prefix(ids[:end])); p != nil {
			n.set(t, i, p)
			return end
		}
	}
	return have
}

func (n *naive) append(t *naiveTable, from, to int) (copied, ok bool) {
	last := from / n.size
	copied = from%n.size > 0 && t.pages[last].tables > 1
	need := max(0, (to+n.size-1)/n.size-len(t.pages))
	if copied {
		need++
	}
	if need > n.available() {
		return false, false
	}
	if copied {
		n.take(t, last)
	}
	for len(t.pages)*n.size < to {
		n.take(t, len(t.pages))
	}
	return copied, true
}

func (n *naive) publish(t *naiveTable, ids []int32) {
	for i := 0; i*n.size < len(ids); i++ {
		prefix := t.prefix(ids[:min(len(ids), (i+1)*n.size)])
		if p := n.find(prefix); p != nil {
			n.set(t, i, p)
		} else {
			t.pages[i].prefix = prefix
		}
	}
}

func (n *naive) release(t *naiveTable) {
	for i := len(t.pages) - 1; i >= 0; i-- {
		n.drop(t.pages[i])
	}
	t.pages = nil
}
