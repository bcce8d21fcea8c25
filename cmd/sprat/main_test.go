package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sprat runs a command line as a user would type it.
func sprat(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return spratContext(context.Background(), stdin, args...)
}

func spratContext(ctx context.Context, stdin string, args ...string) (stdout, stderr string, status int) {
	var out, errs bytes.Buffer
	status = run(args, &env{ctx: ctx, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs})
	return out.String(), errs.String(), status
}

// must is sprat for what has to work.
func must(t *testing.T, stdin string, args ...string) (stdout string) {
	t.Helper()
	out, errs, status := sprat(t, stdin, args...)
	if status != 0 {
		t.Fatalf("sprat %s: status %d: %s", strings.Join(args, " "), status, errs)
	}
	return out
}

const tinyRun = `
out = %q
[tokenizer]
path = %q
vocab_size = 300
[data]
train = [%q]
valid = [%q]
[train]
steps = 30
batch = 4
sequence = 32
[schedule]
lr = 5e-3
[model]
model_type = "deepseek_v3"
hidden_size = 32
num_hidden_layers = 2
first_k_dense_replace = 1
intermediate_size = 64
num_attention_heads = 2
num_key_value_heads = 2
q_lora_rank = 0
kv_lora_rank = 16
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 8
n_routed_experts = 4
num_experts_per_tok = 2
n_shared_experts = 1
n_group = 1
topk_group = 1
moe_intermediate_size = 16
num_nextn_predict_layers = 1
`

// tinyFiles writes a text and a run file that learns it.
func tinyFiles(t *testing.T) (runFile, out string) {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	var b strings.Builder
	for i := range 400 {
		fmt.Fprintf(&b, "The cat number %d sat on the mat and looked at the moon. ", i%7)
	}
	writeFile(t, text, b.String())
	out = filepath.Join(dir, "model")
	runFile = filepath.Join(dir, "run.toml")
	writeFile(t, runFile, fmt.Sprintf(tinyRun, out, filepath.Join(dir, "tokenizer.json"), text, text))
	return runFile, out
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFromTextToModel is the whole way: a tokenizer, a model, what it says.
func TestFromTextToModel(t *testing.T) {
	runFile, out := tinyFiles(t)
	must(t, "", "train-tokenizer", runFile)
	must(t, "", "pretrain", runFile)

	text := must(t, "", "generate", "--model", out, "--prompt", "The cat", "--max-tokens", "20", "--temperature", "0")
	if !strings.HasPrefix(text, "The cat") || len(text) < 20 {
		t.Errorf("generate printed %q", text)
	}
	var g generated
	decode(t, must(t, "", "generate", "--model", out, "--prompt", "The cat", "--max-tokens", "20", "--temperature", "0", "--json"), &g)
	if "The cat"+g.Text+"\n" != text || len(g.IDs) == 0 || len(g.IDs) > 20 {
		t.Errorf("generate --json says %+v, the plain form %q", g, text)
	}

	ids := strings.TrimSpace(must(t, "The cat\n", "tokenize", "--model", out))
	if back := must(t, ids+"\n", "tokenize", "--model", out, "--decode"); back != "The cat\n" {
		t.Errorf("%q decodes to %q", ids, back)
	}

	var last position
	lines := strings.Split(strings.TrimSpace(must(t, "", "logits", "--model", out, "--ids", strings.ReplaceAll(ids, " ", ","), "--mtp")), "\n")
	decode(t, lines[len(lines)-1], &last)
	best := 0
	for i, l := range last.Logits {
		if l > last.Logits[best] {
			best = i
		}
	}
	if int32(best) != g.IDs[0] {
		t.Errorf("the likeliest token by logits is %d, generate took %d", best, g.IDs[0])
	}

	if text := must(t, "", "inspect", out); !strings.Contains(text, "parameters") {
		t.Errorf("inspect printed %q", text)
	}
}

func TestInterruptedTrainingLeavesAModel(t *testing.T) {
	runFile, out := tinyFiles(t)
	must(t, "", "train-tokenizer", runFile)
	ctx, cancel := context.WithCancel(context.Background())
	stop := &stopAt{text: "step 1 ", stop: cancel}
	status := run([]string{"pretrain", runFile, "--set", "train.steps=100000"}, &env{ctx: ctx, stdin: strings.NewReader(""), stdout: stop, stderr: stop})
	if status != exitFailed {
		t.Errorf("status %d, want %d", status, exitFailed)
	}
	must(t, "", "generate", "--model", out, "--prompt", "The", "--max-tokens", "2")
}

// stopAt calls stop when text is written to it.
type stopAt struct {
	text string
	stop func()
}

func (s *stopAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.text) {
		s.stop()
	}
	return len(p), nil
}

func TestMistakesAreOneLine(t *testing.T) {
	runFile, _ := tinyFiles(t)
	empty := filepath.Join(t.TempDir(), "empty.txt")
	writeFile(t, empty, "")
	dir := t.TempDir()
	bad := filepath.Join(t.TempDir(), "bad")
	os.Mkdir(bad, 0o700)
	writeFile(t, filepath.Join(bad, "config.json"), `{"model_type":"deepseek_v3"}`)
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"generate --model /nowhere --prompt x", exitFailed, "/nowhere"},
		{"generate --model " + dir + " --prompt x", exitFailed, "config.json"},
		{"generate --model " + runFile + " --prompt x", exitFailed, "is a file"},
		{"generate --model " + bad + " --prompt x", exitFailed, "vocab_size"},
		{"generate --prompt x --temperature -1", exitUsage, "--temperature"},
		{"generate --prompt x --top-p 2", exitUsage, "--top-p"},
		{"generate --prompt x --max-tokens 0", exitUsage, "--max-tokens"},
		{"generate --prompt x --threads -1", exitUsage, "--threads"},
		{"generate", exitUsage, "--prompt"},
		{"generate --prompt x --colour", exitUsage, "--colour"},
		{"frobnicate", exitUsage, "frobnicate"},
		{"logits --ids 1,x", exitUsage, "--ids"},
		{"logits --ids 99999999", exitFailed, "vocabulary"},
		{"pretrain /nowhere.toml", exitUsage, "/nowhere.toml"},
		{"pretrain " + runFile, exitFailed, "train-tokenizer"},
		{"pretrain " + runFile + " --set train.stepps=4", exitUsage, "stepps"},
		{"pretrain " + runFile + " --set train.steps=0", exitUsage, "train.steps"},
		{"pretrain " + runFile + " --set train.steps", exitUsage, "key=value"},
		{"train-tokenizer " + runFile + ` --set data.train=["` + empty + `"]`, exitFailed, "no text"},
		{"train-tokenizer " + runFile + ` --set data.train=["/nowhere.txt"]`, exitFailed, "/nowhere.txt"},
		{"tokenize --decode --model /nowhere", exitFailed, "/nowhere"},
		{"bench kernels --time 0s", exitUsage, "--time"},
		{"bench train --config " + filepath.Join(bad, "config.json"), exitFailed, "vocab_size"},
		{"bench train --config x --batch 1000000000", exitUsage, "--batch"},
	} {
		_, errs, status := sprat(t, "", strings.Split(c.args, " ")...)
		if status != c.status {
			t.Errorf("sprat %s: status %d, want %d", c.args, status, c.status)
		}
		if !strings.HasPrefix(errs, "sprat: ") || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.want) {
			t.Errorf("sprat %s: %q, want one line with %q in it", c.args, errs, c.want)
		}
	}
}

// TestInspectV3: the report's numbers from the published config alone, in both forms.
func TestInspectV3(t *testing.T) {
	const v3 = "../../config/testdata/v3.json"
	var i inspection
	decode(t, must(t, "", "inspect", "--json", v3), &i)
	if i.Parameters.Total != 671_026_419_200 || i.Activated != 37_552_297_472 || i.ActivatedNoEmbed != 36_625_618_432 || i.CacheBytesPerToken != 70_272 {
		t.Errorf("%+v", i)
	}
	text := must(t, "", "inspect", v3)
	for _, want := range []string{"671,026,419,200", "37,552,297,472", "36,625,618,432", "70,272"} {
		if !strings.Contains(text, " "+want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"generate", "--help"}, {"serve", "--help"}} {
		out, errs, status := sprat(t, "", args...)
		if status != 0 || !strings.Contains(out, "Usage: sprat") || errs != "" {
			t.Errorf("sprat %v: status %d, %q, %q", args, status, out, errs)
		}
	}
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}
