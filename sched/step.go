package sched

import (
	"fmt"
	"slices"

	"sprat/latent"
)

// Phase says what the tokens of a Work are.
type Phase string

const (
	Prefill Phase = "prefill" // of the prompt
	Decode  Phase = "decode"  // of the continuation: mostly one, more after preemption or if several were appended
)

// Batch is what to run in one step: the Copies in their order, then all of Work. It is valid until Commit.
type Batch struct {
	Copies []latent.Copy
	Work   []Work // a sequence at most once
}

// Work is one sequence's part of a step.
type Work struct {
	Seq    *Sequence
	Phase  Phase
	IDs    []int32       // to be run, at positions Start, Start+1, …
	Start  int           // so many tokens before them have their latents in Pages
	Pages  []latent.Page // of the sequence, with room for the latents of IDs
	Sample bool          // the last of IDs is the sequence's last token: what follows it is wanted
}

// Result is what came of a Work.
type Result struct {
	Tokens []int32 // to append: at least one if Work.Sample, else none
	Stop   bool    // the sequence ends with them
}

// Next returns the step to run now; its Work is empty only if no sequence waits or runs. Each call must be followed by Commit.
func (s *Scheduler) Next() *Batch {
	s.batch.Copies, s.batch.Work = s.batch.Copies[:0], s.batch.Work[:0]
	s.grow()
	for s.admit() {
	}
	s.decode()
	s.prefill()
	return &s.batch
}

// decode adds those that have one token pending.
func (s *Scheduler) decode() {
	s.budget = s.cfg.Tokens
	for _, q := range s.admitted[:s.running] {
		if q.pending() == 1 {
			s.run(q, 1)
		}
	}
}

// prefill adds those that have more pending, by turns and as far as the budget goes. Who gets tokens comes last next time.
func (s *Scheduler) prefill() {
	for i, n := 0, s.running; i < n && s.budget > 0; {
		q := s.turns[i]
		if q.pending() == 1 || s.look(q) {
			i++
			continue
		}
		end := len(q.ids)
		if q.computed < q.prompt {
			end = q.prompt
		}
		s.run(q, min(end-q.computed, s.budget))
		s.turns = append(slices.Delete(s.turns, i, i+1), q)
		n--
	}
}

// grow gets pages for what is pending of those running, taking them from the youngest if need be.
func (s *Scheduler) grow() {
	for i := 0; i < s.running; i++ {
		for !s.room(s.admitted[i]) {
			s.preempt()
			if i == s.running {
				return // it was the youngest itself
			}
		}
	}
}

// preempt takes the pages of the youngest running sequence.
func (s *Scheduler) preempt() {
	s.running--
	q := s.admitted[s.running]
	s.pool.Publish(&q.table, q.ids[:q.computed])
	s.pool.Release(&q.table)
	q.computed, q.state = 0, Preempted
	s.turns = without(s.turns, q)
}

// admit resumes the oldest preempted sequence or, if there is none, admits who has the next turn. It reports whether it did.
func (s *Scheduler) admit() bool {
	resume := s.running < len(s.admitted)
	var q *Sequence
	switch {
	case resume:
		q = s.admitted[s.running]
	case len(s.waiting) == 0 || len(s.admitted) == s.cfg.Sequences:
		return false
	default:
		q = s.waiting[0].seqs[0]
	}
	q.computed = s.pool.Match(&q.table, 0, q.ids[:len(q.ids)-1])
	spare := s.pool.Available() - (s.pool.PagesOf(len(q.ids)) - len(q.table.Pages()))
	if spare < s.running || !s.room(q) { // each running one may want a page soon: don't preempt at once
		s.pool.Release(&q.table)
		q.computed = 0
		return false
	}
	if !resume {
		s.takeTurn()
		s.ages++
		q.age, q.cached = s.ages, q.computed
		q.ids = slices.Grow(q.ids, q.limit-len(q.ids))
		s.admitted = append(s.admitted, q)
	}
	q.state = Running
	s.running++
	s.turns = append(s.turns, q)
	return true
}

// takeTurn takes the first tenant's first sequence from those waiting, and puts the tenant last.
func (s *Scheduler) takeTurn() {
	w := s.waiting[0]
	w.seqs = slices.Delete(w.seqs, 0, 1)
	s.waiting = slices.Delete(s.waiting, 0, 1)
	if len(w.seqs) > 0 {
		s.waiting = append(s.waiting, w)
	}
}

// look lets q use what others have published since it was admitted; it needs no more pages than q has. It reports whether q had
// better wait, as somebody computes its next page in this step.
func (s *Scheduler) look(q *Sequence) (wait bool) {
	was := q.computed
	q.computed = s.pool.Match(&q.table, was, q.ids[:len(q.ids)-1])
	if q.computed > was && !s.room(q) {
		panic("sched: no page in place of one given back")
	}
	size := s.pool.PageSize()
	end := q.computed + size
	if q.computed%size > 0 || end >= len(q.ids) {
		return false
	}
	return slices.ContainsFunc(s.batch.Work, func(w Work) bool {
		return w.Start <= q.computed && end <= w.Start+len(w.IDs) &&
			w.Seq.tenant == q.tenant && slices.Equal(w.Seq.ids[:end], q.ids[:end])
	})
}

// room gets pages for all of q's ids.
func (s *Scheduler) room(q *Sequence) (ok bool) {
	s.batch.Copies, ok = s.pool.Append(&q.table, q.computed, len(q.ids), s.batch.Copies)
	return ok
}

// run adds n of q's pending tokens to the batch.
func (s *Scheduler) run(q *Sequence, n int) {
	phase, end := Decode, q.computed+n
	if q.computed < q.prompt {
		phase = Prefill
	}
	s.batch.Work = append(s.batch.Work, Work{
		Seq: q, Phase: phase, IDs: q.ids[q.computed:end], Start: q.computed, Pages: q.table.Pages(), Sample: end == len(q.ids),
	})
	s.budget -= n
}

// Commit takes the results of b, which Next returned last, one for each of its Work: appends tokens, lets other sequences find
// whole pages, and ends sequences at their limit or where a Result says so, giving their pages back. Tokens beyond the
// limit are left out. Of several tokens none has its latents yet: they run together in a later step. A sequence that failed is to be
// cancelled before: nothing of its step is kept.
func (s *Scheduler) Commit(b *Batch, results []Result) {
	if b != &s.batch || len(results) != len(b.Work) {
		panic(fmt.Sprintf("sched: %d results for a batch of %d", len(results), len(b.Work)))
	}
	for i, w := range b.Work {
		q, r := w.Seq, results[i]
		if q.Done() {
			continue
		}
		if w.Sample != (len(r.Tokens) > 0) {
			panic(fmt.Sprintf("sched: %d tokens from a work with Sample %t", len(r.Tokens), w.Sample))
		}
		q.computed += len(w.IDs)
		q.ids = append(q.ids, r.Tokens[:min(len(r.Tokens), q.limit-len(q.ids))]...)
		switch {
		case r.Stop:
			s.finish(q, Stopped)
		case len(q.ids) == q.limit:
			s.finish(q, Full)
		default:
			s.pool.Publish(&q.table, q.ids[:q.computed-q.computed%s.pool.PageSize()])
		}
	}
	b.Work = b.Work[:0]
}

// finish ends q and leaves all it has computed to be found, for its conversation's next turn.
func (s *Scheduler) finish(q *Sequence, state State) {
	s.pool.Publish(&q.table, q.ids[:q.computed])
	s.leave(q)
	q.state = state
}
