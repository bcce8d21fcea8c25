// Package grpo is reinforcement learning as DeepSeek-R1 does it: group relative policy optimization, by rewards that a program can check.
//
//	c, err := grpo.Load("runs/zero.toml", nil)
//	err = grpo.Run(ctx, c, grpo.Options{}, os.Stderr)
//
// A step draws questions of package tasks, has the engine write a group of samples to each, from the weights of this moment, at
// temperature 1 and without truncation, so that they are samples of the policy itself; rewards them by package reward; and moves the
// weights by Objective. There is no value network and no reward model.
//
// What the paper says and this leaves out: preference rewards for general data, whose reward model we have not. What it adds is named
// in Objective and RL, with the source.
//
// A step is a function of the weights, the optimizer's state, the run file and the step's number: random numbers hang on the latter two,
// and a sample's tokens not on what else is sampled. So a run that was killed anywhere goes on from its last checkpoint to the same
// weights, bit for bit, that it would have had.
package grpo

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"sprat/chat"
	"sprat/checkpoint"
	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/engine"
	"sprat/eval"
	"sprat/kernel"
	"sprat/model"
	"sprat/optim"
	"sprat/progress"
	"sprat/report"
	"sprat/reward"
	"sprat/tasks"
	"sprat/tokenizer"
	"sprat/train"
)

// Options are what a command line adds to a run file.
type Options struct {
	Resume  bool   // go on from the last checkpoint in the run's directory
	Machine string // its name, for the record
}

// run is a run under way.
type run struct {
	c               *Config
	cfg             *config.Config
	tok             *tokenizer.Tokenizer
	template        string // of chats
	thinking, plain reward.Form
	drawn           reward.Questions
	mixtures        int
	heldOut         []tasks.Problem // for exams

	dev             device.Device
	model           *model.Model
	reference       *model.Model
	state, refState *model.State
	opt             *optim.Optimizer
	engine          *engine.Engine

	at     progressState
	saved  int // the step of the latest checkpoint
	idle   int // steps in a row that taught nothing
	began  time.Time
	before float64 // seconds spent in earlier sessions
	flops  float64 // of a token that is trained on
	peak   float64
	record *report.Writer
	saver  checkpoint.Writer
	bar    *progress.Bar
	w      io.Writer
}

// progressState is where a run is: what a checkpoint holds beside matrices.
type progressState struct {
	checkpoint.Origin
	Step    int     `json:"step"`
	Tokens  int64   `json:"tokens"`  // that the model was trained on, prompts included
	Seconds float64 `json:"seconds"` // spent, all sessions together
	Updates int     `json:"updates"` // steps of the optimizer
}

// Run trains by c and writes the model to c.Out. Where ctx ends, it stops, writes a checkpoint of the last whole step and the model as
// it stood then, and returns an error that says so. Progress goes to w.
func Run(ctx context.Context, c *Config, opt Options, w io.Writer) (err error) {
	if err := checkpoint.Unfinished(c.Out, opt.Resume); err != nil {
		return err
	}
	dev, engineDev := cpu.New(c.Train.Threads), cpu.New(c.Train.Threads)
	defer dev.Close()
	defer engineDev.Close()
	r, err := newRun(c, dev, w)
	if err != nil {
		return err
	}
	if opt.Resume {
		if err := r.resume(); err != nil {
			return err
		}
	}
	if r.engine, err = engine.FromModel(r.model, r.tok, engineDev, r.engineOptions()); err != nil {
		return err
	}
	defer r.engine.Close()
	if err := r.open(opt.Machine); err != nil {
		return err
	}
	defer func() {
		err = r.record.Finish(report.End{Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.seconds()}, err, w)
	}()
	return r.train(ctx)
}

func newRun(c *Config, dev device.Device, w io.Writer) (*run, error) {
	dir, err := engine.OpenDir(os.DirFS(c.Base))
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", c.Base, err)
	}
	defer dir.Close()
	if dir.Tokenizer == nil {
		return nil, fmt.Errorf("base %s has no tokenizer.json, and questions need one", c.Base)
	}
	r := &run{c: c, cfg: dir.Config, tok: dir.Tokenizer, dev: dev, w: w, saver: checkpoint.Writer{Out: c.Out}}
	if r.drawn, err = reward.NewQuestions(c.Problems); err != nil {
		return nil, err
	}
	x := c.Exam
	if r.heldOut, err = (eval.Set{Families: x.Families, N: x.Problems, Difficulty: x.Difficulty, Seed: c.Seed}).Problems(); err != nil {
		return nil, err
	}
	if r.template, err = chat.Template(os.DirFS(c.Base)); err != nil {
		return nil, fmt.Errorf("base %s: %w", c.Base, err)
	}
	format := chat.New(r.tok, r.template)
	r.thinking, r.plain = reward.Chat(format, true), reward.Chat(format, false)
	if c.RL.Form == FormZero {
		r.thinking = reward.Zero(r.tok)
	}
	options := model.Options{Precision: train.Precisions[c.Train.Precision], Positions: dir.Positions()}
	r.reference = model.New(r.cfg, dev, options)
	options.Train = true
	r.model = model.New(r.cfg, dev, options)
	if err := r.model.Load(dir.Weights); err != nil {
		return nil, fmt.Errorf("base %s: %w", c.Base, err)
	}
	r.refresh()
	for _, b := range r.model.Blocks {
		if b.MoE != nil {
			r.mixtures++
		}
	}
	r.state, r.refState = r.model.NewState(c.Train.Pass, true), r.reference.NewState(c.Train.Pass, false)
	r.opt = train.Optimizers[c.Train.Optimizer](dev, r.model.Params(), c.Train.WeightDecay)
	r.flops = cost.TrainingFLOPs(r.cfg, c.RL.MaxTokens)
	return r, r.checkLengths()
}

// fits tells whether samples of a prompt of n tokens fit a pass and the model.
func (r *run) fits(n int) bool { return n+r.c.RL.MaxTokens <= min(r.c.Train.Pass, r.model.Positions()) }

// checkLengths says so where samples don't fit. Questions that are longer than all of those it looks at are not drawn.
func (r *run) checkLengths() error {
	for _, g := range r.questions(0, func(int) bool { return true }) {
		if n := len(g.prompt); !r.fits(n) {
			return fmt.Errorf("a question of %d tokens and rl.max_tokens %d don't fit train.pass, which is %d, or the model's %d positions",
				n, r.c.RL.MaxTokens, r.c.Train.Pass, r.model.Positions())
		}
	}
	return nil
}

// refresh makes the policy the reference.
func (r *run) refresh() {
	from := slices.Collect(r.model.Params())
	for i, p := range slices.Collect(r.reference.Params()) {
		r.dev.Copy(p.W, from[i].W)
	}
}

// engineOptions are for all samples of a step at once, as far as that is of use.
func (r *run) engineOptions() engine.Options {
	const most = 256
	samples := r.c.RL.Prompts * r.c.RL.Samples
	o := engine.Options{Weights: engine.BF16, Absorbed: true, Sequences: min(samples, most), Waiting: samples + r.c.RL.Prompts + 1}
	if r.c.Train.Precision == "fp32" {
		o.Weights = engine.F32
	}
	const prompt = 256 // tokens that hardly a question has: where one has more, fewer samples run at once
	o.Cache = o.Sequences * ((prompt+r.c.RL.MaxTokens)/engine.PageSize + 2) * engine.PageSize
	return o
}

// open starts the run's record.
func (r *run) open(machine string) error {
	text, err := r.c.text()
	if err != nil {
		return err
	}
	cores := r.c.Train.Threads
	if cores == 0 {
		cores = runtime.GOMAXPROCS(0)
	}
	r.peak = kernel.FMAPeakOf(cores, 100*time.Millisecond)
	r.began = time.Now()
	r.bar = progress.New(r.w, int64(r.c.RL.Steps), int64(r.at.Step))
	n := cost.Count(r.cfg)
	start := report.Start{
		Name: filepath.Base(r.c.Out), Started: r.began, Seed: r.c.Seed, Precision: r.c.Train.Precision, Kernels: kernel.Active(),
		Machine: machine, Cores: cores, Params: n.Total + n.MTP, Activated: n.ActivatedWithoutEmbedding(),
		FLOPsPerToken: r.flops, PeakFLOPs: r.peak, Sequence: r.c.RL.MaxTokens, DollarsPerCoreHour: r.c.Price,
	}
	r.record, err = report.Begin(r.c.Out, text, start, report.Resume{Step: r.at.Step, Tokens: r.at.Tokens, Seconds: r.at.Seconds})
	return err
}

// train runs steps to the end of the run or of ctx.
func (r *run) train(ctx context.Context) error {
	defer r.bar.End()
	fmt.Fprintf(r.w, "%d steps of %d questions x %d samples of up to %d tokens\n", r.c.RL.Steps, r.c.RL.Prompts, r.c.RL.Samples, r.c.RL.MaxTokens)
	if r.at.Step == 0 {
		if err := r.exam(ctx); err != nil {
			return r.finish(ctx, err)
		}
	}
	for r.at.Step < r.c.RL.Steps && ctx.Err() == nil {
		if err := r.step(ctx); err != nil {
			return r.finish(ctx, err)
		}
		if r.at.Step%r.c.Train.SaveEvery == 0 {
			if err := r.save(); err != nil {
				return err
			}
		}
		if r.at.Step == r.c.RL.Steps || r.c.Exam.Every > 0 && r.at.Step%r.c.Exam.Every == 0 {
			if err := r.exam(ctx); err != nil {
				return r.finish(ctx, err)
			}
		}
	}
	return r.finish(ctx, nil)
}

// step draws, rewards, learns, and hands the weights to the engine.
func (r *run) step(ctx context.Context) error {
	start := time.Now()
	kept, all, err := r.rollout(ctx)
	if err != nil {
		return err
	}
	rolled := time.Now()
	l, err := r.learn(kept)
	if err != nil {
		return err
	}
	trained := time.Now()
	r.at.Step++
	if r.idle++; l.tokens > 0 {
		r.idle = 0
	}
	if r.idle == 10 {
		r.bar.Line("step %d: ten steps taught nothing, as no group had both right and wrong samples in the shares that rl.pass keeps: "+
			"other [[problems]], a wider rl.pass or more rl.draws would", r.at.Step)
	}
	r.at.Tokens += int64(l.tokens)
	if n := r.c.RL.ReferenceEvery; n > 0 && r.at.Step%n == 0 {
		r.refresh()
	}
	if err := r.engine.Update(r.model.Source()); err != nil {
		return err
	}
	return r.show(all, l, rolled.Sub(start), trained.Sub(rolled))
}

// seconds is what the run took so far, all sessions together.
func (r *run) seconds() float64 { return r.before + time.Since(r.began).Seconds() }
