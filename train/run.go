package train

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"sprat/checkpoint"
	"sprat/config"
	"sprat/cost"
	"sprat/data"
	"sprat/device"
	"sprat/model"
	"sprat/optim"
	"sprat/progress"
	"sprat/report"
	"sprat/tokenizer"
)

// run is a training run under way.
type run struct {
	c        *Config
	cfg      *config.Config
	tok      *tokenizer.Tokenizer
	template string // of chats
	set      *data.Set
	rows     *data.Rows
	dev      device.Device
	model    *model.Model
	state    *model.State
	valid    *model.State // for evaluation, of a pass
	schedule optim.Schedule
	opt      *optim.Optimizer
	average  *optim.Average // nil where none is kept
	spike    *optim.Spike
	passes   []model.Batch // of a full step
	count    model.Count   // of the step

	mtpLosses []float64 // of the step

	at     progressState
	saved  int   // the step of the latest checkpoint
	total  int64 // tokens
	began  time.Time
	before float64 // seconds spent in earlier sessions
	flops  float64 // of a token
	peak   float64
	record *report.Writer
	saver  checkpoint.Writer
	bar    *progress.Bar
	w      io.Writer
}

func newRun(c *Config, cfg *config.Config, tok *tokenizer.Tokenizer, set *data.Set, dev device.Device, w io.Writer) (*run, error) {
	t, n := c.Train, c.Train.micro()*c.Train.Sequence
	r := &run{
		c: c, cfg: cfg, tok: tok, set: set, dev: dev, w: w,
		schedule: c.Schedule.schedule(),
		total:    int64(t.Steps) * int64(t.Batch) * int64(t.Sequence),
		flops:    cost.TrainingFLOPs(cfg, t.Sequence),
		saver:    checkpoint.Writer{Out: c.Out},
		spike:    &optim.Spike{},
	}
	var err error
	if r.rows, err = set.Rows(t.Sequence, int64(t.Steps)*int64(t.Batch), c.Seed); err != nil {
		return nil, err
	}
	r.model = model.New(cfg, dev, model.Options{Train: true, Recompute: t.Recompute, Precision: Precisions[t.Precision], Positions: t.Sequence})
	std := t.InitStd
	if std == 0 {
		std = model.InitStd(cfg.HiddenSize)
	}
	r.model.Init(c.Seed, std)
	r.state = r.model.NewState(n, true)
	r.valid = r.model.NewState(n, false)
	r.opt = Optimizers[t.Optimizer](dev, r.model.Params(), t.WeightDecay)
	if t.Average > 0 {
		r.average = optim.NewAverage(dev, r.model.Params(), t.Average)
	}
	r.mtpLosses = make([]float64, len(r.model.MTP))
	for range t.Batch / t.micro() {
		r.passes = append(r.passes, model.Batch{IDs: make([]int32, n), Targets: make([]int32, n)})
	}
	return r, nil
}

// train runs steps to the end of the run or of ctx.
func (r *run) train(ctx context.Context) error {
	defer r.bar.End()
	for r.at.Tokens < r.total && ctx.Err() == nil {
		before := r.evaluations()
		if err := r.step(); err != nil {
			return err
		}
		if r.at.Tokens < r.total && r.evaluations() > before {
			if err := r.evaluate(); err != nil {
				return err
			}
		}
		if r.at.Step%r.c.Train.SaveEvery == 0 {
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	r.bar.End()
	if ctx.Err() == nil {
		if err := r.evaluate(); err != nil {
			return err
		}
	}
	return r.finish(ctx)
}

// evaluations is how many are due by now.
func (r *run) evaluations() int {
	return int(float64(r.at.Tokens) / float64(r.total) * float64(r.c.Train.Evaluations))
}

// stepResult is what a step shows.
type stepResult struct {
	loss    model.Loss
	rates   optim.Rates
	norm    float64 // of the gradient, before clipping
	balance model.Balance
	tokens  int
	seconds float64
	skipped bool
}

// step deals the rows of a step, computes their gradients, moves the weights and records it.
func (r *run) step() error {
	start := time.Now()
	rates := r.schedule.At(float64(r.at.Tokens) / float64(r.total))
	passes, err := r.deal(rates.BatchShare)
	if err != nil {
		return err
	}
	r.model.ZeroGradients()
	s := stepResult{rates: rates, tokens: len(passes) * len(passes[0].IDs)}
	clear(r.mtpLosses)
	s.loss.MTP = r.mtpLosses
	o := model.Objective{MTPWeight: rates.MTPWeight, Balance: r.c.Train.Balance, Whole: &r.count}
	for _, b := range passes {
		s.add(r.model.Gradients(r.state, b, o))
	}
	s.norm = r.opt.Norm()
	if !finite(s.norm) || !finite(s.loss.Main) {
		return r.diagnose(passes, o, s)
	}
	verdict := r.spike.Observe(s.loss.Main, s.norm)
	tau, speed := r.c.Train.ClipQK, rates.BiasSpeed
	if s.skipped = verdict != optim.OK; s.skipped {
		tau, speed = 0, 0 // scores and loads are forgotten
	} else {
		r.opt.Move(rates.LR, r.c.Train.Clip, s.norm)
	}
	if r.c.Train.ClipQK > 0 {
		r.model.ClipQK(tau)
	}
	if r.average != nil && !s.skipped {
		r.average.Update()
	}
	s.balance = r.model.UpdateBiases(speed)
	r.at.Step++
	r.at.Tokens += int64(s.tokens)
	r.at.Rows = r.rows.At()
	s.seconds = time.Since(start).Seconds()
	if err := r.recordStep(s); err != nil {
		return err
	}
	if verdict == optim.Rollback {
		return r.rollback(s)
	}
	return nil
}

// add adds a pass's loss.
func (s *stepResult) add(l model.Loss) {
	s.loss.Main += l.Main
	s.loss.Balance += l.Balance
	s.loss.MTP = s.loss.MTP[:len(l.MTP)]
	for k, x := range l.MTP {
		s.loss.MTP[k] += x
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// deal fills the passes of a step that has the given share of a full batch, or of what is left of the run, and counts them.
func (r *run) deal(share float64) ([]model.Batch, error) {
	n := len(r.passes[0].IDs)
	passes := max(1, int(share*float64(len(r.passes))+0.5))
	left := (r.total - r.at.Tokens + int64(n) - 1) / int64(n)
	passes = int(min(int64(passes), left))
	r.count.Reset()
	for i := range r.passes[:passes] {
		b, seq := &r.passes[i], r.c.Train.Sequence
		b.Starts = b.Starts[:0]
		for at := 0; at < n; at += seq {
			row, err := r.rows.Next(b.IDs[at:at+seq], b.Targets[at:at+seq])
			if err != nil {
				return nil, err
			}
			for _, start := range row.Starts {
				b.Starts = append(b.Starts, int32(at)+start)
			}
		}
		b.Starts = append(b.Starts, int32(n))
		r.model.Count(&r.count, *b)
	}
	return r.passes[:passes], nil
}

// diagnose says where a step's numbers stop being finite. Nothing has been moved.
func (r *run) diagnose(passes []model.Batch, o model.Objective, s stepResult) error {
	where := "the sum of the gradients"
	for _, b := range passes {
		if name := r.model.Diagnose(r.state, b, o); name != "" {
			where = name
			break
		}
	}
	return fmt.Errorf("step %d: %s is not finite (loss %g, gradient norm %g): go on from the last checkpoint with --resume and a lower schedule.lr",
		r.at.Step+1, where, s.loss.Main, s.norm)
}

// finish writes what the run leaves behind.
func (r *run) finish(ctx context.Context) error {
	if err := r.save(); err != nil {
		return err
	}
	if err := r.saver.Wait(); err != nil {
		return err
	}
	if r.average != nil {
		r.average.Swap()
		defer r.average.Swap()
	}
	if err := Save(r.c.Out, r.model, r.tok, r.c.DType, r.template); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: step %d of the run is kept, and the model as it stands is in %s; go on with --resume", report.ErrInterrupted, r.at.Step, r.c.Out)
	}
	try := fmt.Sprintf("sprat generate --model %s --prompt \"Once upon a time\"", r.c.Out)
	if r.template != "" {
		try = "sprat --model " + r.c.Out
	}
	fmt.Fprintf(r.w, "wrote %s after %s; try: %s\n", r.c.Out, (time.Duration(r.seconds()) * time.Second), try)
	return nil
}

// seconds is what the run took so far, all sessions together.
func (r *run) seconds() float64 { return r.before + time.Since(r.began).Seconds() }

func (r *run) path(name string) string { return filepath.Join(r.c.Out, name) }
