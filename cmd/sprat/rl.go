package main

import "sprat/grpo"

type rlCmd struct {
	runFlags
	Resume bool `help:"Go on from the last checkpoint in the run's directory, or start where there is none."`
}

func (c *rlCmd) Run(e *env) error {
	run, err := grpo.Load(c.File, c.Set)
	if err != nil {
		return usageError{err}
	}
	return grpo.Run(e.ctx, run, grpo.Options{Resume: c.Resume, Machine: cpuName()}, e.stderr)
}
