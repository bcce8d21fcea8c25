// Package checkpoint keeps what a training run needs to go on as if nothing had happened: one safetensors file with the weights under
// their Hugging Face keys, the optimizer's moments under prefixes of their own, and the rest as JSON in the file's metadata. A file
// gets its name when it is whole and on the disk, so what bears the name of a checkpoint is a good one, whenever the program or the
// machine stops. Two are kept. It is written while training goes on: what a step may change is copied first.
package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sprat/kernel"
	"sprat/runfile"
	"sprat/safetensors"
	"sprat/tensor"
)

// Kept is how many checkpoints a run's directory holds.
const Kept = 2

const (
	subdirectory = "checkpoints"
	metadataKey  = "sprat.checkpoint"
)

// Part is a matrix of a checkpoint.
type Part struct {
	Name  string
	Shape []int
	M     tensor.Mat
}

// Parts are parameters, and the matrices of an optimizer's or an average's state.
func Parts(params iter.Seq[*tensor.Param], states ...iter.Seq2[string, tensor.Mat]) []Part {
	var list []Part
	for p := range params {
		list = append(list, Part{p.Name, p.Shape, p.W})
	}
	for _, state := range states {
		for name, m := range state {
			list = append(list, Part{name, []int{m.Rows, m.Cols}, m})
		}
	}
	return list
}

// Path is the file of a step in the run's directory out.
func Path(out string, step int) string {
	return filepath.Join(out, subdirectory, fmt.Sprintf("step-%08d.safetensors", step))
}

// Paths are the checkpoints of a run, oldest first.
func Paths(out string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(out, subdirectory))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "step-") && strings.HasSuffix(e.Name(), ".safetensors") {
			paths = append(paths, filepath.Join(out, subdirectory, e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

// Writer writes the checkpoints of the run in the directory Out.
type Writer struct {
	Out     string
	buf     []float32 // the copy
	pending chan error
}

// Save starts to write the checkpoint of a step, with state, which must marshal. The one before has been waited for.
func (w *Writer) Save(read func(dst []float32, src tensor.Mat), parts []Part, step int, state any) error {
	n := 0
	for _, p := range parts {
		n += p.M.Rows * p.M.Cols
	}
	w.buf = slices.Grow(w.buf[:0], n)[:n]
	tensors, rest := make([]safetensors.Tensor, len(parts)), w.buf
	for i, p := range parts {
		size := p.M.Rows * p.M.Cols
		read(rest[:size], p.M)
		tensors[i] = safetensors.Tensor{Name: p.Name, Shape: p.Shape, Data: rest[:size], DType: safetensors.F32}
		rest = rest[size:]
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	w.pending = make(chan error, 1)
	go func() { w.pending <- write(w.Out, step, tensors, string(text)) }()
	return nil
}

// Wait returns when the checkpoint under way is written, or has failed to be.
func (w *Writer) Wait() error {
	if w.pending == nil {
		return nil
	}
	err := <-w.pending
	w.pending = nil
	return err
}

func write(out string, step int, tensors []safetensors.Tensor, state string) error {
	if err := os.MkdirAll(filepath.Join(out, subdirectory), 0o700); err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	if err := safetensors.Write(Path(out, step), tensors, map[string]string{metadataKey: state}); err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	paths, err := Paths(out)
	if err != nil {
		return fmt.Errorf("removing old checkpoints: %w", err)
	}
	for _, old := range paths[:max(0, len(paths)-Kept)] {
		if err := os.Remove(old); err != nil {
			return fmt.Errorf("removing old checkpoints: %w", err)
		}
	}
	return nil
}

// Load reads the file at path: its state, which accept may refuse once it is there, and then the parts. A file that is refused or
// lacks a part changes none of them.
func Load(path string, upload func(dst tensor.Mat, src []float32), parts []Part, state any, accept func() error) error {
	r, err := safetensors.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := json.Unmarshal([]byte(r.Metadata()[metadataKey]), state); err != nil {
		return fmt.Errorf("%s is no checkpoint: remove it to go on from the one before", path)
	}
	if err := accept(); err != nil {
		return err
	}
	for _, p := range parts {
		if info, ok := r.Info(p.Name); !ok || !slices.Equal(info.Shape, p.Shape) || info.DType != safetensors.F32 {
			return fmt.Errorf("%s: tensor %s is missing or of another shape: it is from another model or optimizer", path, p.Name)
		}
	}
	var buf []float32
	for _, p := range parts {
		n := p.M.Rows * p.M.Cols
		buf = slices.Grow(buf[:0], n)[:n]
		if err := r.ReadFloat32(p.Name, buf); err != nil {
			return err
		}
		upload(p.M, buf)
	}
	return nil
}

// OtherRun is the error of a checkpoint that belongs to another run.
type OtherRun struct{ error }

// NotOurs is an OtherRun.
func NotOurs(format string, args ...any) error { return OtherRun{fmt.Errorf(format, args...)} }

// Resume calls restore with the newest checkpoint of the run in out, and where that can't be read with the one before, which it says
// on w. It returns the path that was taken, "" where there is none.
func Resume(out string, restore func(path string) error, w io.Writer) (string, error) {
	paths, err := Paths(out)
	if err != nil {
		return "", err
	}
	for i, path := range slices.Backward(paths) {
		err := restore(path)
		if err == nil {
			return path, nil
		}
		if errors.As(err, new(OtherRun)) || i == 0 {
			return "", err
		}
		fmt.Fprintf(w, "%v; trying the checkpoint before\n", err)
	}
	return "", nil
}

// Origin is what a checkpoint's state says of the run that it is of: states embed it.
type Origin struct {
	Version int    `json:"version"`
	Kernels string `json:"kernels"` // the implementation of kernel's products
	Run     string `json:"run"`     // the run file's part that decides the numbers
}

const version = 1

// NewOrigin is that of the run whose run file decides the numbers by identity.
func NewOrigin(identity string) Origin { return Origin{version, kernel.Active(), identity} }

// Accept says why the checkpoint at path can't be gone on with by a run of that identity, if it can't. Other kernels it says on w.
func (o Origin) Accept(path, identity string, w io.Writer) error {
	if o.Version != version {
		return fmt.Errorf("%s is no checkpoint of this version of sprat: remove it to go on from the one before", path)
	}
	if diff := runfile.Difference(identity, o.Run); diff != "" {
		return NotOurs("%s: %s in the checkpoint: set it back to go on, or start another run with --set out=DIR", path, diff)
	}
	if o.Kernels != kernel.Active() {
		fmt.Fprintf(w, "%s was made with the kernels %s, and these are %s: the run goes on, but its bits will not be those of an uninterrupted one\n",
			path, o.Kernels, kernel.Active())
	}
	return nil
}

// Unfinished says so where a run lies already in out and isn't to be gone on with: what took hours is not written over by accident.
func Unfinished(out string, resume bool) error {
	paths, err := Paths(out)
	if err != nil || resume || len(paths) == 0 {
		return err
	}
	return fmt.Errorf("%s holds a run already, up to %s: give --resume to go on with it, or start another with --set out=DIR",
		out, filepath.Base(paths[len(paths)-1]))
}
