package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sprat/optim"
	"sprat/safetensors"
	"sprat/tensor"
)

// A checkpoint is all that a run needs to go on as if nothing had happened: one safetensors file with the weights under their
// Hugging Face keys, the optimizer's moments and the average under prefixes of their own, and the rest as JSON in the file's
// metadata. It gets its name when it is whole and on the disk, so what bears the name of a checkpoint is a good one, whenever
// the program or the machine stops. Two are kept.

const (
	checkpointDir   = "checkpoints"
	checkpointKey   = "sprat.checkpoint" // of the metadata
	keptCheckpoints = 2
)

// progressState is where a run is: what a checkpoint holds beside matrices.
type progressState struct {
	Version int     `json:"version"`
	Step    int     `json:"step"`
	Rows    int64   `json:"rows"`    // dealt from the data, those of skipped steps too
	Tokens  int64   `json:"tokens"`  // trained on: the run's position in its schedule
	Seconds float64 `json:"seconds"` // spent, all sessions together
	Updates int     `json:"updates"` // steps of the optimizer

	Spike *optim.Spike `json:"spike"`

	Kernels string `json:"kernels"` // the implementation of kernel's products
	Data    string `json:"data"`    // fingerprint of the token shards
	Run     string `json:"run"`     // the run file's part that decides the numbers
}

const checkpointVersion = 1

// part is a matrix of a checkpoint.
type part struct {
	name  string
	shape []int
	m     tensor.Mat
}

// checkpointPath is the file of a step.
func checkpointPath(out string, step int) string {
	return filepath.Join(out, checkpointDir, fmt.Sprintf("step-%08d.safetensors", step))
}

// checkpoints are the paths of a run's checkpoints, oldest first.
func checkpoints(out string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(out, checkpointDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "step-") && strings.HasSuffix(e.Name(), ".safetensors") {
			paths = append(paths, filepath.Join(out, checkpointDir, e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// saver writes checkpoints while training goes on: what a step may change is copied first.
type saver struct {
	out     string
	buf     []float32 // the copy
	pending chan error
}

// save starts to write a checkpoint. The one before has been waited for.
func (s *saver) save(read func(dst []float32, src tensor.Mat), parts []part, state progressState) error {
	n := 0
	for _, p := range parts {
		n += p.m.Rows * p.m.Cols
	}
	s.buf = slices.Grow(s.buf[:0], n)[:n]
	tensors, rest := make([]safetensors.Tensor, len(parts)), s.buf
	for i, p := range parts {
		size := p.m.Rows * p.m.Cols
		read(rest[:size], p.m)
		tensors[i] = safetensors.Tensor{Name: p.name, Shape: p.shape, Data: rest[:size], DType: safetensors.F32}
		rest = rest[size:]
	}
	state.Version = checkpointVersion
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	s.pending = make(chan error, 1)
	go func() { s.pending <- writeCheckpoint(s.out, state.Step, tensors, string(text)) }()
	return nil
}

// wait returns when the checkpoint under way is written, or has failed to be.
func (s *saver) wait() error {
	if s.pending == nil {
		return nil
	}
	err := <-s.pending
	s.pending = nil
	return err
}

func writeCheckpoint(out string, step int, tensors []safetensors.Tensor, state string) error {
	if err := os.MkdirAll(filepath.Join(out, checkpointDir), 0o700); err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	path := checkpointPath(out, step)
	if err := safetensors.Write(path, tensors, map[string]string{checkpointKey: state}); err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	paths, err := checkpoints(out)
	if err != nil {
		return fmt.Errorf("removing old checkpoints: %w", err)
	}
	for _, old := range paths[:max(0, len(paths)-keptCheckpoints)] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("removing old checkpoints: %w", err)
		}
	}
	return nil
}

// loadCheckpoint reads the file at path: its state, which accept may refuse, and then the parts. A file that is refused or lacks a
// part changes nothing.
func loadCheckpoint(path string, upload func(dst tensor.Mat, src []float32), parts []part, accept func(*progressState) error) (progressState, error) {
	var state progressState
	r, err := safetensors.Open(path)
	if err != nil {
		return state, err
	}
	defer r.Close()
	if err := json.Unmarshal([]byte(r.Metadata()[checkpointKey]), &state); err != nil || state.Version != checkpointVersion {
		return state, fmt.Errorf("%s is no checkpoint of this version of sprat: remove it to go on from the one before", path)
	}
	if err := accept(&state); err != nil {
		return state, err
	}
	for _, p := range parts {
		if info, ok := r.Info(p.name); !ok || !slices.Equal(info.Shape, p.shape) || info.DType != safetensors.F32 {
			return state, fmt.Errorf("%s: tensor %s is missing or of another shape: it is from another model or optimizer", path, p.name)
		}
	}
	var buf []float32
	for _, p := range parts {
		n := p.m.Rows * p.m.Cols
		buf = slices.Grow(buf[:0], n)[:n]
		if err := r.ReadFloat32(p.name, buf); err != nil {
			return state, err
		}
		upload(p.m, buf)
	}
	return state, nil
}
