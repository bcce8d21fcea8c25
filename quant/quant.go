// Package quant reads the weights of a model whether they are quantised or not, and rounds and packs them to be stored.
//
// [Open] puts a config's quantization_config and the tensors of its directory together. Then every parameter has its Hugging Face
// name and its shape, whatever form it is stored in:
//
//	float32, bfloat16, float16   as they are
//	F8_E4M3                      V3's format: "x.weight" with a float32 multiplier for each block of 128 x 128 in "x.weight_scale_inv"
//	packed integers              compressed-tensors' format pack-quantized: "x.weight" [n, k] is three tensors,
//
//	    x.weight_packed I32 [n, ⌈k·bits/32⌉]   integers of 4 or 8 bits, each with half its range added, the first k lowest
//	    x.weight_scale      [n, ⌈k/group⌉]     one multiplier for each group of consecutive k's, or [n, 1] for the whole row
//	    x.weight_shape      [2]                n and k
//
// and arrives as float32 from ReadFloat32, or from Values as it is stored, which inference takes without a detour.
//
// Files come from strangers. Open refuses tensors of one weight that disagree, and sizes that the files don't hold; scales that are
// no numbers are refused when they are read. Zero and negative scales are numbers like others.
//
// Source: compressed_tensors.compressors.pack_quantized, at github.com/vllm-project/compressed-tensors.
package quant

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sprat/config"
	"sprat/device"
	"sprat/safetensors"
)

// The types that Info gives to packed integers, which the safetensors format has no name for.
const (
	Int4 safetensors.DType = "INT4"
	Int8 safetensors.DType = "INT8"
)

// Names of the tensors that a packed weight consists of, after that of its module.
const (
	weightSuffix = ".weight"
	packedSuffix = ".weight_packed"
	scaleSuffix  = ".weight_scale"
	shapeSuffix  = ".weight_shape"

	blockScaleSuffix = "_scale_inv" // of E4M3, after the name of the weight
)

// Weights are the tensors of a model. Several goroutines may read from them at once.
type Weights struct {
	r      *safetensors.Reader
	packed map[string]packed // by the parameter's name
	names  []string
}

// packed is a weight of packed integers, its tensors checked against each other.
type packed struct {
	module     string
	rows, cols int
	bits       int
	group      int // columns that share a scale: cols where a row has one
	bf16       bool
}

func (p packed) groups() int { return ceil(p.cols, p.group) }

// words is the number of 32-bit words of a row.
func (p packed) words() int { return ceil(p.cols, 32/p.bits) }

func ceil(n, size int) int { return (n-1)/size + 1 } // n > 0

// Open puts the tensors of r and cfg's quantization_config together. It reads from r as long as the Weights are in use.
func Open(cfg *config.Config, r *safetensors.Reader) (*Weights, error) {
	w := &Weights{r: r, packed: map[string]packed{}}
	targets, parts := cfg.QuantizationConfig.Targets(), map[string]bool{}
	for _, name := range r.Names() {
		if info, _ := r.Info(name); info.DType == safetensors.F8_E4M3 {
			parts[name+blockScaleSuffix] = true
		}
		module, ok := strings.CutSuffix(name, packedSuffix)
		if !ok {
			continue
		}
		p, err := open(module, targets, r)
		if err != nil {
			return nil, fmt.Errorf("quantised weight of %s: %w", quote(module), err)
		}
		w.packed[module+weightSuffix] = p
		for _, suffix := range []string{packedSuffix, scaleSuffix, shapeSuffix} {
			parts[module+suffix] = true
		}
		w.names = append(w.names, module+weightSuffix)
	}
	for _, name := range r.Names() {
		if !parts[name] {
			w.names = append(w.names, name)
		}
	}
	slices.Sort(w.names)
	return w, nil
}

// open checks the tensors of one packed weight.
func open(module string, targets config.Targets, r *safetensors.Reader) (packed, error) {
	p := packed{module: module}
	packing, ok := targets.Packing(module)
	if !ok {
		return p, errors.New("no group of config.json's quantization_config holds for it: config and weights are of different models")
	}
	for _, other := range []string{weightSuffix, ".weight_zero_point", ".weight_g_idx"} {
		if _, ok := r.Info(module + other); ok {
			return p, fmt.Errorf("there is a tensor %s beside it, which is not supported", quote(module+other))
		}
	}
	p.bits = packing.NumBits
	if err := p.readShape(r); err != nil {
		return p, err
	}
	if p.group = packing.GroupSize; packing.Strategy == "channel" {
		p.group = p.cols
	}
	if err := want(r, module+packedSuffix, []int{p.rows, p.words()}, safetensors.I32); err != nil {
		return p, err
	}
	scale := module + scaleSuffix
	if err := want(r, scale, []int{p.rows, p.groups()}, safetensors.BF16, safetensors.F16, safetensors.F32); err != nil {
		return p, err
	}
	info, _ := r.Info(scale)
	p.bf16 = info.DType == safetensors.BF16
	return p, nil
}

// readShape reads weight_shape. Its numbers may be anything; want finds out whether the packed integers are as many.
func (p *packed) readShape(r *safetensors.Reader) error {
	name := p.module + shapeSuffix
	if err := want(r, name, []int{2}, safetensors.I32, safetensors.I64); err != nil {
		return err
	}
	var shape [2]int64
	if err := r.ReadInts(name, shape[:]); err != nil {
		return err
	}
	for _, n := range shape {
		if n < 1 || n > math.MaxInt32 {
			return fmt.Errorf("%s is %v: want two numbers above 0", quote(name), shape)
		}
	}
	p.rows, p.cols = int(shape[0]), int(shape[1])
	return nil
}

// want checks shape and type of a tensor.
func want(r *safetensors.Reader, name string, shape []int, types ...safetensors.DType) error {
	info, ok := r.Info(name)
	switch {
	case !ok:
		return fmt.Errorf("%s is missing: the download is incomplete", quote(name))
	case !slices.Equal(info.Shape, shape) || !slices.Contains(types, info.DType):
		return fmt.Errorf("%s is %s of shape %v: want %v of shape %v, by config.json and the weight's shape", quote(name), info.DType, info.Shape, types, shape)
	}
	return nil
}

// Names lists the parameters, and what else is stored, sorted.
func (w *Weights) Names() []string { return w.names }

// Info describes a parameter: its shape is that of the matrix, however it is stored; the type Int4 or Int8 where it is packed.
func (w *Weights) Info(name string) (safetensors.Info, bool) {
	p, ok := w.packed[name]
	if !ok {
		return w.r.Info(name)
	}
	info := safetensors.Info{Name: name, DType: Int8, Shape: []int{p.rows, p.cols}}
	if p.bits == 4 {
		info.DType = Int4
	}
	return info, true
}

// Format is the format of an inference device that keeps a parameter exactly: float32 for float16, which has none of its own.
func (w *Weights) Format(name string) device.Format {
	info, _ := w.Info(name)
	switch info.DType {
	case safetensors.BF16:
		return device.FormatBF16
	case safetensors.F8_E4M3:
		return device.FormatFP8
	case Int8:
		return device.FormatInt8
	case Int4:
		return device.FormatInt4
	}
	return device.FormatF32
}

// Stored is the number of bytes that a parameter takes on disk, its scales included.
func (w *Weights) Stored(name string) int64 {
	parts := []string{name, name + blockScaleSuffix}
	if p, ok := w.packed[name]; ok {
		parts = []string{p.module + packedSuffix, p.module + scaleSuffix, p.module + shapeSuffix}
	}
	size := int64(0)
	for _, part := range parts {
		if info, ok := w.r.Info(part); ok {
			size += info.Size()
		}
	}
	return size
}

// quote makes a name from a file fit for one line of an error.
func quote(name string) string {
	const most = 200
	if len(name) > most {
		name = name[:most] + "…"
	}
	return strconv.Quote(name)
}
