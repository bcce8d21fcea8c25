// Package engine runs models: it opens a Hugging Face directory and generates text from it.
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

// Engine is a model with its tokenizer, ready to run.
type Engine struct {
	Config    *config.Config
	Model     *model.Model
	Tokenizer *tokenizer.Tokenizer
}

// maxPositions bounds the context that Open allocates tables for, in tokens.
const maxPositions = 32768

// Open loads the model in a Hugging Face directory: config.json, tokenizer.json and safetensors. The weights become float32.
func Open(dir fs.FS, dev device.Device) (*Engine, error) {
	cfg, err := config.LoadFS(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; a model is a directory with config.json, tokenizer.json and *.safetensors", err)
	}
	if err != nil {
		return nil, err
	}
	e := &Engine{Config: cfg}
	if e.Tokenizer, err = openTokenizer(dir, cfg.VocabSize); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	files, err := safetensors.OpenFS(dir)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	weights, err := quant.Open(cfg, files)
	if err != nil {
		return nil, err
	}
	if err := CheckWeights(e.Config, weights); err != nil {
		return nil, err
	}
	e.Model = model.New(e.Config, dev, model.Options{Positions: min(e.Config.MaxPositionEmbeddings, maxPositions)})
	if err := e.Model.Load(weights); err != nil {
		return nil, err
	}
	return e, nil
}

// openTokenizer returns nil where there is none: ids go without.
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
