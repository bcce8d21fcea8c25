package sched

import (
	"errors"
	"fmt"
	"slices"

	"sprat/latent"
)

// Check says everything that is wrong with s and its pool; nil if nothing is. It changes nothing.
//
//   - the pool's books are right, given the tables of those running, and nobody else has pages
//   - admitted sequences are in order of age, first those running and then those preempted, and no more than Config says
//   - those running take turns, once each
//   - each has between one token pending and all, no more tokens than its limit, and pages for those computed
//   - each waiting tenant has one queue, and someone in it
func (s *Scheduler) Check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sched: "+format, args...)) }

	err := s.pool.Check(func(yield func(*latent.Table) bool) {
		for _, q := range s.admitted[:s.running] {
			if !yield(&q.table) {
				return
			}
		}
	})
	errs = append(errs, err)
	if len(s.admitted) > s.cfg.Sequences {
		fail("%d sequences are admitted, not at most %d", len(s.admitted), s.cfg.Sequences)
	}
	age := 0
	for i, q := range s.admitted {
		state := Running
		if i >= s.running {
			state = Preempted
		}
		if q.state != state {
			fail("sequence %d is %s, but number %d of %d running", q.age, q.state, i, s.running)
		}
		if q.age <= age || q.age > s.ages {
			fail("sequence %d comes after %d, of %d", q.age, age, s.ages)
		}
		age = q.age
		if q.computed < 0 || q.pending() < 1 || len(q.ids) > q.limit || q.prompt > len(q.ids) {
			fail("sequence %d: %d computed of %d tokens, prompt %d, limit %d", age, q.computed, len(q.ids), q.prompt, q.limit)
		}
		if n := len(q.table.Pages()); s.pool.PagesOf(q.computed) > n || state == Preempted && n+q.computed > 0 {
			fail("sequence %d is %s with %d computed tokens and %d pages", age, q.state, q.computed, n)
		}
	}
	if len(s.turns) != s.running {
		fail("%d sequences take turns, but %d run", len(s.turns), s.running)
	}
	for _, q := range s.admitted[:s.running] {
		if !slices.Contains(s.turns, q) {
			fail("sequence %d is running and has no turn", q.age)
		}
	}
	seen := map[string]bool{}
	for _, w := range s.waiting {
		if seen[w.tenant] || len(w.seqs) == 0 {
			fail("tenant %q waits twice or with nobody", w.tenant)
		}
		seen[w.tenant] = true
		for _, q := range w.seqs {
			if q.state != Waiting || q.tenant != w.tenant || q.computed > 0 || len(q.table.Pages()) > 0 {
				fail("a waiting sequence of tenant %q in the queue of %q is %s, %d computed", q.tenant, w.tenant, q.state, q.computed)
			}
		}
	}
	return errors.Join(errs...)
}
