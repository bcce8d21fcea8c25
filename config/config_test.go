package config

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func load(t *testing.T, name string) *Config {
	t.Helper()
	c, err := Load(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var published = []string{"v2-lite", "v2", "v3", "v3.1", "r1", "moonlight", "kimi-k2"}

func TestPublishedConfigs(t *testing.T) {
	type facts struct {
		layers, dense, experts, active, heads, qRank, groups, mtp int
		scaling                                                   float64
		scoring, method                                           string
		yarn, fp8                                                 bool
	}
	for name, want := range map[string]facts{
		"v2-lite":   {27, 1, 64, 6, 16, 0, 1, 0, 1, "softmax", "greedy", true, false},
		"v2":        {60, 1, 160, 6, 128, 1536, 8, 0, 16, "softmax", "group_limited_greedy", true, false},
		"v3":        {61, 3, 256, 8, 128, 1536, 8, 1, 2.5, "sigmoid", "noaux_tc", true, true},
		"v3.1":      {61, 3, 256, 8, 128, 1536, 8, 1, 2.5, "sigmoid", "noaux_tc", true, true},
		"r1":        {61, 3, 256, 8, 128, 1536, 8, 1, 2.5, "sigmoid", "noaux_tc", true, true},
		"moonlight": {27, 1, 64, 6, 16, 0, 1, 0, 2.446, "sigmoid", "noaux_tc", false, false},
		"kimi-k2":   {61, 1, 384, 8, 64, 1536, 1, 0, 2.827, "sigmoid", "noaux_tc", true, true},
	} {
		c := load(t, name)
		got := facts{
			c.NumHiddenLayers, c.FirstKDenseReplace, c.NRoutedExperts, c.NumExpertsPerTok, c.NumAttentionHeads, c.QLoRARank, c.NGroup,
			c.NumNextNPredictLayers, c.RoutedScalingFactor, c.ScoringFunc, c.TopKMethod, c.RoPEScaling != nil, c.QuantizationConfig != nil,
		}
		if got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if c := load(t, "v3.1"); c.QuantizationConfig.ScaleFmt != "ue8m0" {
		t.Errorf("V3.1's scale_fmt is %q", c.QuantizationConfig.ScaleFmt)
	}
	if c := load(t, "kimi-k2"); c.ModelType != "deepseek_v3" {
		t.Errorf("Kimi-K2's model_type became %q", c.ModelType)
	}
}

func TestLoadDirectory(t *testing.T) {
	data, err := os.ReadFile("testdata/v3.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c, load(t, "v3")) {
		t.Error("a directory and its file give different configs")
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("a directory without config.json gives %v", err)
	}
}

func TestJSONParsesToTheSame(t *testing.T) {
	for _, name := range published {
		c := load(t, name)
		checkRewrite(t, c)
		c.NRoutedExperts, c.FirstKDenseReplace = 0, c.NumHiddenLayers
		c.BOSTokenID, c.EOSTokenIDs = -1, []int32{5, 7, 9}
		checkRewrite(t, c)
		c.EOSTokenIDs = nil
		checkRewrite(t, c)
	}
	checkRewrite(t, parse(t, smallGQA))
}

func checkRewrite(t *testing.T, c *Config) {
	t.Helper()
	data, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil {
		t.Fatalf("what JSON wrote does not parse: %v\n%s", err, data)
	}
	if !reflect.DeepEqual(c, again) {
		t.Errorf("written and read again:\n%+v\nwant\n%+v", again, c)
	}
}

func TestJSONKeepsFloatsFloat(t *testing.T) {
	data, err := load(t, "v2-lite").JSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"routed_scaling_factor": 1.0`, `"rms_norm_eps": 1e-06`, `"factor": 40.0`, `"q_lora_rank": null`, `"attention_dropout": 0.0`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in\n%s", want, data)
		}
	}
}

// small has the sizes that a file must give, for a dense model.
const small = `"model_type": "deepseek_v3", "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
	"intermediate_size": 24, "kv_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4`

// smallMoE is small with experts.
const smallMoE = small + `, "first_k_dense_replace": 1, "n_routed_experts": 8, "moe_intermediate_size": 8, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1`

// smallGQA has grouped-query attention.
const smallGQA = `"model_type": "sprat_gqa", "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
	"intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 6`

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte("{" + text + "}"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	v3 := parse(t, smallMoE)
	if v3.ScoringFunc != "sigmoid" || v3.TopKMethod != "noaux_tc" || !v3.NormTopKProb || v3.RoutedScalingFactor != 2.5 || v3.QLoRARank != 0 || !v3.IsEOS(1) {
		t.Errorf("deepseek_v3: %+v", v3)
	}
	v2 := parse(t, strings.Replace(smallMoE, "deepseek_v3", "deepseek_v2", 1))
	if v2.ScoringFunc != "softmax" || v2.TopKMethod != "greedy" || v2.NormTopKProb || v2.RoutedScalingFactor != 1 || v2.NSharedExperts != 2 || !v2.IsEOS(2) {
		t.Errorf("deepseek_v2: %+v", v2)
	}
	for _, text := range []string{small, small + `, "n_routed_experts": null`} {
		if c := parse(t, text); c.HasMoE() || c.IsMoE(0) || c.IsMoE(c.NumHiddenLayers) {
			t.Errorf("{%s} has experts", text)
		}
	}
	none := parse(t, smallMoE+`, "n_shared_experts": null, "eos_token_id": null, "bos_token_id": null`)
	if none.NSharedExperts != 0 || len(none.EOSTokenIDs) != 0 || none.BOSTokenID != -1 || none.IsEOS(-1) {
		t.Errorf("null: %+v", none)
	}
}

func TestIsMoE(t *testing.T) {
	c := load(t, "v3")
	for layer, want := range map[int]bool{0: false, 2: false, 3: true, 60: true, 61: true} {
		if c.IsMoE(layer) != want {
			t.Errorf("layer %d: %t", layer, !want)
		}
	}
}

func TestSpellings(t *testing.T) {
	apart := parse(t, small+`, "torch_dtype": "bfloat16", "rope_theta": 5e4, "num_nextn_predict_layers": 1,
		"rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 8}`)
	together := parse(t, small+`, "dtype": "bfloat16", "num_mtp_layers": 1,
		"rope_parameters": {"rope_type": "yarn", "rope_theta": 50000.0, "factor": 4.0, "original_max_position_embeddings": 8}`)
	if !reflect.DeepEqual(apart, together) {
		t.Errorf("%+v, want %+v", together, apart)
	}
	if s := apart.RoPEScaling; s.BetaFast != 32 || s.BetaSlow != 1 || s.MScale != 1 || s.MScaleAllDim != 0 {
		t.Errorf("YaRN's defaults: %+v", s)
	}
	plain := parse(t, small+`, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}`)
	if plain.RoPEScaling != nil || plain.RoPETheta != 10000 {
		t.Errorf("rope_type default: %+v", plain)
	}
	ends := parse(t, small+`, "eos_token_id": [3, 5]`)
	if !ends.IsEOS(3) || !ends.IsEOS(5) || ends.IsEOS(4) {
		t.Errorf("a list of ends: %+v", ends)
	}
}

func TestErrors(t *testing.T) {
	yarn := `"type": "yarn", "factor": 4, "original_max_position_embeddings": 8`
	for _, c := range []struct{ text, want string }{
		{`"model_type": "llama"`, `model_type is "llama"`},
		{`"hidden_size": 3`, "model_type is missing"},
		{`"model_type": "deepseek_v3"`, "vocab_size is missing"},
		{small + `, "hidden_size": 32`, `"hidden_size" stands twice`},
		{small + `, "Hidden_Size": 32`, `unknown key "Hidden_Size"`},
		{small + `, "index_topk": 2048`, `unknown key "index_topk"`},
		{small + `, "attention_bias": true`, "attention_bias is true: not supported; want false"},
		{small + `, "hidden_act": "gelu"`, `hidden_act is "gelu"`},
		{small + `, "moe_layer_freq": 2`, "moe_layer_freq is 2"},
		{small + `, "rope_interleave": false`, "rope_interleave is false"},
		{small + `, "num_key_value_heads": 1`, "num_key_value_heads is 1"},
		{small + `, "n_routed_experts": "many"`, `n_routed_experts is "many": want a value of type int`},
		{small + `, "rms_norm_eps": 0`, "rms_norm_eps is 0"},
		{small + `, "rope_theta": 1`, "rope_theta is 1"},
		{small + `, "eos_token_id": 64`, "eos_token_id is 64: want 0 to 63"},
		{small + `, "eos_token_id": [1, 64]`, "eos_token_id is 64"},
		{small + `, "eos_token_id": [1, null]`, "want no null"},
		{small + `, "eos_token_id": 5000000000`, "want a value of type int32"},
		{small + `, "torch_dtype": "int8"`, `torch_dtype is "int8"`},
		{small + `, "torch_dtype": "float16", "dtype": "float32"`, `torch_dtype is "float16", but dtype is "float32"`},
		{small + `, "architectures": ["LlamaForCausalLM"]`, "architectures is"},
		{small + `, "num_nextn_predict_layers": 65`, "num_nextn_predict_layers is 65"},
		{small + `, "q_lora_rank": -1`, "q_lora_rank is -1"},
		{small + `, "max_position_embeddings": 1e3`, "max_position_embeddings is 1e3"},
		{small + `, "rope_scaling": {"type": "linear", "factor": 2}`, `type is "linear": only yarn`},
		{small + `, "rope_scaling": {"factor": 2}`, "only yarn"},
		{small + `, "rope_scaling": "yarn"`, `rope_scaling: "yarn" stands where`},
		{small + `, "rope_scaling": {"type": "yarn", "factor": 0.5}`, "factor is 0.5"},
		{small + `, "rope_scaling": {"type": "yarn", "factor": 4}`, "original_max_position_embeddings is 0"},
		{small + `, "rope_scaling": {"rope_type": "longrope", ` + yarn + `}`, `but rope_type is "longrope"`},
		{small + `, "rope_scaling": {"attention_factor": 1.2, ` + yarn + `}`, "attention_factor is 1.2"},
		{small + `, "rope_scaling": {"mscale": 0.7, ` + yarn + `}`, "give both"},
		{small + `, "rope_scaling": {"beta_fast": 1, "beta_slow": 2, ` + yarn + `}`, "beta_fast and beta_slow are 1 and 2"},
		{small + `, "rope_scaling": {"short_factor": [], ` + yarn + `}`, `unknown key "short_factor"`},
		{small + `, "rope_scaling": {` + yarn + `}, "rope_parameters": {` + yarn + `}`, "both rope_parameters and rope_scaling"},
		{small + `, "quantization_config": {"quant_method": "gptq"}`, `quant_method is "gptq"`},
		{small + `, "quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}`, "weight_block_size is [64 64]"},
		{smallMoE + `, "scoring_func": "softmax"`, `scoring_func is "softmax"`},
		{smallMoE + `, "topk_method": "greedy"`, `topk_method is "greedy"`},
		{smallMoE + `, "n_shared_experts": -1`, "n_shared_experts is -1"},
		{smallMoE + `, "routed_scaling_factor": 0`, "routed_scaling_factor is 0"},
		{strings.Replace(smallMoE, `"n_group": 2`, `"n_group": 3`, 1), "n_group is 3: want a divisor of n_routed_experts, 8"},
		{strings.Replace(smallMoE, `"n_group": 2`, `"n_group": 8`, 1), "num_experts_per_tok is 2: 1 of 8 groups"},
		{strings.Replace(smallMoE, `"n_group": 2, "topk_group": 1`, `"n_group": 8, "topk_group": 2`, 1), "sum of its two best"},
		{strings.Replace(smallMoE, `"topk_group": 1`, `"topk_group": 3`, 1), "topk_group is 3"},
		{strings.Replace(smallMoE, `"num_experts_per_tok": 2`, `"num_experts_per_tok": 9`, 1), "num_experts_per_tok is 9: want 1 to 8"},
		{strings.Replace(smallMoE, `"moe_intermediate_size": 8`, `"moe_intermediate_size": null`, 1), "moe_intermediate_size is 0"},
		{strings.Replace(small, `"intermediate_size": 24`, `"intermediate_size": 0`, 1), "intermediate_size is 0"},
		{strings.Replace(small, `"hidden_size": 16`, `"hidden_size": 9223372036854775807`, 1), "hidden_size is 9223372036854775807"},
		{strings.Replace(small, `"hidden_size": 16`, `"hidden_size": 99999999999999999999`, 1), "want a value of type int"},
		{strings.Replace(small, `"qk_rope_head_dim": 4`, `"qk_rope_head_dim": 3`, 1), "want an even number"},
		{strings.Replace(smallGQA, `"head_dim": 6`, `"head_dim": 5`, 1), "head_dim is 5: want an even number"},
		{strings.Replace(smallGQA, `, "head_dim": 6`, "", 1), "head_dim is missing"},
		{strings.Replace(smallGQA, `"num_key_value_heads": 2`, `"num_key_value_heads": 3`, 1), "num_key_value_heads is 3: want a divisor"},
		{strings.Replace(smallGQA, `"num_key_value_heads": 2`, `"num_key_value_heads": 8`, 1), "num_key_value_heads is 8: want 1 to 4"},
		{strings.Replace(smallGQA, `"num_key_value_heads": 2`, `"num_key_value_heads": 0`, 1), "num_key_value_heads is 0"},
		{smallGQA + `, "kv_lora_rank": 8`, "kv_lora_rank is of latent attention"},
		{strings.Replace(smallMoE, "deepseek_v3", "deepseek_v2", 1) + `, "norm_topk_prob": true`, "norm_topk_prob is true"},
	} {
		_, err := Parse([]byte("{" + c.text + "}"))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("{%s}\ngives %v\nwant %s", c.text, err, c.want)
		}
	}
	for _, text := range []string{"", "[]", "{", `{"model_type": "deepseek_v3"} {}`, "\x00", strings.Repeat(" ", maxFile) + "{}"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%.20q is accepted", text)
		}
	}
}

// The golden values have 10 digits.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-9*math.Abs(want) }

func TestYaRN(t *testing.T) {
	f := load(t, "v3").RoPEFrequencies()
	if len(f) != 32 {
		t.Fatalf("%d frequencies", len(f))
	}
	for i, want := range map[int]float64{
		0: 1, 1: 0.7498942093, 10: 0.05623413252, 11: 0.03900692657, 12: 0.85 * math.Pow(10, -1.5), 16: 0.0055,
		20: 0.25 * math.Pow(10, -2.5), 22: 0.1 * math.Pow(10, -2.75), 23: 3.333803580e-5, 31: 3.333803580e-6,
	} {
		if !near(f[i], want) {
			t.Errorf("frequency %d is %.12g, want %.10g", i, f[i], want)
		}
	}
	c := load(t, "v3")
	c.RoPEScaling = nil
	if f := c.RoPEFrequencies(); !near(f[11], 0.04216965034) || !near(f[23], 1.333521432e-3) {
		t.Errorf("without YaRN: %v", f)
	}
	// V2-Lite differs from V3 in mscale alone, which has no part in the frequencies.
	if !reflect.DeepEqual(load(t, "v2-lite").RoPEFrequencies(), f) {
		t.Error("V2-Lite's frequencies are not V3's")
	}
	// Kimi-K2 has beta_fast = beta_slow: corr(1) is 64 ln(4096/2π) / (2 ln 50000) = 19.16, so a step after pair 19.
	k := load(t, "kimi-k2")
	for i, f := range k.RoPEFrequencies() {
		want := math.Pow(50000, -float64(i)/32)
		if i > 19 {
			want /= 32
		}
		if !near(f, want) {
			t.Errorf("Kimi-K2: frequency %d is %g, want %g", i, f, want)
		}
	}
}

// TestYaRNAtTheEnds has ramps that leave the pairs on either side: four pairs of 1, 0.1, 0.01 and 0.001, divided by 10 at most.
func TestYaRNAtTheEnds(t *testing.T) {
	c := parse(t, strings.Replace(small, `"qk_rope_head_dim": 4`, `"qk_rope_head_dim": 8`, 1)+`,
		"rope_scaling": {"type": "yarn", "factor": 10, "original_max_position_embeddings": 4096}`)
	for _, test := range []struct {
		fast, slow float64
		context    int
		want       []float64
	}{
		{32, 1e-2, 4096, []float64{1, 0.1, 0.01 * 0.775, 0.001 * 0.55}},              // 1.31 to 4.81: the ramp is 1 to 5
		{32, 1e-6, 4096, []float64{1, 0.1, 0.01 * (1 - 0.9/6), 0.001 * (1 - 0.9/3)}}, // 1.31 to 8.81: it ends at 7
		{1e9, 1, 4096, []float64{1, 0.1 * 0.7, 0.01 * 0.4, 0.001 * 0.1}},             // below 0 to 2.81: it begins at 0
		{2, 2, 8, []float64{1, 0.01, 0.001, 0.0001}},                                 // -0.2: a step after pair 0
	} {
		s := c.RoPEScaling
		s.BetaFast, s.BetaSlow, s.OriginalMaxPositionEmbeddings = test.fast, test.slow, test.context
		for i, got := range c.RoPEFrequencies() {
			if !near(got, test.want[i]) {
				t.Errorf("beta %g to %g: frequency %d is %g, want %g", test.fast, test.slow, i, got, test.want[i])
			}
		}
	}
}

func TestSoftmaxScale(t *testing.T) {
	for name, want := range map[string]float64{
		"moonlight": 0.07216878364870322, "v3": 0.1352337788608801, "v2": 0.1352337788608801, "v2-lite": 0.1147213868,
	} {
		c := load(t, name)
		if got := c.SoftmaxScale(); !near(got, want) {
			t.Errorf("%s: %.16g, want %.16g", name, got, want)
		}
		if got := c.RoPEMagnitude(); got != 1 {
			t.Errorf("%s: cosines and sines times %g", name, got)
		}
	}
	if c := parse(t, smallGQA); !near(c.SoftmaxScale(), 1/math.Sqrt(6)) || len(c.RoPEFrequencies()) != 3 || !near(c.RoPEFrequencies()[1], math.Pow(10000, -1./3)) {
		t.Errorf("sprat_gqa: scale %g, frequencies %v", c.SoftmaxScale(), c.RoPEFrequencies())
	}
	c := load(t, "v3")
	c.RoPEScaling.MScaleAllDim = 0.707
	if got, want := c.RoPEMagnitude(), 1.3688879454/1.2608037774; !near(got, want) {
		t.Errorf("magnitude %g, want %g", got, want)
	}
	c.RoPEScaling.MScaleAllDim = 0
	if got := c.SoftmaxScale(); !near(got, 0.07216878364870322) {
		t.Errorf("without mscale_all_dim the scale is %g", got)
	}
	if got := c.RoPEMagnitude(); !near(got, 1.3688879454) {
		t.Errorf("without mscale_all_dim the magnitude is %g", got)
	}
}

// FuzzParse: what is accepted can be written and read again, unchanged, and its methods give finite numbers.
func FuzzParse(f *testing.F) {
	for _, name := range published {
		data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("{" + smallGQA + "}"))
	f.Add([]byte(withQuantization(packed)))
	f.Add([]byte("{" + smallMoE + `, "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2, "original_max_position_embeddings": 1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		checkRewrite(t, c)
		for _, v := range append(c.RoPEFrequencies(), c.SoftmaxScale(), c.RoPEMagnitude()) {
			if !(v >= 0) || math.IsInf(v, 0) {
				t.Fatalf("%g among frequencies, scale and magnitude", v)
			}
		}
	})
}
