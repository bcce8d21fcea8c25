package train

import (
	"context"
	"fmt"
	"io"

	"sprat/config"
	"sprat/cost"
	"sprat/data"
	"sprat/device/cpu"
	"sprat/tokenizer"
)

// Options are what a command line adds to a run file.
type Options struct {
	Resume  bool   // go on from the last checkpoint in the run's directory
	Machine string // its name, for the record
}

// Pretrain trains a model by c and writes it to c.Out. Where ctx ends, it stops after the step under way, writes a checkpoint and
// the model as it stands, and returns an error that says so. Progress goes to w.
func Pretrain(ctx context.Context, c *Config, opt Options, w io.Writer) (err error) {
	tok, err := tokenizer.Load(c.Tokenizer.Path)
	if err != nil {
		return fmt.Errorf("%w; make one with 'sprat train-tokenizer' and the same run file", err)
	}
	cfg, err := c.modelFor(tok)
	if err != nil {
		return err
	}
	if err := CheckUnfinished(c.Out, opt.Resume); err != nil {
		return err
	}
	set, err := data.Prepare(ctx, c.data(), tok, w)
	if err != nil {
		return err
	}
	defer set.Close()

	dev := cpu.New(c.Train.Threads)
	defer dev.Close()
	r, err := newRun(c, cfg, tok, set, dev, w)
	if err != nil {
		return err
	}
	if opt.Resume {
		if err := r.resume(); err != nil {
			return err
		}
	}
	if err := r.open(opt.Machine); err != nil {
		return err
	}
	defer func() { err = r.close(err) }()
	p := cost.Count(cfg)
	fmt.Fprintf(w, "%.1f M parameters, %.1f M activated a token; %d steps of %d x %d tokens in %s\n",
		float64(p.Total+p.MTP)/1e6, float64(p.ActivatedWithoutEmbedding())/1e6, c.Train.Steps, c.Train.Batch, c.Train.Sequence, c.Train.Precision)
	return r.train(ctx)
}

// modelFor is the model's config with what the tokenizer settles filled in.
func (c *Config) modelFor(tok *tokenizer.Tokenizer) (*config.Config, error) {
	cfg, err := c.model(tok.VocabSize())
	if err != nil {
		return nil, err
	}
	eos, ok := tok.ID(tokenizer.EOS)
	if !ok {
		return nil, fmt.Errorf("%s has no token %s, which ends a document", c.Tokenizer.Path, tokenizer.EOS)
	}
	if cfg.BOSTokenID, ok = tok.ID(tokenizer.BOS); !ok {
		cfg.BOSTokenID = eos
	}
	cfg.EOSTokenIDs = []int32{eos}
	return cfg, nil
}
