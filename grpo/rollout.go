package grpo

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"sync"

	"sprat/engine"
	"sprat/reward"
	"sprat/sample"
	"sprat/tasks"
)

// group is the samples of one question.
type group struct {
	problem tasks.Problem
	form    reward.Form
	prompt  []int32
	samples []completion
}

// completion is one sample, and what it is worth.
type completion struct {
	ids      []int32   // generated, with the token that ended it
	said     int       // of these are the reply: all, but for a mark of the end
	logProbs []float32 // the engine's
	experts  [][]int32 // by mixture, of each position of prompt and ids but the last
	cut      bool      // at the limit
	reply    reward.Reply
	right    bool

	reward, advantage float64
	logP              []float32 // the trainer's, at the time of the rollout
}

// pass is the share of right samples.
func (g *group) pass() float64 {
	right := 0
	for i := range g.samples {
		if g.samples[i].right {
			right++
		}
	}
	return float64(right) / float64(len(g.samples))
}

// draw chooses the questions of a step's n-th draw: the same for the same seed, whatever came before.
func (r *run) draw(n int) []group { return r.questions(n, r.fits) }

// questions are those of the step's n-th draw, with prompts of lengths that fit.
func (r *run) questions(n int, fits func(int) bool) []group {
	rng := rand.New(rand.NewPCG(r.c.Seed, uint64(r.at.Step)<<16|uint64(n)))
	groups := make([]group, r.c.RL.Prompts)
	for i := range groups {
		g := r.question(rng)
		for !fits(len(g.prompt)) {
			g = r.question(rng)
		}
		g.samples = make([]completion, r.c.RL.Samples)
		groups[i] = g
	}
	return groups
}

func (r *run) question(rng *rand.Rand) group {
	p, think := r.drawn.Draw(rng)
	form := r.plain
	if think {
		form = r.thinking
	}
	return group{problem: p, form: form, prompt: form.Prompt(p.Question)}
}

// rollout draws questions and samples until there are as many groups as a step wants, or draws are at their end. all are also those
// that weren't kept.
func (r *run) rollout(ctx context.Context) (kept, all []group, err error) {
	for n := 0; n < r.c.RL.Draws && len(kept) < r.c.RL.Prompts; n++ {
		groups := r.draw(n)
		if err := r.sample(ctx, groups, n); err != nil {
			return nil, nil, err
		}
		for i := range groups {
			g := &groups[i]
			r.c.RL.grade(g)
			if p := g.pass(); len(r.c.RL.Pass) == 0 || p >= r.c.RL.Pass[0] && p <= r.c.RL.Pass[1] {
				kept = append(kept, *g)
			}
		}
		all = append(all, groups...)
	}
	return kept[:min(len(kept), r.c.RL.Prompts)], all, nil
}

// sample has the engine continue each group's prompt. First it computes the prompts, all but their last token, and then their samples,
// which find them in the cache: a group's prompt is computed once.
func (r *run) sample(ctx context.Context, groups []group, draw int) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wait sync.WaitGroup
	submit := func(q engine.Request, read func(*engine.Stream) error) {
		s, err := r.engine.Submit(ctx, q)
		if err != nil {
			stop(err)
			return
		}
		wait.Go(func() {
			if err := read(s); err != nil {
				stop(err)
			}
		})
	}
	for i := range groups {
		if p := groups[i].prompt; len(p) > 1 {
			submit(engine.Request{Prompt: p[:len(p)-1], MaxTokens: 1}, drain)
		}
	}
	wait.Wait()
	for i := range groups {
		g := &groups[i]
		q := engine.Request{
			Prompt: g.prompt, MaxTokens: r.c.RL.MaxTokens, StopIDs: g.form.StopIDs(), Stop: g.form.Stop(), Experts: r.c.RL.Replay,
			Sample: sample.Options{Temperature: 1, Logprobs: true, Seed: seedOf(r.c.Seed, uint64(r.at.Step), uint64(draw), uint64(i))},
		}
		for k := range g.samples {
			q.Sample.Choice = uint64(k)
			submit(q, g.samples[k].read)
		}
	}
	wait.Wait()
	return context.Cause(ctx)
}

// seedOf mixes numbers into a seed.
func seedOf(numbers ...uint64) uint64 {
	h := fnv.New64a()
	for _, n := range numbers {
		h.Write(binary.LittleEndian.AppendUint64(nil, n))
	}
	return h.Sum64()
}

func drain(s *engine.Stream) error {
	for _, err := range s.Tokens() {
		if err != nil {
			return err
		}
	}
	return nil
}

// read takes what the engine generates.
func (c *completion) read(s *engine.Stream) error {
	add := func(t sample.Token) {
		c.ids = append(c.ids, t.ID)
		c.logProbs = append(c.logProbs, float32(t.Logprob))
	}
	for t, err := range s.Tokens() {
		if err != nil {
			return err
		}
		if t.ID >= 0 {
			add(t.Token)
		}
	}
	c.said = len(c.ids)
	if end := s.End(); end.ID >= 0 {
		add(end)
	}
	if len(c.ids) == 0 {
		return errors.New("the engine generated nothing")
	}
	c.cut = s.Usage().Finish != engine.Stopped
	c.experts = s.Experts()
	return nil
}
