package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sprat/engine"
	"sprat/sample"
)

type generateCmd struct {
	modelFlags
	weightsFlag
	Prompt            string   `help:"Text to continue." required:""`
	MaxTokens         int      `help:"Most tokens to add." default:"200"`
	Temperature       float64  `help:"0 takes the likeliest token always; higher is more varied." default:"0.7"`
	TopP              float64  `help:"Draw from the likeliest tokens that make up this much probability." default:"0.95" name:"top-p"`
	TopK              int      `help:"Draw from so many likeliest tokens; 0 is all." default:"0" name:"top-k"`
	MinP              float64  `help:"Draw from tokens at least so likely as this share of the likeliest." default:"0" name:"min-p"`
	RepetitionPenalty float64  `help:"Over 1 makes tokens that were there before less likely." default:"1"`
	Stop              []string `help:"End before this text; may be repeated." sep:"none" placeholder:"TEXT"`
	Seed              uint64   `help:"The same seed gives the same text." default:"1"`
	JSON              bool     `help:"Print one JSON object at the end instead of text as it comes."`
}

// generated is what generate --json prints.
type generated struct {
	Prompt        string  `json:"prompt"`
	Text          string  `json:"text"`
	IDs           []int32 `json:"ids"`
	PromptTokens  int     `json:"prompt_tokens"`
	PromptSeconds float64 `json:"prompt_seconds"` // to the first token
	Seconds       float64 `json:"seconds"`
	Finish        string  `json:"finish"` // stop or length
}

func (c *generateCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	weights, err := engine.ParseWeights(c.Weights)
	if err != nil {
		return usageError{fmt.Errorf("--weights: %w", err)}
	}
	dir, dev, done, err := c.open()
	if err != nil {
		return err
	}
	defer done()
	if dir.Tokenizer == nil {
		return noTokenizer(c.Model)
	}
	m, err := engine.New(dir, dev, engine.Options{Weights: weights, Sequences: 1})
	if err != nil {
		return fmt.Errorf("model %s: %w", c.Model, err)
	}
	defer m.Close()
	out := generated{Prompt: c.Prompt, IDs: []int32{}}
	stream, err := m.Submit(e.ctx, engine.Request{
		Prompt: dir.Tokenizer.Encode(nil, c.Prompt), MaxTokens: c.MaxTokens, Stop: c.Stop,
		Sample: sample.Options{Temperature: c.Temperature, TopP: c.TopP, TopK: c.TopK, MinP: c.MinP, RepetitionPenalty: c.RepetitionPenalty, Seed: c.Seed},
	})
	if err != nil {
		return err
	}
	if err := c.follow(e, stream, &out); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(out)
	}
	_, err = fmt.Fprintln(e.stdout)
	return err
}

// follow shows the stream as it comes, and notes in out what came.
func (c *generateCmd) follow(e *env, stream *engine.Stream, out *generated) error {
	if !c.JSON {
		fmt.Fprint(e.stdout, c.Prompt)
	}
	start := time.Now()
	for t, err := range stream.Tokens() {
		if err != nil {
			return err
		}
		if len(out.IDs) == 0 {
			out.PromptSeconds = time.Since(start).Seconds()
		}
		if t.ID >= 0 {
			out.IDs = append(out.IDs, t.ID)
		}
		out.Text += t.Text
		if !c.JSON {
			fmt.Fprint(e.stdout, t.Text)
		}
	}
	usage := stream.Usage()
	out.Seconds, out.PromptTokens, out.Finish = time.Since(start).Seconds(), usage.Prompt, string(usage.Finish)
	return nil
}

func (c *generateCmd) check() error {
	if c.Prompt == "" {
		return errors.New("--prompt is empty: give some text to continue")
	}
	return checkSampling(c.MaxTokens, c.Temperature, c.TopP)
}

// checkSampling says what is wrong with flags that several verbs have.
func checkSampling(maxTokens int, temperature, topP float64) error {
	switch {
	case maxTokens < 1:
		return fmt.Errorf("--max-tokens %d: want 1 or more", maxTokens)
	case !(temperature >= 0 && temperature <= 100):
		return fmt.Errorf("--temperature %g: want 0 to 100", temperature)
	case !(topP > 0 && topP <= 1):
		return fmt.Errorf("--top-p %g: want over 0 and at most 1", topP)
	}
	return nil
}
