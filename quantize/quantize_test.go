package quantize

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/config"
	"sprat/cost"
	"sprat/device"
	"sprat/device/cpu"
	"sprat/model"
	"sprat/quant"
	"sprat/safetensors"
	"sprat/tensor"
)

// shape is a model whose widths are multiples of 32, but for one, with an MTP module.
const shape = `{"model_type": "deepseek_v3", "vocab_size": 96, "hidden_size": 64, "num_hidden_layers": 2, "first_k_dense_replace": 1, "intermediate_size": 80,
	"num_attention_heads": 2, "q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "n_routed_experts": 4,
	"num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32, "num_nextn_predict_layers": 1,
	"max_position_embeddings": 64, "torch_dtype": "bfloat16", "auto_map": {"AutoConfig": "x.Y"}, "tie_word_embeddings": TIED}`

// made writes a model of shape with random weights of a type.
func made(t *testing.T, dtype safetensors.DType, tied string) (dir string) {
	t.Helper()
	return madeOf(t, dtype, strings.Replace(shape, "TIED", tied, 1))
}

func madeOf(t *testing.T, dtype safetensors.DType, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cfg, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(1)
	defer dev.Close()
	m := model.New(cfg, dev, model.Options{})
	m.Init(3, 0.05)
	var tensors []safetensors.Tensor
	for p := range m.Params() {
		x := safetensors.Tensor{Name: p.Name, Shape: p.Shape, Data: p.W.Host(), DType: dtype}
		if !p.IsMatrix() || dtype == safetensors.F8_E4M3 && !strings.Contains(p.Name, "proj") {
			x.DType = safetensors.F32
		}
		tensors = append(tensors, x)
	}
	tensors = append(tensors, safetensors.Tensor{Name: "model.rotary_emb.inv_freq", Shape: []int{2}, Data: []float32{1, 2}, DType: safetensors.F32})
	if err := safetensors.WriteDir(dir, tensors, 1<<30); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{"config.json": text, "README.md": "# tiny\n", "tokenizer.json": "{}", "sprat.json": "{}", "notes.txt": "not to be copied"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func run(t *testing.T, from, out string, o Options) (Report, error) {
	t.Helper()
	dev := cpu.New(1)
	defer dev.Close()
	return Run(t.Context(), dev, os.DirFS(from), out, o)
}

// opened is a directory's weights.
func opened(t *testing.T, dir string) (*config.Config, *quant.Weights) {
	t.Helper()
	cfg, err := config.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	w, err := quant.Open(cfg, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := model.CheckWeights(cfg, w); err != nil {
		t.Fatal(err)
	}
	return cfg, w
}

func read(t *testing.T, w *quant.Weights, name string) []float32 {
	t.Helper()
	info, ok := w.Info(name)
	x := make([]float32, info.Len())
	if err := w.ReadFloat32(name, x); err != nil || !ok {
		t.Fatal(name, err)
	}
	return x
}

// TestRoundTrip: every tensor of what was written is, bit for bit, what it should be made of the original's.
func TestRoundTrip(t *testing.T) {
	for _, c := range []struct {
		dtype safetensors.DType
		tied  string
		bits  int
	}{{safetensors.BF16, "false", 4}, {safetensors.BF16, "true", 4}, {safetensors.F32, "false", 8}, {safetensors.F8_E4M3, "false", 4}} {
		from, out := made(t, c.dtype, c.tied), filepath.Join(t.TempDir(), "deep", "out")
		r, err := run(t, from, out, Options{Bits: c.bits, Group: 32})
		if err != nil {
			t.Fatal(err)
		}
		_, was := opened(t, from)
		cfg, is := opened(t, out)
		if !slices.Equal(was.Names(), is.Names()) {
			t.Errorf("tensors are %v, were %v", is.Names(), was.Names())
		}
		packed, size := 0, int64(0)
		for _, name := range is.Names() {
			info, _ := is.Info(name)
			before, _ := was.Info(name)
			if !slices.Equal(info.Shape, before.Shape) {
				t.Errorf("%s has shape %v, had %v", name, info.Shape, before.Shape)
			}
			size += is.Stored(name)
			want := read(t, was, name)
			bits := map[safetensors.DType]int{quant.Int4: 4, quant.Int8: 8}[info.DType]
			if bits > 0 {
				packed++
				m, err := quant.Nearest(want, info.Shape[0], info.Shape[1], bits, 32)
				if err != nil {
					t.Fatal(err)
				}
				m.Float32(want)
			}
			if got := read(t, is, name); bits > 0 || c.dtype != safetensors.F8_E4M3 {
				if !slices.Equal(got, want) {
					t.Errorf("%s in %s differs", name, info.DType)
				}
			}
			if n := wantBits(name, c.bits); n != bits {
				t.Errorf("%s has %d bits, want %d", name, bits, n)
			}
		}
		if packed != r.Packed || size != r.Bytes || r.Packed+r.Kept != len(is.Names()) {
			t.Errorf("%d tensors are packed, and all take %d bytes; the report is %+v", packed, size, r)
		}
		if cfg.NumNextNPredictLayers != 1 || cfg.TorchDType != "bfloat16" {
			t.Errorf("the config became %+v", cfg)
		}
		checkFiles(t, out)
	}
}

// TestGQA: the model to compare with is quantised like the others, its keys' and values' projections too.
func TestGQA(t *testing.T) {
	from := madeOf(t, safetensors.F32, strings.NewReplacer("deepseek_v3", "sprat_gqa", "TIED", "false",
		`"q_lora_rank": 32, "kv_lora_rank": 32, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32`, `"head_dim": 32, "num_key_value_heads": 1`).Replace(shape))
	out := filepath.Join(t.TempDir(), "out")
	text := Text{Calibrate: make([]int32, 600), Held: make([]int32, 60)}
	for i := range text.Calibrate {
		text.Calibrate[i] = int32(i * i % 89)
	}
	if _, err := run(t, from, out, Options{Bits: 4, Group: 32, Text: text, Calibrate: true}); err != nil {
		t.Fatal(err)
	}
	_, w := opened(t, out)
	for _, name := range []string{"q_proj", "k_proj", "v_proj", "o_proj"} {
		if info, _ := w.Info("model.layers.1.self_attn." + name + ".weight"); info.DType != quant.Int4 {
			t.Errorf("%s is stored in %s", name, info.DType)
		}
	}
}

// wantBits says it again, in other words.
func wantBits(name string, bits int) int {
	for _, part := range []string{"norm", "gate.weight", "bias", "kv_b_proj", "eh_proj", "embed", "inv_freq"} {
		if strings.Contains(name, part) && !strings.Contains(name, "_gate") {
			return 0
		}
	}
	switch {
	case name == "lm_head.weight":
		return 8
	case name == "model.layers.0.mlp.down_proj.weight": // 80 columns
		return 0
	}
	return bits
}

func checkFiles(t *testing.T, out string) {
	t.Helper()
	for name, part := range map[string]string{"README.md": "# tiny\n\n## Quantised", "tokenizer.json": "{}", "sprat.json": "{}", "config.json": `"pack-quantized"`} {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || !strings.Contains(string(text), part) || strings.Contains(string(text), "auto_map") {
			t.Errorf("%s is %s, %v", name, text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "notes.txt")); err == nil {
		t.Error("a file that is none of the model's was copied")
	}
	if list, err := os.ReadDir(filepath.Dir(out)); err != nil || len(list) != 1 {
		t.Errorf("beside the directory there are %v, %v", list, err)
	}
}

// TestConfigSaysWhatIsPacked: the targets hold for a tensor's module exactly where it is packed.
func TestConfigSaysWhatIsPacked(t *testing.T) {
	for _, tied := range []string{"true", "false"} {
		_, w := opened(t, made(t, safetensors.BF16, tied))
		cfg, err := config.Parse([]byte(strings.Replace(shape, "TIED", tied, 1)))
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Bits: 4, Group: 64}
		list := entries(cfg, w, o)
		q := quantization(list, o)
		for _, e := range list {
			if len(e.shape) != 2 || e.name == "model.embed_tokens.weight" {
				continue
			}
			if p, ok := q.Targets().Packing(e.module()); ok != (e.bits > 0) || p.NumBits != e.bits {
				t.Errorf("%s: %d bits by config.json, and %d", e.name, p.NumBits, e.bits)
			}
		}
		if _, ok := q.Targets().Packing("lm_head"); ok != (tied == "false") {
			t.Errorf("tied: %s, and the head is packed: %v", tied, ok)
		}
		for name := range cost.Params(cfg) {
			if !slices.ContainsFunc(list, func(e entry) bool { return e.name == name }) {
				t.Errorf("%s is not written", name)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	from, base := made(t, safetensors.BF16, "false"), t.TempDir()
	out := func(name string) string { return filepath.Join(base, name) }
	if _, err := run(t, from, out("quantised"), Options{Bits: 8, Group: 32}); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(out("empty"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out("file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := made(t, safetensors.F32, "false")
	weights := filepath.Join(broken, "model.safetensors")
	data, err := os.ReadFile(weights)
	if err != nil {
		t.Fatal(err)
	}
	nan := bytes.Repeat([]byte{0xff}, 1000)
	copy(data[len(data)-len(nan)-1000:], nan) // near the end lie the weights of the last layers
	if err := os.WriteFile(weights, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		from, out string
		o         Options
		want      string
	}{
		"quantised already": {out("quantised"), out("new"), Options{Bits: 4, Group: 32}, "already"},
		"not empty":         {from, out("quantised"), Options{Bits: 4, Group: 32}, "not empty"},
		"a file":            {from, out("file"), Options{Bits: 4, Group: 32}, "file"},
		"five bits":         {from, out("new"), Options{Bits: 5, Group: 32}, "5 bits"},
		"odd groups":        {from, out("new"), Options{Bits: 4, Group: 33}, "groups of 33"},
		"no groups":         {from, out("new"), Options{Bits: 4}, "groups of 0"},
		"no model":          {base, out("new"), Options{Bits: 4, Group: 32}, "config.json"},
		"not numbers":       {broken, out("new"), Options{Bits: 4, Group: 32}, "NaN"},
	} {
		if _, err := run(t, c.from, c.out, c.o); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	if _, err := run(t, from, out("empty"), Options{Bits: 8, Group: 32}); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	if list, err := os.ReadDir(base); err != nil || len(list) != 3 {
		t.Errorf("failures left %v, %v", list, err)
	}
}

// TestInterrupted: what is stopped half-way leaves nothing.
func TestInterrupted(t *testing.T) {
	dev := cpu.New(1)
	defer dev.Close()
	ctx, cancel := context.WithCancel(t.Context())
	base := t.TempDir()
	o := Options{Bits: 4, Group: 32, Progress: func(what string, done, total int64) {
		if done > total/2 {
			cancel()
		}
	}}
	_, err := Run(ctx, dev, os.DirFS(made(t, safetensors.BF16, "false")), filepath.Join(base, "out"), o)
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if list, err := os.ReadDir(base); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
}

func TestFigures(t *testing.T) {
	from, base := made(t, safetensors.BF16, "false"), t.TempDir()
	text := Text{}
	for i := range 100 {
		text.Held = append(text.Held, int32(i*i%96))
	}
	var kl [9]float64
	for _, bits := range []int{8, 4} {
		r, err := run(t, from, filepath.Join(base, "out"+string(rune('0'+bits))), Options{Bits: bits, Group: 32, Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if r.Figures.Tokens != 96 || !(r.Figures.Weights.KL > 0) || !(r.Figures.Weights.Perplexity > 1) {
			t.Errorf("%d bits: %+v", bits, r.Figures)
		}
		kl[bits] = r.Figures.Weights.KL
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	}
	if kl[8] > kl[4]/50 { // sixteen times finer: 256 times less, and the head's 8 bits in both
		t.Errorf("KL is %g with 8 bits, %g with 4", kl[8], kl[4])
	}
	dev := cpu.New(1)
	defer dev.Close()
	f, err := Compare(t.Context(), dev, os.DirFS(from), os.DirFS(from), text.Held, func(string, int64, int64) {})
	if err != nil || f.Weights != (Loss{f.Original, 0, 1, 0}) || !(f.Run.KL > 0) {
		t.Errorf("a model beside itself: %+v, %v", f, err)
	}
	for _, ids := range [][]int32{{96, 1, 2}, {-1, 1}, {3}} {
		if _, err := Compare(t.Context(), dev, os.DirFS(from), os.DirFS(from), ids, func(string, int64, int64) {}); err == nil {
			t.Errorf("a text of %v: no error", ids)
		}
	}
}

// TestCalibrated: rounded by a text, a model stays nearer to the original on text of the same kind; experts that it never chose are
// rounded to nearest.
func TestCalibrated(t *testing.T) {
	from, base := made(t, safetensors.F32, "false"), t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	var ids []int32
	for range 3000 {
		ids = append(ids, int32(math.Abs(rng.NormFloat64())*20)%96)
	}
	text := Text{Calibrate: ids[:2400], Held: ids[2400:]}
	kl := map[bool]float64{}
	for _, calibrate := range []bool{false, true} {
		out := filepath.Join(base, fmt.Sprint(calibrate))
		r, err := run(t, from, out, Options{Bits: 4, Group: 32, Text: text, Calibrate: calibrate})
		if err != nil {
			t.Fatal(err)
		}
		kl[calibrate] = r.Figures.Weights.KL
		if calibrate && (r.Calibrated < 20 || r.Calibrated > r.Packed-1) { // not the head, nor the MTP module
			t.Errorf("%d of %d tensors are calibrated", r.Calibrated, r.Packed)
		}
		opened(t, out)
		card, err := os.ReadFile(filepath.Join(out, "README.md"))
		if err != nil || strings.Contains(string(card), "GPTQ") != calibrate {
			t.Errorf("the card is %s, %v", card, err)
		}
	}
	t.Logf("KL %g nearest, %g calibrated", kl[false], kl[true])
	if kl[true] > 0.9*kl[false] {
		t.Errorf("KL is %g calibrated, %g nearest", kl[true], kl[false])
	}
	if _, err := run(t, from, filepath.Join(base, "none"), Options{Bits: 4, Group: 32, Calibrate: true}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a text: %v", err)
	}
	few := Text{Calibrate: ids[:20]}
	r, err := run(t, from, filepath.Join(base, "few"), Options{Bits: 4, Group: 32, Text: few, Calibrate: true})
	if err != nil || r.Calibrated != 0 {
		t.Errorf("by 16 tokens %d tensors are calibrated, %v", r.Calibrated, err)
	}
}

// TestListener: what is heard of a product are the moments of its input, and those of experts of their own tokens.
func TestListener(t *testing.T) {
	inner := cpu.New(1)
	defer inner.Close()
	l := &listener{Device: inner}
	w, x, y := inner.Alloc(5, 3, tensor.F32), inner.Alloc(2, 3, tensor.F32), inner.Alloc(2, 5, tensor.F32)
	inner.Upload(x, []float32{1, 2, 3, 4, 5, 6})
	params := map[string]*tensor.Param{"a": {Name: "a", W: w.RowSlice(0, 2)}, "b": {Name: "b", W: w.RowSlice(2, 5)}}
	l.Linear(y, x, w, device.F32, false) // nobody listens
	l.begin(params, []string{"a", "b"})
	l.Linear(y, x, w, device.F32, false)
	l.Linear(y, x, inner.Alloc(5, 3, tensor.F32), device.F32, false)
	l.end()
	l.Linear(y, x, w, device.F32, false)
	h := l.heard["a"]
	if h == nil || h != l.heard["b"] || h.tokens != 2 || !slices.Equal(h.h.Host(), []float32{17, 22, 27, 22, 29, 36, 27, 36, 45}) {
		t.Errorf("heard %+v", h)
	}
}

// TestListenerHearsExperts: each has the moments of the tokens that chose it.
func TestListenerHearsExperts(t *testing.T) {
	inner := cpu.New(1)
	defer inner.Close()
	l := &listener{Device: inner}
	mat := func(rows, cols int, x ...float32) tensor.Mat {
		m := inner.Alloc(rows, cols, tensor.F32)
		if x != nil {
			inner.Upload(m, x)
		}
		return m
	}
	ints := func(rows, cols int) tensor.Mat { return inner.Alloc(rows, cols, tensor.I32) }
	r := device.Routing{Score: mat(3, 2), Index: ints(3, 1), Weight: mat(3, 1), Start: ints(1, 3), Slot: ints(3, 1), Token: ints(3, 1)}
	spec := device.RouteSpec{Experts: 2, TopK: 1, Groups: 1, TopGroups: 1, Sigmoid: true, GroupTop2: true, ScalingFactor: 1}
	inner.Route(r, mat(3, 2, 5, 1, 1, 5, 6, 1), tensor.Mat{}, spec) // experts 0, 1, 0
	gateUp, down := mat(2*2*1, 2), mat(2*2, 1)
	inner.Upload(gateUp, []float32{1, 0, 0, 1, 1, 0, 0, 1})
	params := map[string]*tensor.Param{}
	for e := range 2 {
		params[fmt.Sprint("gate", e)] = &tensor.Param{Name: fmt.Sprint("gate", e), W: gateUp.RowSlice(2*e, 2*e+1)}
		params[fmt.Sprint("up", e)] = &tensor.Param{Name: fmt.Sprint("up", e), W: gateUp.RowSlice(2*e+1, 2*e+2)}
		params[fmt.Sprint("down", e)] = &tensor.Param{Name: fmt.Sprint("down", e), W: down.RowSlice(2*e, 2*e+2)}
	}
	l.begin(params, slices.Collect(maps.Keys(params)))
	s := device.ExpertsSaved{X: mat(3, 2), GateUp: mat(3, 2), Act: mat(3, 1)}
	l.Experts(mat(3, 2), mat(3, 2, 1, 2, 3, 4, 5, 6), gateUp, down, r, s, device.F32)
	for name, want := range map[string][]float32{"gate0": {26, 32, 32, 40}, "up0": {26, 32, 32, 40}, "gate1": {9, 12, 12, 16}} {
		if h := l.heard[name]; h == nil || !slices.Equal(h.h.Host(), want) {
			t.Errorf("%s: heard %+v, want %v", name, h, want)
		}
	}
	act := s.Act.Host()
	for e, want := range []float32{act[0]*act[0] + act[1]*act[1], act[2] * act[2]} {
		if got := l.heard[fmt.Sprint("down", e)].h.Host()[0]; want == 0 || math.Abs(float64(got-want)) > 1e-5*float64(want) {
			t.Errorf("down%d: heard %v, want %v", e, got, want)
		}
	}
}
