package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"

	"sprat/api"
	"sprat/chat"
	"sprat/engine"
	"sprat/sample"
)

// answer has the engine answer r, and yields what comes.
func (s *served) answer(ctx context.Context, r *api.Request, yield func(api.Piece, error) bool) {
	prompt := s.format.Encode(r.Messages, r.Think)
	stops, err := sample.NewEnds(nil, r.Stop)
	if err != nil {
		yield(api.Piece{}, api.Errorf(http.StatusBadRequest, "stop: %v", err))
		return
	}
	stream, err := s.submit(ctx, r, prompt)
	if err != nil {
		yield(api.Piece{}, err)
		return
	}
	a := &answer{served: s, reader: s.format.Reader(prompt), stops: stops, logprobs: r.Logprobs}
	for t, err := range stream.Tokens() {
		if err != nil {
			yield(api.Piece{}, err)
			return
		}
		if t.ID < 0 {
			continue // text that the engine held back, and so did the reader
		}
		if p := a.next(t.Token); !yield(p, nil) {
			return
		}
		if a.stopped {
			break // the engine ends it within a step
		}
	}
	yield(a.last(stream.Usage()), nil)
}

// submit hands r to the engine.
func (s *served) submit(ctx context.Context, r *api.Request, prompt []int32) (*engine.Stream, error) {
	if n := len(prompt); n >= s.engine.Positions() {
		err := api.Errorf(http.StatusBadRequest, "the conversation has %d tokens, and this model's context holds %d: begin a new one, or shorten it", n, s.engine.Positions())
		err.Code, err.Param = "context_length_exceeded", "messages"
		return nil, err
	}
	q := engine.Request{
		Tenant: r.Tenant, Prompt: prompt, MaxTokens: r.MaxTokens, StopIDs: s.format.Ends(),
		Sample: sample.Options{
			Temperature: s.defaults.Temperature, TopP: s.defaults.TopP, FrequencyPenalty: r.FrequencyPenalty, PresencePenalty: r.PresencePenalty,
			LogitBias: r.LogitBias, Logprobs: r.Logprobs, TopLogprobs: r.TopLogprobs, Seed: rand.Uint64(),
		},
	}
	if q.MaxTokens == 0 {
		q.MaxTokens = s.about.MaxTokens
	}
	if r.Temperature != nil {
		q.Sample.Temperature = *r.Temperature
	}
	if r.TopP != nil {
		q.Sample.TopP = max(*r.TopP, 1e-6) // 0, which is off in Options, asks for the likeliest token
	}
	if r.Seed != nil {
		q.Sample.Seed = *r.Seed
	}
	stream, err := s.engine.Submit(ctx, q)
	switch {
	case err == nil:
		return stream, nil
	case errors.Is(err, engine.ErrBusy):
		return nil, api.Errorf(http.StatusServiceUnavailable, "%v", err)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, api.Errorf(http.StatusBadRequest, "%v", err)
}

// answer makes pieces of tokens. Stop texts are looked for here and not by the engine: they are to be found in what is said, not in
// what is thought.
type answer struct {
	*served
	reader   *chat.Reader
	stops    *sample.Ends
	stopped  bool // by a stop text
	logprobs bool
	usage    api.Usage
}

// next is the piece of one more token.
func (a *answer) next(t sample.Token) api.Piece {
	was := a.reader.Thinking()
	a.usage.Generated++
	if was {
		a.usage.Thought++
	}
	thought, said := a.reader.Next(t.ID)
	p := a.piece(thought, said)
	if p.Text == "" {
		p.Thought = was
	}
	if a.logprobs {
		token := a.token(sample.Likely{ID: t.ID, Logprob: t.Logprob})
		for _, l := range t.Top {
			token.Top = append(token.Top, a.token(l))
		}
		p.Tokens = []api.Token{token}
	}
	return p
}

// piece looks for stops in what is said. Of the two texts one is empty.
func (a *answer) piece(thought, said string) api.Piece {
	if thought != "" {
		return api.Piece{Text: thought, Thought: true}
	}
	said, stop := a.stops.Text(said)
	a.stopped = stop != ""
	return api.Piece{Text: said}
}

func (a *answer) token(l sample.Likely) api.Token {
	return api.Token{Text: string(a.dir.Tokenizer.Decode(nil, []int32{l.ID}, false)), Logprob: l.Logprob}
}

// last is the piece that ends it.
func (a *answer) last(u engine.Usage) api.Piece {
	var p api.Piece
	if !a.stopped {
		if p = a.piece(a.reader.Flush()); !p.Thought && !a.stopped {
			p.Text += a.stops.Flush()
		}
		a.usage.Generated = u.Generated // with the token that ended it
	}
	p.Finish, p.Usage = string(u.Finish), a.usage
	if a.stopped {
		p.Finish = string(engine.Stopped)
	}
	p.Usage.Prompt, p.Usage.Cached = u.Prompt, u.Cached
	return p
}
