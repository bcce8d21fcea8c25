package main

import "sprat/grpo"

type rlCmd struct {
	File   string   `arg:"" name:"run.toml" help:"The run file."`
	Set    []string `help:"Change a key of the run file, as in rl.steps=100." placeholder:"KEY=VALUE" sep:"none"`
	Resume bool     `help:"Go on from the last checkpoint in the run's directory, or start where there is none."`
}

func (c *rlCmd) Run(e *env) error {
	run, err := grpo.Load(c.File, c.Set)
	if err != nil {
		return usageError{err}
	}
	return grpo.Run(e.ctx, run, grpo.Options{Resume: c.Resume, Machine: cpuName()}, e.stderr)
}
