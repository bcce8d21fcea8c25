package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sprat/device/cpu"
	"sprat/engine"
	"sprat/models/nano"
)

// builtin is the name of the model inside the program.
const builtin = "nano"

// modelFlags choose a model and how it runs.
type modelFlags struct {
	Model   string `help:"A directory in Hugging Face's form, or nano, the model inside this program." default:"nano" placeholder:"M"`
	Threads int    `help:"Threads to compute on; 0 takes every core." default:"0"`
}

// modelFS is the directory of model m.
func modelFS(m string) (fs.FS, error) {
	if m == builtin {
		return nano.Files(), nil
	}
	switch info, err := os.Stat(m); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("model %s: there is no such directory; want one with config.json, or %q", m, builtin)
	case err != nil:
		return nil, fmt.Errorf("model %s: %w", m, err)
	case !info.IsDir():
		return nil, fmt.Errorf("model %s is a file; want the directory that holds config.json", m)
	}
	return os.DirFS(m), nil
}

// open opens the chosen model's directory, on a device to run it. The caller calls done.
func (f modelFlags) open() (dir *engine.Dir, dev *cpu.Device, done func(), err error) {
	if f.Threads < 0 {
		return nil, nil, nil, usageError{fmt.Errorf("--threads %d: want 0 or more", f.Threads)}
	}
	files, err := modelFS(f.Model)
	if err != nil {
		return nil, nil, nil, err
	}
	if dir, err = engine.OpenDir(files); err != nil {
		return nil, nil, nil, fmt.Errorf("model %s: %w", f.Model, err)
	}
	dev = cpu.New(f.Threads)
	return dir, dev, func() { dev.Close(); dir.Close() }, nil
}

// weightsFlag chooses how weights are kept.
type weightsFlag struct {
	Weights string `help:"How weights are kept: f32, bf16, int8 or int4. Left out: as the model has them, in bf16 at most." placeholder:"F"`
}

// noTokenizer is the error where model m has no tokenizer.json.
func noTokenizer(m string) error {
	return fmt.Errorf("%s is missing: without it text has no tokens", filepath.Join(m, "tokenizer.json"))
}
