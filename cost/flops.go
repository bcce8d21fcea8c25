package cost

import "sprat/config"

// ForwardFLOPs is one token's pass with the head, in a sequence of context tokens: two for each activated parameter but the
// embedding, and attention in the explicit form over half the context, which is the causal mean. MTP is not counted.
func ForwardFLOPs(c *config.Config, context int) float64 {
	return 2*float64(Count(c).ActivatedWithoutEmbedding()) + float64(c.NumHiddenLayers)*attentionFLOPs(c, context)
}

// TrainingFLOPs is one token's forward and backward pass: the backward takes twice the forward. Recomputation is not counted.
func TrainingFLOPs(c *config.Config, context int) float64 { return 3 * ForwardFLOPs(c, context) }

// MTPForwardFLOPs is what all MTP modules add to ForwardFLOPs: their layers, and the head once more for each. Training takes
// three times as much.
func MTPForwardFLOPs(c *config.Config, context int) float64 {
	linear := 2 * float64(Count(c).MTPActivated())
	headPass := 2 * float64(c.VocabSize) * float64(c.HiddenSize)
	return linear + float64(c.NumNextNPredictLayers)*(headPass+attentionFLOPs(c, context))
}

// attentionFLOPs is one layer's: a product with a key and one with a value in each head, for half the context.
func attentionFLOPs(c *config.Config, context int) float64 {
	return float64(c.NumAttentionHeads) * float64(c.QKHeadDim()+c.ValueDim()) * 2 * float64(context) / 2
}
