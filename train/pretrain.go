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
	eos, ok := tok.ID(tokenizer.EOS)
	if !ok {
		return fmt.Errorf("%s has no token %s, which ends a document", c.Tokenizer.Path, tokenizer.EOS)
	}
	if cfg.BOSTokenID, ok = tok.ID(tokenizer.BOS); !ok {
		cfg.BOSTokenID = eos
	}
	cfg.EOSTokenIDs = []int32{eos}
	set, err := data.Prepare(ctx, c.data(), tok, w)
	if err != nil {
		return err
	}
	defer set.Close()
	dev := cpu.New(c.Train.Threads)
	defer dev.Close()
	r, err := newRun(c, cfg, set, dev)
	if err != nil {
		return err
	}
	return r.train(ctx, tok, w)
}

// run is a training run under way.
type run struct {
	c     *Config
	cfg   *config.Config
	model *model.Model
	state *model.State
	opt   *optim.Optimizer
	set   *data.Set
	rows  *data.Rows
	batch model.Batch
}

func newRun(c *Config, cfg *config.Config, set *data.Set, dev device.Device) (*run, error) {
	t := c.Train
	r := &run{c: c, cfg: cfg, set: set}
	var err error
	if r.rows, err = set.Rows(t.Sequence, int64(t.Steps)*int64(t.Batch), c.Seed); err != nil {
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
	return r, nil
}

// stepResult is what a step shows.
type stepResult struct {
	loss   model.Loss
	norm   float64 // of the gradient, before clipping
	maxVio float64
}

// nextBatch fills r.batch with the next rows.
func (r *run) nextBatch() error {
	n := r.c.Train.Sequence
	r.batch.Starts = r.batch.Starts[:0]
	for lo := 0; lo < len(r.batch.IDs); lo += n {
		row, err := r.rows.Next(r.batch.IDs[lo:lo+n], r.batch.Targets[lo:lo+n])
		if err != nil {
			return err
		}
		for _, start := range row.Starts {
			r.batch.Starts = append(r.batch.Starts, int32(lo)+start)
		}
	}
	r.batch.Starts = append(r.batch.Starts, int32(len(r.batch.IDs)))
	return nil
}

func (r *run) step(i int) (stepResult, error) {
	t := r.c.Train
	var s stepResult
	if err := r.nextBatch(); err != nil {
		return s, err
	}
	r.model.ZeroGradients()
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
	for _, v := range r.set.Valid() {
		if ctx.Err() != nil {
			break
		}
		nats, bits, err := r.evaluate(v)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "validation on %s: %.4f nats a token, %.4f bits a byte\n", v.Name, nats, bits)
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

// evaluate is the loss on a source's validation text, per token and per byte of it.
func (r *run) evaluate(v *data.Valid) (nats, bits float64, err error) {
	n := r.c.Train.Sequence
	s := r.model.NewState(n, false)
	sum, tokens := 0.0, 0
	for w, err := range v.Windows(n) {
		if err != nil {
			return 0, 0, err
		}
		one := model.Batch{IDs: w.IDs, Targets: w.Targets, Starts: append(w.Starts, int32(n))}
		for i, l := range r.model.Evaluate(s, one) {
			if w.Targets[i] >= 0 {
				sum += float64(l)
				tokens++
			}
		}
	}
	return sum / float64(tokens), sum / math.Ln2 / float64(v.Bytes), nil
}

// describe is a model in a few words.
func describe(c *config.Config) string {
	p := cost.Count(c)
	return fmt.Sprintf("%.1f M parameters, %.1f M activated a token", float64(p.Total+p.MTP)/1e6, float64(p.ActivatedWithoutEmbedding())/1e6)
}
