package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// constants are the keys of which one value is supported. Parse refuses another, and JSON writes them.
func (c *Config) constants() map[string]any {
	m := map[string]any{
		"attention_bias":    false,
		"attention_dropout": 0.0,
		"hidden_act":        "silu",
		"moe_layer_freq":    1.0,
	}
	if !c.IsGQA() {
		m["num_key_value_heads"] = float64(c.NumAttentionHeads)
	}
	return m
}

// keys maps the keys that a file of c's type may have to c's fields: each kind of attention has its own.
func (c *Config) keys() map[string]any {
	m := fields(c)
	others := gqaKeys
	if c.IsGQA() {
		others = mlaKeys
	}
	for _, key := range others {
		delete(m, key)
	}
	return m
}

var (
	gqaKeys = []string{"num_key_value_heads", "head_dim"}
	mlaKeys = []string{"q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"}
)

// writtenByOthers are constants that published files lack, but that other programs add.
func (c *Config) writtenByOthers() map[string]any {
	return map[string]any{
		"mlp_bias":        false,
		"rope_interleave": true, // otherwise the rotary rows of the weights are in another order
		"qk_head_dim":     float64(c.QKHeadDim()),
		"is_decoder":      false,
	}
}

// ignored are keys that do not change what a model computes, or that DeepSeek's models give no meaning: how the Python code is
// found and run, how text is sampled by default, and what transformers once wrote into every file.
var ignored = []string{
	"_attn_implementation", "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "auto_map", "transformers_version",
	"ep_size", "head_dim", "output_router_logits", "pad_token_id", "pretraining_tp", "sep_token_id", "tokenizer_class", "unsloth_fixed",
	"unsloth_version", "use_cache",

	"add_cross_attention", "bad_words_ids", "begin_suppress_tokens", "chunk_size_feed_forward", "cross_attention_hidden_size",
	"decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
	"exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id", "id2label",
	"is_encoder_decoder", "label2id", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups",
	"num_beams", "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "prefix", "problem_type",
	"pruned_heads", "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "suppress_tokens",
	"task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder", "top_k", "top_p", "torchscript", "typical_p",
	"use_bfloat16",
}

// checkFixed checks the keys that are not Config's.
func (c *Config) checkFixed(raw map[string]json.RawMessage) error {
	known, constants := c.keys(), c.constants()
	maps.Copy(constants, c.writtenByOthers())
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		if known[key] != nil || slices.Contains(ignored, key) {
			continue
		}
		want, ok := constants[key]
		if !ok && slices.Contains(mlaKeys, key) {
			return fmt.Errorf("%s is of latent attention: remove it from a %s", key, c.ModelType)
		}
		if !ok {
			return fmt.Errorf("unknown key %.80q: no DeepSeek-V2 or V3 model has it; remove it if it changes nothing", key)
		}
		if err := checkConstant(key, raw[key], want); err != nil {
			return err
		}
	}
	return nil
}

// checkConstant allows null and want, a bool, float64 or string, or nil for null alone.
func checkConstant(key string, value json.RawMessage, want any) error {
	if isAbsent(value) {
		return nil
	}
	var have any
	switch err := json.Unmarshal(value, &have); {
	case err != nil:
		return fmt.Errorf("%s: %w", key, err)
	case have == want:
		return nil
	case want == nil:
		return fmt.Errorf("%s is %s: not supported; remove it", key, show(value))
	}
	return fmt.Errorf("%s is %s: not supported; want %v", key, show(value), want)
}
