package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"sprat/config"
	"sprat/cost"
	"sprat/data"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/model"
	"sprat/optim"
	"sprat/tokenizer"
)

// Pretrain trains a model by c and writes it to c.Out. Where ctx ends, it stops after the step under way, writes what there is
// and returns ctx's error. Progress goes to w.
func Pretrain(ctx context.Context, c *Config, w io.Writer) error {
	tok, err := tokenizer.Load(c.Tokenizer.Path)
	if err != nil {
		return fmt.Errorf("%w; make one with 'sprat train-tokenizer' and the same run file", err)
	}
	cfg, err := c.model(tok.VocabSize())
	if err != nil {
		return err
	}
	eos, ok := tok.ID(EOS)
	if !ok {
		return fmt.Errorf("%s has no token %s, which ends a document", c.Tokenizer.Path, EOS)
	}
	if cfg.BOSTokenID, ok = tok.ID(BOS); !ok {
		cfg.BOSTokenID = eos
	}
	cfg.EOSTokenIDs = []int32{eos}
	fmt.Fprintf(w, "reading %d files\n", len(c.Data.Train)+len(c.Data.Valid))
	corpus, err := data.Read(ctx, c.Data.Train, tok, eos)
	if err != nil {
		return err
	}
	var valid *data.Corpus
	if len(c.Data.Valid) > 0 {
		if valid, err = data.Read(ctx, c.Data.Valid, tok, eos); err != nil {
			return err
		}
	}
	dev := cpu.New(c.Train.Threads)
	defer dev.Close()
	r, err := newRun(c, cfg, corpus, valid, dev)
	if err != nil {
		return err
	}
	return r.train(ctx, tok, w)
}

// run is a training run under way.
type run struct {
	c       *Config
	cfg     *config.Config
	model   *model.Model
	state   *model.State
	opt     *optim.Optimizer
	batches *data.Batches
	batch   model.Batch
	valid   *data.Corpus
}

func newRun(c *Config, cfg *config.Config, corpus, valid *data.Corpus, dev device.Device) (*run, error) {
	t := c.Train
	r := &run{c: c, cfg: cfg, valid: valid}
	var err error
	if r.batches, err = data.NewBatches(corpus, t.Batch, t.Sequence, c.Seed); err != nil {
		return nil, err
	}
	r.model = model.New(cfg, dev, model.Options{Train: true, Positions: t.Sequence})
	std := t.InitStd
	if std == 0 {
		std = model.InitStd(cfg.HiddenSize)
	}
	r.model.Init(c.Seed, std)
	r.state = r.model.NewState(t.Batch*t.Sequence, true)
	r.opt = optim.NewAdamW(dev, r.model.Params(), t.WeightDecay)
	r.batch = model.Batch{IDs: make([]int32, t.Batch*t.Sequence), Targets: make([]int32, t.Batch*t.Sequence)}
	for i := range t.Batch + 1 {
		r.batch.Starts = append(r.batch.Starts, int32(i*t.Sequence))
	}
	return r, nil
}

// stepResult is what a step shows.
type stepResult struct {
	loss   model.Loss
	norm   float64 // of the gradient, before clipping
	maxVio float64
}

func (r *run) step(i int) (stepResult, error) {
	t := r.c.Train
	r.batches.Next(r.batch.IDs, r.batch.Targets)
	r.model.ZeroGradients()
	var s stepResult
	s.loss = r.model.Gradients(r.state, r.batch, model.Objective{MTPWeight: t.MTPWeight, Balance: t.Balance})
	s.norm = r.opt.Step(optim.WarmupCosine(i, t.Warmup, t.Steps, t.LR, t.MinLR), t.Clip)
	if math.IsNaN(s.norm) || math.IsInf(s.norm, 0) {
		return s, fmt.Errorf("step %d: the gradient is not finite (loss %g): lower train.lr", i+1, s.loss.Main)
	}
	s.maxVio = r.model.UpdateBiases(t.BiasSpeed).MaxVio
	return s, nil
}

func (r *run) train(ctx context.Context, tok *tokenizer.Tokenizer, w io.Writer) error {
	t := r.c.Train
	p := newProgress(w, t.Steps, t.Batch*t.Sequence)
	fmt.Fprintf(w, "%d steps of %d x %d tokens, %s\n", t.Steps, t.Batch, t.Sequence, describe(r.cfg))
	for i := range t.Steps {
		s, err := r.step(i)
		if err != nil {
			p.end()
			return err
		}
		p.step(i+1, s)
		if ctx.Err() != nil {
			break
		}
	}
	p.end()
	if r.valid != nil && ctx.Err() == nil {
		nats, bits, err := r.evaluate()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "validation loss %.4f nats a token, %.4f bits a byte\n", nats, bits)
	}
	if err := Save(r.c.Out, r.model, tok, r.c.DType); err != nil {
		return err
	}
	fmt.Fprintf(w, "wrote %s after %s; try: sprat generate --model %s --prompt \"Once upon a time\"\n", r.c.Out, p.elapsed().Round(time.Second), r.c.Out)
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted; the model was written as it stood")
	}
	return nil
}

// evaluate is the mean loss over the validation corpus, per token and per byte of its text.
func (r *run) evaluate() (nats, bits float64, err error) {
	b, err := data.NewBatches(r.valid, 1, r.c.Train.Sequence, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("validation: %w", err)
	}
	n := r.c.Train.Sequence
	s := r.model.NewState(n, false)
	one := model.Batch{IDs: r.batch.IDs[:n], Targets: r.batch.Targets[:n], Starts: r.batch.Starts[:2]}
	sum, tokens := 0.0, 0
	for range b.Windows() {
		b.Next(one.IDs, one.Targets)
		for _, l := range r.model.Evaluate(s, one) {
			sum += float64(l)
		}
		tokens += n
	}
	nats = sum / float64(tokens)
	bytesPerToken := float64(r.valid.Bytes) / float64(len(r.valid.Tokens))
	return nats, nats / math.Ln2 / bytesPerToken, nil
}

// describe is a model in a few words.
func describe(c *config.Config) string {
	p := cost.Count(c)
	return fmt.Sprintf("%.1f M parameters, %.1f M activated a token", float64(p.Total+p.MTP)/1e6, float64(p.ActivatedWithoutEmbedding())/1e6)
}
