package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sprat/engine"
)

type generateCmd struct {
	modelFlags
	Prompt      string  `help:"Text to continue." required:""`
	MaxTokens   int     `help:"Most tokens to add." default:"200"`
	Temperature float64 `help:"0 takes the likeliest token always; higher is more varied." default:"0.7"`
	TopP        float64 `help:"Draw from the likeliest tokens that make up this much probability." default:"0.95" name:"top-p"`
	Seed        uint64  `help:"The same seed gives the same text." default:"1"`
	JSON        bool    `help:"Print one JSON object at the end instead of text as it comes."`
}

// generated is what generate --json prints.
type generated struct {
	Prompt       string  `json:"prompt"`
	Text         string  `json:"text"`
	IDs          []int32 `json:"ids"`
	PromptTokens int     `json:"prompt_tokens"`
	Seconds      float64 `json:"seconds"`
}

func (c *generateCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return usageError{err}
	}
	m, done, err := c.open()
	if err != nil {
		return err
	}
	defer done()
	if m.Tokenizer == nil {
		return noTokenizer(c.Model)
	}
	start := time.Now()
	ids := m.Tokenizer.Encode(nil, c.Prompt)
	out := generated{Prompt: c.Prompt, PromptTokens: len(ids), IDs: []int32{}}
	text := m.Tokenizer.Stream()
	show := func(piece string) {
		out.Text += piece
		if !c.JSON {
			fmt.Fprint(e.stdout, piece)
		}
	}
	if !c.JSON {
		fmt.Fprint(e.stdout, c.Prompt)
	}
	request := engine.Request{Prompt: ids, MaxTokens: c.MaxTokens, Temperature: c.Temperature, TopP: c.TopP, Seed: c.Seed}
	for id, err := range m.Generate(e.ctx, request) {
		if err != nil {
			return err
		}
		out.IDs = append(out.IDs, id)
		show(text.Next(id))
	}
	show(text.Flush())
	if c.JSON {
		out.Seconds = time.Since(start).Seconds()
		return json.NewEncoder(e.stdout).Encode(out)
	}
	_, err = fmt.Fprintln(e.stdout)
	return err
}

func (c *generateCmd) check() error {
	switch {
	case c.Prompt == "":
		return errors.New("--prompt is empty: give some text to continue")
	case c.MaxTokens < 1:
		return fmt.Errorf("--max-tokens %d: want 1 or more", c.MaxTokens)
	case !(c.Temperature >= 0 && c.Temperature <= 100):
		return fmt.Errorf("--temperature %g: want 0 to 100", c.Temperature)
	case !(c.TopP > 0 && c.TopP <= 1):
		return fmt.Errorf("--top-p %g: want over 0 and at most 1", c.TopP)
	}
	return nil
}
