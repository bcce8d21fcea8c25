package main

import "sprat/train"

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
