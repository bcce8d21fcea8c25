package grpo

import (
	"fmt"
	"math"
	"slices"

	"sprat/data"
	"sprat/model"
)

// pass is samples laid end to end for the model, as many tokens as its State has.
type pass struct {
	batch  model.Batch
	spans  []span
	tokens int // without padding
}

// span is where a sample lies: row first predicts its first token.
type span struct {
	c     *completion
	first int
}

// sequence is what the model reads of a sample: all but its last token.
type sequence struct {
	prompt []int32
	c      *completion
}

func (s sequence) len() int { return len(s.prompt) + len(s.c.ids) - 1 }

// lay puts sequences into passes of size tokens, by best fit, the longest first. What is left of a pass is padding.
func lay(sequences []sequence, size, mixtures, k int, replay bool) []*pass {
	sizes := make([]int, len(sequences))
	for i, s := range sequences {
		sizes[i] = s.len()
	}
	var passes []*pass
	for _, bin := range data.BestFit(sizes, size) {
		p := newPass(size, mixtures, replay)
		for _, i := range bin {
			p.add(sequences[i])
		}
		p.pad(size, k)
		passes = append(passes, p)
	}
	return passes
}

func newPass(size, mixtures int, replay bool) *pass {
	p := &pass{}
	p.batch.IDs, p.batch.Targets = make([]int32, 0, size), make([]int32, 0, size)
	if replay {
		p.batch.Experts = make([][]int32, mixtures)
	}
	return p
}

func (p *pass) add(s sequence) {
	b, n := &p.batch, len(s.c.ids)
	b.Starts = append(b.Starts, int32(len(b.IDs)))
	p.spans = append(p.spans, span{s.c, len(b.IDs) + len(s.prompt) - 1})
	b.IDs = append(append(b.IDs, s.prompt...), s.c.ids[:n-1]...)
	for range s.prompt[1:] {
		b.Targets = append(b.Targets, -1)
	}
	b.Targets = append(b.Targets, s.c.ids...)
	for i := range b.Experts {
		b.Experts[i] = append(b.Experts[i], s.c.experts[i]...)
	}
}

// pad fills a pass with sequences of one token each, which teach nothing.
func (p *pass) pad(size, k int) {
	b := &p.batch
	p.tokens = len(b.IDs)
	for len(b.IDs) < size {
		b.Starts = append(b.Starts, int32(len(b.IDs)))
		b.IDs, b.Targets = append(b.IDs, 0), append(b.Targets, -1)
		for i := range b.Experts {
			for range k {
				b.Experts[i] = append(b.Experts[i], -1)
			}
		}
	}
	b.Starts = append(b.Starts, int32(size))
}

// learned is what a step of learning was like.
type learned struct {
	Terms
	mismatch float64 // Σ |log p of the engine − log p of the trainer|
	compared int     // tokens in it
	refs     int     // tokens whose KL is in Terms
	norm     float64 // of the gradient, before clipping: the largest
	tokens   int     // that the model read
	padded   int     // those and padding
	maxVio   float64
}

// learn moves the weights by the groups of a step.
func (r *run) learn(groups []group) (learned, error) {
	var l learned
	updates := min(r.c.RL.Updates, len(groups))
	if updates > 1 {
		r.remember(groups)
	}
	for u := range updates {
		part := groups[u*len(groups)/updates : (u+1)*len(groups)/updates]
		if err := r.update(part, &l); err != nil {
			return l, err
		}
	}
	return l, nil
}

// sequences are those of the groups' samples that teach something; all of them with a KL in the loss.
func (r *run) sequences(groups []group) (list []sequence, whole Whole) {
	whole.Limit = r.c.RL.MaxTokens
	for i := range groups {
		for j := range groups[i].samples {
			c := &groups[i].samples[j]
			whole.Samples++
			whole.Tokens += len(c.ids)
			if c.advantage != 0 || r.c.RL.KL > 0 {
				list = append(list, sequence{groups[i].prompt, c})
			}
		}
	}
	return list, whole
}

func (r *run) lay(sequences []sequence) []*pass {
	return lay(sequences, r.c.Train.Pass, r.mixtures, r.cfg.NumExpertsPerTok, r.c.RL.Replay)
}

// remember notes the trainer's log probabilities of all samples before the first of several updates.
func (r *run) remember(groups []group) {
	list, _ := r.sequences(groups)
	for _, p := range r.lay(list) {
		nll := r.model.Evaluate(r.state, p.batch)
		for _, s := range p.spans {
			s.c.logP = negated(nll[s.first:], len(s.c.ids))
		}
	}
}

func negated(nll []float32, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = -nll[i]
	}
	return x
}

// update is one update of the weights.
func (r *run) update(groups []group, l *learned) error {
	list, whole := r.sequences(groups)
	if len(list) == 0 {
		return nil // every group agrees with itself
	}
	r.model.ZeroGradients()
	for i, p := range r.lay(list) {
		var ref []float32
		if r.c.RL.KL > 0 || i == 0 { // where it isn't in the loss, the first pass is enough to report it
			ref = slices.Clone(r.reference.Evaluate(r.refState, p.batch))
		}
		o := model.Objective{Weigh: func(nll, slope []float32) float64 { return r.weigh(p, nll, ref, whole, slope, l) }}
		r.model.Gradients(r.state, p.batch, o)
		l.tokens += p.tokens
		l.padded += len(p.batch.IDs)
	}
	norm := r.opt.Norm()
	if math.IsNaN(norm) || math.IsInf(norm, 0) || math.IsNaN(l.Loss) {
		return fmt.Errorf("step %d: the gradient is not finite (loss %g): go on from the last checkpoint with --resume and a lower train.lr", r.at.Step+1, l.Loss)
	}
	l.norm = max(l.norm, norm)
	r.opt.Move(r.c.rate(r.at.Step), r.c.Train.Clip, norm)
	l.maxVio = max(l.maxVio, r.model.UpdateBiases(r.c.Train.BiasSpeed).MaxVio)
	return nil
}

// rate is the learning rate of a step, from 0: it rises, stays and falls.
func (c *Config) rate(step int) float64 {
	rise := float64(step+1) / float64(max(1, c.Train.Warmup))
	fall := float64(c.RL.Steps-step) / float64(max(1, c.Train.Decay))
	return c.Train.LR * min(1, rise, fall)
}

// weigh is the objective over a pass: see model.Objective.Weigh. What the model minimizes is by −log p, so slopes change their sign.
func (r *run) weigh(p *pass, nll, ref []float32, whole Whole, slope []float32, l *learned) (loss float64) {
	for _, s := range p.spans {
		n := len(s.c.ids)
		x := Sample{Advantage: s.c.advantage, New: negated(nll[s.first:], n), Old: s.c.logP}
		if x.Old == nil {
			x.Old = x.New
		}
		if ref != nil {
			x.Ref = negated(ref[s.first:], n)
			l.refs += n
		}
		d := make([]float64, n)
		t := r.c.RL.Loss(x, whole, d)
		loss += t.Loss
		l.Plus(t)
		for i := range d {
			slope[s.first+i] = float32(-d[i])
			l.mismatch += math.Abs(float64(s.c.logProbs[i]) - float64(x.Old[i]))
		}
		l.compared += n
	}
	return loss
}
