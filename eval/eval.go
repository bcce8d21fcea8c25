// Package eval asks a model problems and counts what it gets right: pass@1 as R1's report has it, the mean over several samples at
// temperature 0.6 (section 3), by family.
//
//	problems, err := eval.Set{Families: []string{"add", "story"}, N: 100, Difficulty: 1, Seed: 1}.Problems()
//	result, err := eval.Run(ctx, engine, reward.Chat(format, true), problems, eval.Options{Samples: 4, Temperature: 0.6, TopP: 0.95})
//	fmt.Print(result.Markdown())
//
// Our own problems are held out from all training. Read takes others from a file. The random numbers of a sample depend on the seed, the
// problem and the sample's number: with the same weights and kernels the same call gives the same result, whatever else runs.
package eval

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"sprat/engine"
	"sprat/reward"
	"sprat/sample"
	"sprat/tasks"
)

// Options say how to ask. Each has to be set, but for those with a default.
type Options struct {
	Samples     int // of each problem; 0: 1
	Temperature float64
	TopP        float64 // 0: off
	MaxTokens   int     // of a reply; 0: as many as the context holds
	Seed        uint64

	Each func(Sample) // if it isn't nil, is called with each sample as it is done: one call at a time
}

// A Sample is one reply to a problem.
type Sample struct {
	Problem tasks.Problem
	Number  int // from 0 on, of those of the problem
	Reply   reward.Reply
	Right   bool
	Tokens  int // generated, the one that ended it included

	index int // of the problem
}

// underWay bounds the samples that are submitted at a time: more than an engine runs at once, fewer than it lets wait.
const underWay = 128

// Run asks each problem Samples times, all of them at once as far as the engine goes, and scores the replies.
func Run(ctx context.Context, e *engine.Engine, form reward.Form, problems []tasks.Problem, o Options) (Result, error) {
	o.Samples = max(o.Samples, 1)
	if len(problems) == 0 {
		return Result{}, errors.New("there are no problems to ask")
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	tally := newTally(problems, o.Samples)
	var wait sync.WaitGroup
	var mu sync.Mutex // of tally, and one call of Each
	slots := make(chan struct{}, underWay)
	for i, p := range problems {
		request := request(form, p, o)
		for n := range o.Samples {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
			}
			request.Sample.Choice = uint64(n)
			stream, err := e.Submit(ctx, request)
			if err != nil {
				stop(fmt.Errorf("asking %.60q: %w", p.Question, err))
				break
			}
			wait.Go(func() {
				defer func() { <-slots }()
				s := Sample{Problem: p, Number: n, index: i}
				if err := s.read(form, stream); err != nil {
					stop(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				tally.add(s)
				if o.Each != nil {
					o.Each(s)
				}
			})
		}
		if ctx.Err() != nil {
			break
		}
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	return tally.result(form, o), nil
}

// request is that of all samples of a problem, but for their number.
func request(form reward.Form, p tasks.Problem, o Options) engine.Request {
	seed := fnv.New64a()
	seed.Write(binary.LittleEndian.AppendUint64(nil, o.Seed))
	seed.Write([]byte(p.Key))
	return engine.Request{
		Prompt: form.Prompt(p.Question), MaxTokens: o.MaxTokens, StopIDs: form.StopIDs(), Stop: form.Stop(),
		Sample: sample.Options{Temperature: o.Temperature, TopP: o.TopP, Seed: seed.Sum64()},
	}
}

// read waits for the reply and judges it.
func (s *Sample) read(form reward.Form, stream *engine.Stream) error {
	var ids []int32
	for t, err := range stream.Tokens() {
		if err != nil {
			return err
		}
		if t.ID >= 0 {
			ids = append(ids, t.ID)
		}
	}
	usage := stream.Usage()
	s.Tokens = usage.Generated
	s.Reply = form.Read(ids, usage.Finish == engine.Stopped)
	s.Right = reward.Accuracy(s.Problem, s.Reply) > 0
	return nil
}
