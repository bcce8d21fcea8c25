package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sprat/config"
	"sprat/device"
	"sprat/model"
	"sprat/quant"
	"sprat/safetensors"
	"sprat/tokenizer"
)

// Dir is an open model directory in Hugging Face's form: config.json, tokenizer.json and safetensors.
type Dir struct {
	Config    *config.Config
	Tokenizer *tokenizer.Tokenizer // nil where there is none: ids go without
	Weights   *quant.Weights       // they are of Config

	files *safetensors.Reader
}

// maxPositions bounds the context that tables are allocated for, in tokens.
const maxPositions = 32768

// OpenDir opens a model directory, and says what is wrong with it if it can't be run. The caller closes it.
func OpenDir(dir fs.FS) (*Dir, error) {
	cfg, err := config.LoadFS(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; a model is a directory with config.json, tokenizer.json and *.safetensors", err)
	}
	if err != nil {
		return nil, err
	}
	d := &Dir{Config: cfg}
	if d.Tokenizer, err = openTokenizer(dir, cfg.VocabSize); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if d.files, err = safetensors.OpenFS(dir); err != nil {
		return nil, err
	}
	if d.Weights, err = quant.Open(cfg, d.files); err == nil {
		err = CheckWeights(cfg, d.Weights)
	}
	if err != nil {
		d.files.Close()
		return nil, err
	}
	return d, nil
}

// Close closes the files.
func (d *Dir) Close() error { return d.files.Close() }

// Positions is the longest sequence that tables are made for.
func (d *Dir) Positions() int { return positions(d.Config) }

func positions(c *config.Config) int { return min(c.MaxPositionEmbeddings, maxPositions) }

// Model loads the weights in float32, in the form that is trained.
func (d *Dir) Model(dev device.Device) (*model.Model, error) {
	m := model.New(d.Config, dev, model.Options{Positions: d.Positions()})
	return m, m.Load(d.Weights)
}

// openTokenizer returns nil where there is none.
func openTokenizer(dir fs.FS, vocab int) (*tokenizer.Tokenizer, error) {
	text, err := fs.ReadFile(dir, "tokenizer.json")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Parse(text)
	if err != nil {
		return nil, err
	}
	if n := t.VocabSize(); n > vocab {
		return nil, fmt.Errorf("%d tokens, but config.json's vocab_size is %d: they are of different models", n, vocab)
	}
	return t, nil
}

// CheckWeights says where w is not of the model of c, if anywhere. MTP modules that w lacks are taken out of c.
func CheckWeights(c *config.Config, w *quant.Weights) error {
	dropMissingMTP(c, w)
	return model.CheckWeights(c, w)
}

// dropMissingMTP takes the MTP modules out of a config whose weights have none of their tensors: transformers saves such.
func dropMissingMTP(c *config.Config, w *quant.Weights) {
	mtp := fmt.Sprintf("model.layers.%d.", c.NumHiddenLayers)
	for _, name := range w.Names() {
		if strings.HasPrefix(name, mtp) {
			return
		}
	}
	c.NumNextNPredictLayers = 0
}
