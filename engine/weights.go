package engine

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/model"
	"sprat/quant"
)

// Weights says how an engine keeps them.
type Weights string

const (
	Stored Weights = ""     // as the directory has them, what isn't quantised in bfloat16
	F32    Weights = "f32"  // exact; attention and cache in float32 as well
	BF16   Weights = "bf16" // products, attention and cache in bfloat16
	Int8   Weights = "int8" // in groups of 32
	Int4   Weights = "int4" // likewise, the head and kv_b_proj in 8 bits
)

// ParseWeights reads a name.
func ParseWeights(name string) (Weights, error) {
	switch w := Weights(name); w {
	case Stored, F32, BF16, Int8, Int4:
		return w, nil
	}
	return Stored, fmt.Errorf("weights in %q: want f32, bf16, int8 or int4", name)
}

func (w Weights) precision() device.Precision {
	if w == F32 {
		return device.F32
	}
	return device.BF16
}

func (w Weights) formats(cfg *config.Config, src model.PackedSource) model.Formats {
	if stored, ok := src.(*quant.Weights); ok && w == Stored {
		return storedFormats(stored)
	}
	switch w {
	case F32:
		return model.Uniform(device.FormatF32)
	case Int8:
		return model.Quantized(cfg, device.FormatInt8)
	case Int4:
		return model.Quantized(cfg, device.FormatInt4)
	}
	return model.Uniform(device.FormatBF16)
}

// storedFormats keeps what is quantised as it is, and the rest in bfloat16. kv_b_proj can't be kept, as one of its halves is needed
// turned: where o_proj beside it is of integers it gets 8 bits, along the axis that it is used by.
func storedFormats(w *quant.Weights) model.Formats {
	stored := func(name string) device.Format {
		if f := w.Format(name); f != device.FormatF32 {
			return f
		}
		return device.FormatBF16
	}
	return func(name string) device.Format {
		module, ok := strings.CutSuffix(name, ".kv_b_proj.weight")
		if !ok {
			return stored(name)
		}
		switch stored(module + ".o_proj.weight") {
		case device.FormatInt4, device.FormatInt8:
			return device.FormatInt8
		}
		return device.FormatBF16
	}
}

// Pack lays weights out as an engine keeps them, for sequences of up to so many positions.
func Pack(cfg *config.Config, dev device.Inference, w Weights, src model.PackedSource, positions int) (*model.Packed, error) {
	formats := w.formats(cfg, src)
	if err := fitsMemory(cfg, formats); err != nil {
		return nil, err
	}
	return model.Pack(cfg, dev, positions, w.precision(), formats, src)
}

// halfBits is about how many half bits a number takes, its share of a scale included.
func halfBits(f device.Format) int64 {
	switch f {
	case device.FormatF32:
		return 32 * 2
	case device.FormatBF16:
		return 16 * 2
	case device.FormatInt8:
		return 17
	case device.FormatInt4:
		return 9
	}
	return 17
}

// fitsMemory says so where the weights take more than there is.
func fitsMemory(cfg *config.Config, formats model.Formats) error {
	free, ok := AvailableMemory()
	if !ok {
		return nil
	}
	need := int64(0)
	for name, shape := range cost.Params(cfg) {
		n := int64(1)
		for _, d := range shape {
			n *= int64(d)
		}
		if need += n * halfBits(formats(name)) / 16; need > free {
			return fmt.Errorf("the weights need more than the %.1f GB of memory that are free: quantise the model (sprat quantize), or find a larger machine",
				float64(free)/1e9)
		}
	}
	return nil
}

// AvailableMemory is what the system could give without swapping, where it says so.
func AvailableMemory() (int64, bool) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(io.LimitReader(f, 1<<16)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			var kb int64
			_, err := fmt.Sscanf(rest, "%d", &kb)
			return kb << 10, err == nil
		}
	}
	return 0, false
}
