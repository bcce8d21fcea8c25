package cost

import "sprat/config"

// Format is how a checkpoint stores its weights. In all of them the gate's bias is float32.
type Format string

// The formats.
const (
	F32  Format = "f32"
	BF16 Format = "bf16"
	FP8  Format = "fp8" // V3's: attention, MLPs and experts in E4M3, with a float32 scale for 128 x 128 weights; the rest bf16
)

// WeightBytes is the bytes of all tensors of a checkpoint without headers, MTP modules included and their copies of embedding
// and head not.
func WeightBytes(c *config.Config, f Format) int64 {
	sum := int64(0)
	for _, p := range parts(c) {
		for _, t := range p.tensors {
			sum += int64(max(p.copies, 1)) * t.bytes(p.group, f)
		}
	}
	return sum
}

func (t tensor) bytes(g group, f Format) int64 {
	switch {
	case f == F32 || g == gate && len(t.shape) == 1:
		return 4 * t.elements()
	case f == FP8 && t.hasScale(g):
		blocks := int64((t.shape[0]+127)/128) * int64((t.shape[1]+127)/128)
		return t.elements() + 4*blocks
	}
	return 2 * t.elements()
}

// hasScale reports whether V3's format stores a matrix in E4M3, and its scales as a tensor beside it.
func (t tensor) hasScale(g group) bool {
	switch g {
	case attention, dense, routed, shared:
		return len(t.shape) == 2
	}
	return false
}

// CacheElements is the numbers that the cache holds for a token in every layer: normed cKV and turned kR, or with grouped-query
// attention keys and values.
func CacheElements(c *config.Config) int64 {
	if c.IsGQA() {
		return int64(c.NumHiddenLayers) * 2 * int64(c.NumKeyValueHeads) * int64(c.HeadDim)
	}
	return int64(c.NumHiddenLayers) * int64(c.KVLoRARank+c.QKRoPEHeadDim)
}

// CacheBytes is the bytes that the cache takes for a token, in bfloat16.
func CacheBytes(c *config.Config) int64 { return 2 * CacheElements(c) }
