package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"strconv"
	"strings"
)

// JSON returns the config.json of c, in the style of the published ones. transformers loads it as DeepseekV2ForCausalLM or
// DeepseekV3ForCausalLM, sprat_gqa apart, and Parse gives c again.
func (c *Config) JSON() ([]byte, error) {
	m := values(c.keys())
	maps.Copy(m, c.constants())
	m["attention_dropout"] = float(0)
	m["use_cache"] = true
	if c.QLoRARank == 0 && !c.IsGQA() {
		m["q_lora_rank"] = nil
	}
	if c.NRoutedExperts == 0 {
		delete(m, "n_routed_experts") // transformers takes no null; first_k_dense_replace says that all layers are dense
	}
	if c.BOSTokenID < 0 {
		m["bos_token_id"] = nil
	}
	if len(c.EOSTokenIDs) == 1 {
		m["eos_token_id"] = c.EOSTokenIDs[0]
	}
	if c.RoPEScaling != nil {
		m["rope_scaling"] = values(fields(c.RoPEScaling))
	}
	if c.QuantizationConfig == nil {
		delete(m, "quantization_config")
	}
	data, err := json.MarshalIndent(m, "", "  ")
	return append(data, '\n'), err
}

// values maps keys to the values that the fields hold.
func values(fields map[string]any) map[string]any {
	m := map[string]any{}
	for key, field := range fields {
		v := reflect.ValueOf(field).Elem().Interface()
		if f, ok := v.(float64); ok {
			v = float(f)
		}
		m[key] = v
	}
	return m
}

// float is written with a point or an exponent always, since transformers tells 1 from 1.0.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	s := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return []byte(s), nil
}
