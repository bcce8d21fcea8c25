// Package quantize makes a model whose linear layers are integers of 8 or 4 bits out of another, as a Hugging Face directory that
// vLLM and this program load:
//
//	report, err := quantize.Run(ctx, dev, os.DirFS("out/story"), "out/story-int4", quantize.Options{Bits: 4, Group: 32})
//
// The format is compressed-tensors' pack-quantized (package quant reads and writes it). Each group of consecutive numbers of a row
// shares a scale. Numbers are rounded to nearest, or with a text so that the layers' outputs on it change least: see calibrate.go.
//
// One tensor is in memory at a time; to calibrate, and to measure what was lost, also the model. The directory gets its name when all of it is on
// disk: a run that is interrupted, or a disk that fills up, leaves nothing.
package quantize

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"sprat/atomicfile"
	"sprat/config"
	"sprat/device"
	"sprat/engine"
	"sprat/quant"
	"sprat/safetensors"
)

// Options say how to quantise.
type Options struct {
	Name  string // of the model, for the card of what is made of it
	Bits  int    // of the linear layers: 4 or 8
	Group int    // columns that share a scale: a multiple of 32
	Text  Text   // its held part measures the loss, if there is one

	Calibrate bool // round by Text, and not to nearest

	Progress func(what string, done, total int64) // may be nil
}

// Check says what is wrong with o, if anything.
func (o Options) Check() error {
	switch {
	case o.Bits != 4 && o.Bits != 8:
		return fmt.Errorf("%d bits: want 4 or 8", o.Bits)
	case o.Group < 32 || o.Group%32 != 0 || o.Group > maxGroup:
		return fmt.Errorf("groups of %d: want a multiple of 32, up to %d", o.Group, maxGroup)
	}
	return nil
}

const (
	maxGroup = 1024
	maxShard = 5 << 30 // bytes, as is usual on the hub
)

// Report is what Run has made.
type Report struct {
	Bits          int      `json:"bits"`
	Method        string   `json:"method"` // nearest or calibrated
	Group         int      `json:"group"`
	Weights       int64    `json:"weights"` // numbers in all tensors
	Bytes         int64    `json:"bytes"`   // that they take
	BitsPerWeight float64  `json:"bits_per_weight"`
	Packed        int      `json:"packed_tensors"`
	Calibrated    int      `json:"calibrated_tensors"` // of the packed ones, by the text
	Kept          int      `json:"kept_tensors"`
	Figures       *Figures `json:"figures,omitempty"`      // nil without a text, and where there is NotMeasured
	NotMeasured   string   `json:"not_measured,omitempty"` // why
}

// job is a run under way.
type job struct {
	o      Options
	dev    device.Inference
	from   fs.FS
	stage  string
	cfg    *config.Config
	w      *quant.Weights
	files  *safetensors.Reader
	list   []entry
	report Report

	calibrator *calibrator // nil without
}

// Run quantises the model in the directory from and puts the result at out, which must not exist or be empty.
func Run(ctx context.Context, dev device.Inference, from fs.FS, out string, o Options) (Report, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	j := &job{o: o, dev: dev, from: from, report: Report{Bits: o.Bits, Method: "nearest", Group: o.Group}}
	if o.Calibrate {
		j.report.Method = "calibrated"
	}
	if err := o.Check(); err != nil {
		return j.report, err
	}
	if err := j.open(); err != nil {
		return j.report, err
	}
	defer j.files.Close()
	err := intoPlace(out, func(stage string) error {
		j.stage = stage
		for _, step := range []func(context.Context) error{j.writeWeights, j.writeSmall, j.measure, j.writeCard} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	return j.report, err
}

// open opens the model and plans.
func (j *job) open() error {
	var err error
	if j.cfg, err = config.LoadFS(j.from); err != nil {
		return err
	}
	if j.cfg.QuantizationConfig.IsPacked() {
		return errors.New("this model is quantised already: start from the one that it was made of")
	}
	if j.files, err = safetensors.OpenFS(j.from); err != nil {
		return err
	}
	if j.w, err = quant.Open(j.cfg, j.files); err == nil {
		err = engine.CheckWeights(j.cfg, j.w)
	}
	if err != nil {
		j.files.Close()
		return err
	}
	j.list = entries(j.cfg, j.w, j.o)
	for _, e := range j.list {
		j.report.Weights += e.len()
	}
	return nil
}

// intoPlace calls write with a new directory beside out, and gives it the name out once it and its files are on disk. It leaves
// nothing behind if that fails.
func intoPlace(out string, write func(stage string) error) (err error) {
	switch entries, err := os.ReadDir(out); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty: name a directory that is new", out)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	out = filepath.Clean(out)
	parent := filepath.Dir(out)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	stage, err := os.MkdirTemp(parent, "."+filepath.Base(out)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(stage))
		}
	}()
	if err := write(stage); err != nil {
		return fmt.Errorf("writing the model to %s: %w", out, err)
	}
	if err := atomicfile.SyncDir(stage); err != nil {
		return err
	}
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty
		return err
	}
	if err := os.Rename(stage, out); err != nil {
		return err
	}
	return atomicfile.SyncDir(parent)
}

func (j *job) writeWeights(ctx context.Context) error {
	all := infos(j.list, j.o.Group)
	out, err := safetensors.CreateDir(j.stage, all, maxShard)
	if err != nil {
		return err
	}
	defer out.Abort()
	if j.o.Calibrate {
		if j.calibrator, err = j.newCalibrator(); err != nil {
			return err
		}
	}
	done := int64(0)
	for _, e := range j.list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.writeTensor(ctx, out, e); err != nil {
			return fmt.Errorf("tensor %s: %w", e.name, err)
		}
		done += e.len()
		j.o.Progress("rounding", done, j.report.Weights)
	}
	j.report.BitsPerWeight = float64(8*j.report.Bytes) / float64(j.report.Weights)
	return out.Close()
}

// writeTensor writes one tensor, or what it is packed into.
func (j *job) writeTensor(ctx context.Context, out *safetensors.DirWriter, e entry) error {
	if e.bits == 0 {
		j.report.Kept++
		data, err := j.stored(e)
		j.report.Bytes += int64(len(data))
		if err != nil {
			return err
		}
		return out.Write(e.name, data)
	}
	x := make([]float32, e.len())
	if err := j.w.ReadFloat32(e.name, x); err != nil {
		return err
	}
	m, err := j.round(ctx, e, x)
	if err != nil {
		return err
	}
	j.report.Packed++
	parts := m.Pack()
	for i, info := range quant.PackedInfos(e.module(), m.Rows, m.Cols, m.Bits, m.Group) {
		j.report.Bytes += int64(len(parts[i]))
		if err := out.Write(info.Name, parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// round makes integers of x, which it may change.
func (j *job) round(ctx context.Context, e entry, x []float32) (*quant.Ints, error) {
	if layer, ok := layerOf(j.cfg, e.name); ok && j.calibrator != nil {
		if layer != j.calibrator.layer {
			if err := j.calibrator.enter(ctx, layer, j.packedIn(layer)); err != nil {
				return nil, err
			}
		}
		m, ok, err := j.calibrator.round(e, x, j.o.Group)
		if err != nil || ok {
			j.report.Calibrated++
			return m, err
		}
	}
	return quant.Nearest(x, e.shape[0], e.shape[1], e.bits, j.o.Group)
}

// packedIn names the weights of a layer that become integers.
func (j *job) packedIn(layer int) []string {
	var names []string
	for _, e := range j.list {
		if l, ok := layerOf(j.cfg, e.name); ok && l == layer && e.bits > 0 {
			names = append(names, e.name)
		}
	}
	return names
}

// stored is a tensor as it is in the files, E4M3 apart, which becomes bfloat16.
func (j *job) stored(e entry) ([]byte, error) {
	info, _ := j.w.Info(e.name)
	if info.DType == e.dtype {
		data := make([]byte, info.Size())
		return data, j.files.ReadBytes(e.name, data, 0)
	}
	x := make([]float32, e.len())
	if err := j.w.ReadFloat32(e.name, x); err != nil {
		return nil, err
	}
	data := make([]byte, 0, 2*len(x))
	for _, v := range x {
		b := math.Float32bits(v)
		b += 0x7fff + b>>16&1 // to nearest even; E4M3 has no number that this could make a NaN of
		data = binary.LittleEndian.AppendUint16(data, uint16(b>>16))
	}
	return data, nil
}

// companions are the files of a model that go with it whatever its weights are like.
var companions = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
	"chat_template.jinja", "chat_template.json", "generation_config.json", "sprat.json", "LICENSE", "LICENSE.txt", "LICENSE.md",
}

// maxCompanion bounds such a file, in bytes.
const maxCompanion = 256 << 20

// writeSmall writes config.json and copies what goes with the model.
func (j *job) writeSmall(context.Context) error {
	text, err := fs.ReadFile(j.from, "config.json")
	if err != nil {
		return err
	}
	if text, err = describe(text, quantization(j.list, j.o)); err != nil {
		return err
	}
	if _, err := config.Parse(text); err != nil {
		return fmt.Errorf("config.json as written: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(j.stage, "config.json"), text); err != nil {
		return err
	}
	list, err := fs.ReadDir(j.from, ".")
	if err != nil {
		return err
	}
	for _, d := range list {
		if !slices.Contains(companions, d.Name()) {
			continue
		}
		info, err := fs.Stat(j.from, d.Name())
		if err != nil || !info.Mode().IsRegular() || info.Size() > maxCompanion {
			return fmt.Errorf("%s: not a file of at most %d bytes (%v)", d.Name(), maxCompanion, err)
		}
		data, err := fs.ReadFile(j.from, d.Name())
		if err != nil {
			return err
		}
		if err := atomicfile.Write(filepath.Join(j.stage, d.Name()), data); err != nil {
			return err
		}
	}
	return nil
}

// measure compares with the original, if there is a text, and memory for the model.
func (j *job) measure(ctx context.Context) error {
	if len(j.o.Text.Held) < 2 {
		return nil
	}
	if err := fits(j.cfg); err != nil {
		j.report.NotMeasured = err.Error()
		return nil
	}
	f, err := Compare(ctx, j.dev, j.from, os.DirFS(j.stage), j.o.Text.Held, j.o.Progress)
	j.report.Figures = &f
	return err
}
