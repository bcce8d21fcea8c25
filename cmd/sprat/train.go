package main

import (
	"sprat/distill"
	"sprat/train"
)

// runFlags name a run file and change it.
type runFlags struct {
	File string   `arg:"" name:"run.toml" help:"The run file."`
	Set  []string `help:"Change a key of the run file, as in train.steps=100." placeholder:"KEY=VALUE" sep:"none"`
}

func (f runFlags) load() (*train.Config, error) {
	c, err := train.Load(f.File, f.Set)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

type trainTokenizerCmd struct{ runFlags }

func (c *trainTokenizerCmd) Run(e *env) error {
	run, err := c.load()
	if err != nil {
		return err
	}
	return train.Tokenizer(e.ctx, run, e.stderr)
}

type pretrainCmd struct {
	runFlags
	Resume bool `help:"Go on from the last checkpoint in the run's directory, or start where there is none."`
}

func (c *pretrainCmd) Run(e *env) error {
	run, err := c.load()
	if err != nil {
		return err
	}
	return train.Pretrain(e.ctx, run, train.Options{Resume: c.Resume, Machine: cpuName()}, e.stderr)
}

type sftCmd struct {
	runFlags
	Resume bool `help:"Go on from the last checkpoint in the run's directory, or start where there is none."`
}

func (c *sftCmd) Run(e *env) error {
	run := train.SFTDefaults()
	if err := run.Load(c.File, c.Set); err != nil {
		return usageError{err}
	}
	return train.SFT(e.ctx, &run, train.Options{Resume: c.Resume, Machine: cpuName()}, e.stderr)
}

type distillCmd struct {
	runFlags
	Resume bool `help:"Go on where the run was cut off, with samples or with training."`
}

func (c *distillCmd) Run(e *env) error {
	run, err := distill.Load(c.File, c.Set)
	if err != nil {
		return usageError{err}
	}
	return distill.Run(e.ctx, run, train.Options{Resume: c.Resume, Machine: cpuName()}, e.stderr)
}
