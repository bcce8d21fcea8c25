package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/model"
)

// random makes weights up, the same for the same config: for measuring what has none.
type random struct {
	shapes  map[string][]int
	formats model.Formats
	block   []float32 // normal numbers, which every tensor is made of
	ints    []int8    // likewise, for the integer formats
	std     float32
}

// Random is a source of weights for cfg, kept as w, drawn as for a new model, but cheaply: every tensor repeats the same million
// numbers, and integers are drawn as such.
func Random(cfg *config.Config, w Weights) model.PackedSource {
	std := model.InitStd(cfg.HiddenSize)
	r := random{map[string][]int{}, w.formats(cfg, nil), make([]float32, 1<<20), make([]int8, 1<<20), float32(std)}
	rng := rand.New(rand.NewPCG(1, 0))
	for i := range r.block {
		r.block[i] = float32(rng.NormFloat64() * std)
		r.ints[i] = int8(rng.IntN(16) - 8)
	}
	for name, shape := range cost.Params(cfg) {
		r.shapes[name] = shape
	}
	return r
}

// repeat fills dst with block, from a place that depends on the name.
func repeat[T any](dst, block []T, name string) {
	for at := len(name) * 7919 % len(block); len(dst) > 0; at = 0 {
		dst = dst[copy(dst, block[at:]):]
	}
}

// ReadFloat32 implements model.PackedSource.
func (r random) ReadFloat32(name string, dst []float32) error {
	shape, ok := r.shapes[name]
	switch {
	case !ok:
		return fmt.Errorf("the model has no tensor %s", name)
	case len(shape) == 1 && strings.Contains(name, "norm"):
		for i := range dst {
			dst[i] = 1
		}
		return nil
	}
	repeat(dst, r.block, name)
	return nil
}

// Format implements model.PackedSource.
func (r random) Format(name string) device.Format { return r.formats(name) }

// Values implements model.PackedSource.
func (r random) Values(name string, v *device.Values) error {
	shape := r.shapes[name]
	if len(shape) != 2 {
		return fmt.Errorf("the model has no matrix %s", name)
	}
	*v = device.Values{Rows: shape[0], Cols: shape[1]}
	switch f := r.formats(name); f {
	case device.FormatInt8, device.FormatInt4:
		v.Int = make([]int8, v.Rows*v.Cols)
		repeat(v.Int, r.ints, name)
		v.Scale = make([]float32, v.Rows*((v.Cols+device.GroupSize-1)/device.GroupSize))
		for i := range v.Scale {
			v.Scale[i] = math.Float32frombits(math.Float32bits(r.std/4) &^ 0xffff) // exact in bfloat16
		}
	default:
		v.F32 = make([]float32, v.Rows*v.Cols)
		repeat(v.F32, r.block, name)
	}
	return nil
}
