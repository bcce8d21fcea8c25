package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/model"
)

// random makes weights up, the same for the same config: for measuring what has none.
type random struct {
	shapes map[string][]int
	block  []float32 // normal numbers, which every tensor is made of
}

// Random is a source of weights for cfg drawn as for a new model, cheaply: every tensor repeats the same million numbers.
func Random(cfg *config.Config) model.PackedSource {
	r := random{map[string][]int{}, make([]float32, 1<<20)}
	rng, std := rand.New(rand.NewPCG(1, 0)), model.InitStd(cfg.HiddenSize)
	for i := range r.block {
		r.block[i] = float32(rng.NormFloat64() * std)
	}
	for name, shape := range cost.Params(cfg) {
		r.shapes[name] = shape
	}
	return r
}

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
	for at := len(name) * 7919 % len(r.block); len(dst) > 0; at = 0 {
		dst = dst[copy(dst, r.block[at:]):]
	}
	return nil
}

func (r random) Values(name string) (device.Values, error) {
	shape := r.shapes[name]
	if len(shape) != 2 {
		return device.Values{}, fmt.Errorf("the model has no matrix %s", name)
	}
	v := device.Values{Rows: shape[0], Cols: shape[1], F32: make([]float32, shape[0]*shape[1])}
	return v, r.ReadFloat32(name, v.F32)
}
