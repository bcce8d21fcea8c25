package sched

import (
	"hash/maphash"
	"testing"

	"sprat/latent"
)

// fake runs batches on a cache that holds, in each row of each page, a number that depends on the tenant and on all tokens up to
// the row's, as latents do. So it sees whether the right ones are in the right pages.
type fake struct {
	testing.TB
	*Scheduler
	store []uint64 // [page, row]
	seed  maphash.Seed
}

func newFake(t testing.TB, pages, size int, cfg Config) *fake {
	t.Helper()
	s, err := New(cfg, latent.New(pages, size, [32]byte{}))
	if err != nil {
		t.Fatal(err)
	}
	return &fake{TB: t, Scheduler: s, store: make([]uint64, pages*size), seed: maphash.MakeSeed()}
}

// run does what a model would do with b, and says what is wrong with it.
func (f *fake) run(b *Batch) {
	f.Helper()
	size := f.pool.PageSize()
	for _, c := range b.Copies {
		copy(f.store[int(c.To)*size:], f.store[int(c.From)*size:][:c.Rows])
	}
	written, tokens := map[int]bool{}, 0
	seen := map[*Sequence]bool{}
	for _, w := range b.Work {
		q, end := w.Seq, w.Start+len(w.IDs)
		if seen[q] || q.state != Running || w.Start != q.computed || len(w.IDs) == 0 || w.Sample != (end == len(q.ids)) {
			f.Fatalf("wrong work: %s of a %s sequence, tokens %d to %d of %d", w.Phase, q.state, w.Start, end, len(q.ids))
		}
		if want := w.Start < q.prompt; (w.Phase == Prefill) != want || want && end > q.prompt {
			f.Fatalf("tokens %d to %d of a prompt of %d are called %s", w.Start, end, q.prompt, w.Phase)
		}
		seen[q] = true
		tokens += len(w.IDs)
		values := f.latents(q)
		for i := w.Start; i < end; i++ {
			row := int(w.Pages[i/size])*size + i%size
			if written[row] {
				f.Fatalf("row %d of page %d is written twice in a step", i%size, w.Pages[i/size])
			}
			written[row] = true
			f.store[row] = values[i]
		}
	}
	if tokens > f.cfg.Tokens {
		f.Fatalf("%d tokens in a step of at most %d", tokens, f.cfg.Tokens)
	}
	for _, q := range f.admitted[:f.running] {
		if q.pending() == 1 && !seen[q] {
			f.Fatalf("sequence %d could decode, but isn't in the batch", q.age)
		}
		for i, want := range f.latents(q)[:q.computed] {
			if p := q.table.Pages()[i/size]; f.store[int(p)*size+i%size] != want {
				f.Fatalf("row %d of page %d is not token %d of sequence %d", i%size, p, i, q.age)
			}
		}
	}
}

// latents are what the rows of q's tokens should hold.
func (f *fake) latents(q *Sequence) []uint64 {
	var h maphash.Hash
	h.SetSeed(f.seed)
	h.WriteString(q.tenant)
	all := make([]uint64, len(q.ids))
	for i, id := range q.ids {
		maphash.WriteComparable(&h, id)
		all[i] = h.Sum64()
	}
	return all
}

func (f *fake) check() {
	f.Helper()
	if err := f.Check(); err != nil {
		f.Fatal(err)
	}
}
