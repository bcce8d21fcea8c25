// Package train makes models: it reads a run file, trains a tokenizer or a model by it, and writes Hugging Face directories.
package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sprat/config"
	"sprat/data"
	"sprat/runfile"
)

// Config is a run file, in TOML. Every key has a default but data's sources and model.
type Config struct {
	Seed      uint64          `toml:"seed"`
	Out       string          `toml:"out"`   // the directory that the trained model is written to
	Base      string          `toml:"base"`  // that of the model to go on with: its config, tokenizer and weights, in place of [model] and [tokenizer]
	DType     string          `toml:"dtype"` // of its weights: "f32", "bf16" or "fp8", V3's blocks
	Tokenizer TokenizerConfig `toml:"tokenizer"`
	Data      data.Spec       `toml:"data"`
	Model     map[string]any  `toml:"model"` // config.json's keys
	Train     TrainConfig     `toml:"train"`
	Schedule  ScheduleConfig  `toml:"schedule"`
	Price     float64         `toml:"price"` // of a core's hour in dollars, for the ledger
}

// TokenizerConfig says what train-tokenizer makes and pretrain uses.
type TokenizerConfig struct {
	Path         string `toml:"path"` // tokenizer.json
	VocabSize    int    `toml:"vocab_size"`
	SingleDigits bool   `toml:"single_digits"` // every digit is a token of its own
}

// Defaults are a run file in which nothing is set.
func Defaults() Config {
	return Config{
		Seed:      1,
		Out:       "out",
		DType:     "f32",
		Tokenizer: TokenizerConfig{Path: "tokenizer.json", VocabSize: 4096, SingleDigits: true},
		Price:     DefaultPrice,
		Schedule:  defaultSchedule(),
		Train:     defaultTrain(),
	}
}

// DefaultPrice is about what a core of a rented server cost an hour in 2026, in dollars.
const DefaultPrice = 0.04

// Load reads the run file at path into c, which has the defaults, and then sets each "key=value" of set, the key dotted and the value as
// in TOML, where a value that is no TOML counts as a string. data.source.NAME.key is a key of the source of that name.
func (c *Config) Load(path string, set []string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the run file: %w", err)
	}
	if err := c.Parse(text, set); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Parse is Load for the run file's text.
func (c *Config) Parse(text []byte, set []string) error {
	if err := runfile.Decode(text, c); err != nil {
		return err
	}
	for _, s := range set {
		if err := c.Set(s); err != nil {
			return err
		}
	}
	return c.Check()
}

// Load reads a run file of pre-training: see Config.Load.
func Load(path string, set []string) (*Config, error) {
	c := Defaults()
	return &c, c.Load(path, set)
}

// Set sets a key, as Load does.
func (c *Config) Set(assignment string) error {
	model := c.Model
	c.Model = nil // a decoder would replace the table as a whole
	err := c.set(assignment)
	if model != nil {
		maps.Copy(model, c.Model)
		c.Model = model
	}
	return err
}

func (c *Config) set(assignment string) error {
	key, value, err := runfile.Cut(assignment)
	if err != nil {
		return err
	}
	into := any(c)
	if path, ok := strings.CutPrefix(key, "data.source."); ok { // a table of a list: by its name, which TOML has no word for
		name, field, _ := strings.Cut(path, ".")
		i := slices.IndexFunc(c.Data.Source, func(s data.Source) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("--set %s: no table [[data.source]] is named %q", assignment, name)
		}
		into, key = &c.Data.Source[i], field
	}
	if err := runfile.Set(into, key, value); err != nil {
		return fmt.Errorf("--set %s: %w", assignment, err)
	}
	return nil
}

// Check says what is wrong with c, if anything.
func (c *Config) Check() error {
	if c.Base != "" && len(c.Model) > 0 {
		return errors.New("base brings its own config: leave out base, or the [model] table")
	}
	for _, err := range []error{
		runfile.AtLeast("tokenizer.vocab_size", float64(c.Tokenizer.VocabSize), float64(256+len(specialTokens)+len(addedTokens))),
		runfile.AtLeast("price", c.Price, 0),
		runfile.OneOf("dtype", c.DType, DTypes),
		c.Train.check(),
		c.Schedule.schedule().Validate(),
	} {
		if err != nil {
			return err
		}
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
