// Package sample chooses the next token from a model's logits, and says when a text ends.
//
//	s, err := sample.New(sample.Options{Temperature: 0.6, TopP: 0.95, Seed: 1}, vocab, prompt)
//	for {
//		…logits of the next token…
//		t, err := s.Next(logits)
//		if ends.ID(t.ID) { break }
//		text, stop := ends.Text(stream.Next(t.ID))
//		…
//	}
//
// A Sampler belongs to one sequence: it counts that sequence's tokens. Random numbers depend on the seed, the choice and the
// position alone, so that the same logits give the same tokens whatever else runs, was preempted or came first.
//
// # Order
//
// The logits pass through, in this order, what Options turns on: mask, logit bias, repetition penalty, frequency and presence
// penalty, temperature, top-k, top-p, min-p. Up to the penalties that is the order of vLLM and llama.cpp. From the temperature on
// it is that of Hugging Face: top-p is of the probabilities at that temperature (llama.cpp has the temperature last), and among
// those that top-k left (as in vLLM too). Each of top-k, top-p and min-p keeps the most likely tokens; of equally likely ones
// those with lower ids come first.
//
// Log probabilities are the model's own, of its logits as they came: before mask, bias, penalties, temperature and truncation.
package sample

import (
	"errors"
	"fmt"
	"math"
)

// Options say how to choose. Of each, zero means off.
type Options struct {
	Temperature float64 // 0 … 100. Under 0.001 the most likely token is chosen, of equally likely ones that with the lowest id.
	TopK        int     // keep so many of the most likely tokens
	TopP        float64 // keep the fewest most likely tokens that have this probability together
	MinP        float64 // keep tokens at least this likely, as a share of the most likely one's probability

	RepetitionPenalty float64           // 0.1 … 10: divides positive logits of what prompt and continuation hold, multiplies negative
	FrequencyPenalty  float64           // -2 … 2: subtracted from a token's logit for each time that it is in the continuation
	PresencePenalty   float64           // -2 … 2: subtracted once from the logits of tokens of the continuation
	LogitBias         map[int32]float32 // -100 … 100: added to the tokens' logits

	Seed   uint64
	Choice uint64 // which of several continuations of one request this is: each has random numbers of its own

	Logprobs    bool // have Token.Logprob
	TopLogprobs int  // and Token.Top of the so many most likely tokens, at most MaxTop

	Mask     Mask // which tokens may come; nil: all
	Thinking Thinking
}

// MaxTop is the most TopLogprobs.
const MaxTop = 20

// coldest is the lowest temperature that is not taken for 0: below it float32 logits don't tell near ties apart any more.
const coldest = 1e-3

// Mask restricts what tokens may come, to a grammar say. It belongs to one sequence.
type Mask interface {
	// Allowed returns the tokens that may come next: id i is bit i%64 of word i/64. nil means all. The set is only read, until
	// the next call of a method. An error ends the sequence. It is called once for each token that is not forced.
	Allowed() ([]uint64, error)
	// Accept tells it the token that came, be it chosen or forced.
	Accept(id int32)
}

// Check says what is wrong with o for a model with so many tokens.
func (o *Options) Check(vocab int) error {
	for _, c := range []struct {
		name        string
		value       float64
		least, most float64
	}{
		{"temperature", o.Temperature, 0, 100},
		{"top-p", o.TopP, 0, 1},
		{"min-p", o.MinP, 0, 1},
		{"repetition penalty", o.RepetitionPenalty, 0.1, 10},
		{"frequency penalty", o.FrequencyPenalty, -2, 2},
		{"presence penalty", o.PresencePenalty, -2, 2},
	} {
		if !(c.value >= c.least && c.value <= c.most) && c.value != 0 {
			return fmt.Errorf("%s is %v: want %v … %v", c.name, c.value, c.least, c.most)
		}
	}
	if o.TopK < 0 {
		return fmt.Errorf("top-k is %d: want 1 or more, or 0 for all tokens", o.TopK)
	}
	if o.TopLogprobs < 0 || o.TopLogprobs > MaxTop {
		return fmt.Errorf("top logprobs is %d: want 0 … %d", o.TopLogprobs, MaxTop)
	}
	if o.TopLogprobs > 0 && !o.Logprobs {
		return errors.New("top logprobs without logprobs: ask for both")
	}
	for id, b := range o.LogitBias {
		if !inVocab(id, vocab) {
			return fmt.Errorf("logit bias for token %d, which is not in the vocabulary of %d", id, vocab)
		}
		if !(math.Abs(float64(b)) <= 100) {
			return fmt.Errorf("logit bias of token %d is %v: want -100 … 100", id, b)
		}
	}
	return o.Thinking.check(vocab)
}

func inVocab(id int32, vocab int) bool { return id >= 0 && int(id) < vocab }
