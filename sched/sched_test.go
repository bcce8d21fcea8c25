package sched

import (
	"slices"
	"strings"
	"testing"

	"sprat/latent"
)

func TestNewRefusesNonsense(t *testing.T) {
	for _, cfg := range []Config{
		{}, {Context: 1, Sequences: 1, Tokens: 1}, {Context: 8, Sequences: 0, Tokens: 1}, {Context: 8, Sequences: 4, Tokens: 3},
	} {
		if _, err := New(cfg, latent.New(4, 4, [32]byte{})); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}

// TestSubmitCopies: what a caller does to its prompt afterwards is its own affair.
func TestSubmitCopies(t *testing.T) {
	s, _ := New(Config{Context: 8, Sequences: 1, Tokens: 8}, latent.New(4, 4, [32]byte{}))
	prompt := []int32{1, 2, 3}
	q, err := s.Submit("", prompt, 0)
	if err != nil {
		t.Fatal(err)
	}
	prompt[0] = 9
	if !slices.Equal(q.IDs(), []int32{1, 2, 3}) || q.Prompt() != 3 {
		t.Errorf("ids %v, prompt of %d", q.IDs(), q.Prompt())
	}
}

// TestSteadyStateAllocatesNothing decodes across page borders, with a prefill and a preemption every now and then.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	f := newFake(t, 200, 4, Config{Context: 4000, Sequences: 4, Tokens: 16})
	for i := range 3 {
		if _, err := f.Submit("", slices.Repeat([]int32{int32(i)}, 20), 500); err != nil {
			t.Fatal(err)
		}
	}
	one := []int32{7}
	results := make([]Result, 4)
	preempted := 0 // so many steps had somebody preempted
	step := func() {
		b := f.Next()
		for i, w := range b.Work {
			results[i] = Result{}
			if w.Sample {
				results[i].Tokens = one
			}
		}
		preempted += len(f.admitted) - f.running
		f.Commit(b, results[:len(b.Work)])
	}
	if n := testing.AllocsPerRun(1, func() { // the second of two runs
		for range 150 {
			step()
		}
	}); n > 3 { // once each, the tables double
		t.Errorf("%v allocations in 150 steps", n)
	}
	if preempted < 10 || f.running < 2 {
		t.Errorf("%d steps had somebody preempted, %d run at the end", preempted, f.running)
	}
}

// TestCommitSeesMistakes of the engine that would leave a sequence without a next token, or with one from nowhere.
func TestCommitSeesMistakes(t *testing.T) {
	for name, commit := range map[string]func(*Scheduler, *Batch){
		"no token":     func(s *Scheduler, b *Batch) { s.Commit(b, []Result{{}}) },
		"no result":    func(s *Scheduler, b *Batch) { s.Commit(b, nil) },
		"other batch":  func(s *Scheduler, b *Batch) { s.Commit(&Batch{}, nil) },
		"twice":        func(s *Scheduler, b *Batch) { r := []Result{{Tokens: []int32{1}}}; s.Commit(b, r); s.Commit(b, r) },
		"from a chunk": func(s *Scheduler, b *Batch) { b.Work[0].Sample = false; s.Commit(b, []Result{{Tokens: []int32{1}}}) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := New(Config{Context: 8, Sequences: 1, Tokens: 8}, latent.New(4, 4, [32]byte{}))
			if _, err := s.Submit("", []int32{1, 2}, 0); err != nil {
				t.Fatal(err)
			}
			b := s.Next()
			defer func() {
				if r, _ := recover().(string); !strings.HasPrefix(r, "sched: ") {
					t.Errorf("panic %q", r)
				}
			}()
			commit(s, b)
		})
	}
}

// TestCheck breaks a scheduler in the ways that Check speaks of.
func TestCheck(t *testing.T) {
	for name, breakIt := range map[string]func(*Scheduler){
		"a sequence lost with its pages": func(s *Scheduler) {
			q := s.admitted[0]
			s.leave(q)
			s.pool.Append(&q.table, 0, 1, nil)
		},
		"pages for who waits":        func(s *Scheduler) { s.pool.Append(&s.waiting[0].seqs[0].table, 0, 1, nil) },
		"too many":                   func(s *Scheduler) { s.cfg.Sequences = 2 },
		"the wrong order":            func(s *Scheduler) { slices.Reverse(s.admitted) },
		"one more that runs":         func(s *Scheduler) { s.running++ },
		"one less that runs":         func(s *Scheduler) { s.running-- },
		"another state":              func(s *Scheduler) { s.admitted[1].state = Waiting },
		"nothing pending":            func(s *Scheduler) { s.admitted[0].computed++ },
		"more tokens than the limit": func(s *Scheduler) { s.admitted[0].limit = 3 },
		"more computed than pages": func(s *Scheduler) {
			s.admitted[0].ids = slices.Grow(s.admitted[0].ids, 40)[:40]
			s.admitted[0].limit = 40
			s.admitted[0].computed = 39
		},
		"a turn lost":          func(s *Scheduler) { s.turns[0] = s.turns[1] },
		"a turn too many":      func(s *Scheduler) { s.turns = append(s.turns, s.turns[0]) },
		"an empty queue":       func(s *Scheduler) { s.waiting[0].seqs = nil },
		"a queue twice":        func(s *Scheduler) { s.waiting = append(s.waiting, s.waiting[0]) },
		"another's queue":      func(s *Scheduler) { s.waiting[0].tenant = "other" },
		"an age of the future": func(s *Scheduler) { s.ages = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, 12, 4, Config{Context: 40, Sequences: 3, Tokens: 16})
			for i := range 4 {
				if _, err := f.Submit("t", slices.Repeat([]int32{int32(i)}, 6), 0); err != nil {
					t.Fatal(err)
				}
			}
			for range 14 {
				b := f.Next()
				f.run(b)
				results := make([]Result, len(b.Work))
				for i, w := range b.Work {
					if w.Sample {
						results[i].Tokens = []int32{1}
					}
				}
				f.Commit(b, results)
			}
			f.check()
			if f.running != 2 || len(f.admitted) != 3 || len(f.waiting) != 1 {
				t.Fatalf("%d running, %d admitted, %d tenants wait", f.running, len(f.admitted), len(f.waiting))
			}
			breakIt(f.Scheduler)
			if f.Check() == nil {
				t.Error("Check finds nothing wrong")
			}
		})
	}
}
