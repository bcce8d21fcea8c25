package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
)

// Request asks for a continuation.
type Request struct {
	Prompt      []int32
	MaxTokens   int     // 0: as many as the context holds
	Temperature float64 // 0: always the most likely token
	TopP        float64 // keep the most likely tokens that make up this probability; 0 or 1 keeps all
	Seed        uint64
}

// Generate yields the tokens that follow the prompt, one by one, up to the end-of-text token, which it leaves out. An error
// comes last, with no token.
func (e *Engine) Generate(ctx context.Context, r Request) iter.Seq2[int32, error] {
	return func(yield func(int32, error) bool) {
		if err := e.generate(ctx, r, func(id int32) bool { return yield(id, nil) }); err != nil {
			yield(0, err)
		}
	}
}

func (e *Engine) generate(ctx context.Context, r Request, yield func(int32) bool) error {
	room := e.Model.Positions()
	if len(r.Prompt) == 0 {
		return errors.New("the prompt is empty: give at least one token")
	}
	if len(r.Prompt) >= room {
		return fmt.Errorf("the prompt has %d tokens, but the context holds %d: shorten it", len(r.Prompt), room)
	}
	for _, id := range r.Prompt {
		if id < 0 || int(id) >= e.Config.VocabSize {
			return fmt.Errorf("token id %d is not in the vocabulary of %d", id, e.Config.VocabSize)
		}
	}
	if r.MaxTokens > 0 {
		room = min(room, len(r.Prompt)+r.MaxTokens)
	}
	var (
		latents = e.Model.NewLatents(room)
		logits  = make([]float32, e.Config.VocabSize)
		rng     = rand.New(rand.NewPCG(r.Seed, 0))
		sampler = newSampler(r.Temperature, r.TopP, len(logits))
	)
	if err := e.Model.Decode(e.Model.NewDecoder(len(r.Prompt)), latents, r.Prompt, logits); err != nil {
		return err
	}
	one := e.Model.NewDecoder(1)
	for n := len(r.Prompt); n < room; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		id := sampler.pick(logits, rng.Float64())
		if e.Config.IsEOS(id) || !yield(id) {
			return nil
		}
		if n+1 == room {
			return nil
		}
		if err := e.Model.Decode(one, latents, []int32{id}, logits); err != nil {
			return err
		}
	}
	return nil
}
