package latent

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// sequence puts ids into a new table of the pool, computes and publishes them all. It returns what Match found.
func sequence(t *testing.T, p *Pool, tenant string, ids []int32) (*Table, int) {
	t.Helper()
	table := p.NewTable(tenant)
	have := p.Match(&table, 0, ids)
	if _, ok := p.Append(&table, have, len(ids), nil); !ok {
		t.Fatalf("no room for %d tokens: %d pages can be had", len(ids), p.Available())
	}
	p.Publish(&table, ids)
	t.Cleanup(func() {
		if err := p.Check(slices.Values([]*Table{})); err != nil {
			t.Error(err) // all have been released, or are leaks
		}
	})
	return &table, have
}

func ids(n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}

func TestTenantsShareNothing(t *testing.T) {
	p := New(8, 4, [32]byte{})
	a, _ := sequence(t, p, "a", ids(10))
	for _, tenant := range []string{"b", "", "a\x00", "aa"} {
		b, have := sequence(t, p, tenant, ids(10))
		if have != 0 {
			t.Errorf("tenant %q found %d tokens of a's", tenant, have)
		}
		p.Release(b)
	}
	again, have := sequence(t, p, "a", ids(10))
	if have != 10 {
		t.Errorf("tenant a found %d of its 10 tokens", have)
	}
	p.Release(again)
	p.Release(a)
}

// TestDigests: neither key nor tenant nor any token before may be left out.
func TestDigests(t *testing.T) {
	digests := map[digest]bool{}
	for _, key := range []byte{0, 1} {
		for _, tenant := range []string{"a", "b"} {
			for _, first := range []int32{0, 1, 256, -1} {
				p := New(2, 2, [32]byte{31: key})
				table, _ := sequence(t, p, tenant, []int32{first, 1, 2})
				for d := range p.index {
					digests[d] = true
				}
				p.Release(table)
			}
		}
	}
	if want := 2 * 2 * 4 * 2; len(digests) != want {
		t.Errorf("%d digests of %d prefixes", len(digests), want)
	}
}

// TestEvictionOrder: the longest unused goes first, and of a prefix the end.
func TestEvictionOrder(t *testing.T) {
	p := New(6, 2, [32]byte{})
	found := func(seq []int32) int {
		table := p.NewTable("")
		defer p.Release(&table)
		return p.Match(&table, 0, seq)
	}
	x, y := []int32{1, 2, 3, 4, 5, 6}, []int32{1, 2, 7, 8}
	for _, seq := range [][]int32{x, y} {
		table, _ := sequence(t, p, "", seq)
		p.Release(table)
	}
	// Cached now: 12 is before all, x's 34 and 56, y's 78; two pages are free. y was used last.
	var others []*Table
	for i, want := range []struct{ x, y int }{{6, 4}, {6, 4}, {4, 4}, {2, 4}, {2, 2}, {0, 0}} {
		other := p.NewTable("other")
		if _, ok := p.Append(&other, 0, 1, nil); !ok {
			t.Fatalf("no page of %d", p.Available())
		}
		others = append(others, &other)
		gotX, gotY := found(x), found(y) // which makes y the last used again
		if gotX != want.x || gotY != want.y {
			t.Errorf("after %d pages were taken, %d tokens of x and %d of y are left, want %d and %d", i+1, gotX, gotY, want.x, want.y)
		}
	}
	for _, o := range others {
		p.Release(o)
	}
}

// TestPartlyFilledPage: one sequence may go on in the page that an ended one left, two may not.
func TestPartlyFilledPage(t *testing.T) {
	p := New(4, 4, [32]byte{})
	ended, _ := sequence(t, p, "", ids(6))
	left := ended.Pages()[1]
	p.Release(ended)

	a, b := p.NewTable(""), p.NewTable("")
	for _, table := range []*Table{&a, &b} {
		if have := p.Match(table, 0, ids(8)); have != 6 {
			t.Fatalf("found %d of 6 tokens", have)
		}
	}
	copies, _ := p.Append(&a, 6, 8, nil)
	copies, _ = p.Append(&b, 6, 8, copies)
	if want := []Copy{{From: left, To: a.Pages()[1], Rows: 2}}; !slices.Equal(copies, want) || b.Pages()[1] != left {
		t.Errorf("copies %v, want %v; the other has page %d, want %d", copies, want, b.Pages()[1], left)
	}
	if a.Pages()[0] != b.Pages()[0] {
		t.Error("the whole page isn't shared")
	}
	if err := p.Check(slices.Values([]*Table{&a, &b})); err != nil {
		t.Error(err)
	}
	p.Release(&a)
	p.Release(&b)
}

// TestTwins: two that compute the same at the same time end with one page for it.
func TestTwins(t *testing.T) {
	p := New(4, 4, [32]byte{})
	a, b := p.NewTable(""), p.NewTable("")
	for _, table := range []*Table{&a, &b} {
		if _, ok := p.Append(table, 0, 4, nil); !ok {
			t.Fatal("no room")
		}
	}
	p.Publish(&a, ids(4))
	p.Publish(&b, ids(4))
	if a.Pages()[0] != b.Pages()[0] || p.Available() != 3 {
		t.Errorf("pages %v and %v, %d left of 4", a.Pages(), b.Pages(), p.Available())
	}
	p.Release(&a)
	p.Release(&b)
}

func TestAppendTakesAllOrNothing(t *testing.T) {
	p := New(3, 4, [32]byte{})
	a, _ := sequence(t, p, "", ids(5))
	b := p.NewTable("")
	if _, ok := p.Append(&b, 0, 8, nil); ok || len(b.Pages()) > 0 || p.Available() != 1 {
		t.Errorf("two pages of one: %v, %d pages taken, %d left", ok, len(b.Pages()), p.Available())
	}
	p.Release(a)
	if _, ok := p.Append(&b, 0, 12, nil); !ok {
		t.Error("three pages of three were refused")
	}
	p.Release(&b)
}

func TestNewRefusesNonsense(t *testing.T) {
	for _, c := range [][2]int{{0, 64}, {-1, 64}, {1, 0}, {1 << 25, 64}, {1 << 40, 1 << 40}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d pages of %d tokens were made", c[0], c[1])
				}
			}()
			New(c[0], c[1], [32]byte{})
		}()
	}
}

// TestCheck breaks a pool in every way that Check speaks of.
func TestCheck(t *testing.T) {
	cached := func(p *Pool) Page { return p.pages[p.Pages()].next }
	for name, breakIt := range map[string]func(*sim){
		"a reference too many":             func(s *sim) { s.pool.pages[s.seqs[0].table.pages[0]].refs++ },
		"a reference too few":              func(s *sim) { s.pool.pages[s.seqs[0].table.pages[0]].refs-- },
		"a page lost":                      func(s *sim) { s.pool.free = s.pool.free[1:] },
		"a page free twice":                func(s *sim) { s.pool.free = append(s.pool.free, s.pool.free[0]) },
		"a page free and held":             func(s *sim) { s.pool.free[0] = s.seqs[0].table.pages[0] },
		"a page free and cached":           func(s *sim) { s.pool.free[0] = cached(s.pool) },
		"a table forgotten":                func(s *sim) { s.seqs = s.seqs[1:] },
		"a table of another tenant's":      func(s *sim) { s.seqs[0].table.root[0]++ },
		"a table with pages in disorder":   func(s *sim) { slices.Reverse(s.seqs[0].table.pages) },
		"a table that says fewer are full": func(s *sim) { s.seqs[0].table.indexed-- },
		"a count of cached pages":          func(s *sim) { s.pool.cached++ },
		"an entry lost":                    func(s *sim) { delete(s.pool.index, s.pool.pages[cached(s.pool)].digest) },
		"an entry too many":                func(s *sim) { s.pool.index[digest{}] = 0 },
		"an entry for another page":        func(s *sim) { s.pool.index[s.pool.pages[cached(s.pool)].digest]++ },
		"another token in an entry":        func(s *sim) { s.pool.tokens(s.seqs[0].table.pages[1])[0]++ },
		"another parent":                   func(s *sim) { s.pool.pages[s.seqs[0].table.pages[1]].parent = s.seqs[0].table.pages[0] + 1 },
		"a ring with a page in it twice":   func(s *sim) { q := cached(s.pool); s.pool.pages[q].next = q },
		"a beginning evicted before its end": func(s *sim) {
			p, head := s.pool, Page(s.pool.Pages())
			q := p.pages[head].prev // a beginning, as a whole sequence was released last
			p.unlink(q)
			first := p.pages[head].next
			p.pages[q].prev, p.pages[q].next = head, first
			p.pages[head].next, p.pages[first].prev = q, q
			p.cached++
		},
		"a cached page not in the index": func(s *sim) { s.pool.forget(cached(s.pool)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t, rand.New(rand.NewPCG(1, 0)).IntN)
			for i, n := range []int32{10, 9} { // one goes on, one ends
				q := &simSequence{ids: slices.Repeat([]int32{int32(i), 2}, int(n)/2), naive: naiveTable{tenant: "a"}}
				q.table = s.pool.NewTable("a")
				s.seqs = append(s.seqs, q)
				s.again(q)
				s.publish(q, len(q.ids))
			}
			s.close(1)
			if err := s.pool.Check(s.tables); err != nil {
				t.Fatal(err)
			}
			breakIt(s)
			err := s.pool.Check(s.tables)
			if err == nil {
				t.Fatal("Check finds nothing wrong")
			}
			if !strings.HasPrefix(err.Error(), "latent: ") {
				t.Errorf("error %q", err)
			}
		})
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	p := New(16, 4, [32]byte{})
	table, seq := p.NewTable(""), ids(32)
	r := int32(0)
	var copies []Copy
	life := func() {
		r++
		seq[3] = r // so that it is new each time, and something must be evicted
		have := p.Match(&table, 0, seq)
		copies, _ = p.Append(&table, have, len(seq), copies[:0])
		p.Publish(&table, seq)
		p.Release(&table)
	}
	life()
	if n := testing.AllocsPerRun(1000, life); n > 0 {
		t.Errorf("%v allocations for a sequence", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	p := New(64, 64, [32]byte{})
	table, seq := p.NewTable(""), ids(4096)
	p.Append(&table, 0, len(seq), nil)
	p.Publish(&table, seq)
	p.Release(&table)
	for b.Loop() {
		if p.Match(&table, 0, seq) != len(seq) {
			b.Fatal("not found")
		}
		p.Release(&table)
	}
}
