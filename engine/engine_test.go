package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/device/cpu"
	"sprat/safetensors"
	"sprat/tokenizer"
)

// gold is a directory of the gold vectors, which has no tokenizer.
const gold = "../testdata/gold/v3-basic"

func open(t *testing.T, path string) (*Engine, error) {
	t.Helper()
	dir, err := OpenDir(os.DirFS(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	dev := cpu.New(2)
	t.Cleanup(dev.Close)
	e, err := New(dir, dev, Options{})
	if err == nil {
		t.Cleanup(e.Close)
	}
	return e, err
}

// changed is a copy of gold with config.json's keys and the weights' tensors changed.
func changed(t *testing.T, keys map[string]any, change func([]safetensors.Tensor) []safetensors.Tensor) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(gold, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	config := map[string]any{}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for k, v := range keys {
		config[k] = v
	}
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := safetensors.Open(filepath.Join(gold, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var tensors []safetensors.Tensor
	for _, name := range r.Names() {
		info, _ := r.Info(name)
		x := safetensors.Tensor{Name: name, Shape: info.Shape, DType: safetensors.F32, Data: make([]float32, info.Len())}
		if err := r.ReadFloat32(name, x.Data); err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	if change != nil {
		tensors = change(tensors)
	}
	if err := safetensors.WriteDir(dir, tensors, 1<<30); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenMistakes(t *testing.T) {
	without := func(name string) func([]safetensors.Tensor) []safetensors.Tensor {
		return func(all []safetensors.Tensor) []safetensors.Tensor {
			return slices.DeleteFunc(all, func(x safetensors.Tensor) bool { return strings.Contains(x.Name, name) })
		}
	}
	turn := func(name string) func([]safetensors.Tensor) []safetensors.Tensor {
		return func(all []safetensors.Tensor) []safetensors.Tensor {
			for _, x := range all {
				if strings.Contains(x.Name, name) {
					slices.Reverse(x.Shape)
				}
			}
			return all
		}
	}
	for _, c := range []struct {
		what, dir, want string
	}{
		{"no config", t.TempDir(), "config.json"},
		{"a tensor missing", changed(t, nil, without("layers.1.mlp.gate.weight")), "model.layers.1.mlp.gate.weight"},
		{"another shape", changed(t, map[string]any{"moe_intermediate_size": 5}, nil), "mlp.experts"},
		{"more layers than weights", changed(t, map[string]any{"num_hidden_layers": 1000}, nil), "missing"},
		{"a larger vocabulary", changed(t, map[string]any{"vocab_size": 1 << 24}, nil), "model.embed_tokens.weight"},
		{"a matrix turned", changed(t, nil, turn("layers.0.mlp.up_proj.weight")), "mlp.up_proj.weight has shape [32 28]"},
		{"a contradiction", changed(t, map[string]any{"num_experts_per_tok": 99}, nil), "num_experts_per_tok"},
	} {
		_, err := open(t, c.dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q in it", c.what, err, c.want)
		}
	}
}

func TestTruncatedWeights(t *testing.T) {
	dir := changed(t, nil, nil)
	path := filepath.Join(dir, "model.safetensors")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-1); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, dir); err == nil || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("a truncated file: %v", err)
	}
}

// transformers keeps num_nextn_predict_layers in the config and drops the modules' weights.
func TestMTPWithoutWeightsIsNoMTP(t *testing.T) {
	e, err := open(t, changed(t, map[string]any{"num_nextn_predict_layers": 1}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if e.Config.NumNextNPredictLayers != 0 {
		t.Errorf("%d modules", e.Config.NumNextNPredictLayers)
	}
}

func TestTokenizerMustFit(t *testing.T) {
	tok, err := tokenizer.Train(slices.Values([]string{"abc"}), tokenizer.TrainOptions{VocabSize: 256})
	if err != nil {
		t.Fatal(err)
	}
	write := func(dir, text string) {
		if err := os.WriteFile(filepath.Join(dir, "tokenizer.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what, want string
		put        func(dir string)
	}{
		{"without bytes", "no byte-level BPE", func(dir string) { write(dir, `{"model":{"type":"BPE","vocab":{},"merges":[]}}`) }},
		{"more tokens than the model", "256 tokens, but config.json's vocab_size is 96", func(dir string) {
			if err := tok.Save(filepath.Join(dir, "tokenizer.json")); err != nil {
				t.Fatal(err)
			}
		}},
		{"no file", "directory", func(dir string) {
			if err := os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o700); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		dir := changed(t, nil, nil)
		c.put(dir)
		_, err := open(t, dir)
		if err == nil || !strings.Contains(err.Error(), "tokenizer.json") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with %q in it", c.what, err, c.want)
		}
	}
}

// A config of a few bytes must not make tables of gigabytes.
func TestLongContextIsBounded(t *testing.T) {
	e, err := open(t, changed(t, map[string]any{"max_position_embeddings": 1 << 24}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if n := e.Positions(); n != maxPositions {
		t.Errorf("%d positions, want %d", n, maxPositions)
	}
}
