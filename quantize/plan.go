package quantize

import (
	"encoding/json"
	"fmt"
	"strings"

	"sprat/config"
	"sprat/cost"
	"sprat/quant"
	"sprat/safetensors"
)

// entry is a tensor of the model that is made.
type entry struct {
	name  string
	shape []int
	dtype safetensors.DType // where it is not packed
	bits  int               // 0: not packed
}

func (e entry) len() int64 {
	n := int64(1)
	for _, d := range e.shape {
		n *= int64(d)
	}
	return n
}

func (e entry) module() string { return strings.TrimSuffix(e.name, ".weight") }

// headBits is what the output head gets however few the other layers have: each of its rows decides over one token, and it is read
// once a token like everything else. compressed-tensors gives it a group of its own.
const headBits = 8

// kept are the linear layers that stay as they are, and why:
//
//	kv_b_proj   keys and values of the whole context depend on it, and an engine that absorbs W_UK contracts it over its other axis:
//	            groups along the stored one would be of no use to it
//	mlp.gate    the router: small, and a near tie that tips over takes another expert
//	eh_proj     of an MTP module, which V3 publishes in bfloat16 among weights of 8 bits
//
// The embedding is no product, but a row that is looked up.
var kept = []string{"kv_b_proj", "mlp.gate", "eh_proj"}

// bitsOf is the number of bits that a tensor gets, 0 for the type that it has.
func bitsOf(name string, shape []int, o Options) int {
	module, ok := strings.CutSuffix(name, ".weight")
	if !ok || len(shape) != 2 || shape[1]%o.Group != 0 || module == "model.embed_tokens" {
		return 0
	}
	for _, k := range kept {
		if strings.HasSuffix(module, "."+k) {
			return 0
		}
	}
	if module == "lm_head" {
		return headBits
	}
	return o.Bits
}

// entries lists the tensors of w: the model's parameters in the order of the layers, and then what else is there.
func entries(cfg *config.Config, w *quant.Weights, o Options) []entry {
	var list []entry
	seen := map[string]bool{}
	add := func(name string, bits int) {
		info, _ := w.Info(name)
		e := entry{name: name, shape: info.Shape, dtype: info.DType, bits: bits}
		if e.dtype == safetensors.F8_E4M3 {
			e.dtype = safetensors.BF16
		}
		seen[name] = true
		list = append(list, e)
	}
	for name, shape := range cost.Params(cfg) {
		add(name, bitsOf(name, shape, o))
	}
	for _, name := range w.Names() {
		if !seen[name] {
			add(name, 0)
		}
	}
	return list
}

// infos are the tensors of the files.
func infos(list []entry, group int) []safetensors.Info {
	var all []safetensors.Info
	for _, e := range list {
		if e.bits > 0 {
			all = append(all, quant.PackedInfos(e.module(), e.shape[0], e.shape[1], e.bits, group)...)
		} else {
			all = append(all, safetensors.Info{Name: e.name, DType: e.dtype, Shape: e.shape})
		}
	}
	return all
}

// quantization describes the entries as compressed-tensors does.
func quantization(list []entry, o Options) *config.QuantizationConfig {
	const format = "pack-quantized"
	group := func(target string, bits int) config.ConfigGroup {
		p := config.Packing{NumBits: bits, Type: "int", Symmetric: true, Strategy: "group", GroupSize: o.Group}
		return config.ConfigGroup{Targets: []string{target}, Weights: p, Format: format}
	}
	q := &config.QuantizationConfig{
		QuantMethod: "compressed-tensors", Format: format, Status: "compressed",
		ConfigGroups: map[string]config.ConfigGroup{"group_0": group("Linear", o.Bits)},
	}
	for _, k := range kept {
		q.Ignore = append(q.Ignore, `re:.*\.`+strings.ReplaceAll(k, ".", `\.`)+"$")
	}
	head := false
	for _, e := range list {
		switch {
		case e.module() == "lm_head" && e.bits > 0:
			head = true
		case e.bits == 0 && len(e.shape) == 2 && e.shape[1]%o.Group != 0: // whatever its name says
			q.Ignore = append(q.Ignore, e.module())
		}
	}
	if head {
		q.ConfigGroups["group_1"] = group("lm_head", headBits)
	} else {
		q.Ignore = append(q.Ignore, "lm_head") // tied to the embedding
	}
	return q
}

// describe is the text of a config.json with another quantization_config. All else stays as it is, but for auto_map, which points
// to program text that is not copied.
func describe(text []byte, q *config.QuantizationConfig) ([]byte, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	value, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	delete(keys, "auto_map")
	keys["quantization_config"] = value
	out, err := json.MarshalIndent(keys, "", "  ")
	return append(out, '\n'), err
}
