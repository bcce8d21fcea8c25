package sched

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// sim submits, steps and cancels at random, and watches that nobody waits too long.
type sim struct {
	*fake
	choose  func(int) int // a number below its argument
	all     []*Sequence   // ever submitted
	stalled map[*Sequence]stall
	seen    map[string]int // what happened
}

// stall is how long a sequence has made no progress.
type stall struct {
	state            State
	computed, tokens int
	steps            int
}

var simTenants = []string{"a", "b", "c"}

func newSim(t testing.TB, choose func(int) int) *sim {
	cfg := Config{Context: 40, Sequences: 1 + choose(6), Tokens: 8}
	return &sim{fake: newFake(t, 6+choose(20), 4, cfg), choose: choose, stalled: map[*Sequence]stall{}, seen: map[string]int{}}
}

// act does something at random.
func (s *sim) act() {
	switch {
	case s.choose(4) == 0:
		s.submit()
	case s.choose(20) == 0 && len(s.all) > 0:
		s.cancel()
	default:
		s.step()
	}
	s.check()
}

// submit submits a prompt or two that often go on where another sequence is or was.
func (s *sim) submit() {
	var prompt []int32
	tenant := simTenants[s.choose(3)]
	if len(s.all) > 0 && s.choose(4) > 0 {
		other := s.all[max(0, len(s.all)-1-s.choose(8))]
		prompt = slices.Clone(other.ids)
		if s.choose(3) == 0 {
			prompt = prompt[:1+s.choose(len(prompt))]
		}
		if s.choose(3) > 0 {
			tenant = other.tenant
		}
	}
	for range 1 + s.choose(2) {
		if waiting, _ := s.Load(); waiting < 20 {
			s.submitOne(tenant, slices.Clip(prompt))
		}
	}
}

func (s *sim) submitOne(tenant string, prompt []int32) {
	for range 1 + s.choose(8) {
		prompt = append(prompt, int32(s.choose(2)))
	}
	q, err := s.Submit(tenant, prompt, s.choose(12))
	if room := min(s.cfg.Context, s.pool.Pages()*s.pool.PageSize()); (err == nil) != (len(prompt) < room) {
		s.Fatalf("a prompt of %d tokens, room for %d: error %v", len(prompt), room, err)
	}
	if err == nil {
		s.all = append(s.all, q)
	}
}

func (s *sim) cancel() {
	q := s.all[max(0, len(s.all)-1-s.choose(8))]
	s.seen["cancelled "+string(q.state)]++
	s.Cancel(q)
	if !q.Done() || len(q.table.Pages()) > 0 {
		s.Fatalf("a cancelled sequence is %s with %d pages", q.state, len(q.table.Pages()))
	}
}

// step runs a step, with failures, cancellations, and one or more tokens for who samples.
func (s *sim) step() {
	heads, running, oldest := s.heads(), s.running, (*Sequence)(nil)
	if len(s.admitted) > 0 {
		oldest = s.admitted[0]
	}
	b := s.Next()
	s.check()
	if waiting, admitted := s.Load(); len(b.Work) == 0 && waiting+admitted > 0 {
		s.Fatalf("an empty batch with %d waiting, %d admitted", waiting, admitted)
	}
	if oldest != nil && oldest.state != Running {
		s.Fatalf("the oldest sequence is %s", oldest.state)
	}
	s.turns(heads)
	s.note(b, running)
	s.run(b)
	results := make([]Result, len(b.Work))
	for i, w := range b.Work {
		if s.choose(30) == 0 {
			s.seen["failures"]++
			s.Cancel(w.Seq)
			continue
		}
		if w.Sample {
			for range 1 + s.choose(4)/3*s.choose(4) {
				results[i].Tokens = append(results[i].Tokens, int32(s.choose(2)))
			}
			results[i].Stop = s.choose(20) == 0
		}
	}
	s.Commit(b, results)
	s.progress()
}

// heads are the first waiting sequences of each tenant.
func (s *sim) heads() []*Sequence {
	var heads []*Sequence
	for _, w := range s.waiting {
		heads = append(heads, w.seqs[0])
	}
	return heads
}

// turns fails if a tenant was passed over: of those who waited, whoever is admitted must come before whoever isn't.
func (s *sim) turns(heads []*Sequence) {
	passed := slices.IndexFunc(heads, func(q *Sequence) bool { return q.age == 0 })
	if passed >= 0 && slices.ContainsFunc(heads[passed:], func(q *Sequence) bool { return q.age > 0 }) {
		s.Fatalf("tenant %s had the next turn and another was admitted", heads[passed].tenant)
	}
}

// note counts what the batch shows.
func (s *sim) note(b *Batch, running int) {
	if s.running < running {
		s.seen["preemptions"]++
	}
	s.seen["copies"] += len(b.Copies)
	for _, w := range b.Work {
		q := w.Seq
		if w.Phase == Prefill && w.Start+len(w.IDs) < q.prompt {
			s.seen["chunks"]++
		}
		if w.Phase == Decode && len(w.IDs) > 1 {
			s.seen["decodes of several"]++
		}
		if w.Start == q.cached && q.cached > 0 {
			s.seen["hits"]++
		}
	}
}

// progress fails if a running sequence has waited longer than there are others.
func (s *sim) progress() {
	for _, q := range s.admitted {
		now, was := stall{q.state, q.computed, len(q.ids), 0}, s.stalled[q]
		if was.steps++; q.state == Running && was.state == now.state && was.computed == now.computed && was.tokens == now.tokens {
			now.steps = was.steps
		}
		if now.steps >= s.cfg.Sequences {
			s.Fatalf("sequence %d of %d made no progress for %d steps", q.age, len(s.admitted), now.steps)
		}
		s.stalled[q] = now
	}
}

// drain runs until nobody is left, which mustn't take longer than one after the other would, and then every page is there.
func (s *sim) drain() {
	bound := 0
	for _, q := range s.all {
		if !q.Done() {
			bound += q.limit * s.cfg.Sequences
		}
	}
	for steps := 0; ; steps++ {
		if waiting, admitted := s.Load(); waiting+admitted == 0 {
			break
		}
		if steps > bound {
			s.Fatalf("not done after %d steps", steps)
		}
		s.step()
		s.check()
	}
	for _, q := range s.all {
		if !q.Done() || len(q.ids) > q.limit || q.state == Full && len(q.ids) < q.limit {
			s.Fatalf("a sequence is %s with %d of %d tokens at the end", q.state, len(q.ids), q.limit)
		}
	}
	if n := s.pool.Available(); n != s.pool.Pages() {
		s.Fatalf("%d of %d pages can be had at the end", n, s.pool.Pages())
	}
}

func TestSimulation(t *testing.T) {
	seen := map[string]int{}
	for _, acts := range []int{1, 10, 100, 1000, 10000} {
		for _, seed := range []uint64{5, rand.Uint64(), rand.Uint64()} { // 5 alone shows all that is counted below
			t.Run(fmt.Sprintf("%d acts, seed %d", acts, seed), func(t *testing.T) {
				s := newSim(t, rand.New(rand.NewPCG(seed, 0)).IntN)
				for range acts {
					s.act()
				}
				s.drain()
				for what, n := range s.seen {
					seen[what] += n
				}
			})
		}
	}
	for _, what := range []string{"preemptions", "copies", "chunks", "decodes of several", "hits", "failures",
		"cancelled waiting", "cancelled running", "cancelled stopped"} {
		if seen[what] < 10 {
			t.Errorf("only %d %s: the simulation misses what it is for", seen[what], what)
		}
	}
}

// FuzzScheduler has the fuzzer choose what sim does.
func FuzzScheduler(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("the oldest always finishes, and then the next is oldest"))
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), 500)]
		rest := rand.New(rand.NewPCG(0, 0))
		s := newSim(t, func(n int) int {
			if len(data) == 0 {
				return rest.IntN(n)
			}
			b := data[0]
			data = data[1:]
			return int(b) % n
		})
		for len(data) > 0 {
			s.act()
		}
		s.drain()
	})
}
