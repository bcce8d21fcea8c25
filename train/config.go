// Package train makes models: it reads a run file, trains a tokenizer or a model by it, and writes Hugging Face directories.
package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"sprat/config"
	"sprat/data"
)

// Config is a run file, in TOML. Every key has a default but data.train and model.
type Config struct {
	Seed      uint64          `toml:"seed"`
	Out       string          `toml:"out"`   // the directory that the trained model is written to
	DType     string          `toml:"dtype"` // of its weights: "f32", "bf16" or "fp8", V3's blocks
	Tokenizer TokenizerConfig `toml:"tokenizer"`
	Data      data.Spec       `toml:"data"`
	Model     map[string]any  `toml:"model"` // config.json's keys
	Train     TrainConfig     `toml:"train"`
}

// TokenizerConfig says what train-tokenizer makes and pretrain uses.
type TokenizerConfig struct {
	Path         string `toml:"path"` // tokenizer.json
	VocabSize    int    `toml:"vocab_size"`
	SingleDigits bool   `toml:"single_digits"` // every digit is a token of its own
}

// TrainConfig is the recipe.
type TrainConfig struct {
	Steps       int     `toml:"steps"`
	Batch       int     `toml:"batch"`    // sequences a step
	Sequence    int     `toml:"sequence"` // tokens a sequence
	LR          float64 `toml:"lr"`
	MinLR       float64 `toml:"min_lr"`
	Warmup      int     `toml:"warmup"` // steps
	WeightDecay float64 `toml:"weight_decay"`
	Clip        float64 `toml:"clip"`       // largest gradient norm; 0 does not clip
	BiasSpeed   float64 `toml:"bias_speed"` // of the gates' biases; 0 leaves them
	Balance     float64 `toml:"balance"`    // factor of the sequence-wise balance loss
	MTPWeight   float64 `toml:"mtp_weight"` // λ of multi-token prediction
	InitStd     float64 `toml:"init_std"`   // of the weights; 0 takes V3's, scaled to the width
	Threads     int     `toml:"threads"`    // 0: all cores
}

func defaults() Config {
	return Config{
		Seed:      1,
		Out:       "out",
		DType:     "f32",
		Tokenizer: TokenizerConfig{Path: "tokenizer.json", VocabSize: 4096, SingleDigits: true},
		Train: TrainConfig{
			Steps: 1000, Batch: 8, Sequence: 256, LR: 1e-3, MinLR: 1e-4, Warmup: 100, WeightDecay: 0.1, Clip: 1,
			BiasSpeed: 1e-3, Balance: 1e-4, MTPWeight: 0.3,
		},
	}
}

// Load reads the run file at path and then sets each "key=value" of set, the key dotted and the value as in TOML, where a
// value that is no TOML counts as a string.
func Load(path string, set []string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the run file: %w", err)
	}
	c, err := Parse(text, set)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Parse is Load for the run file's text.
func Parse(text []byte, set []string) (*Config, error) {
	c := defaults()
	if err := decode(text, &c); err != nil {
		return nil, err
	}
	model := c.Model
	for _, s := range set {
		c.Model = nil
		if err := c.set(s); err != nil {
			return nil, err
		}
		if model == nil {
			model = c.Model
		} else {
			maps.Copy(model, c.Model)
		}
	}
	c.Model = model
	return &c, c.check()
}

func (c *Config) set(assignment string) error {
	key, value, ok := strings.Cut(assignment, "=")
	if !ok || key == "" || strings.ContainsAny(assignment, "\n\r") {
		return fmt.Errorf("--set %q: want key=value, as in train.steps=100", assignment)
	}
	err := decode([]byte(key+" = "+value), c)
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		err = decode([]byte(key+" = "+quote(value)), c)
	}
	if err != nil {
		return fmt.Errorf("--set %s: %w", assignment, err)
	}
	return nil
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

func decode(text []byte, c *Config) error {
	d := toml.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(c)
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		return fmt.Errorf("unknown key %s", strings.Join(unknown.Errors[0].Key(), "."))
	}
	var syntax *toml.DecodeError
	if errors.As(err, &syntax) {
		line, _ := syntax.Position()
		return fmt.Errorf("line %d: %w", line, syntax)
	}
	return err
}

func (c *Config) check() error {
	t := c.Train
	for _, v := range []struct {
		key   string
		value float64
		min   float64
	}{
		{"train.steps", float64(t.Steps), 1},
		{"train.batch", float64(t.Batch), 1},
		{"train.sequence", float64(t.Sequence), 2},
		{"train.lr", t.LR, 0},
		{"train.min_lr", t.MinLR, 0},
		{"train.warmup", float64(t.Warmup), 0},
		{"train.weight_decay", t.WeightDecay, 0},
		{"train.clip", t.Clip, 0},
		{"train.bias_speed", t.BiasSpeed, 0},
		{"train.balance", t.Balance, 0},
		{"train.mtp_weight", t.MTPWeight, 0},
		{"train.init_std", t.InitStd, 0},
		{"train.threads", float64(t.Threads), 0},
		{"tokenizer.vocab_size", float64(c.Tokenizer.VocabSize), float64(256 + len(specialTokens) + len(addedTokens))},
	} {
		if !(v.value >= v.min) || v.value > 1e9 {
			return fmt.Errorf("%s is %g: want a number from %g", v.key, v.value, v.min)
		}
	}
	if t.Batch > (1<<24)/t.Sequence {
		return fmt.Errorf("train.batch x train.sequence is over %d tokens a step: make one smaller", 1<<24)
	}
	if _, ok := storedAs[c.DType]; !ok {
		return fmt.Errorf("dtype is %q: want \"f32\", \"bf16\" or \"fp8\"", c.DType)
	}
	return c.Data.Check()
}

// data is the [data] table with its directory filled in.
func (c *Config) data() *data.Spec {
	spec := c.Data
	if spec.Dir == "" {
		spec.Dir = filepath.Join(c.Out, "data")
	}
	return &spec
}

// model makes the model's config from the [model] table, the vocabulary filled in from the tokenizer.
func (c *Config) model(vocab int) (*config.Config, error) {
	if len(c.Model) == 0 {
		return nil, errors.New("the run file has no [model] table: give config.json's keys, as in examples under runs/")
	}
	keys := maps.Clone(c.Model)
	if _, ok := keys["vocab_size"]; !ok {
		keys["vocab_size"] = vocab
	}
	if _, ok := keys["max_position_embeddings"]; !ok {
		keys["max_position_embeddings"] = c.Train.Sequence
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, fmt.Errorf("[model]: %w", err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("[model]: %w", err)
	}
	if vocab > cfg.VocabSize {
		return nil, fmt.Errorf("[model] vocab_size is %d, but the tokenizer has %d tokens: make it at least that, or leave it out", cfg.VocabSize, vocab)
	}
	if c.Train.Sequence > cfg.MaxPositionEmbeddings {
		return nil, fmt.Errorf("train.sequence is %d, but the model has %d positions: raise max_position_embeddings", c.Train.Sequence, cfg.MaxPositionEmbeddings)
	}
	return cfg, nil
}
