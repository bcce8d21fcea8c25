package latent

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"
)

// sim drives a Pool through the life of several sequences at once, does the same to a naive one, and stores in each row of each
// page what a model would: a number that depends on all tokens up to the row's, and on the tenant. So a row that a sequence finds is
// the right one only if everything before it is.
type sim struct {
	testing.TB
	pool   *Pool
	naive  *naive        // nil where the hash is bad and hits may be lost
	choose func(int) int // a number below its argument
	store  []uint64      // [page, row]
	seqs   []*simSequence
	seed   maphash.Seed
	seen   map[string]int // what happened
}

type simSequence struct {
	ids    []int32
	filled int // so many have their latents
	table  Table
	naive  naiveTable
}

const simPages, simSize = 12, 4

func newSim(t testing.TB, choose func(int) int) *sim {
	return &sim{
		TB: t, pool: New(simPages, simSize, [32]byte{1}), naive: &naive{total: simPages, size: simSize},
		choose: choose, store: make([]uint64, simPages*simSize), seed: maphash.MakeSeed(), seen: map[string]int{},
	}
}

// step does something at random.
func (s *sim) step() {
	if n := len(s.seqs); n == 0 || n < 6 && s.choose(4) == 0 {
		s.open()
	} else {
		i := s.choose(n)
		q := s.seqs[i]
		switch s.choose(6) {
		case 0:
			s.more(q)
		case 1:
			s.again(q)
		case 2: // it ends
			s.publish(q, q.filled)
			s.close(i)
		case 3: // it is cancelled, or loses its pages and begins again
			if s.choose(2) == 0 {
				s.close(i)
				break
			}
			s.release(q)
			q.filled = 0
			s.again(q)
		default:
			s.write(q)
		}
	}
	s.check()
}

// open begins a sequence, often as another one begins.
func (s *sim) open() {
	q := &simSequence{naive: naiveTable{tenant: []string{"a", "b"}[s.choose(2)]}}
	if len(s.seqs) > 0 && s.choose(2) == 0 {
		other := s.seqs[s.choose(len(s.seqs))].ids
		q.ids = slices.Clone(other[:s.choose(len(other)+1)])
	}
	for range 1 + s.choose(8) {
		q.ids = append(q.ids, int32(s.choose(2)))
	}
	q.table = s.pool.NewTable(q.naive.tenant)
	s.seqs = append(s.seqs, q)
	s.again(q)
}

// again matches q, and makes room for all its tokens, or ends it.
func (s *sim) again(q *simSequence) {
	was := q.filled
	q.filled = s.pool.Match(&q.table, was, q.ids)
	if s.naive != nil {
		if want := s.naive.match(&q.naive, was, q.ids); q.filled != want {
			s.Fatalf("%v of tenant %s: matched %d tokens after %d, want %d", q.ids, q.naive.tenant, q.filled, was, want)
		}
	}
	s.count("hits", q.filled > was)
	s.count("hits within a page", q.filled > was && q.filled%simSize > 0)
	s.room(q)
}

func (s *sim) room(q *simSequence) {
	full := len(s.pool.free) == 0
	copies, ok := s.pool.Append(&q.table, q.filled, len(q.ids), nil)
	s.count("evictions", full && ok)
	for _, c := range copies {
		copy(s.store[int(c.To)*simSize:], s.store[int(c.From)*simSize:][:c.Rows])
		s.count("copies", true)
	}
	if s.naive != nil {
		if copied, want := s.naive.append(&q.naive, q.filled, len(q.ids)); ok != want || copied != (len(copies) == 1) {
			s.Fatalf("room for %d tokens: %v with %d copies, want %v, %v", len(q.ids), ok, len(copies), want, copied)
		}
	}
	if !ok {
		s.count("refusals", true)
		s.close(slices.Index(s.seqs, q))
	}
}

// more lengthens q.
func (s *sim) more(q *simSequence) {
	if len(q.ids) < simPages*simSize/2 {
		q.ids = append(q.ids, int32(s.choose(2)), int32(s.choose(2)))
	}
	s.room(q)
}

// write fills some of q's rows, and publishes the whole pages among all its filled ones, at times the last one too.
func (s *sim) write(q *simSequence) {
	end := q.filled + s.choose(len(q.ids)-q.filled+1)
	s.room(q)
	if !slices.Contains(s.seqs, q) {
		return
	}
	for i, v := range s.latents(q) {
		if i >= q.filled && i < end {
			s.store[int(q.table.Pages()[i/simSize])*simSize+i%simSize] = v
		}
	}
	q.filled = end
	if s.choose(4) > 0 {
		end -= end % simSize
	}
	s.publish(q, end)
}

func (s *sim) publish(q *simSequence, n int) {
	was := slices.Clone(q.table.Pages())
	s.pool.Publish(&q.table, q.ids[:n])
	s.count("twins", !slices.Equal(was, q.table.Pages()))
	if s.naive != nil {
		s.naive.publish(&q.naive, q.ids[:n])
	}
}

func (s *sim) close(i int) {
	s.release(s.seqs[i])
	s.seqs = slices.Delete(s.seqs, i, i+1)
}

func (s *sim) release(q *simSequence) {
	s.pool.Release(&q.table)
	if s.naive != nil {
		s.naive.release(&q.naive)
	}
}

// latents are what q's rows should hold.
func (s *sim) latents(q *simSequence) []uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(q.naive.tenant)
	all := make([]uint64, len(q.ids))
	for i, id := range q.ids {
		h.WriteByte(byte(id))
		all[i] = h.Sum64()
	}
	return all
}

// check compares everything with what it should be.
func (s *sim) check() {
	if err := s.pool.Check(s.tables); err != nil {
		s.Fatal(err)
	}
	for _, q := range s.seqs {
		for i, want := range s.latents(q)[:q.filled] {
			if p := q.table.Pages()[i/simSize]; s.store[int(p)*simSize+i%simSize] != want {
				s.Fatalf("row %d of page %d is not token %d of %v, tenant %s", i%simSize, p, i, q.ids, q.naive.tenant)
			}
		}
	}
	if s.naive != nil {
		if a, c := s.pool.Available(), s.pool.Cached(); a != s.naive.available() || c != s.naive.cached() {
			s.Fatalf("%d pages available, %d of them cached, want %d, %d", a, c, s.naive.available(), s.naive.cached())
		}
	}
}

func (s *sim) tables(yield func(*Table) bool) {
	for _, q := range s.seqs {
		if !yield(&q.table) {
			return
		}
	}
}

// end ends all sequences: then every page must be there to be had.
func (s *sim) end() {
	for len(s.seqs) > 0 {
		s.close(0)
	}
	s.check()
	if n := s.pool.Available(); n != simPages {
		s.Fatalf("%d of %d pages can be had when all has ended", n, simPages)
	}
}

func (s *sim) count(what string, happened bool) {
	if happened {
		s.seen[what]++
	}
}

func TestSimulation(t *testing.T) {
	for _, steps := range []int{1, 10, 100, 1000, 10000} {
		for range 3 {
			seed := rand.Uint64()
			t.Run(fmt.Sprintf("%d steps, seed %d", steps, seed), func(t *testing.T) {
				s := newSim(t, rand.New(rand.NewPCG(seed, 0)).IntN)
				for range steps {
					s.step()
				}
				s.end()
				for _, what := range []string{"hits", "hits within a page", "copies", "evictions", "refusals", "twins"} {
					if steps == 10000 && s.seen[what] < 10 {
						t.Errorf("only %d %s: the simulation misses what it is for", s.seen[what], what)
					}
				}
			})
		}
	}
}

// TestCollisions has a hash with some ten values a tenant: hits are lost, but none is wrong.
func TestCollisions(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := newSim(t, rand.New(rand.NewPCG(seed, 0)).IntN)
	s.naive = nil
	prefixes := map[digest]map[string]bool{}
	s.pool.hash = func(parent *digest, ids []int32) digest {
		var d digest
		for i, id := range ids {
			d[0] += byte(i+1) * byte(id) % 5
		}
		d[1], d[2] = parent[0], 0xEE // the tenant, of which the root is the only witness
		if parent[2] == 0xEE && parent[3] == 0 {
			d[1] = parent[1]
		}
		if prefixes[d] == nil {
			prefixes[d] = map[string]bool{}
		}
		prefixes[d][fmt.Sprint(parent, ids)] = true
		return d
	}
	for range 10000 {
		s.step()
	}
	s.end()
	for d, all := range prefixes {
		if len(all) < 2 {
			delete(prefixes, d)
		}
	}
	if len(prefixes) < 4 || s.seen["hits"] < 100 {
		t.Errorf("%d digests of several prefixes, %d hits: too few to show anything", len(prefixes), s.seen["hits"])
	}
}

// FuzzPool has the fuzzer choose what sim does.
func FuzzPool(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a page is held, cached or free, and in one place only"))
	r := rand.New(rand.NewPCG(1, 0))
	long := make([]byte, 400)
	for i := range long {
		long[i] = byte(r.Uint32())
	}
	f.Add(long)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 1000)]
		s := newSim(t, func(n int) int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		})
		for len(data) > 0 {
			s.step()
		}
		s.end()
	})
}
