// Package sched decides what an inference engine runs in each step: which sequences, which of their tokens, in which pages of
// the context cache. It holds token ids and page numbers; it knows no model, no tensor, no clock and no goroutine, and the same calls
// give the same answers. An engine's step is
//
//	batch := s.Next()             // prefill chunks and decodes, with their pages
//	…run batch, sample…
//	s.Commit(batch, results)      // append, finish, free, let others find what was computed
//
// A Sequence is a prompt and what has been appended to it. The tokens whose latents are in its pages are computed, the others
// pending; a step runs some of the pending ones, and one that has run the last of them yields new tokens. So a
// sequence that decodes has one token pending, or a few if several were appended at once; one with more is in prefill, in
// chunks. Prompt and continuation never meet in one chunk, so that a model may compute them in different forms by position alone.
//
// # Who gets what
//
// A step has a budget of tokens. Each sequence that decodes gets its token first; what is left goes to those with more pending,
// in turn, each taking what it can use and then coming last. So a running sequence waits fewer steps than there are running.
// Those that begin alike and run together compute each page once: one does, while the others wait for the step to end.
//
// Pages are had for all pending tokens on admission, and one by one when decoding. When there are none for a sequence, the
// youngest running one is preempted: it gives up its pages, keeps its ids, and later computes again what the cache has
// lost by then. The oldest is never preempted, and a sequence longer than all pages together is refused at Submit, so
// the oldest always finishes; then the next is oldest. Nobody new is admitted while one waits to resume.
//
// Who waits is admitted by turns of tenants, each tenant's sequences in their order: a thousand of one tenant's delay another's
// first by one. Which sequence comes next is decided by turn and not by size, so large ones don't starve.
package sched

import (
	"errors"
	"fmt"
	"slices"

	"sprat/latent"
)

// Config bounds what is run at once.
type Config struct {
	Context   int // tokens of the longest sequence, prompt and continuation
	Sequences int // admitted at once
	Tokens    int // run in a step; at least Sequences, so that there is one for each
}

// Sequence is a request under way. Its methods only read; a Scheduler changes it in Submit, Next, Commit and Cancel.
type Sequence struct {
	tenant   string
	ids      []int32 // the prompt and what was appended
	prompt   int     // tokens of the prompt
	limit    int     // len(ids) at most
	computed int     // so many ids have their latents in the pages of table
	cached   int     // so many of the prompt's were found in the cache on admission
	age      int     // in order of admission, from 1; 0 if never admitted
	state    State
	table    latent.Table
}

// State is how far a Sequence is.
type State string

const (
	Waiting   State = "waiting"   // not admitted yet
	Running   State = "running"   // has pages
	Preempted State = "preempted" // had pages, and goes on before any other is admitted
	Stopped   State = "stopped"   // ended by a Result
	Full      State = "full"      // ended at its most tokens
	Cancelled State = "cancelled"
)

// IDs are the prompt and all tokens appended so far. Read only, until the next Commit.
func (q *Sequence) IDs() []int32 { return q.ids }

// Prompt is how many of IDs are the prompt.
func (q *Sequence) Prompt() int { return q.prompt }

// Cached is how many tokens of the prompt were in the cache on admission.
func (q *Sequence) Cached() int { return q.cached }

// State is how far q is.
func (q *Sequence) State() State { return q.state }

// Done reports whether q has ended and its pages are given back.
func (q *Sequence) Done() bool { return q.state == Stopped || q.state == Full || q.state == Cancelled }

// pending is how many ids have no latents yet: at least one until q ends.
func (q *Sequence) pending() int { return len(q.ids) - q.computed }

// Scheduler is the policy. It isn't safe for concurrent use.
type Scheduler struct {
	cfg      Config
	pool     *latent.Pool
	waiting  []queue     // the first one's first is admitted next
	admitted []*Sequence // oldest first; those from running on are preempted
	running  int
	ages     int         // given so far
	turns    []*Sequence // those running, in the order in which prefill serves them
	batch    Batch
	budget   int // tokens left in it
}

// queue are the waiting sequences of a tenant, at least one.
type queue struct {
	tenant string
	seqs   []*Sequence
}

// New returns a Scheduler that takes pages from pool, which is then its own.
func New(cfg Config, pool *latent.Pool) (*Scheduler, error) {
	if cfg.Context < 2 || cfg.Sequences < 1 || cfg.Tokens < cfg.Sequences {
		return nil, fmt.Errorf("scheduler: context of %d tokens, %d sequences, %d tokens a step: want at least 2, 1, and one a sequence",
			cfg.Context, cfg.Sequences, cfg.Tokens)
	}
	return &Scheduler{cfg: cfg, pool: pool}, nil
}

// Submit has the tenant's prompt continued by up to most tokens, or 0 for as many as the context holds. It fails if the sequence
// could never run. The prompt is copied. Tenants don't share cached pages. How many may wait is for the caller to bound.
func (s *Scheduler) Submit(tenant string, prompt []int32, most int) (*Sequence, error) {
	room := min(s.cfg.Context, s.pool.Pages()*s.pool.PageSize())
	switch {
	case len(prompt) == 0:
		return nil, errors.New("the prompt is empty: give at least one token")
	case most < 0:
		return nil, fmt.Errorf("a continuation of %d tokens: want 0 or more", most)
	case len(prompt) >= s.cfg.Context:
		return nil, fmt.Errorf("the prompt has %d tokens, but the context holds %d: shorten it", len(prompt), s.cfg.Context)
	case len(prompt) >= room:
		return nil, fmt.Errorf("the prompt has %d tokens, but the cache holds %d: shorten it or give the cache more memory",
			len(prompt), room)
	}
	if most == 0 || most > room-len(prompt) {
		most = room - len(prompt)
	}
	q := &Sequence{
		tenant: tenant, ids: slices.Clone(prompt), prompt: len(prompt), limit: len(prompt) + most,
		state: Waiting, table: s.pool.NewTable(tenant),
	}
	i := slices.IndexFunc(s.waiting, func(w queue) bool { return w.tenant == tenant })
	if i < 0 {
		i = len(s.waiting)
		s.waiting = append(s.waiting, queue{tenant: tenant})
	}
	s.waiting[i].seqs = append(s.waiting[i].seqs, q)
	return q, nil
}

// Cancel ends q, at any time: its pages are given back at once, without what was computed since the last Commit, and the
// next batch is without it. The batch that is running may still name it; Commit then passes it over. To cancel what has ended does
// nothing.
func (s *Scheduler) Cancel(q *Sequence) {
	switch q.state {
	case Waiting:
		i := slices.IndexFunc(s.waiting, func(w queue) bool { return w.tenant == q.tenant })
		w := &s.waiting[i]
		w.seqs = without(w.seqs, q)
		if len(w.seqs) == 0 {
			s.waiting = slices.Delete(s.waiting, i, i+1)
		}
	case Running, Preempted:
		s.leave(q)
	default:
		return
	}
	q.state = Cancelled
}

// leave takes q out of those admitted and its pages from it.
func (s *Scheduler) leave(q *Sequence) {
	s.admitted = without(s.admitted, q)
	if q.state == Running {
		s.running--
		s.turns = without(s.turns, q)
	}
	s.pool.Release(&q.table)
}

// without takes q out of seqs, which has it, in place.
func without(seqs []*Sequence, q *Sequence) []*Sequence {
	i := slices.Index(seqs, q)
	return slices.Delete(seqs, i, i+1)
}

// Load is how many sequences wait, and how many are admitted.
func (s *Scheduler) Load() (waiting, admitted int) {
	for _, w := range s.waiting {
		waiting += len(w.seqs)
	}
	return waiting, len(s.admitted)
}
