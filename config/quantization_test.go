package config

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// packed is the quantization_config of Kimi-K2-Thinking, which is published in this form.
const packed = `{"quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
	"kv_cache_scheme": null, "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"],
	"config_groups": {"group_0": {"targets": ["Linear"], "input_activations": null, "output_activations": null, "weights": {
		"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 32, "actorder": null, "block_structure": null,
		"dynamic": false, "observer": "minmax", "observer_kwargs": {}}}}}`

func withQuantization(text string) string {
	return "{" + small + `, "quantization_config": ` + text + "}"
}

func TestPacked(t *testing.T) {
	c, err := Parse([]byte(withQuantization(packed)))
	if err != nil {
		t.Fatal(err)
	}
	want := Packing{NumBits: 4, Type: "int", Symmetric: true, Strategy: "group", GroupSize: 32}
	if got := c.QuantizationConfig.ConfigGroups["group_0"].Weights; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	text, err := c.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil || !reflect.DeepEqual(c, again) {
		t.Errorf("written and read again: %+v, %v", again, err)
	}
	targets := c.QuantizationConfig.Targets()
	for module, want := range map[string]bool{
		"model.layers.3.mlp.experts.7.up_proj":      true,
		"model.layers.3.mlp.shared_experts.up_proj": false,
		"model.layers.3.self_attn.o_proj":           false,
		"model.layers.0.mlp.up_proj":                false,
		"lm_head":                                   false,
		"model.lm_head":                             true,
	} {
		if _, ok := targets.Packing(module); ok != want {
			t.Errorf("%s is packed: %v", module, ok)
		}
	}
}

func TestTargetsGoByRank(t *testing.T) {
	group := func(targets string, bits, size int) string {
		return fmt.Sprintf(`{"targets": [%s], "weights": {"num_bits": %d, "strategy": "group", "group_size": %d}}`, targets, bits, size)
	}
	text := `{"quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed", "ignore": ["d"], "config_groups": {
		"a": ` + group(`"Linear"`, 4, 32) + `, "b": ` + group(`"re:b", "re:c"`, 4, 64) + `, "c": ` + group(`"re:bb", "bc"`, 8, 96) + `, "d": ` + group(`"d"`, 8, 128) + "}}"
	c, err := Parse([]byte(withQuantization(text)))
	if err != nil {
		t.Fatal(err)
	}
	targets := c.QuantizationConfig.Targets()
	for module, want := range map[string]int{
		"a": 32, "ab": 32, // an expression holds from the beginning
		"b": 64, "bb": 64, // of two expressions the first
		"bc": 96, // a name before an expression
		"d":  0,
	} {
		if p, ok := targets.Packing(module); ok != (want > 0) || p.GroupSize != want {
			t.Errorf("%s: groups of %d, want %d", module, p.GroupSize, want)
		}
	}
	if _, ok := (*QuantizationConfig)(nil).Targets().Packing("a"); ok {
		t.Error("a config without quantization has packed modules")
	}
}

func TestPackedMistakes(t *testing.T) {
	many := `["re:` + strings.Repeat(`x", "re:`, maxExpressions) + `"]`
	for _, c := range []struct{ old, text, want string }{
		{`"pack-quantized"`, `"int-quantized"`, `format is "int-quantized": of compressed-tensors only pack-quantized`},
		{`"compressed",`, `"frozen",`, `quantization_status is "frozen"`},
		{`"symmetric": true`, `"symmetric": false`, "symmetric is false: zero points"},
		{`"num_bits": 4`, `"num_bits": 3`, "num_bits is 3: only 4 and 8"},
		{`"type": "int"`, `"type": "float"`, `type is "float"`},
		{`"group_size": 32`, `"group_size": 48`, "group_size is 48: want a multiple of 32"},
		{`"group_size": 32`, `"group_size": 0`, "group_size is 0"},
		{`"group_size": 32`, `"group_size": -32`, "group_size is -32"},
		{`"group_size": 32`, `"group_size": 9223372036854775776`, "group_size is 9223372036854775776"},
		{`"strategy": "group"`, `"strategy": "channel"`, "group_size is 32, but its strategy is channel"},
		{`"strategy": "group"`, `"strategy": "tensor"`, `strategy is "tensor"`},
		{`"actorder": null`, `"actorder": "group"`, `actorder is "group": not supported`},
		{`"dynamic": false`, `"dynamic": true`, "dynamic is true"},
		{`"input_activations": null`, `"input_activations": {"num_bits": 8}`, "input_activations is"},
		{`"kv_cache_scheme": null`, `"kv_cache_scheme": {"num_bits": 8}`, "kv_cache_scheme is"},
		{`"kv_cache_scheme": null`, `"sparsity_config": {"format": "sparse"}`, "sparsity_config is"},
		{`"kv_cache_scheme": null`, `"fmt": "e4m3"`, "keys of fp8"},
		{`"kv_cache_scheme": null`, `"secret": 1`, `unknown key "secret"`},
		{`"targets": ["Linear"]`, `"targets": []`, "no targets"},
		{`"targets": ["Linear"]`, `"format": "int-quantized", "targets": ["Linear"]`, `format is "int-quantized"`},
		{`"targets": ["Linear"]`, `"targets": ["re:("]`, `"re:(" is not a regular expression`},
		{`"targets": ["Linear"]`, `"targets": ` + many, "over 1000 regular expressions"},
		{`"group_0": {`, `"group_0": [], "group_1": {`, `"group_0": [] stands where`},
		{`"weights": {`, `"weights": 4, "more": {`, "weights: 4 stands where"},
	} {
		if !strings.Contains(packed, c.old) {
			t.Fatalf("%s is not there to be changed", c.old)
		}
		_, err := Parse([]byte(withQuantization(strings.Replace(packed, c.old, c.text, 1))))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.80s gives %v, want %s", c.text, err, c.want)
		}
	}
	for _, text := range []string{`{"quant_method": "compressed-tensors"}`, `{"quant_method": "compressed-tensors", "config_groups": {}}`} {
		if _, err := Parse([]byte(withQuantization(text))); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
