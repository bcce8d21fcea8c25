package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"sprat/chat"
	"sprat/checkpoint"
	"sprat/config"
	"sprat/cost"
	"sprat/data"
	"sprat/device/cpu"
	"sprat/engine"
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
	b, err := c.begin()
	if err != nil {
		return err
	}
	defer b.close()
	cfg, tok := b.cfg, b.tok
	if err := checkpoint.Unfinished(c.Out, opt.Resume); err != nil {
		return err
	}
	spec := c.data()
	spec.Template = b.template
	set, err := data.Prepare(ctx, spec, tok, w)
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
	r.template = b.template
	if b.dir != nil {
		if err := r.model.Load(b.dir.Weights); err != nil {
			return fmt.Errorf("base %s: %w", c.Base, err)
		}
	}
	for _, p := range r.rows.Packing() {
		fmt.Fprintf(w, "data: %s\n", p)
	}
	for i, n := range r.rows.Passes() {
		if n > 1 {
			fmt.Fprintf(w, "data: %s is too small to be read once: the run reads it %.1f times\n", set.Sources()[i], n)
		}
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

// beginning is what a run begins with: a tokenizer and a config, or a whole model.
type beginning struct {
	cfg      *config.Config
	tok      *tokenizer.Tokenizer
	dir      *engine.Dir // nil where the model begins with random weights
	template string      // of its chats, where the base has one
}

// begin opens the base, or else the tokenizer.
func (c *Config) begin() (b beginning, err error) {
	if c.Base == "" {
		if b.tok, err = tokenizer.Load(c.Tokenizer.Path); err != nil {
			return b, fmt.Errorf("%w; make one with 'sprat train-tokenizer' and the same run file", err)
		}
		b.cfg, err = c.modelFor(b.tok)
		return b, err
	}
	files := os.DirFS(c.Base)
	if b.dir, err = engine.OpenDir(files); err != nil {
		return b, fmt.Errorf("base %s: %w", c.Base, err)
	}
	b.cfg, b.tok = b.dir.Config, b.dir.Tokenizer
	if b.tok == nil {
		err = errors.New("it has no tokenizer.json, and text needs one")
	} else if n := b.cfg.MaxPositionEmbeddings; c.Train.Sequence > n {
		err = fmt.Errorf("it has %d positions, and train.sequence is %d: make that smaller", n, c.Train.Sequence)
	} else {
		b.template, err = chat.Template(files)
	}
	if err != nil {
		b.close()
		return b, fmt.Errorf("base %s: %w", c.Base, err)
	}
	return b, nil
}

func (b beginning) close() {
	if b.dir != nil {
		b.dir.Close()
	}
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
