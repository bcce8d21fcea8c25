package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// QuantizationConfig says how the weights are stored: fp8 is V3's format, E4M3 with a scale for each block; compressed-tensors is
// the packed integers, with a scale for each group of a row, that vLLM's tools write.
type QuantizationConfig struct {
	QuantMethod string `json:"quant_method"` // fp8 or compressed-tensors

	// Of fp8. Which tensors have the format, their own types tell.
	Fmt              string `json:"fmt,omitempty"`               // e4m3
	ActivationScheme string `json:"activation_scheme,omitempty"` // dynamic
	ScaleFmt         string `json:"scale_fmt,omitempty"`         // ue8m0 where scales are powers of two, as in V3.1; otherwise empty
	WeightBlockSize  []int  `json:"weight_block_size,omitempty"` // 128, 128

	// Of compressed-tensors.
	Format       string                 `json:"format,omitempty"`              // pack-quantized
	Status       string                 `json:"quantization_status,omitempty"` // compressed
	ConfigGroups map[string]ConfigGroup `json:"config_groups,omitempty"`
	Ignore       []string               `json:"ignore,omitempty"` // targets that no group holds for, see ConfigGroup
}

// ConfigGroup says how the weights of some modules are packed.
type ConfigGroup struct {
	// Targets are names of modules, such as lm_head; regular expressions for the beginning of one, after "re:"; and Linear, which
	// is every one of them. A name goes before an expression, and that before Linear.
	Targets []string `json:"targets"`
	Weights Packing  `json:"weights"`
	Format  string   `json:"format,omitempty"` // pack-quantized: the config's own says so too, but vLLM asks for it here
}

// Packing is how a weight is stored in pack-quantized form.
type Packing struct {
	NumBits   int    `json:"num_bits"`  // 4 or 8
	Type      string `json:"type"`      // int
	Symmetric bool   `json:"symmetric"` // true
	Strategy  string `json:"strategy"`  // group, or channel where a row has one scale
	GroupSize int    `json:"group_size,omitempty"`
}

const (
	methodFP8    = "fp8"
	methodPacked = "compressed-tensors"

	maxGroupSize   = 1 << 16
	maxExpressions = 1000 // in targets and ignore together: each is tried on every module
)

// IsPacked reports whether weights are in compressed-tensors' packed groups. q may be nil.
func (q *QuantizationConfig) IsPacked() bool { return q != nil && q.QuantMethod == methodPacked }

func parseQuantization(value json.RawMessage) (*QuantizationConfig, error) {
	const name = "quantization_config"
	raw, err := object(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	q := &QuantizationConfig{}
	constants := map[string]any{}
	switch string(raw["quant_method"]) {
	case `"` + methodFP8 + `"`:
		q.Fmt, q.ActivationScheme = "e4m3", "dynamic"
		constants["dequantize"] = false
		delete(raw, "modules_to_not_convert") // the tensors' own types tell
	case `"` + methodPacked + `"`:
		constants["kv_cache_scheme"] = nil
		for _, key := range []string{"sparsity_config", "moe_sparsity_config", "transform_config"} {
			constants[key] = nil
			if show(raw[key]) == "{}" {
				delete(raw, key)
			}
		}
		for _, key := range []string{"global_compression_ratio", "run_compressed", "version"} {
			delete(raw, key) // these tell of how the file came to be
		}
		if q.ConfigGroups, err = parseGroups(raw["config_groups"]); err != nil {
			return nil, err
		}
		delete(raw, "config_groups")
	default:
		return nil, fmt.Errorf("%s's quant_method is %s: only %q and %q are supported", name, show(raw["quant_method"]), methodFP8, methodPacked)
	}
	err = decodeObject(name, raw, q, constants)
	if len(q.Ignore) == 0 {
		q.Ignore = nil
	}
	return q, err
}

func parseGroups(value json.RawMessage) (map[string]ConfigGroup, error) {
	raw, err := object(value)
	if err != nil {
		return nil, fmt.Errorf("config_groups: %w", err)
	}
	groups := map[string]ConfigGroup{}
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		name := fmt.Sprintf("config_groups' %.80q", key)
		members, err := object(raw[key])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		var g ConfigGroup
		if g.Weights, err = parsePacking(name+"'s weights", members["weights"]); err != nil {
			return nil, err
		}
		delete(members, "weights")
		constants := map[string]any{"input_activations": nil, "output_activations": nil}
		if err := decodeObject(name, members, &g, constants); err != nil {
			return nil, err
		}
		groups[key] = g
	}
	return groups, nil
}

const formatPacked = "pack-quantized"

func parsePacking(name string, value json.RawMessage) (Packing, error) {
	p := Packing{Type: "int", Symmetric: true} // the library's defaults; that of num_bits is of no use
	raw, err := object(value)
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	for _, key := range []string{"observer", "observer_kwargs", "scale_dtype", "zp_dtype"} {
		delete(raw, key) // how scales were found; their types stand in the files
	}
	switch string(raw["actorder"]) {
	case `"weight"`, `"static"`, "false": // an order in which values were rounded: they lie as ever
		delete(raw, "actorder")
	}
	err = decodeObject(name, raw, &p, map[string]any{"dynamic": false, "block_structure": nil, "actorder": nil})
	switch {
	case err != nil || p.Strategy != "":
	case p.GroupSize > 0:
		p.Strategy = "group"
	case p.GroupSize == -1:
		p.Strategy = "channel"
	}
	if p.Strategy == "channel" {
		p.GroupSize = max(p.GroupSize, 0) // -1 is another way to say it
	}
	return p, err
}

func (q *QuantizationConfig) check() error {
	switch {
	case q == nil:
		return nil
	case q.IsPacked():
		return q.checkPacked()
	case q.QuantMethod != methodFP8 || q.Fmt != "e4m3":
		return fmt.Errorf("quantization_config's quant_method and fmt are %q and %q: only fp8 and e4m3, as in DeepSeek-V3, are supported", q.QuantMethod, q.Fmt)
	case !slices.Equal(q.WeightBlockSize, []int{128, 128}):
		return fmt.Errorf("quantization_config's weight_block_size is %v: only [128, 128] is supported", q.WeightBlockSize)
	case q.ScaleFmt != "" && q.ScaleFmt != "ue8m0":
		return fmt.Errorf("quantization_config's scale_fmt is %q: want ue8m0, or leave it out for float32 scales", q.ScaleFmt)
	case q.ActivationScheme != "dynamic":
		return fmt.Errorf("quantization_config's activation_scheme is %q: only dynamic is supported", q.ActivationScheme)
	case q.Format != "" || q.Status != "" || q.ConfigGroups != nil || q.Ignore != nil:
		return fmt.Errorf("quantization_config has keys of compressed-tensors, but its quant_method is fp8: remove them")
	}
	return nil
}

func (q *QuantizationConfig) checkPacked() error {
	switch {
	case q.Format != formatPacked:
		return fmt.Errorf("quantization_config's format is %.80q: of compressed-tensors only %s is supported", q.Format, formatPacked)
	case q.Status != "compressed":
		return fmt.Errorf("quantization_config's quantization_status is %.80q: want compressed", q.Status)
	case len(q.ConfigGroups) == 0:
		return fmt.Errorf("quantization_config's config_groups are empty: they say how weights are packed")
	case q.Fmt != "" || q.ActivationScheme != "" || q.ScaleFmt != "" || q.WeightBlockSize != nil:
		return fmt.Errorf("quantization_config has keys of fp8, but its quant_method is %s: remove them", methodPacked)
	}
	for _, name := range slices.Sorted(maps.Keys(q.ConfigGroups)) {
		g := q.ConfigGroups[name]
		if err := g.Weights.check(); err != nil {
			return fmt.Errorf("config_groups' %.80q's %w", name, err)
		}
		if g.Format != "" && g.Format != formatPacked {
			return fmt.Errorf("config_groups' %.80q's format is %.80q: only %s is supported", name, g.Format, formatPacked)
		}
		if len(g.Targets) == 0 {
			return fmt.Errorf("config_groups' %.80q has no targets: it holds for nothing", name)
		}
	}
	_, err := q.targets()
	return err
}

func (p Packing) check() error {
	switch {
	case p.Type != "int":
		return fmt.Errorf("type is %.80q: only int is supported", p.Type)
	case p.NumBits != 4 && p.NumBits != 8:
		return fmt.Errorf("num_bits is %d: only 4 and 8 are supported", p.NumBits)
	case !p.Symmetric:
		return fmt.Errorf("symmetric is false: zero points are not supported")
	case p.Strategy != "group" && p.Strategy != "channel":
		return fmt.Errorf("strategy is %.80q: only group and channel are supported", p.Strategy)
	case p.Strategy == "channel" && p.GroupSize != 0:
		return fmt.Errorf("group_size is %d, but its strategy is channel: remove one", p.GroupSize)
	case p.Strategy == "group" && (p.GroupSize < 32 || p.GroupSize%32 != 0 || p.GroupSize > maxGroupSize):
		return fmt.Errorf("group_size is %d: want a multiple of 32", p.GroupSize)
	}
	return nil
}

// target is an entry of a group's targets, or of ignore.
type target struct {
	text    string
	pattern *regexp.Regexp // of "re:" entries
	group   string         // "": ignore
}

// Targets tells which modules are packed, and how. The zero value, of a config that is not packed, knows none.
type Targets struct {
	groups map[string]ConfigGroup
	names  map[string]string // full name to group
	ignore map[string]bool   // full names
	tried  []target          // expressions, in the order of their texts
	all    string            // the group of Linear
}

// Targets makes q ready to be asked. q has passed Check, or is nil.
func (q *QuantizationConfig) Targets() Targets {
	if !q.IsPacked() {
		return Targets{}
	}
	t, err := q.targets()
	if err != nil {
		panic("config: Targets of what did not pass Check: " + err.Error())
	}
	return *t
}

func (q *QuantizationConfig) targets() (*Targets, error) {
	t := &Targets{groups: q.ConfigGroups, names: map[string]string{}, ignore: map[string]bool{}}
	for _, text := range q.Ignore {
		t.ignore[text] = true
		if err := t.addExpression(text, ""); err != nil {
			return nil, err
		}
	}
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(q.ConfigGroups)) {
		for _, text := range q.ConfigGroups[name].Targets {
			if other, twice := seen[text]; twice && other != name {
				return nil, fmt.Errorf("config_groups' %.80q and %.80q both have the target %.80q: remove one", other, name, text)
			}
			seen[text], t.names[text] = name, name
			if err := t.addExpression(text, name); err != nil {
				return nil, err
			}
		}
	}
	t.all = t.names["Linear"]
	slices.SortStableFunc(t.tried, func(a, b target) int { return strings.Compare(a.text, b.text) })
	return t, nil
}

func (t *Targets) addExpression(text, group string) error {
	expression, ok := strings.CutPrefix(text, "re:")
	if !ok {
		return nil
	}
	p, err := regexp.Compile("^(?:" + expression + ")")
	if err != nil {
		return fmt.Errorf("quantization_config: %.80q is not a regular expression that is understood here", text)
	}
	if t.tried = append(t.tried, target{text, p, group}); len(t.tried) > maxExpressions {
		return fmt.Errorf("quantization_config has over %d regular expressions in targets and ignore: want fewer", maxExpressions)
	}
	return nil
}

// Packing tells how the weight of the linear layer called module is packed; ok is false where it isn't.
func (t Targets) Packing(module string) (p Packing, ok bool) {
	group := ""
	for _, x := range t.tried {
		if (x.group == "" || group == "") && x.pattern.MatchString(module) {
			if x.group == "" {
				return Packing{}, false
			}
			group = x.group
		}
	}
	if t.ignore[module] || t.ignore["Linear"] {
		return Packing{}, false
	}
	if name, ok := t.names[module]; ok {
		group = name
	}
	if group == "" {
		group = t.all
	}
	g, ok := t.groups[group]
	return g.Weights, ok
}

// String is a line for people.
func (q *QuantizationConfig) String() string {
	if !q.IsPacked() {
		return fmt.Sprintf("%s, %s in blocks of %d x %d", q.QuantMethod, q.Fmt, q.WeightBlockSize[0], q.WeightBlockSize[1])
	}
	var groups []string
	for _, name := range slices.Sorted(maps.Keys(q.ConfigGroups)) {
		g := q.ConfigGroups[name]
		size := "a scale a row"
		if g.Weights.GroupSize > 0 {
			size = fmt.Sprintf("groups of %d", g.Weights.GroupSize)
		}
		groups = append(groups, fmt.Sprintf("%d bits with %s for %.80q", g.Weights.NumBits, size, g.Targets))
	}
	return q.QuantMethod + ", " + strings.Join(groups, ", ")
}
