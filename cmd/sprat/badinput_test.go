package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/tokenizer"
)

const goldModel = "../../testdata/gold/v3-basic"

// damaged is a copy of a sound model, changed.
func damaged(t *testing.T, change func(dir string)) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join(goldModel, name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), string(data))
	}
	change(dir)
	return dir
}

// edit replaces text in a file of a model.
func edit(t *testing.T, name, old, text string) func(dir string) {
	return func(dir string) {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(old)) {
			t.Fatalf("no %q in %s (%v)", old, path, err)
		}
		writeFile(t, path, string(bytes.Replace(data, []byte(old), []byte(text), 1)))
	}
}

// TestDamagedModels: every verb that opens a model says in one line what is wrong with it, and where.
func TestDamagedModels(t *testing.T) {
	const weights, config = "model.safetensors", "config.json"
	index := `{"weight_map":{"model.norm.weight":"model-00001-of-00002.safetensors"}}`
	for what, c := range map[string]struct {
		change func(dir string)
		want   []string
	}{
		"missing weights": {func(dir string) { os.Remove(filepath.Join(dir, weights)) }, []string{"no .safetensors file", "fetch"}},
		"missing shard": {func(dir string) {
			os.Remove(filepath.Join(dir, weights))
			writeFile(t, filepath.Join(dir, weights+".index.json"), index)
		}, []string{"model-00001-of-00002.safetensors", "missing", "fetch it again"}},
		"truncated weights":    {func(dir string) { os.Truncate(filepath.Join(dir, weights), 100_000) }, []string{weights, "truncated", "fetch it again"}},
		"wrong shape":          {edit(t, config, `"moe_intermediate_size": 6`, `"moe_intermediate_size": 7`), []string{"shape [6 32]", "asks for [7 32]"}},
		"unknown dtype":        {edit(t, weights, `"F32"`, `"F31"`), []string{weights, `"F31"`, "convert"}},
		"contradiction":        {edit(t, config, `"num_experts_per_tok": 4`, `"num_experts_per_tok": 9`), []string{config, "num_experts_per_tok is 9", "raise topk_group"}},
		"unknown key":          {edit(t, config, `{`, `{"index_topk": 3,`), []string{config, "index_topk", "remove it"}},
		"unknown quantisation": {edit(t, config, `{`, `{"quantization_config": {"quant_method": "gptq"},`), []string{config, `quant_method is "gptq"`, "only"}},
		"no JSON":              {edit(t, config, `{`, `[`), []string{config, "not JSON"}},
	} {
		dir := damaged(t, c.change)
		for _, args := range [][]string{{"inspect", dir}, {"logits", "--model", dir, "--ids", "1"}, {"generate", "--model", dir, "--prompt", "a"}} {
			if what == "missing weights" && args[0] == "inspect" {
				continue // a config alone can be looked at
			}
			_, errs, status := sprat(t, "", args...)
			wantLine(t, what+", "+args[0], errs, status, append(c.want, "model "+dir)...)
		}
	}
}

// wantLine fails unless errs is one line of the program's that has all the parts.
func wantLine(t *testing.T, what, errs string, status int, parts ...string) {
	t.Helper()
	if status != exitFailed || !strings.HasPrefix(errs, "sprat: ") || strings.Count(errs, "\n") != 1 {
		t.Errorf("%s: status %d, %q; want %d and one line", what, status, errs, exitFailed)
	}
	for _, part := range parts {
		if !strings.Contains(errs, part) {
			t.Errorf("%s: %q does not say %q", what, errs, part)
		}
	}
}

// TestInspectShowsBeforeItFails: of weights that do not fit the config, both can be seen.
func TestInspectShowsBeforeItFails(t *testing.T) {
	dir := damaged(t, edit(t, "config.json", `"moe_intermediate_size": 6`, `"moe_intermediate_size": 7`))
	out, _, _ := sprat(t, "", "inspect", "--json", dir)
	var i inspection
	if err := json.Unmarshal([]byte(out), &i); err != nil || len(i.Tensors) == 0 {
		t.Errorf("%d tensors, %v", len(i.Tensors), err)
	}
}

func TestWithoutTheRightTokenizer(t *testing.T) {
	dir := damaged(t, func(string) {})
	for _, args := range [][]string{{"generate", "--model", dir, "--prompt", "a"}, {"tokenize", "--model", dir}} {
		_, errs, status := sprat(t, "", args...)
		wantLine(t, args[0], errs, status, filepath.Join(dir, "tokenizer.json"), "missing")
	}
	tok, err := tokenizer.Train(slices.Values([]string{"abc"}), tokenizer.TrainOptions{VocabSize: 256})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Save(filepath.Join(dir, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	_, errs, status := sprat(t, "", "generate", "--model", dir, "--prompt", "a")
	wantLine(t, "vocabulary", errs, status, dir, "tokenizer.json", "256", "96", "different models")
}

// fullPipe is an output that takes nothing.
type fullPipe struct{}

func (fullPipe) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestOutputIsFull: what could not be printed is a failure.
func TestOutputIsFull(t *testing.T) {
	for _, args := range [][]string{
		{"inspect", goldModel}, {"inspect", "--json", goldModel}, {"logits", "--model", goldModel, "--ids", "1"},
		{"generate", "--prompt", "a", "--max-tokens", "2"}, {"generate", "--prompt", "a", "--max-tokens", "2", "--json"},
		{"tokenize"},
	} {
		var errs bytes.Buffer
		status := run(args, &env{ctx: context.Background(), stdin: strings.NewReader("a\n"), stdout: fullPipe{}, stderr: &errs})
		wantLine(t, strings.Join(args, " "), errs.String(), status, "no space left on device")
	}
}
