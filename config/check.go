package config

import (
	"fmt"
	"math"
	"slices"
)

// Limits on what Check accepts, far above any published model and low enough that no count of parameters, bytes or cache
// overflows 63 bits.
const (
	maxWidth     = 1 << 18
	maxHeads     = 1 << 12
	maxHeadDim   = 1 << 12
	maxLayers    = 1 << 10
	maxMTP       = 1 << 6
	maxExperts   = 1 << 13
	maxShared    = 1 << 8
	maxVocab     = 1 << 24
	maxPositions = 1 << 24
)

// Check returns the first thing that is wrong with c, in one line: the key, its value, and what would be right.
func (c *Config) Check() error {
	for _, check := range []func() error{c.checkType, c.checkSizes, c.checkAttention, c.checkExperts, c.checkGate, c.checkNumbers, c.checkTokens, c.checkStorage} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// inRange checks lo <= v <= hi.
func inRange(key string, v, lo, hi int) error {
	if v < lo || v > hi {
		return fmt.Errorf("%s is %d: want %d to %d", key, v, lo, hi)
	}
	return nil
}

// first returns the first error that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// architecture is transformers' class for a model type.
var architecture = map[string]string{
	"deepseek_v2": "DeepseekV2ForCausalLM",
	"deepseek_v3": "DeepseekV3ForCausalLM",
	"sprat_gqa":   "SpratGQAForCausalLM", // which no other program has: none reads such a model as something else
}

func (c *Config) checkType() error {
	want, ok := architecture[c.ModelType]
	if !ok {
		return fmt.Errorf("model_type is %q: want deepseek_v2, deepseek_v3 or sprat_gqa", c.ModelType)
	}
	if !slices.Equal(c.Architectures, []string{want}) {
		return fmt.Errorf("architectures is %.80q: want [%q] for model_type %s", c.Architectures, want, c.ModelType)
	}
	return nil
}

func (c *Config) checkSizes() error {
	err := first(
		inRange("vocab_size", c.VocabSize, 1, maxVocab),
		inRange("hidden_size", c.HiddenSize, 1, maxWidth),
		inRange("num_hidden_layers", c.NumHiddenLayers, 1, maxLayers),
		inRange("num_nextn_predict_layers", c.NumNextNPredictLayers, 0, maxMTP),
		inRange("num_attention_heads", c.NumAttentionHeads, 1, maxHeads),
		inRange("max_position_embeddings", c.MaxPositionEmbeddings, 1, maxPositions),
		inRange("n_routed_experts", c.NRoutedExperts, 0, maxExperts),
		inRange("first_k_dense_replace", c.FirstKDenseReplace, 0, maxLayers),
	)
	if err == nil && (c.FirstKDenseReplace > 0 || c.NRoutedExperts == 0) {
		return inRange("intermediate_size", c.IntermediateSize, 1, maxWidth)
	}
	return err
}

func (c *Config) checkAttention() error {
	if c.IsGQA() {
		return c.checkGQA()
	}
	err := first(
		inRange("q_lora_rank", c.QLoRARank, 0, maxWidth),
		inRange("kv_lora_rank", c.KVLoRARank, 1, maxWidth),
		inRange("qk_nope_head_dim", c.QKNoPEHeadDim, 1, maxHeadDim),
		inRange("qk_rope_head_dim", c.QKRoPEHeadDim, 2, maxHeadDim),
		inRange("v_head_dim", c.VHeadDim, 1, maxHeadDim),
	)
	if err == nil && c.QKRoPEHeadDim%2 != 0 {
		return fmt.Errorf("qk_rope_head_dim is %d: want an even number, as rotation takes pairs", c.QKRoPEHeadDim)
	}
	return err
}

func (c *Config) checkGQA() error {
	err := first(
		inRange("num_key_value_heads", c.NumKeyValueHeads, 1, c.NumAttentionHeads),
		inRange("head_dim", c.HeadDim, 2, maxHeadDim),
	)
	switch {
	case err != nil:
		return err
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim is %d: want an even number, as rotation takes pairs", c.HeadDim)
	case c.NumAttentionHeads%c.NumKeyValueHeads != 0:
		return fmt.Errorf("num_key_value_heads is %d: want a divisor of num_attention_heads, %d", c.NumKeyValueHeads, c.NumAttentionHeads)
	}
	return nil
}

func (c *Config) checkExperts() error {
	if !c.HasMoE() {
		return nil
	}
	return first(
		inRange("moe_intermediate_size", c.MoEIntermediateSize, 1, maxWidth),
		inRange("n_shared_experts", c.NSharedExperts, 0, maxShared),
		inRange("num_experts_per_tok", c.NumExpertsPerTok, 1, c.NRoutedExperts),
	)
}

func (c *Config) checkGate() error {
	if !c.HasMoE() {
		return nil
	}
	v2 := c.ModelType == "deepseek_v2"
	switch {
	case v2 && c.ScoringFunc != "softmax", !v2 && c.ScoringFunc != "sigmoid":
		return fmt.Errorf("scoring_func is %q: want softmax for deepseek_v2, sigmoid for deepseek_v3", c.ScoringFunc)
	case v2 && c.TopKMethod != "greedy" && c.TopKMethod != "group_limited_greedy":
		return fmt.Errorf("topk_method is %q: want greedy or group_limited_greedy for deepseek_v2", c.TopKMethod)
	case !v2 && c.TopKMethod != "noaux_tc":
		return fmt.Errorf("topk_method is %q: want noaux_tc for deepseek_v3", c.TopKMethod)
	case v2 && c.NormTopKProb:
		return fmt.Errorf("norm_topk_prob is true: not supported for deepseek_v2, where other programs disagree on its meaning; want false")
	case !(c.RoutedScalingFactor > 0) || math.IsInf(c.RoutedScalingFactor, 0):
		return fmt.Errorf("routed_scaling_factor is %g: want a number above 0", c.RoutedScalingFactor)
	case c.TopKMethod == "greedy":
		return nil // groups have no part in it
	}
	e, g := c.NRoutedExperts, c.NGroup
	if err := first(inRange("n_group", g, 1, e), inRange("topk_group", c.TopKGroup, 1, g)); err != nil {
		return err
	}
	switch {
	case e%g != 0:
		return fmt.Errorf("n_group is %d: want a divisor of n_routed_experts, %d", g, e)
	case c.NumExpertsPerTok > c.TopKGroup*(e/g):
		return fmt.Errorf("num_experts_per_tok is %d: %d of %d groups hold only %d experts; raise topk_group", c.NumExpertsPerTok, c.TopKGroup, g, c.TopKGroup*(e/g))
	case !v2 && g > 1 && e/g < 2:
		return fmt.Errorf("n_group is %d: want at least two of the %d experts in a group, whose score is the sum of its two best", g, e)
	}
	return nil
}

// above reports whether lo < v and v is finite.
func above(v, lo float64) bool { return v > lo && !math.IsInf(v, 0) }

func (c *Config) checkNumbers() error {
	if !above(c.RMSNormEps, 0) || c.RMSNormEps >= 1 {
		return fmt.Errorf("rms_norm_eps is %g: want a small number above 0, such as 1e-6", c.RMSNormEps)
	}
	if !above(c.RoPETheta, 1) {
		return fmt.Errorf("rope_theta is %g: want a number above 1, such as 10000", c.RoPETheta)
	}
	if !above(c.InitializerRange, 0) {
		return fmt.Errorf("initializer_range is %g: want a number above 0, such as 0.006", c.InitializerRange)
	}
	if !above(c.AuxLossAlpha, -math.SmallestNonzeroFloat64) {
		return fmt.Errorf("aux_loss_alpha is %g: want 0 or a number above it", c.AuxLossAlpha)
	}
	s := c.RoPEScaling
	switch {
	case s == nil:
		return nil
	case s.Type != "yarn":
		return fmt.Errorf("rope_scaling's type is %q: only yarn is supported", s.Type)
	case !(s.Factor >= 1 && s.Factor <= maxPositions):
		return fmt.Errorf("rope_scaling's factor is %g: want 1 to %d, by how much the context is longer than the original", s.Factor, maxPositions)
	case !above(s.BetaSlow, 0) || !above(s.BetaFast, 0) || s.BetaFast < s.BetaSlow:
		return fmt.Errorf("rope_scaling's beta_fast and beta_slow are %g and %g: want beta_fast at least beta_slow, and both above 0", s.BetaFast, s.BetaSlow)
	case !(s.MScale > 0 && s.MScale <= 100) || !(s.MScaleAllDim >= 0 && s.MScaleAllDim <= 100):
		return fmt.Errorf("rope_scaling's mscale and mscale_all_dim are %g and %g: want 0 to 100, and mscale not 0", s.MScale, s.MScaleAllDim)
	case s.MScaleAllDim == 0 && s.MScale != 1:
		return fmt.Errorf("rope_scaling's mscale is %g without mscale_all_dim: other programs disagree on its meaning; give both", s.MScale)
	}
	return inRange("rope_scaling's original_max_position_embeddings", s.OriginalMaxPositionEmbeddings, 1, maxPositions)
}

func (c *Config) checkTokens() error {
	err := inRange("bos_token_id", int(c.BOSTokenID), -1, c.VocabSize-1)
	for _, id := range c.EOSTokenIDs {
		err = first(err, inRange("eos_token_id", int(id), 0, c.VocabSize-1))
	}
	return err
}

func (c *Config) checkStorage() error {
	if !slices.Contains([]string{"float32", "bfloat16", "float16"}, c.TorchDType) {
		return fmt.Errorf("torch_dtype is %q: want float32, bfloat16 or float16", c.TorchDType)
	}
	return c.QuantizationConfig.check()
}
