package train

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"sprat/checkpoint"
	"sprat/cost"
	"sprat/kernel"
	"sprat/progress"
	"sprat/report"
)

// What surrounds the steps of a run: its record, its checkpoints, going on from them and back to them.

// open starts the run's record.
func (r *run) open(machine string) (err error) {
	text, err := r.c.toml()
	if err != nil {
		return err
	}
	cores := r.c.Train.Threads
	if cores == 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	r.peak = kernel.FMAPeakOf(cores, 100*time.Millisecond)
	r.began = time.Now()
	r.bar = progress.New(r.w, r.total, r.at.Tokens)
	n := cost.Count(r.cfg)
	start := report.Start{
		Name: filepath.Base(r.c.Out), Started: r.began, Seed: r.c.Seed, Precision: r.c.Train.Precision, Kernels: kernel.Active(),
		Machine: machine, Cores: cores, Params: n.Total + n.MTP, Activated: n.ActivatedWithoutEmbedding(),
		FLOPsPerToken: r.flops, PeakFLOPs: r.peak, TokensTotal: r.total, Sequence: r.c.Train.Sequence, DollarsPerCoreHour: r.c.Price,
	}
	r.record, err = report.Begin(r.c.Out, string(text), start, report.Resume{Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.at.Seconds})
	return err
}

// close ends the record with how the run ended.
func (r *run) close(failed error) error {
	return r.record.Finish(report.End{Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.seconds()}, failed, r.w)
}

// recordStep writes a step to the record and shows it.
func (r *run) recordStep(s stepResult) error {
	speed := float64(s.tokens) / s.seconds
	line := report.Step{
		Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.seconds(),
		Loss: s.loss.Main, MTP: s.loss.MTP, Balance: s.loss.Balance, LR: s.rates.LR, GradNorm: s.norm, MaxVio: s.balance.MaxVio,
		Batch: s.tokens / r.c.Train.Sequence, TokensPerSecond: speed, PeakShare: speed * r.flops / r.peak, Skipped: s.skipped,
	}
	if err := r.record.Step(line); err != nil {
		return err
	}
	r.bar.Show(line.Tokens, func() string { return describe(line) })
	if r.at.Step%loadEvery != 0 || len(s.balance.Load) == 0 {
		return nil
	}
	load := report.Load{Step: r.at.Step}
	for _, layer := range s.balance.Load {
		var shares report.Floats
		for _, x := range layer {
			shares = append(shares, float64(x))
		}
		load.Layers = append(load.Layers, shares)
	}
	return r.record.Load(load)
}

// describe is a step in a line.
func describe(s report.Step) string {
	line := fmt.Sprintf("step %d  loss %.3f", s.Step, s.Loss)
	for _, l := range s.MTP {
		line += fmt.Sprintf("  mtp %.3f", l)
	}
	return line + fmt.Sprintf("  norm %.2f  maxvio %.2f  %.0f tokens/s  %.2f of peak", s.GradNorm, s.MaxVio, s.TokensPerSecond, s.PeakShare)
}

// loadEvery is how many steps go by between records of every expert's load.
const loadEvery = 20

// parts are the matrices that a checkpoint holds.
func (r *run) parts() []checkpoint.Part {
	if r.average != nil {
		return checkpoint.Parts(r.model.Params(), r.opt.State(), r.average.State())
	}
	return checkpoint.Parts(r.model.Params(), r.opt.State())
}

// save starts a checkpoint of the run as it stands, unless it has been saved so already, when the one before is written. A disk that
// was full for that one is said and survived: the run goes on, the last good checkpoint is whole, and the next may fit.
func (r *run) save() error {
	if err := r.saver.Wait(); err != nil {
		r.saved = 0
		r.bar.Line("%v; training goes on, and the checkpoint before is kept", err)
	}
	if r.saved == r.at.Step && r.at.Step > 0 {
		return nil
	}
	identity, err := r.c.identity()
	if err != nil {
		return err
	}
	r.at.Seconds, r.at.Updates, r.at.Spike = r.seconds(), r.opt.Steps, r.spike
	r.at.Origin, r.at.Data = checkpoint.NewOrigin(identity), r.set.Hash()
	if err := r.record.Sync(); err != nil {
		return err
	}
	r.saved = r.at.Step
	return r.saver.Save(r.dev.Read, r.parts(), r.at.Step, r.at)
}

// resume takes the run back to its newest checkpoint that can be read, if there is one.
func (r *run) resume() error {
	path, err := checkpoint.Resume(r.c.Out, r.restore, r.w)
	switch {
	case err != nil:
		return err
	case path == "":
		fmt.Fprintf(r.w, "%s holds no checkpoint: starting from the beginning\n", r.c.Out)
		return nil
	}
	r.rows.SeekTo(r.at.Rows)
	r.before, r.saved = r.at.Seconds, r.at.Step
	fmt.Fprintf(r.w, "going on from step %d, %s\n", r.at.Step, path)
	return nil
}

// restore fills model and optimizer from a checkpoint of this run.
func (r *run) restore(path string) error {
	identity, err := r.c.identity()
	if err != nil {
		return err
	}
	var state progressState
	accept := func() error {
		if state.Data != r.set.Hash() {
			return checkpoint.NotOurs("%s was made with other training data or another tokenizer: put them back to go on, or start another run with --set out=DIR", path)
		}
		return state.Accept(path, identity, r.w)
	}
	if err := checkpoint.Load(path, r.dev.Upload, r.parts(), &state, accept); err != nil {
		return err
	}
	r.at, r.opt.Steps, r.spike = state, state.Updates, state.Spike
	return nil
}

// rollback goes back to the last regular checkpoint, and on from there with new data: what made the loss leap is not seen again.
func (r *run) rollback(s stepResult) error {
	if err := r.saver.Wait(); err != nil {
		return err
	}
	from := r.at
	paths, err := checkpoint.Paths(r.c.Out)
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(paths) {
		var step int
		if _, err := fmt.Sscanf(filepath.Base(path), "step-%d", &step); err != nil || step%r.c.Train.SaveEvery != 0 || step >= from.Step {
			continue
		}
		if err := r.restore(path); err != nil {
			return err
		}
		r.at.Rows, r.saved = from.Rows, step
		why := fmt.Sprintf("loss %.3g, gradient norm %.3g", s.loss.Main, s.norm)
		r.bar.Line("step %d: %s: back to step %d, on with other data", from.Step, why, step)
		return r.record.Rollback(report.Rollback{Step: from.Step, ToStep: step, Tokens: r.at.Tokens, Seconds: r.seconds(), Why: why})
	}
	r.bar.Line("step %d: the loss leapt, and there is no checkpoint to go back to", from.Step)
	return nil
}

// toml is c as a run file.
func (c *Config) toml() ([]byte, error) { return toml.Marshal(c) }

// identity is the part of the run file that decides the numbers, in TOML.
func (c *Config) identity() (string, error) {
	t := c.Train
	t.Threads, t.SaveEvery, t.Evaluations, t.ValidTokens = 0, 0, 0, 0
	text, err := toml.Marshal(struct {
		Seed     uint64         `toml:"seed"`
		Base     string         `toml:"base,omitempty"`
		Model    map[string]any `toml:"model"`
		Train    TrainConfig    `toml:"train"`
		Schedule ScheduleConfig `toml:"schedule"`
	}{c.Seed, c.Base, c.Model, t, c.Schedule})
	return string(text), err
}
