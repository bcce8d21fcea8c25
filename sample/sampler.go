package sample

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"sprat/kernel"
)

// Token is a token that comes next.
type Token struct {
	ID      int32
	Forced  bool     // by Options.Thinking, not chosen
	Logprob float32  // its log probability, with Options.Logprobs
	Top     []Likely // the most likely tokens, most likely first, with Options.TopLogprobs
}

// Likely is a token with its log probability.
type Likely struct {
	ID      int32
	Logprob float32
}

// ErrNoToken means that every token is ruled out.
var ErrNoToken = errors.New("no token is allowed here")

// ErrNotFinite means that logits are NaN or infinite, as those of a broken model are.
var ErrNotFinite = errors.New("the model's logits are not finite")

// Sampler chooses a sequence's tokens. It is not safe for concurrent use; different Samplers are.
type Sampler struct {
	opt    Options
	vocab  int
	bias   []bias
	counts counts
	think  thinking
	random random

	logprobs logprobs
	peaks    []float32 // scratch of largest
	keys     []uint64
}

type bias struct {
	id    int32
	value float32
}

// New returns a Sampler for what continues the prompt, with logits of so many tokens.
func New(o Options, vocab int, prompt []int32) (*Sampler, error) {
	if err := o.Check(vocab); err != nil {
		return nil, err
	}
	for _, id := range prompt {
		if !inVocab(id, vocab) {
			return nil, fmt.Errorf("token id %d is not in the vocabulary of %d", id, vocab)
		}
	}
	s := &Sampler{opt: o, vocab: vocab, think: newThinking(o.Thinking, prompt), random: newRandom(o.Seed, o.Choice)}
	for _, id := range slices.Sorted(maps.Keys(o.LogitBias)) {
		s.bias = append(s.bias, bias{id, o.LogitBias[id]})
	}
	s.counts = newCounts(&o, prompt)
	s.logprobs.same = o.Temperature == 1 && o.Mask == nil && len(s.bias) == 0 && s.counts.off()
	if o.TopK > 0 || o.TopLogprobs > 0 {
		s.peaks = make([]float32, (vocab+block-1)/block)
	}
	return s, nil
}

// Next chooses the token that follows those so far, and counts it. The logits are used up: they are overwritten. An error is of
// this sequence alone.
func (s *Sampler) Next(logits []float32) (Token, error) {
	if len(logits) != s.vocab {
		panic(fmt.Sprintf("sample: %d logits for a vocabulary of %d", len(logits), s.vocab))
	}
	if s.opt.Logprobs {
		s.keep(logits)
	}
	t := Token{}
	var err error
	if t.ID, t.Forced = s.think.force(); !t.Forced {
		if t.ID, err = s.choose(logits); err != nil {
			return Token{}, err
		}
	}
	if s.opt.Logprobs {
		if err := s.report(&t); err != nil {
			return Token{}, err
		}
	}
	s.Accept(t.ID)
	return t, nil
}

// Accept counts a token that is next for another reason than Next: one that a caller puts in, or that an earlier Sampler chose.
func (s *Sampler) Accept(id int32) {
	s.random.position++
	s.counts.add(id)
	s.think.accept(id)
	if s.opt.Mask != nil {
		s.opt.Mask.Accept(id)
	}
}

// choose picks a token, overwriting x.
func (s *Sampler) choose(x []float32) (int32, error) {
	if err := s.adjust(x); err != nil {
		return 0, err
	}
	if s.opt.Temperature < coldest {
		return greedy(x)
	}
	sum, lse, err := weights(x, float32(1/s.opt.Temperature))
	if err != nil {
		return 0, err
	}
	s.logprobs.drawn = lse
	if s.opt.TopK > 0 && s.opt.TopK < len(x) {
		return s.ofLargest(x), nil
	}
	return s.nucleus(x, sum), nil
}

// adjust is what comes before the temperature.
func (s *Sampler) adjust(x []float32) error {
	if s.opt.Mask != nil {
		if err := mask(x, s.opt.Mask); err != nil {
			return err
		}
	}
	for _, b := range s.bias {
		x[b.id] += b.value
	}
	s.counts.penalise(x)
	return nil
}

// mask makes the logits of ruled-out tokens -Inf.
func mask(x []float32, m Mask) error {
	set, err := m.Allowed()
	if err != nil || set == nil {
		return err
	}
	if len(set)*64 < len(x) {
		return fmt.Errorf("a mask of %d tokens for a vocabulary of %d", len(set)*64, len(x))
	}
	none := float32(math.Inf(-1))
	for w := 0; w*64 < len(x); w++ {
		part := x[w*64 : min(w*64+64, len(x))]
		switch set[w] {
		case math.MaxUint64:
		case 0:
			for i := range part {
				part[i] = none
			}
		default:
			for i := range part {
				if set[w]>>i&1 == 0 {
					part[i] = none
				}
			}
		}
	}
	return nil
}

// greedy is the first of the largest.
func greedy(x []float32) (int32, error) {
	const part = 1024
	top, sum := kernel.Max(x), kernel.Sum(x)
	switch {
	case math.IsInf(float64(top), 0):
		return 0, noLargest(x, top)
	case sum != sum: // a NaN shows here, whatever Max makes of it
		return 0, ErrNotFinite
	}
	for at := 0; at < len(x); at += part {
		if p := x[at:min(at+part, len(x))]; kernel.Max(p) == top {
			return int32(at + slices.Index(p, top)), nil
		}
	}
	return 0, ErrNotFinite
}
