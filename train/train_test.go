package train

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/config"
	"sprat/device/cpu"
	"sprat/engine"
	"sprat/model"
	"sprat/sample"
	"sprat/tokenizer"
)

const good = `
[data]
train = ["a.txt"]
[model]
model_type = "deepseek_v3"
hidden_size = 160
num_hidden_layers = 2
first_k_dense_replace = 1
intermediate_size = 200
num_attention_heads = 3
q_lora_rank = 40
kv_lora_rank = 130
qk_nope_head_dim = 24
qk_rope_head_dim = 8
v_head_dim = 16
n_routed_experts = 4
num_experts_per_tok = 2
n_shared_experts = 1
n_group = 1
topk_group = 1
moe_intermediate_size = 136
num_nextn_predict_layers = 1
`

func TestParseRunFile(t *testing.T) {
	c, err := parsed([]byte(good), []string{"train.steps=7", `data.train=["b.txt","c.txt"]`, "out=some where", "model.hidden_size=8", "schedule.lr=1e-2"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Train.Steps != 7 || !slices.Equal(c.Data.Train, []string{"b.txt", "c.txt"}) || c.Out != "some where" || c.Schedule.LR != 0.01 {
		t.Errorf("--set was not taken: %+v", c)
	}
	if c.Model["hidden_size"] != int64(8) || c.Model["kv_lora_rank"] != int64(130) {
		t.Errorf("--set of one key of [model] changed others: %v", c.Model)
	}
	if c.Train.Batch != Defaults().Train.Batch {
		t.Errorf("a key that is not there lost its default")
	}
}

const sources = `
[data]
pack = "borders"
duplicates = "near"
decontaminate = ["exam.jsonl"]
[[data.source]]
name = "books"
files = ["a.parquet", "b.jsonl.zst"]
valid = ["v.txt"]
weight = [[0, 3], [0.3, 1]]
fim = 0.1
[[data.source]]
name = "sums"
tasks = ["all"]
documents = 1000
difficulty = [0, 1.5]
order = "file"
`

func TestSetOfASource(t *testing.T) {
	c, err := parsed([]byte(sources), []string{"data.source.sums.weight=[[0.0,1],[1,2]]", "data.source.books.weight=2", `data.source.books.files=["c.txt"]`, "data.pack=mixed"})
	if err != nil {
		t.Fatal(err)
	}
	books, sums := c.Data.Source[0], c.Data.Source[1]
	if books.Weight != int64(2) || !slices.Equal(books.Files, []string{"c.txt"}) || books.FIM != 0.1 || len(sums.Weight.([]any)) != 2 || sums.Documents != 1000 {
		t.Errorf("--set was not taken: %+v", c.Data)
	}
	if c, err = parsed([]byte(sources), []string{`data.source=[{name="one",files=["d.txt"]}]`}); err != nil {
		t.Fatal(err)
	}
	if s := c.Data.Source; len(s) != 1 || s[0].Name != "one" || s[0].Valid != nil || s[0].Weight != nil {
		t.Errorf("--set of all sources leaves something of the old ones: %+v", s)
	}
}

func TestRunFileMistakes(t *testing.T) {
	for _, c := range []struct{ text, set, want string }{
		{"steps = ", "", "line 1"},
		{good + "\n[train]\nstepps = 3", "", "train.stepps"},
		{good + "\n[train]\nsteps = \"x\"", "", "line"},
		{good, "train.steps=many", "train.steps"},
		{good, "schedule.lr=-1", "learning rate"},
		{good, "schedule.lr=nan", "learning rate"},
		{good, "tokenizer.vocab_size=10", "tokenizer.vocab_size"},
		{good, "train.batch=1000000", "train.batch"},
		{good, "dtype=f64", "dtype"},
		{good, "nokey", "key=value"},
		{sources, "data.source.films.weight=1", "films"},
		{sources, "data.source.books=1", "data.source.books"},
		{sources, "data.source.books.wieght=1", "unknown key wieght"},
		{sources, "data.source.books.weight=heavy", "weight is heavy"},
		{sources, "data.source.books.weight=-1", "weight is -1"},
		{sources + "[[data.source]]\nname = 'x'\nfile = 'y'", "", "data.source.file"},
		{"", "", "data.train"},
	} {
		var set []string
		if c.set != "" {
			set = []string{c.set}
		}
		_, err := parsed([]byte(c.text), set)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %q: error %v, want one line with %q in it", c.text, c.set, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good), "train.steps=3")
	f.Add([]byte("seed = 3\n[train]\nlr = 1e-3"), `data.train=["x"]`)
	f.Add([]byte("out = 5"), "=")
	f.Fuzz(func(t *testing.T, text []byte, set string) {
		c, err := parsed(text, []string{set})
		if err != nil {
			return
		}
		if err := c.Check(); err != nil {
			t.Errorf("a run file was read that does not pass its own check: %v", err)
		}
	})
}

// tinyModel is a model of odd sizes, so that FP8's blocks have ragged edges, and a tokenizer for it.
func tinyModel(t *testing.T) (*model.Model, *tokenizer.Tokenizer) {
	t.Helper()
	c, err := parsed([]byte(good), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("the quick brown fox jumps over the lazy dog ", 50)
	tok, err := tokenizer.Train(slices.Values([]string{text}), tokenizer.TrainOptions{VocabSize: 300, SpecialTokens: []string{tokenizer.BOS, tokenizer.EOS, tokenizer.Pad}})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := c.model(tok.VocabSize())
	if err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(1)
	t.Cleanup(dev.Close)
	m := model.New(cfg, dev, model.Options{})
	m.Init(5, 0.05)
	return m, tok
}

func TestSavedModelOpens(t *testing.T) {
	m, tok := tinyModel(t)
	// The largest relative rounding of each type: half a unit in the last place.
	for dtype, tolerance := range map[string]float64{"f32": 0, "bf16": 0x1p-8, "fp8": 0x1p-4} {
		dir := filepath.Join(t.TempDir(), "model")
		if err := Save(dir, m, tok, dtype, ""); err != nil {
			t.Fatal(err)
		}
		dev := cpu.New(1)
		defer dev.Close()
		opened, err := engine.OpenDir(os.DirFS(dir))
		if err != nil {
			t.Fatalf("%s: %v", dtype, err)
		}
		defer opened.Close()
		loaded, err := opened.Model(dev)
		if err != nil {
			t.Fatalf("%s: %v", dtype, err)
		}
		want := map[string][]float32{}
		for p := range m.Params() {
			want[p.Name] = p.W.Host()
		}
		for p := range loaded.Params() {
			top := 0.0
			for _, w := range want[p.Name] {
				top = max(top, math.Abs(float64(w)))
			}
			for i, got := range p.W.Host() {
				w := float64(want[p.Name][i])
				// In a block of FP8, numbers under the smallest normal one are 2^-9 apart, where the largest is 448.
				if d := math.Abs(float64(got) - w); d > tolerance*math.Abs(w)+top/448*0x1p-9 && (tolerance > 0 || d > 0) {
					t.Fatalf("%s: %s[%d] is %v, was %v", dtype, p.Name, i, got, w)
				}
			}
		}
		if got := opened.Tokenizer.Encode(nil, "the lazy fox"); !slices.Equal(got, tok.Encode(nil, "the lazy fox")) {
			t.Errorf("%s: the tokenizer changed", dtype)
		}
	}
}

// TestFP8Runs: a model in FP8 runs as it is stored, and computes what its numbers in float32 do, but for bfloat16's roundings.
func TestFP8Runs(t *testing.T) {
	m, tok := tinyModel(t)
	path := t.TempDir()
	if err := Save(path, m, tok, "fp8", ""); err != nil {
		t.Fatal(err)
	}
	dir, err := engine.OpenDir(os.DirFS(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	dev := cpu.New(2)
	defer dev.Close()
	var first []sample.Token
	for _, w := range []engine.Weights{engine.Stored, engine.F32} {
		e, err := engine.New(dir, dev, engine.Options{Weights: w})
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.Submit(t.Context(), engine.Request{Prompt: []int32{3, 5, 8, 2, 9}, MaxTokens: 1, IgnoreEOS: true, Sample: sample.Options{TopLogprobs: 5, Logprobs: true}})
		if err != nil {
			t.Fatal(err)
		}
		for tok, err := range s.Tokens() {
			if err != nil {
				t.Fatal(err)
			}
			if tok.ID >= 0 {
				first = append(first, tok.Token)
			}
		}
		e.Close()
	}
	if len(first) != 2 || first[0].ID != first[1].ID || math.Abs(float64(first[0].Logprob-first[1].Logprob)) > 0.01 {
		t.Errorf("as stored %+v, in float32 %+v", first[0], first[1])
	}
}

func TestFP8IsInV3sPlaces(t *testing.T) {
	m, tok := tinyModel(t)
	dir := t.TempDir()
	if err := Save(dir, m, tok, "fp8", ""); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if q := cfg.QuantizationConfig; q == nil || q.QuantMethod != "fp8" || !slices.Equal(q.WeightBlockSize, []int{128, 128}) {
		t.Errorf("quantization_config is %+v", cfg.QuantizationConfig)
	}
	for _, tensor := range tensors(m, "fp8") {
		name, got := tensor.Name, tensor.DType
		want := "BF16"
		switch {
		case strings.HasSuffix(name, "e_score_correction_bias"):
			want = "F32"
		case strings.Contains(name, "_proj") && !strings.Contains(name, "eh_proj"):
			want = "F8_E4M3"
		}
		if string(got) != want {
			t.Errorf("%s is stored as %s, want %s", name, got, want)
		}
	}
}

func TestFailedSaveKeepsTheModel(t *testing.T) {
	m, tok := tinyModel(t)
	dir := t.TempDir()
	if err := Save(dir, m, tok, "f32", ""); err != nil {
		t.Fatal(err)
	}
	before := readAll(t, dir)
	if err := Save(filepath.Join(dir, "config.json"), m, tok, "f32", ""); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("saving onto a file: %v", err)
	}
	after := readAll(t, dir)
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s changed", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("files were %d, are %d", len(before), len(after))
	}
}

func readAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func TestModelMustFitTokenizerAndSequence(t *testing.T) {
	for _, c := range []struct{ set, want string }{
		{"model.vocab_size=200", "vocab_size"},
		{"model.max_position_embeddings=100", "max_position_embeddings"},
		{"model.hidden_size=0", "hidden_size"},
		{"model.surprise=1", "surprise"},
	} {
		run, err := parsed([]byte(good), []string{c.set})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := run.model(300); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.set, err, c.want)
		}
	}
}

// parsed is Load for a run file's text.
func parsed(text []byte, set []string) (*Config, error) {
	c := Defaults()
	return &c, c.Parse(text, set)
}
