package cost

import "sprat/config"

// CacheElements is the numbers that the latent cache holds for a token: normed cKV and turned kR, in every layer.
func CacheElements(c *config.Config) int64 {
	return int64(c.NumHiddenLayers) * int64(c.KVLoRARank+c.QKRoPEHeadDim)
}

// CacheBytes is the bytes that the latent cache takes for a token, in bfloat16.
func CacheBytes(c *config.Config) int64 { return 2 * CacheElements(c) }

// ForwardFLOPs is one token's pass with the head, in a sequence of context tokens: two for each activated parameter but the
// embedding, and attention in the explicit form over half the context, which is the causal mean. MTP is not counted.
func ForwardFLOPs(c *config.Config, context int) float64 {
	linear := 2 * float64(Count(c).ActivatedWithoutEmbedding())
	heads := float64(c.NumHiddenLayers) * float64(c.NumAttentionHeads) * float64(c.QKHeadDim()+c.VHeadDim)
	return linear + heads*2*float64(context)/2
}

// TrainingFLOPs is one token's forward and backward pass: the backward takes twice the forward. Recomputation is not counted.
func TrainingFLOPs(c *config.Config, context int) float64 { return 3 * ForwardFLOPs(c, context) }
