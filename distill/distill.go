package distill

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"sprat/runfile"
	"sprat/train"
)

// Config is a run file: one of fine-tuning, which may name SamplesFile in its directory as a source, and a [teacher] table.
type Config struct {
	train.Config
	Teacher Teacher `toml:"teacher"`
}

// Load reads the run file at path and then sets each "key=value" of set.
func Load(path string, set []string) (*Config, error) {
	c := Config{train.SFTDefaults(), DefaultTeacher()}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the run file: %w", err)
	}
	if err := c.parse(text, set); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

func (c *Config) parse(text []byte, set []string) error {
	if err := runfile.Decode(text, c); err != nil {
		return err
	}
	for _, s := range set {
		key, value, err := runfile.Cut(s)
		if err != nil {
			return err
		}
		if strings.HasPrefix(key, "teacher.") {
			err = runfile.Set(c, key, value)
		} else {
			err = c.Set(s)
		}
		if err != nil {
			return err
		}
	}
	if err := c.Check(); err != nil {
		return err
	}
	return c.Teacher.Check()
}

// Run has the teacher solve its problems, and fine-tunes the student on what it got right.
func Run(ctx context.Context, c *Config, opt train.Options, w io.Writer) error {
	if err := Sample(ctx, &c.Teacher, c.Seed, c.Out, opt.Resume, w); err != nil {
		return err
	}
	return train.SFT(ctx, &c.Config, opt, w)
}
