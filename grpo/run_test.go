package grpo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/checkpoint"
	"sprat/config"
	"sprat/device/cpu"
	"sprat/engine"
	"sprat/model"
	"sprat/report"
	"sprat/safetensors"
	"sprat/tokenizer"
	"sprat/train"
)

// base writes a model that knows nothing, with a tokenizer of bytes and the chat's tokens.
func base(t *testing.T) string {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{""}), tokenizer.TrainOptions{
		VocabSize:     270,
		SpecialTokens: []string{tokenizer.BOS, tokenizer.EOS, tokenizer.Pad},
		AddedTokens:   []string{tokenizer.User, tokenizer.Assistant, tokenizer.Think, tokenizer.EndThink},
	})
	if err != nil {
		t.Fatal(err)
	}
	eos, _ := tok.ID(tokenizer.EOS)
	cfg, err := config.Parse(fmt.Appendf(nil, `{"model_type": "deepseek_v3", "vocab_size": %d, "hidden_size": 32, "num_hidden_layers": 2,
		"first_k_dense_replace": 1, "intermediate_size": 48, "num_attention_heads": 2, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
		"qk_rope_head_dim": 8, "v_head_dim": 8, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1,
		"topk_group": 1, "moe_intermediate_size": 16, "scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": true,
		"routed_scaling_factor": 2.5, "max_position_embeddings": 512, "eos_token_id": %d, "num_nextn_predict_layers": 1}`, tok.VocabSize(), eos))
	if err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(1)
	defer dev.Close()
	m := model.New(cfg, dev, model.Options{})
	m.Init(1, 0.1)
	dir := filepath.Join(t.TempDir(), "base")
	if err := train.Save(dir, m, tok, "f32", ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tiny is a run of seconds' parts: what it rewards is that a reply ends within 12 tokens.
func tiny(t *testing.T, base string, set ...string) *Config {
	t.Helper()
	text := fmt.Sprintf(`
		base = %q
		out  = %q
		[rl]
		steps = 4
		prompts = 4
		samples = 4
		max_tokens = 12
		[[problems]]
		families = ["add", "sequence"]
		difficulty = [0, 0.3]
		plain = 1
		[exam]
		problems = 2
		every = 2
		[train]
		lr = 1e-2
		warmup = 0
		pass = 512
		threads = 2
		save_every = 2`, base, filepath.Join(t.TempDir(), "out"))
	c, err := Parse([]byte(text), set)
	if err != nil {
		t.Fatal(err)
	}
	if c.RL.Form == FormZero {
		c.Problems[0].Plain = 0
	}
	return c
}

func weights(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	r, err := safetensors.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all := map[string][]float32{}
	for _, name := range r.Names() {
		info, _ := r.Info(name)
		all[name] = make([]float32, info.Len())
		if err := r.ReadFloat32(name, all[name]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func same(t *testing.T, got, want map[string][]float32) {
	t.Helper()
	for name := range want {
		if !slices.Equal(got[name], want[name]) {
			t.Fatalf("%s differs", name)
		}
	}
}

// TestFormatIsLearned: a reward for ending the reply is had ever more often.
func TestFormatIsLearned(t *testing.T) {
	c := tiny(t, base(t), "rl.steps=30", "rl.accuracy=0", "rl.prompts=8", "rl.samples=8", "rl.spread=false", "rl.mean=limit", "rl.kl=0",
		"exam.every=0", "train.lr=2e-2", "train.save_every=1000")
	if err := Run(context.Background(), c, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	r, err := report.Read(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	first, last := r.RLs[0], r.RLs[len(r.RLs)-1]
	if len(r.RLs) != 30 || !(first.Reward < 0.4 && last.Reward > 0.8) {
		t.Errorf("%d steps, reward from %.2f to %.2f: want it to rise from under 0.4 to over 0.8", len(r.RLs), first.Reward, last.Reward)
	}
}

// options are runs that differ in what they compute.
var options = map[string][]string{
	"plain GRPO":      nil,
	"two updates":     {"rl.updates=2", "rl.mean=token", "rl.clip_high=0.28", "rl.pass=[0, 1]", "rl.draws=2", "rl.overlong=soft", "rl.buffer=4"},
	"Dr. GRPO":        {"rl.spread=false", "rl.mean=limit", "rl.kl=0", "rl.overlong=drop"},
	"GSPO":            {"rl.ratio=sequence", "rl.updates=2", "train.optimizer=muon"},
	"V3.2":            {"rl.unbiased_kl=true", "rl.off_policy=0.1", "rl.replay=true", "rl.reference_every=1"},
	"zero in float32": {"rl.form=zero", "train.precision=fp32", "rl.format=1", "rl.language=0.5"},
}

// TestResume: a run that is cut off after its checkpoint, in the middle of a step, goes on to the weights that it would have had.
func TestResume(t *testing.T) {
	from := base(t)
	for name, set := range options {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := tiny(t, from, set...)
			if err := Run(context.Background(), whole, Options{}, io.Discard); err != nil {
				t.Fatal(err)
			}
			want := weights(t, whole.Out)

			c := tiny(t, from, set...)
			c.Train.Threads = 1 // the number of threads changes nothing
			ctx, stop := context.WithCancel(context.Background())
			lines := &watch{after: "step 2  held out", stop: stop}
			if err := Run(ctx, c, Options{}, lines); !errors.Is(err, report.ErrInterrupted) {
				t.Fatalf("%v, want it interrupted", err)
			}
			if err := Run(context.Background(), c, Options{}, io.Discard); err == nil || !strings.Contains(err.Error(), "--resume") {
				t.Errorf("started anew over a run: %v", err)
			}
			if err := Run(context.Background(), c, Options{Resume: true}, io.Discard); err != nil {
				t.Fatal(err)
			}
			same(t, weights(t, c.Out), want)
		})
	}
}

// watch stops a run where it says something.
type watch struct {
	after string
	stop  func()
}

func (w *watch) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.after) {
		w.stop()
	}
	return len(p), nil
}

// TestOptionsDiffer: every option does something. The ratio is that of two updates, as in the first it is 1.
func TestOptionsDiffer(t *testing.T) {
	from, seen := base(t), map[string]string{}
	for _, set := range []string{"seed=1", "rl.spread=true", "rl.mean=token", "rl.mean=limit", "rl.updates=2", "rl.updates=2 rl.ratio=sequence",
		"rl.updates=2 rl.clip_high=0.001", "rl.updates=2 rl.off_policy=1e-9", "rl.updates=2 rl.unbiased_kl=true", "rl.kl=0.5",
		"rl.overlong=drop", "rl.overlong=soft", "rl.format=0.5", "rl.pass=[1.0, 1.0]", "seed=2", "train.lr=1e-3",
		"train.warmup=3", "train.decay=2", "train.clip=0.01", "train.bias_speed=0.1"} {
		sets := append([]string{"rl.spread=false", "rl.steps=2", "exam.every=0", "exam.problems=1", "rl.buffer=6", "rl.kl=0.1"}, strings.Fields(strings.ReplaceAll(set, ", ", ","))...)
		c := tiny(t, from, sets...)
		if err := Run(context.Background(), c, Options{}, io.Discard); err != nil {
			t.Fatalf("%s: %v", set, err)
		}
		w := fmt.Sprint(weights(t, c.Out))
		if other, ok := seen[w]; ok {
			t.Errorf("%s and %s give the same weights", set, other)
		}
		seen[w] = set
	}
}

// TestRate: the learning rate rises to train.lr, stays, and falls, never to nothing before the end.
func TestRate(t *testing.T) {
	c := defaults()
	c.RL.Steps, c.Train = 10, Train{LR: 1, Warmup: 4, Decay: 5}
	for step, want := range []float64{0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2} {
		if got := c.rate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %g, want %g", step, got, want)
		}
	}
	c.Train.Warmup, c.Train.Decay = 0, 0
	if c.rate(0) != 1 || c.rate(9) != 1 {
		t.Errorf("without either, %g and %g", c.rate(0), c.rate(9))
	}
}

// TestEngineAndTrainerAgree: in float32 the log probabilities of what was drawn are the trainer's, with and without replayed experts.
func TestEngineAndTrainerAgree(t *testing.T) {
	for _, replay := range []string{"false", "true"} {
		c := tiny(t, base(t), "train.precision=fp32", "rl.steps=1", "rl.replay="+replay, "exam.every=0")
		if err := Run(context.Background(), c, Options{}, io.Discard); err != nil {
			t.Fatal(err)
		}
		r, err := report.Read(c.Out)
		if err != nil {
			t.Fatal(err)
		}
		if m := r.RLs[0].Mismatch; !(m < 1e-5) { // float32's own, over logits of some units
			t.Errorf("replay %s: engine and trainer differ by %g nats a token", replay, m)
		}
	}
}

// TestMistakes: what can't be run is refused, by the key that is wrong.
func TestMistakes(t *testing.T) {
	for set, want := range map[string]string{
		"rl.samples=1":          "rl.samples",
		"rl.mean=median":        "rl.mean",
		"rl.ratio=golden":       "rl.ratio",
		"rl.pass=[0.9, 0.1]":    "rl.pass",
		"rl.form=verse":         "rl.form",
		"rl.updates=17":         "rl.updates",
		"rl.clip_low=0":         "rl.clip_low",
		"rl.unknown=1":          "unknown key",
		"train.optimizer=luck":  "train.optimizer",
		"train.precision=fp12":  "train.precision",
		"rl.overlong=shrug":     "rl.overlong",
		"dtype=f64":             "dtype",
		"rl.prompts=1000000000": "rl.prompts",
	} {
		text := "base = \"b\"\n[[problems]]\nfamilies = [\"add\"]\n"
		if _, err := Parse([]byte(text), []string{set}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that names %s", set, err, want)
		}
	}
	for text, want := range map[string]string{
		"":             "base",
		"base = \"b\"": "problems",
		"base = \"b\"\n[[problems]]\nfamilies = [\"talk\"]":                  "talk",
		"base = \"b\"\n[[problems]]\nfamilies = [\"add\"]\ndifficulty = [2]": "difficulty",
	} {
		if _, err := Parse([]byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that names %s", text, err, want)
		}
	}
	c := tiny(t, base(t), "train.pass=20")
	if err := Run(context.Background(), c, Options{}, io.Discard); err == nil || !strings.Contains(err.Error(), "train.pass") {
		t.Errorf("a pass that holds no sample: %v", err)
	}
	c = tiny(t, filepath.Join(t.TempDir(), "none"))
	if err := Run(context.Background(), c, Options{}, io.Discard); err == nil || !strings.Contains(err.Error(), "base") {
		t.Errorf("no base: %v", err)
	}
}

// TestWhatIsLeft: a run leaves a model that runs, and a record with its exams and transcripts.
func TestWhatIsLeft(t *testing.T) {
	c := tiny(t, base(t))
	if err := Run(context.Background(), c, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	dir, err := engine.OpenDir(os.DirFS(c.Out))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if dir.Config.NumNextNPredictLayers != 1 {
		t.Error("the MTP module is gone")
	}
	r, err := report.Read(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	// Two families, with a thought and without one, at steps 0, 2 and 4.
	if len(r.RLs) != 4 || len(r.Exams) != 12 || len(r.Transcripts) != 24 || r.End == nil || r.End.Why != report.Done {
		t.Errorf("%d steps, %d exams, %d transcripts, end %+v", len(r.RLs), len(r.Exams), len(r.Transcripts), r.End)
	}
	if paths, err := checkpoint.Paths(c.Out); err != nil || len(paths) != checkpoint.Kept {
		t.Errorf("checkpoints %v, %v", paths, err)
	}
}
