package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sprat/report"
)

// tuned is a run file for fine-tuning the model in base on sums and a file of chats.
func tuned(t *testing.T, base string, set ...string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	chats := filepath.Join(dir, "chats.jsonl")
	line := `{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"4","reasoning_content":"two and two"}]}` + "\n"
	if err := os.WriteFile(chats, []byte(strings.Repeat(line, 30)), 0o600); err != nil {
		t.Fatal(err)
	}
	c := SFTDefaults()
	return &c, c.Parse(fmt.Appendf(nil, `
		base = %q
		out = %q
		[[data.source]]
		name = "sums"
		tasks = ["add"]
		documents = 60
		difficulty = [0, 1]
		[[data.source]]
		name = "chats"
		chat = [%q]
		[train]
		steps = 6
		batch = 2
		sequence = 256
		save_every = 3
		evaluations = 1
		threads = 2`, base, filepath.Join(dir, "tuned"), chats), set)
}

// TestSFT: fine-tuning goes on from the base's weights, keeps its chat template, and goes on where it was cut off.
func TestSFT(t *testing.T) {
	pre := tinyRun(t, "train.steps=2", "model.max_position_embeddings=256")
	if err := Pretrain(context.Background(), pre, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pre.Out, "chat_template.jinja"), []byte("{{ thinking }}"), 0o600); err != nil {
		t.Fatal(err)
	}
	still, err := tuned(t, pre.Out, "schedule.lr=0", "schedule.floor=0", "schedule.last=0", "schedule.bias_speed=0")
	if err != nil {
		t.Fatal(err)
	}
	if err := SFT(context.Background(), still, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if weights(t, still.Out) != weights(t, pre.Out) {
		t.Error("without a learning rate the weights are others than the base's")
	}
	if text, err := os.ReadFile(filepath.Join(still.Out, "chat_template.jinja")); string(text) != "{{ thinking }}" {
		t.Errorf("the template is %q, %v", text, err)
	}

	whole, err := tuned(t, pre.Out)
	if err != nil {
		t.Fatal(err)
	}
	if err := SFT(context.Background(), whole, Options{}, io.Discard); err != nil {
		t.Fatal(err)
	}
	cut, _ := tuned(t, pre.Out)
	ctx, stop := context.WithCancel(context.Background())
	err = SFT(ctx, cut, Options{}, writerFunc(func(p []byte) {
		if bytes.Contains(p, []byte("step 1 ")) {
			stop()
		}
	}))
	if !errors.Is(err, report.ErrInterrupted) {
		t.Fatalf("%v, want it interrupted", err)
	}
	if err := SFT(context.Background(), cut, Options{Resume: true}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if weights(t, cut.Out) != weights(t, whole.Out) {
		t.Error("a run that was cut off gives other weights")
	}
	first, last := lossOf(t, whole.Out)
	if !(last < first) {
		t.Errorf("the loss went from %.3f to %.3f", first, last)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// lossOf is a run's first and last loss.
func lossOf(t *testing.T, out string) (first, last float64) {
	t.Helper()
	r, err := report.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	return r.Steps[0].Loss, r.Steps[len(r.Steps)-1].Loss
}

func TestSFTMistakes(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for set, want := range map[string]string{
		"data.pack=whole":      "base",
		"data.loss=all":        "data.",
		"model.hidden_size=32": "[model]",
	} {
		c, err := tuned(t, none, set)
		if err == nil {
			err = SFT(context.Background(), c, Options{}, io.Discard)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that names %s", set, err, want)
		}
	}
}
