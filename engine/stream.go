package engine

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"sprat/sample"
)

// Request asks for a continuation.
type Request struct {
	Tenant    string // whose cached prefixes it may find
	Prompt    []int32
	MaxTokens int // 0: as many as the context holds
	Sample    sample.Options
	Stop      []string // the text ends before the first of these
	StopIDs   []int32  // tokens that end it, beside the model's own end of text
	IgnoreEOS bool     // the model's end of text is a token like others
	Experts   bool     // keep what experts each position went to
}

// Token is one that was generated. Text is what is certain of the text with it: a character may need several tokens, and what might
// begin a stop string is held back.
type Token struct {
	sample.Token
	Text string
}

// Finish says why a stream ended.
type Finish string

const (
	Stopped   Finish = "stop"   // at the model's end of text, or one of the request's stops
	Full      Finish = "length" // at MaxTokens, or the end of the context
	Cancelled Finish = "cancelled"
	Failed    Finish = "failed"
)

// Usage is what a stream took.
type Usage struct {
	Prompt, Cached int // tokens of the prompt, and of these so many were in the cache
	Generated      int // tokens, those that ended it included
	Finish         Finish
}

// Stream is a request under way. Tokens wait in it until they are asked for.
type Stream struct {
	request  Request
	engine   *Engine
	sampler  *sample.Sampler
	watcher  *text // where run looks for the end
	prompt   int
	explicit bool // the form of attention for the prompt
	started  bool // explicit is decided
	admitted bool // by the scheduler

	experts   [][]int32 // by mixture, [position·K]: run's until the stream has ended
	cancelled atomic.Bool
	unwatch   func() bool
	ready     chan struct{} // there is something new in what mu guards

	mu     sync.Mutex
	tokens []sample.Token // from taken on, not yet asked for
	taken  int
	usage  Usage
	end    sample.Token // that ended the text and is no part of it; of id -1 where there is none
	err    error
	done   bool
}

func newStream(e *Engine, r Request) (*Stream, error) {
	s := &Stream{request: r, engine: e, prompt: len(r.Prompt), ready: make(chan struct{}, 1), usage: Usage{Prompt: len(r.Prompt)}, end: sample.Token{ID: -1}}
	s.request.Prompt = slices.Clone(r.Prompt)
	var err error
	if s.sampler, err = sample.New(r.Sample, e.Config.VocabSize, r.Prompt); err != nil {
		return nil, err
	}
	s.watcher, err = newText(e, r)
	return s, err
}

// watch ends s with ctx.
func (s *Stream) watch(ctx context.Context) {
	s.unwatch = context.AfterFunc(ctx, s.Cancel)
}

// Cancel ends s within a step of the engine. What was generated until then can still be had.
func (s *Stream) Cancel() {
	s.cancelled.Store(true)
	s.engine.nudge()
}

// push counts a token, and adds it to those to be had if it is part of the text.
func (s *Stream) push(t sample.Token, text bool) {
	s.mu.Lock()
	s.usage.Generated++
	if text {
		s.tokens = append(s.tokens, t)
	} else {
		s.end = t
	}
	s.mu.Unlock()
	s.tell()
}

// finish ends s.
func (s *Stream) finish(why Finish, err error) {
	s.unwatch()
	s.mu.Lock()
	s.done, s.err, s.usage.Finish = true, err, why
	s.mu.Unlock()
	s.tell()
}

func (s *Stream) tell() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// why is the error of a stream that was cancelled.
func (s *Stream) why(closed bool) error {
	if closed {
		return errClosed
	}
	return context.Canceled
}

// Tokens yields the tokens as they come. The token that ends the text is left out, and the text of those that make up a stop string. An
// error comes last, with no token. A caller that leaves the loop cancels the stream.
func (s *Stream) Tokens() iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		text, _ := newText(s.engine, s.request) // as in newStream, where it worked
		for {
			t, ok, err := s.next()
			if err != nil {
				yield(Token{}, err)
				return
			}
			if !ok {
				if rest := text.flush(); rest != "" {
					yield(Token{Token: sample.Token{ID: -1}, Text: rest}, nil)
				}
				return
			}
			if !yield(Token{t, text.next(t.ID)}, nil) {
				s.Cancel()
				return
			}
		}
	}
}

// next waits for a token. ok is false at the end.
func (s *Stream) next() (t sample.Token, ok bool, err error) {
	for {
		s.mu.Lock()
		if s.taken < len(s.tokens) {
			t = s.tokens[s.taken]
			if s.taken++; s.taken == len(s.tokens) {
				s.taken, s.tokens = 0, s.tokens[:0]
			}
			s.mu.Unlock()
			return t, true, nil
		}
		done, err := s.done, s.err
		s.mu.Unlock()
		if done {
			return sample.Token{}, false, err
		}
		<-s.ready
	}
}

// End is the token that ended the text, which Tokens leaves out: the model's end of text, or one of StopIDs. Its id is -1 where the text
// ended in another way, or hasn't ended.
func (s *Stream) End() sample.Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// Experts are those that the positions of prompt and continuation went to, by mixture of experts, K for each position; -1 for positions
// whose latents were found in the cache. The last token was sampled and went nowhere. It is for a stream that has ended, of a Request
// that asked for them.
func (s *Stream) Experts() [][]int32 { return s.experts }

// route notes where the rows from position start on went: rows of step's experts from row first on.
func (s *Stream) route(experts [][]int32, k, first, rows, start int) {
	if s.experts == nil {
		s.experts = make([][]int32, len(experts))
	}
	for i, all := range experts {
		mine := s.experts[i]
		for len(mine) < (start+rows)*k {
			mine = append(mine, -1)
		}
		copy(mine[start*k:], all[first*k:(first+rows)*k])
		s.experts[i] = mine
	}
}

// Usage is what s has taken so far; all of it once Tokens has ended.
func (s *Stream) Usage() Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usage
}
