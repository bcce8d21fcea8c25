package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sprat/config"
	"sprat/model"
	"sprat/safetensors"
	"sprat/tokenizer"
)

// maxShard is the size in bytes at which weights go into several files, as is usual on the hub.
const maxShard = 5 << 30

// Save writes m and tok as a Hugging Face directory, with weights of dtype f32 or bf16. Everything is written beside what is there and moved into
// place at the end, so that a full disk leaves an earlier model whole.
func Save(dir string, m *model.Model, tok *tokenizer.Tokenizer, dtype string) (err error) {
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
	names, err := writeSmall(stage, m.Config, tok)
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
	return syncDir(dir)
}

// tensors are m's parameters. The gate's bias stays float32, as in published models: its steps are small beside it.
func tensors(m *model.Model, dtype string) []safetensors.Tensor {
	var list []safetensors.Tensor
	for p := range m.Params() {
		t := safetensors.Tensor{Name: p.Name, Shape: p.Shape, Data: p.W.Host(), DType: safetensors.F32}
		if dtype == "bf16" && !p.Frozen {
			t.DType = safetensors.BF16
		}
		list = append(list, t)
	}
	return list
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
			"bos_token":       BOS, "eos_token": EOS, "pad_token": Pad,
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
		if err := writeSynced(filepath.Join(dir, name), text); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

func writeSynced(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
