package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Parse reads a config.json and checks it. See the package comment for what is accepted.
func Parse(data []byte) (*Config, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("a config.json of more than %d bytes: it is some other file", maxFile)
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	raw, err := object(data)
	if err != nil {
		return nil, err
	}
	c, err := defaults(raw["model_type"])
	if err != nil {
		return nil, err
	}
	if err := first(moveRoPEParameters(raw), rename(raw, "dtype", "torch_dtype"), rename(raw, "num_mtp_layers", "num_nextn_predict_layers")); err != nil {
		return nil, err
	}
	if err := c.decode(raw); err != nil {
		return nil, err
	}
	if err := c.checkFixed(raw); err != nil {
		return nil, err
	}
	if c.NRoutedExperts == 0 {
		c.FirstKDenseReplace = c.NumHiddenLayers
	}
	if len(c.Architectures) == 0 {
		c.Architectures = []string{architecture[c.ModelType]}
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c, nil
}

// object splits a JSON object into its values. Two of one key are an error.
func object(data []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%s stands where a JSON object should", show(data))
	}
	values := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("the key %.80q stands twice: remove one", key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		values[key] = value
	}
	return values, nil
}

// defaults are what transformers takes for absent keys (5.23, models/deepseek_v2 and deepseek_v3). See the package comment for
// the keys that differ here.
func defaults(modelType json.RawMessage) (*Config, error) {
	c := &Config{
		RMSNormEps: 1e-6, RoPETheta: 10000, InitializerRange: 0.02, AuxLossAlpha: 0.001, SeqAux: true, TorchDType: "float32",
	}
	if isAbsent(modelType) {
		return nil, errors.New("model_type is missing: want deepseek_v2, deepseek_v3, kimi_k2 or sprat_gqa")
	}
	if err := decodeValue("model_type", modelType, &c.ModelType); err != nil {
		return nil, err
	}
	switch c.ModelType {
	case "deepseek_v2":
		c.NSharedExperts, c.NGroup, c.TopKGroup = 2, 1, 1
		c.ScoringFunc, c.TopKMethod, c.RoutedScalingFactor = "softmax", "greedy", 1
		c.MaxPositionEmbeddings, c.BOSTokenID, c.EOSTokenIDs = 2048, 1, []int32{2}
	case "deepseek_v3", "kimi_k2", "sprat_gqa":
		c.FirstKDenseReplace, c.NSharedExperts, c.NumExpertsPerTok, c.NGroup, c.TopKGroup = 3, 1, 8, 8, 4
		c.ScoringFunc, c.TopKMethod, c.NormTopKProb, c.RoutedScalingFactor = "sigmoid", "noaux_tc", true, 2.5
		c.MaxPositionEmbeddings, c.EOSTokenIDs = 4096, []int32{1}
	default:
		return nil, fmt.Errorf("model_type is %.80q: want deepseek_v2, deepseek_v3, kimi_k2 or sprat_gqa", c.ModelType)
	}
	return c, nil
}

// rename moves a key's other spelling to the one that Config has.
func rename(raw map[string]json.RawMessage, from, to string) error {
	value, ok := raw[from]
	delete(raw, from)
	if !ok || isAbsent(value) {
		return nil
	}
	if old := raw[to]; !isAbsent(old) && string(old) != string(value) {
		return fmt.Errorf("%s is %s, but %s is %s: want one of them", to, show(old), from, show(value))
	}
	raw[to] = value
	return nil
}

// moveRoPEParameters splits rope_parameters into rope_theta and rope_scaling.
func moveRoPEParameters(raw map[string]json.RawMessage) error {
	value := raw["rope_parameters"]
	delete(raw, "rope_parameters")
	if isAbsent(value) {
		return nil
	}
	if !isAbsent(raw["rope_scaling"]) {
		return errors.New("both rope_parameters and rope_scaling are there: remove rope_scaling")
	}
	p, err := object(value)
	if err != nil {
		return fmt.Errorf("rope_parameters: %w", err)
	}
	raw["rope_parameters.rope_theta"] = p["rope_theta"]
	delete(p, "rope_theta")
	rest, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("rope_parameters: %w", err)
	}
	raw["rope_scaling"] = rest
	return rename(raw, "rope_parameters.rope_theta", "rope_theta")
}

func isAbsent(value json.RawMessage) bool { return len(value) == 0 || string(value) == "null" }

// fields maps the keys in the tags of the struct that ptr points to, to pointers to its fields.
func fields(ptr any) map[string]any {
	v := reflect.ValueOf(ptr).Elem()
	m := map[string]any{}
	for i := range v.NumField() {
		if key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ","); key != "-" {
			m[key] = v.Field(i).Addr().Interface()
		}
	}
	return m
}

// required are the sizes that a file must give, whatever its attention.
var required = []string{"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"}

// decode fills c from the values of a file.
func (c *Config) decode(raw map[string]json.RawMessage) error {
	needed := append(slices.Clone(required), mlaKeys[1:]...) // there may be no query latent
	if c.IsGQA() {
		needed = append(slices.Clone(required), gqaKeys...)
	}
	for _, key := range needed {
		if isAbsent(raw[key]) {
			return fmt.Errorf("%s is missing: the model's size is not known without it", key)
		}
	}
	known := c.keys()
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		var err error
		switch ptr := known[key]; {
		case isAbsent(raw[key]):
			c.setNone(key)
		case key == "eos_token_id":
			err = c.decodeEOS(raw[key])
		case key == "rope_scaling":
			c.RoPEScaling, err = parseRoPEScaling(raw[key])
		case key == "quantization_config":
			c.QuantizationConfig, err = parseQuantization(raw[key])
		case ptr != nil:
			err = decodeValue(key, raw[key], ptr)
		}
		if err != nil {
			return err
		}
	}
	if c.ModelType == "kimi_k2" {
		c.ModelType = "deepseek_v3"
	}
	return nil
}

// setNone applies a null where it means something else than an absent key.
func (c *Config) setNone(key string) {
	switch key {
	case "n_shared_experts":
		c.NSharedExperts = 0
	case "n_group":
		c.NGroup = 1
	case "topk_group":
		c.TopKGroup = 1
	case "bos_token_id":
		c.BOSTokenID = -1
	case "eos_token_id":
		c.EOSTokenIDs = nil
	}
}

// decodeEOS takes one id or a list.
func (c *Config) decodeEOS(value json.RawMessage) error {
	if value[0] != '[' {
		c.EOSTokenIDs = make([]int32, 1)
		return decodeValue("eos_token_id", value, &c.EOSTokenIDs[0])
	}
	var ids []*int32
	if err := decodeValue("eos_token_id", value, &ids); err != nil {
		return err
	}
	c.EOSTokenIDs = nil
	for _, id := range ids {
		if id == nil {
			return fmt.Errorf("eos_token_id is %s: want no null in a list", show(value))
		}
		c.EOSTokenIDs = append(c.EOSTokenIDs, *id)
	}
	return nil
}

// decodeValue is json.Unmarshal with an error that says what was wanted and what was there.
func decodeValue(key string, value json.RawMessage, ptr any) error {
	if err := json.Unmarshal(value, ptr); err != nil {
		return fmt.Errorf("%s is %s: want a value of type %v", key, show(value), reflect.TypeOf(ptr).Elem())
	}
	return nil
}

// show returns the beginning of a JSON value, for a message of one line.
func show(value []byte) string {
	var line bytes.Buffer
	if json.Compact(&line, value) != nil {
		return "something"
	}
	if line.Len() > 60 {
		line.Truncate(60)
		line.WriteString("...")
	}
	return strings.ToValidUTF8(line.String(), "?")
}

func parseRoPEScaling(value json.RawMessage) (*RoPEScaling, error) {
	raw, err := object(value)
	if err != nil {
		return nil, fmt.Errorf("rope_scaling: %w", err)
	}
	if err := rename(raw, "rope_type", "type"); err != nil {
		return nil, fmt.Errorf("rope_scaling: %w", err)
	}
	if string(raw["type"]) == `"default"` {
		return nil, nil
	}
	s := &RoPEScaling{BetaFast: 32, BetaSlow: 1, MScale: 1}
	err = decodeObject("rope_scaling", raw, s, map[string]any{"truncate": true, "partial_rotary_factor": 1.0, "attention_factor": nil})
	return s, err
}

// decodeObject fills the struct that ptr points to. Keys that it lacks must be in constants, with null or the value there.
func decodeObject(name string, raw map[string]json.RawMessage, ptr any, constants map[string]any) error {
	known := fields(ptr)
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		want, isConstant := constants[key]
		switch field := known[key]; {
		case isConstant:
			if err := checkConstant(name+"'s "+key, raw[key], want); err != nil {
				return err
			}
		case field == nil:
			return fmt.Errorf("%s has an unknown key %q: remove it if it changes nothing", name, key)
		case !isAbsent(raw[key]):
			if err := decodeValue(name+"'s "+key, raw[key], field); err != nil {
				return err
			}
		}
	}
	return nil
}
