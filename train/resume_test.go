package train

import (
	"bytes"
	"context"
	"encoding/json"
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
	"sprat/data"
	"sprat/device/cpu"
	"sprat/report"
	"sprat/tokenizer"
)

// story is a text to learn from.
func story() string {
	var b strings.Builder
	for i := range 600 {
		fmt.Fprintf(&b, "The cat number %d sat on the mat and looked at the moon, which was %d miles away. ", i%7, i*i%113)
	}
	return b.String()
}

// tinyRun is a run file for a small model in a directory of its own, with a tokenizer made.
func tinyRun(t testing.TB, set ...string) *Config {
	t.Helper()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(text, []byte(story()), 0o600); err != nil {
		t.Fatal(err)
	}
	set = append([]string{
		"out=" + filepath.Join(dir, "model"), "tokenizer.path=" + filepath.Join(dir, "tokenizer.json"), "tokenizer.vocab_size=300",
		fmt.Sprintf("data.train=[%q]", text), fmt.Sprintf("data.valid=[%q]", text),
		"model.hidden_size=32", "model.intermediate_size=48", "model.moe_intermediate_size=16", "model.kv_lora_rank=16", "model.q_lora_rank=16",
		"train.steps=24", "train.batch=4", "train.micro=2", "train.sequence=32", "train.threads=2", "train.save_every=7", "train.valid_tokens=256",
		"train.evaluations=2", "schedule.lr=5e-3", "schedule.batch_ramp=0.3", "schedule.batch_from=0.5",
	}, set...)
	c, err := parsed([]byte(good), set)
	if err != nil {
		t.Fatal(err)
	}
	if err := Tokenizer(context.Background(), c, io.Discard); err != nil {
		t.Fatal(err)
	}
	return c
}

// openRun is what Pretrain does before it trains.
func openRun(t testing.TB, c *Config, resume bool, w io.Writer) *run {
	t.Helper()
	r, err := tryRun(t, c, resume, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.open("a test"); err != nil {
		t.Fatal(err)
	}
	return r
}

func tryRun(t testing.TB, c *Config, resume bool, w io.Writer) (*run, error) {
	t.Helper()
	tok, err := tokenizer.Load(c.Tokenizer.Path)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := c.modelFor(tok)
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Prepare(context.Background(), c.data(), tok, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	dev := cpu.New(c.Train.Threads)
	t.Cleanup(dev.Close)
	r, err := newRun(c, cfg, tok, set, dev, w)
	if err != nil {
		t.Fatal(err)
	}
	if resume {
		err = r.resume()
	}
	return r, err
}

// steps takes n steps of r.
func (r *run) steps(t testing.TB, n int) {
	t.Helper()
	for range n {
		if err := r.step(); err != nil {
			t.Fatal(err)
		}
	}
}

// matrices are the bits of everything that a checkpoint holds.
func (r *run) matrices() map[string][]float32 {
	all := map[string][]float32{}
	for _, p := range r.parts() {
		all[p.Name] = slices.Clone(p.M.Host())
	}
	return all
}

func sameMatrices(t *testing.T, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d matrices, want %d", len(got), len(want))
	}
	for name := range want {
		if !slices.EqualFunc(got[name], want[name], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			t.Errorf("%s differs", name)
		}
	}
}

// curve is the losses of a run's record by step, the latest of each.
func curve(t *testing.T, out string) map[int]float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, report.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	losses := map[int]float64{}
	for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		var s struct {
			Kind string
			report.Step
		}
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		if s.Kind == "step" {
			losses[s.Step.Step] = s.Loss
		}
	}
	return losses
}

// TestResumeEqualsUninterrupted stops a run after a checkpoint and some steps more, which are lost, and goes on.
func TestResumeEqualsUninterrupted(t *testing.T) {
	for precision := range Precisions {
		for optimizer := range Optimizers {
			t.Run(precision+"/"+optimizer, func(t *testing.T) {
				set := []string{"train.precision=" + precision, "train.optimizer=" + optimizer, "train.average=0.9", "train.recompute=true"}
				whole := openRun(t, tinyRun(t, set...), false, io.Discard)
				if err := whole.close(whole.train(context.Background())); err != nil {
					t.Fatal(err)
				}

				c := tinyRun(t, set...)
				first := openRun(t, c, false, io.Discard)
				first.steps(t, 9)
				if err := errors.Join(first.save(), first.saver.Wait()); err != nil {
					t.Fatal(err)
				}
				first.steps(t, 4)
				if err := first.record.Close(); err != nil {
					t.Fatal(err)
				}
				second := openRun(t, c, true, io.Discard)
				if second.at.Step != 9 {
					t.Fatalf("resumed at step %d", second.at.Step)
				}
				if err := second.close(second.train(context.Background())); err != nil {
					t.Fatal(err)
				}
				sameMatrices(t, second.matrices(), whole.matrices())
				want, got := curve(t, whole.c.Out), curve(t, c.Out)
				for step, loss := range want {
					if got[step] != loss {
						t.Errorf("step %d: loss %v, want %v", step, got[step], loss)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d steps in the record, want %d", len(got), len(want))
				}
			})
		}
	}
}

func TestResumeRefusesAnotherRun(t *testing.T) {
	c := tinyRun(t)
	r := openRun(t, c, false, io.Discard)
	r.steps(t, 2)
	if err := errors.Join(r.save(), r.saver.Wait(), r.record.Close()); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Unfinished(c.Out, false); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("starting anew over a run: %v", err)
	}
	for _, change := range []func(c *Config){
		func(c *Config) { c.Seed++ },
		func(c *Config) { c.Schedule.LR *= 2 },
		func(c *Config) { c.Train.Batch = 8 },
	} {
		other := *c
		change(&other)
		if _, err := tryRun(t, &other, true, io.Discard); !errors.As(err, new(checkpoint.OtherRun)) || !strings.Contains(err.Error(), "in the run file and") {
			t.Errorf("resuming with other numbers: %v", err)
		}
	}
	more := *c
	more.Train.Threads, more.Train.SaveEvery = 1, 3 // these change no number
	if r, err := tryRun(t, &more, true, io.Discard); err != nil || r.at.Step != 2 {
		t.Errorf("resuming with other threads: step %d, %v", r.at.Step, err)
	}
	if err := os.WriteFile(c.Data.Train[0], []byte(story()+"The end."), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryRun(t, c, true, io.Discard); !errors.As(err, new(checkpoint.OtherRun)) || !strings.Contains(err.Error(), "data") {
		t.Errorf("resuming with other text: %v", err)
	}
}

func TestATornCheckpointIsPassedOver(t *testing.T) {
	c := tinyRun(t)
	r := openRun(t, c, false, io.Discard)
	for range 3 {
		r.steps(t, 2)
		if err := errors.Join(r.save(), r.saver.Wait()); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := checkpoint.Paths(c.Out)
	if err != nil || len(paths) != checkpoint.Kept {
		t.Fatalf("checkpoints %v, %v: want the last %d", paths, err, checkpoint.Kept)
	}
	if err := os.Truncate(paths[1], 1000); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if again := openRun(t, c, true, &said); again.at.Step != 4 || !strings.Contains(said.String(), "trying the checkpoint before") {
		t.Errorf("went on from step %d, saying %q", again.at.Step, said.String())
	}
}

func TestCheckpointOfOtherKernels(t *testing.T) {
	c := tinyRun(t)
	r := openRun(t, c, false, io.Discard)
	r.steps(t, 1)
	if err := errors.Join(r.save(), r.saver.Wait()); err != nil {
		t.Fatal(err)
	}
	r.at.Kernels = "other-" + r.at.Kernels
	if err := errors.Join(r.saver.Save(r.dev.Read, r.parts(), 1, r.at), r.saver.Wait()); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	if again := openRun(t, c, true, &said); again.at.Step != 1 || !strings.Contains(said.String(), "kernels other-") {
		t.Errorf("went on from step %d, saying %q", again.at.Step, said.String())
	}
}

func TestRollbackGoesOnWithOtherData(t *testing.T) {
	c := tinyRun(t, "train.save_every=4")
	r := openRun(t, c, false, io.Discard)
	r.steps(t, 4)
	if err := errors.Join(r.save(), r.saver.Wait()); err != nil {
		t.Fatal(err)
	}
	saved := r.matrices()
	r.steps(t, 2)
	rows := r.at.Rows
	if err := r.rollback(stepResult{}); err != nil {
		t.Fatal(err)
	}
	sameMatrices(t, r.matrices(), saved)
	if r.at.Step != 4 || r.at.Rows != rows || r.rows.At() != rows {
		t.Errorf("step %d, row %d, data at %d: want step 4, rows on from %d", r.at.Step, r.at.Rows, r.rows.At(), rows)
	}
	r.steps(t, 1)
	if r.at.Step != 5 {
		t.Errorf("step %d after a rollback to 4 and one step", r.at.Step)
	}
}

func TestNaNNamesStepAndTensor(t *testing.T) {
	r := openRun(t, tinyRun(t), false, io.Discard)
	r.steps(t, 2)
	before := r.matrices()
	const name = "model.layers.1.self_attn.o_proj.weight"
	for p := range r.model.Params() {
		if p.Name == name {
			p.W.Host()[3] = float32(math.NaN())
			before[name][3] = p.W.Host()[3]
		}
	}
	err := r.step()
	if err == nil || !strings.Contains(err.Error(), "step 3") || !strings.Contains(err.Error(), name) {
		t.Errorf("a step with a NaN: %v", err)
	}
	sameMatrices(t, r.matrices(), before)
}

// TestALeapIsSkippedAndThenUndone breaks the weights of a run: its steps are left out, and then it goes back.
func TestALeapIsSkippedAndThenUndone(t *testing.T) {
	c := tinyRun(t, "train.steps=80", "train.save_every=30", "schedule.batch_from=1")
	r := openRun(t, c, false, io.Discard)
	r.steps(t, 60)
	if err := errors.Join(r.save(), r.saver.Wait()); err != nil {
		t.Fatal(err)
	}
	good := r.matrices()
	for p := range r.model.Params() {
		if p.Name == "lm_head.weight" {
			for i := range p.W.Host() {
				p.W.Host()[i] *= -30
			}
		}
	}
	broken := r.matrices()
	r.steps(t, 4)
	if r.at.Step != 64 {
		t.Fatalf("step %d after four bad steps, want 64", r.at.Step)
	}
	for name, w := range r.matrices() {
		if !slices.Equal(w, broken[name]) {
			t.Errorf("%s moved in a step that was to be skipped", name)
		}
	}
	rows := r.rows.At()
	r.steps(t, 1)
	if r.at.Step != 60 || r.rows.At() <= rows {
		t.Errorf("step %d, row %d after five bad steps: want step 60, and rows on from %d", r.at.Step, r.rows.At(), rows)
	}
	sameMatrices(t, r.matrices(), good)
	if err := r.close(r.train(context.Background())); err != nil {
		t.Fatal(err)
	}
	if r.at.Tokens != r.total || r.at.Step != 80 {
		t.Errorf("the run ended at step %d with %d of %d tokens", r.at.Step, r.at.Tokens, r.total)
	}
}

// TestPassesAddUp takes the same step in one pass and in two: all that is recorded of it is the same but for rounding.
func TestPassesAddUp(t *testing.T) {
	var lines [2]report.Step
	for i, micro := range []string{"4", "2"} {
		r := openRun(t, tinyRun(t, "train.micro="+micro, "schedule.batch_from=1", "train.precision=fp32", "data.pack=borders"), false, io.Discard)
		r.steps(t, 1)
		text, err := os.ReadFile(r.path(report.MetricsFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
			if bytes.Contains(line, []byte(`"kind":"step"`)) {
				if err := json.Unmarshal(line, &lines[i]); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	near := func(what string, a, b float64) {
		if math.Abs(a-b) > 1e-5*math.Abs(a) { // sums of some hundred float32 in another order
			t.Errorf("%s is %v in one pass and %v in two", what, a, b)
		}
	}
	one, two := lines[0], lines[1]
	near("the loss", one.Loss, two.Loss)
	near("the MTP loss", one.MTP[0], two.MTP[0])
	near("the balance loss", one.Balance, two.Balance)
	near("the gradient's norm", one.GradNorm, two.GradNorm)
	near("MaxVio", one.MaxVio, two.MaxVio)
	if one.Batch != 4 || two.Batch != 4 {
		t.Errorf("%d and %d rows", one.Batch, two.Batch)
	}
}

func TestStepsAllocateNothing(t *testing.T) {
	r := openRun(t, tinyRun(t, "train.threads=1", "schedule.batch_from=1", "train.average=0.9", "train.clip_qk=100"), false, io.Discard)
	r.steps(t, 3)
	if n := testing.AllocsPerRun(5, func() { r.steps(t, 1) }); n > 0 {
		t.Errorf("a step allocates %v times", n)
	}
}
