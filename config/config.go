// Package config reads, checks and writes the config.json of DeepSeek's models: V2-Lite, V2, V2.5, V3, V3.1, R1, and those of
// the same shape, Moonlight and Kimi-K2. A published file loads as it is:
//
//	cfg, err := config.Load("DeepSeek-V3") // the directory, or its config.json
//
// Field names are the file's keys; each has the key in its tag. The papers' letters:
//
//	hidden_size          d       q_lora_rank       d'_c      n_routed_experts     N_r
//	num_attention_heads  n_h     kv_lora_rank      d_c       n_shared_experts     N_s
//	qk_nope_head_dim     d_h     qk_rope_head_dim  d_h^R     num_experts_per_tok  K_r
//	v_head_dim           d_h     topk_group        M         num_nextn_predict_layers  D
//
// Numbers that follow from others are methods.
//
// # What a file may say
//
// Keys are exact, case included, and none may stand twice. A key is one of Config's; or one whose only supported value is
// known, such as attention_bias, where another is an error; or on the list of keys without a meaning for the model's values
// (see ignored); or an error, since it may change what the model computes.
//
// The sizes must be there. Other absent keys take the default that transformers has for the model type, but for two: without
// q_lora_rank there is no query latent, and without num_nextn_predict_layers no multi-token prediction. Without
// n_routed_experts all layers are dense. null is as absent, except that it means none for n_shared_experts, n_group,
// topk_group and the token ids.
//
// Three spellings are read as one: torch_dtype and dtype; rope_scaling's type and rope_type; rope_theta and rope_scaling apart
// or together in rope_parameters, as transformers 5 writes them. model_type kimi_k2 is deepseek_v3 under another name, and
// becomes it.
//
// model_type sprat_gqa is ours alone, a model to compare with: deepseek_v3 with grouped-query attention in place of the latent
// kind. It has num_key_value_heads, as many as num_attention_heads for plain multi-head attention, and head_dim, and none of the
// latent's keys.
//
// YaRN is on wherever rope_scaling is there, whatever the length of the context, as in transformers. DeepSeek's own inference
// program turns it on only for a context longer than the original one.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Config describes a model. Parse and Load return only what passes Check; who changes a Config calls Check again.
type Config struct {
	Architectures []string `json:"architectures"`
	ModelType     string   `json:"model_type"` // deepseek_v2, deepseek_v3 or sprat_gqa

	VocabSize             int  `json:"vocab_size"`
	HiddenSize            int  `json:"hidden_size"`
	NumHiddenLayers       int  `json:"num_hidden_layers"` // without the MTP modules
	FirstKDenseReplace    int  `json:"first_k_dense_replace"`
	IntermediateSize      int  `json:"intermediate_size"` // of the MLP in the dense layers
	TieWordEmbeddings     bool `json:"tie_word_embeddings"`
	NumNextNPredictLayers int  `json:"num_nextn_predict_layers"` // MTP modules

	NumAttentionHeads int `json:"num_attention_heads"`
	QLoRARank         int `json:"q_lora_rank"` // 0: no query latent
	KVLoRARank        int `json:"kv_lora_rank"`
	QKNoPEHeadDim     int `json:"qk_nope_head_dim"`
	QKRoPEHeadDim     int `json:"qk_rope_head_dim"`
	VHeadDim          int `json:"v_head_dim"`
	NumKeyValueHeads  int `json:"num_key_value_heads"` // of sprat_gqa; 0 in the others, where each head has its own
	HeadDim           int `json:"head_dim"`            // of sprat_gqa

	NRoutedExperts      int     `json:"n_routed_experts"` // 0: every layer is dense
	NSharedExperts      int     `json:"n_shared_experts"` // one MLP of this many times the width
	MoEIntermediateSize int     `json:"moe_intermediate_size"`
	NumExpertsPerTok    int     `json:"num_experts_per_tok"`
	NGroup              int     `json:"n_group"`
	TopKGroup           int     `json:"topk_group"`
	ScoringFunc         string  `json:"scoring_func"` // sigmoid or softmax
	TopKMethod          string  `json:"topk_method"`  // noaux_tc, greedy or group_limited_greedy
	NormTopKProb        bool    `json:"norm_topk_prob"`
	RoutedScalingFactor float64 `json:"routed_scaling_factor"`

	RMSNormEps            float64      `json:"rms_norm_eps"`
	RoPETheta             float64      `json:"rope_theta"`
	RoPEScaling           *RoPEScaling `json:"rope_scaling"` // nil: no YaRN
	MaxPositionEmbeddings int          `json:"max_position_embeddings"`

	BOSTokenID  int32   `json:"bos_token_id"` // -1: none
	EOSTokenIDs []int32 `json:"eos_token_id"` // any of them ends a text; a number, a list or null in the file

	TorchDType         string              `json:"torch_dtype"`
	QuantizationConfig *QuantizationConfig `json:"quantization_config"` // nil: weights are of TorchDType

	// For training. Published files carry leftovers here: V3's report has an initializer_range of 0.006 and an
	// aux_loss_alpha of 0.0001, its file 0.02 and 0.001.
	InitializerRange float64 `json:"initializer_range"`
	AuxLossAlpha     float64 `json:"aux_loss_alpha"`
	SeqAux           bool    `json:"seq_aux"`
}

// RoPEScaling holds YaRN's numbers.
type RoPEScaling struct {
	Type                          string  `json:"type"` // yarn
	Factor                        float64 `json:"factor"`
	BetaFast                      float64 `json:"beta_fast"`
	BetaSlow                      float64 `json:"beta_slow"`
	MScale                        float64 `json:"mscale"`
	MScaleAllDim                  float64 `json:"mscale_all_dim"`
	OriginalMaxPositionEmbeddings int     `json:"original_max_position_embeddings"`
}

// maxFile bounds a config.json, in bytes. Published ones have under 10 kB.
const maxFile = 1 << 20

// Load reads path, a config.json or a directory that holds one.
func Load(path string) (*Config, error) {
	dir, name := filepath.Split(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		dir, name = path, "config.json"
	}
	c, err := loadFS(os.DirFS(filepath.Clean(dir)), name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
	}
	return c, nil
}

// LoadFS reads the config.json of a directory.
func LoadFS(dir fs.FS) (*Config, error) {
	c, err := loadFS(dir, "config.json")
	if err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return c, nil
}

func loadFS(dir fs.FS, name string) (*Config, error) {
	f, err := dir.Open(name)
	var where *fs.PathError
	if errors.As(err, &where) {
		return nil, where.Err // the caller names the file
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// IsGQA reports whether attention is grouped-query attention, and not latent attention.
func (c *Config) IsGQA() bool { return c.ModelType == "sprat_gqa" }

// QKHeadDim is the width of a query and a key in one head.
func (c *Config) QKHeadDim() int {
	if c.IsGQA() {
		return c.HeadDim
	}
	return c.QKNoPEHeadDim + c.QKRoPEHeadDim
}

// RotaryDim is how many of QKHeadDim's numbers turn with the position.
func (c *Config) RotaryDim() int {
	if c.IsGQA() {
		return c.HeadDim
	}
	return c.QKRoPEHeadDim
}

// ValueDim is the width of a value in one head.
func (c *Config) ValueDim() int {
	if c.IsGQA() {
		return c.HeadDim
	}
	return c.VHeadDim
}

// IsMoE reports whether a layer has a mixture of experts in place of an MLP. MTP modules follow as layers
// NumHiddenLayers and up.
func (c *Config) IsMoE(layer int) bool { return c.NRoutedExperts > 0 && layer >= c.FirstKDenseReplace }

// HasMoE reports whether any layer is one of experts.
func (c *Config) HasMoE() bool { return c.IsMoE(c.NumHiddenLayers + c.NumNextNPredictLayers - 1) }

// IsEOS reports whether a token ends the text.
func (c *Config) IsEOS(id int32) bool { return slices.Contains(c.EOSTokenIDs, id) }
