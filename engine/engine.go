// Package engine runs models for many at once: it batches the sequences that are under way, keeps their context in pages of
// compressed latents, and samples.
//
//	dir, err := engine.OpenDir(os.DirFS("models/nano"))
//	e, err := engine.New(dir, cpu.New(0), engine.Options{})
//	defer e.Close()
//	stream, err := e.Submit(ctx, engine.Request{Prompt: ids, MaxTokens: 100})
//	for token, err := range stream.Tokens() { … }
//
// One goroutine owns the model, the cache and the scheduler. It runs step after step, each of which carries all that it needs: a
// token of every sequence that decodes, and a piece of the prompts that wait. What a request's tokens are depends on the request
// and on the weights, never on who else is served: products, attention and sampling give a row the same bits whatever the batch,
// the number of threads, and the pieces that a prompt was cut into. A prompt that finds its beginning in the cache, and one that lost
// its pages and was computed again, go on in the same way, but for rounding where a row is computed in the other form of attention.
package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"sync"

	"sprat/config"
	"sprat/device"
	"sprat/latent"
	"sprat/model"
	"sprat/sched"
	"sprat/tokenizer"
)

// PageSize is how many tokens a page of the cache holds: see docs/adr/0008.
const PageSize = 64

// Options bound what an engine takes. The zero value suits a single user.
type Options struct {
	Weights   Weights           // how they are kept
	Pages     device.PageFormat // of the cache; float32 where the weights are
	Cache     int               // tokens that the cache holds; 0: 65,536, or a whole context if that is more
	Sequences int               // run at once; 0: 64
	Waiting   int               // most that may wait to be run; 0: 1,024
	Chunk     int               // tokens of prompts in a step; 0: 512
	// Absorbed has prompts of any length computed in the absorbed form. It is slower for long ones, and then not a bit of a
	// continuation depends on what the cache held: what was sampled for training can be sampled again.
	Absorbed bool
}

func (o Options) defaults(context int) Options {
	set := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&o.Cache, max(65536, context))
	set(&o.Sequences, 64)
	set(&o.Waiting, 1024)
	set(&o.Chunk, 512)
	if o.Weights == F32 {
		o.Pages = device.PagesF32
	}
	return o
}

// Engine is a model that runs. Its methods may be called by several goroutines.
type Engine struct {
	Config    *config.Config
	Tokenizer *tokenizer.Tokenizer // nil where the model has none

	opt      Options
	packed   *model.Packed
	absorbed int           // prompts shorter than that are computed in the absorbed form
	wake     chan struct{} // there is something new in what mu guards
	ended    chan struct{}

	mu      sync.Mutex
	arrived []*Stream // submitted, and not yet the scheduler's
	waiting int       // arrived, and waiting in the scheduler
	update  *update
	closed  bool

	// The rest is run's.
	dev     device.Inference
	pages   device.Pages
	pool    *latent.Pool
	sched   *sched.Scheduler
	streams map[*sched.Sequence]*Stream // not ended
	step    step
}

// update is new weights, and where to say that they are in use.
type update struct {
	weights model.PackedSource
	done    chan error
}

// ErrBusy is Submit's error where too many wait.
var ErrBusy = errors.New("the engine has as many requests waiting as it takes: try again later")

var errClosed = errors.New("the engine is closed")

// New makes an engine of the model in dir, on a device that it uses alone until Close. It reads all it needs from dir.
func New(dir *Dir, dev device.Inference, opt Options) (*Engine, error) {
	return newEngine(dir.Config, dir.Tokenizer, dev, opt, dir.Weights)
}

// FromModel makes an engine of a model that is being trained, with its weights of this moment. Update follows them.
func FromModel(m *model.Model, tok *tokenizer.Tokenizer, dev device.Inference, opt Options) (*Engine, error) {
	return newEngine(m.Config, tok, dev, opt, m.Source())
}

func newEngine(cfg *config.Config, tok *tokenizer.Tokenizer, dev device.Inference, opt Options, src model.PackedSource) (*Engine, error) {
	context := positions(cfg)
	opt = opt.defaults(context)
	packed, err := Pack(cfg, dev, opt.Weights, src, context)
	if err != nil {
		return nil, err
	}
	pages := (opt.Cache + PageSize - 1) / PageSize
	e := &Engine{
		Config: cfg, Tokenizer: tok, opt: opt, packed: packed, absorbed: packed.AbsorbedRows(), dev: dev,
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
		pages:   dev.NewPages(packed.PagesShape(pages, PageSize, opt.Pages)),
		streams: map[*sched.Sequence]*Stream{},
	}
	if opt.Absorbed {
		e.absorbed = math.MaxInt
	}
	e.step.init(packed, opt)
	if err := e.forget(); err != nil {
		return nil, err
	}
	go e.run()
	return e, nil
}

// forget begins with an empty cache.
func (e *Engine) forget() (err error) {
	var key [32]byte
	rand.Read(key[:])
	e.pool = latent.New((e.opt.Cache+PageSize-1)/PageSize, PageSize, key)
	e.sched, err = sched.New(sched.Config{
		Context: e.packed.Positions(), Sequences: e.opt.Sequences, Tokens: e.opt.Chunk + e.opt.Sequences,
	}, e.pool)
	return err
}

// Close ends what is under way and waits until nothing runs. The device is the caller's again.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.nudge()
	<-e.ended
}

// Update waits until nothing is under way and then takes new weights, whose latents replace those in the cache.
func (e *Engine) Update(w model.PackedSource) error {
	u := &update{w, make(chan error, 1)}
	e.mu.Lock()
	var err error
	switch {
	case e.closed:
		err = errClosed
	case e.update != nil:
		err = errors.New("the engine is being updated already")
	default:
		e.update = u
	}
	e.mu.Unlock()
	if err != nil {
		return err
	}
	e.nudge()
	return <-u.done
}

// Bytes is the memory of the weights, and of the cache when it is full.
func (e *Engine) Bytes() (weights, cache int64) { return e.packed.Bytes(), e.pages.Bytes() }

// Positions is the longest sequence, prompt and continuation, in tokens.
func (e *Engine) Positions() int { return e.packed.Positions() }

// nudge wakes run.
func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Submit has r continued. It fails at once where r can't be run. The stream ends when ctx does, within a step.
func (e *Engine) Submit(ctx context.Context, r Request) (*Stream, error) {
	if err := errors.Join(r.check(e), ctx.Err()); err != nil {
		return nil, err
	}
	s, err := newStream(e, r)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return nil, errClosed
	case e.waiting >= e.opt.Waiting:
		return nil, ErrBusy
	}
	e.waiting++
	e.arrived = append(e.arrived, s)
	s.watch(ctx)
	e.nudge()
	return s, nil
}

// run is the goroutine that owns the engine.
func (e *Engine) run() {
	defer close(e.ended)
	for {
		closed := e.take()
		for q, s := range e.streams {
			if closed || s.cancelled.Load() {
				e.sched.Cancel(q)
				e.end(q, s, Cancelled, s.why(closed))
			}
		}
		batch := e.sched.Next()
		switch {
		case len(batch.Work) > 0:
			e.advance(batch)
		case closed:
			e.mu.Lock()
			if e.update != nil {
				e.update.done <- errClosed
			}
			e.mu.Unlock()
			return
		default:
			e.sched.Commit(batch, nil)
			if !e.refresh() {
				<-e.wake
			}
		}
	}
}

// take gives the scheduler what has arrived.
func (e *Engine) take() (closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.update != nil && !e.closed {
		return false // it comes first
	}
	for _, s := range e.arrived {
		q, err := e.sched.Submit(s.request.Tenant, s.request.Prompt, s.request.MaxTokens)
		if err != nil {
			s.finish(Failed, err)
			e.waiting--
			continue
		}
		e.streams[q] = s
	}
	e.arrived = e.arrived[:0]
	return e.closed
}

// refresh takes new weights, if there are any.
func (e *Engine) refresh() bool {
	e.mu.Lock()
	u := e.update
	e.mu.Unlock()
	if u == nil {
		return false
	}
	err := errors.Join(e.packed.Fill(u.weights), e.forget())
	e.mu.Lock()
	e.update = nil
	e.mu.Unlock()
	u.done <- err
	return true
}

// end forgets a sequence that has ended.
func (e *Engine) end(q *sched.Sequence, s *Stream, why Finish, err error) {
	s.finish(why, err)
	e.admit(s)
	delete(e.streams, q)
}

// admit notes that s waits no longer.
func (e *Engine) admit(s *Stream) {
	if s.admitted {
		return
	}
	s.admitted = true
	e.mu.Lock()
	e.waiting--
	e.mu.Unlock()
}

// check says what is wrong with r.
func (r Request) check(e *Engine) error {
	switch {
	case len(r.Prompt) == 0:
		return errors.New("the prompt is empty: give at least one token")
	case r.MaxTokens < 0:
		return fmt.Errorf("max_tokens %d: want 0 or more", r.MaxTokens)
	case len(r.Prompt) >= e.Positions():
		return fmt.Errorf("the prompt has %d tokens, but the context holds %d: shorten it", len(r.Prompt), e.Positions())
	case len(r.Prompt) >= e.opt.Cache:
		return fmt.Errorf("the prompt has %d tokens, but the cache holds %d: shorten it or give the cache more memory", len(r.Prompt), e.opt.Cache)
	case len(r.Stop) > 0 && e.Tokenizer == nil:
		return errors.New("stop strings need a tokenizer, and the model has none: use ids")
	}
	for i, id := range r.Prompt {
		if id < 0 || int(id) >= e.Config.VocabSize {
			return fmt.Errorf("token id %d at position %d is not in the vocabulary of %d", id, i, e.Config.VocabSize)
		}
	}
	return nil
}
