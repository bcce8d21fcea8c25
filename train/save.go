package train

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sprat/atomicfile"
	"sprat/config"
	"sprat/float8"
	"sprat/model"
	"sprat/safetensors"
	"sprat/tensor"
	"sprat/tokenizer"
)

// maxShard is the size in bytes at which weights go into several files, as is usual on the hub.
const maxShard = 5 << 30

// Save writes m and tok as a Hugging Face directory, with weights of dtype f32, bf16 or fp8. Everything is written beside what is there and moved into
// place at the end, so that a full disk leaves an earlier model whole. The chat template is written where there
// is one.
func Save(dir string, m *model.Model, tok *tokenizer.Tokenizer, dtype, template string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the model to %s: %w", dir, err)
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	stage, err := os.MkdirTemp(dir, ".saving-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	cfg := *m.Config
	describeWeights(&cfg, dtype)
	names, err := writeSmall(stage, &cfg, tok)
	if err != nil {
		return err
	}
	if err := safetensors.WriteDir(dir, tensors(m, dtype), maxShard); err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(stage, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if template != "" {
		if err := atomicfile.Write(filepath.Join(dir, "chat_template.jinja"), []byte(template)); err != nil {
			return err
		}
	}
	return atomicfile.SyncDir(dir)
}

// DTypes is the safetensors type of each dtype of a run file.
var DTypes = map[string]safetensors.DType{"f32": safetensors.F32, "bf16": safetensors.BF16, "fp8": safetensors.F8_E4M3}

// tensors are m's parameters. In fp8 they are stored as V3's are: the products of attention and experts in blocks, the rest in
// bfloat16. The gate's bias is float32 always, as its steps are small beside it.
func tensors(m *model.Model, dtype string) []safetensors.Tensor {
	var list []safetensors.Tensor
	for p := range m.Params() {
		t := safetensors.Tensor{Name: p.Name, Shape: p.Shape, Data: p.W.Host(), DType: DTypes[dtype]}
		switch {
		case p.Frozen:
			t.DType = safetensors.F32
		case dtype == "fp8" && !inFP8(p):
			t.DType = safetensors.BF16
		}
		list = append(list, t)
	}
	return list
}

// inFP8 tells whether V3's checkpoint has a parameter in FP8: not embedding, head, gates, norms, nor MTP's projection.
func inFP8(p *tensor.Param) bool {
	if !p.IsMatrix() || strings.HasSuffix(p.Name, ".eh_proj.weight") || strings.HasSuffix(p.Name, ".mlp.gate.weight") {
		return false
	}
	return strings.HasPrefix(p.Name, "model.layers.")
}

// describeWeights says in the config how the weights are stored.
func describeWeights(c *config.Config, dtype string) {
	c.TorchDType, c.QuantizationConfig = "bfloat16", nil
	switch dtype {
	case "f32":
		c.TorchDType = "float32"
	case "fp8":
		c.QuantizationConfig = &config.QuantizationConfig{
			QuantMethod: "fp8", Fmt: "e4m3", ActivationScheme: "dynamic", WeightBlockSize: []int{float8.Block, float8.Block},
		}
	}
}

// writeSmall writes every file of the directory but the weights, and returns their names.
func writeSmall(dir string, cfg *config.Config, tok *tokenizer.Tokenizer) ([]string, error) {
	if err := tok.Save(filepath.Join(dir, "tokenizer.json")); err != nil {
		return nil, err
	}
	text, err := cfg.JSON()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"config.json": text}
	for name, v := range map[string]any{
		"tokenizer_config.json": map[string]any{
			"tokenizer_class": "PreTrainedTokenizerFast",
			"bos_token":       tokenizer.BOS, "eos_token": tokenizer.EOS, "pad_token": tokenizer.Pad,
			"add_bos_token": false, "add_eos_token": false,
			"clean_up_tokenization_spaces": false,
			"model_max_length":             cfg.MaxPositionEmbeddings,
		},
		"generation_config.json": map[string]any{
			"bos_token_id": cfg.BOSTokenID, "eos_token_id": cfg.EOSTokenIDs,
			"do_sample": true, "temperature": 0.7, "top_p": 0.95,
		},
	} {
		if files[name], err = json.MarshalIndent(v, "", "  "); err != nil {
			return nil, err
		}
	}
	names := []string{"tokenizer.json"}
	for name, text := range files {
		if err := atomicfile.Write(filepath.Join(dir, name), text); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}
