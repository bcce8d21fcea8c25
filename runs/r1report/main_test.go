package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sprat/eval"
	"sprat/report"
)

// ran makes a stage's directory: the record of its run, and how it was asked.
func ran(t *testing.T, asks map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	w, err := report.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	exam := func(step int, family string, pass, length float64) error {
		return w.Exam(report.Exam{Step: step, Tokens: 1e7, Seconds: 7200, Family: family, Pass: pass, Length: length})
	}
	for _, err := range []error{
		w.Start(report.Start{Name: "r", Machine: "a | machine", Cores: 2, Params: 12_340_000, Seed: 7, FLOPsPerToken: 1e6, DollarsPerCoreHour: 0.25}),
		w.Step(report.Step{Step: 1, Tokens: 5e6, Seconds: 3600}), w.RL(report.RL{Step: 1, Accuracy: 0.25, Length: 40, Entropy: 1}),
		exam(1, "add", 0.25, 30), exam(1, "lists", 0.75, 40), exam(1, "add, no thought", 0.125, 0), exam(2, "add", 0.875, 50),
		w.Step(report.Step{Step: 2, Tokens: 1e7, Seconds: 7200}), w.RL(report.RL{Step: 2, Accuracy: 0.75, Length: 90, Entropy: 0.5, KL: 0.002}),
		w.End(report.End{Step: 2, Tokens: 1e7, Seconds: 7200, Why: report.Done}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, v := range asks {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// answers is what sprat eval --json prints.
func answers(form string, think bool, difficulty, pass float64) any {
	type evaluated struct {
		Model      string  `json:"model"`
		Form       string  `json:"form"`
		Difficulty float64 `json:"difficulty"`
		eval.Result
	}
	add := eval.Score{Family: "add", Problems: 50, Pass: pass, Error: 0.02, Lenient: pass + 0.1, Thought: 33}
	story := eval.Score{Family: "story", Problems: 50, Pass: pass / 2, Error: 0.03, Lenient: pass, Thought: 66}
	mean := eval.Score{Family: "mean", Pass: pass * 3 / 4, Error: 0.01, Lenient: pass, Thought: 50}
	return evaluated{"m", form, difficulty, eval.Result{Samples: 4, Temperature: 0.6, TopP: 0.95, MaxTokens: 512, Seed: 3, Think: think,
		Families: []eval.Score{add, story}, Mean: &mean}}
}

func TestReport(t *testing.T) {
	zero := ran(t, map[string]any{"eval-zero.json": answers("zero", true, 1, 0.4)})
	rl2 := ran(t, map[string]any{"eval-think.json": answers("chat", true, 1, 0.8), "eval-plain.json": answers("chat", false, 1, 0.5),
		"eval-hard.json": answers("chat", true, 1.5, 0.6), "other.json": "not read"})
	kept := t.TempDir()
	var b, again bytes.Buffer
	rl1 := ran(t, map[string]any{"eval-hard.json": answers("chat", true, 1.5, 0.8)})
	sft := ran(t, map[string]any{"eval-hard.json": answers("chat", true, 1.5, 0.4)})
	only := t.TempDir()
	if text, err := json.Marshal(answers("chat", true, 1, 0.9)); err != nil || os.WriteFile(filepath.Join(only, "eval.json"), text, 0o600) != nil {
		t.Fatal(err)
	}
	stages := []string{"zero=" + zero, "rl2=" + rl2, "nano=" + only, "rl1=" + rl1, "rl1-sft=" + sft, "distill=" + filepath.Join(zero, "none")}
	if err := write(output{keep: kept}, stages, &b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Not run yet: distill.\n",
		"| zero | 30.0 ± 1.0 (template) | 50 | – | R1-Zero | 77.9 | 95.9 | 50.0 |\n",
		"| rl2 | 60.0 ± 1.0 | 50 | 37.5 ± 1.0 | R1 | 79.8 | 97.3 | 65.9 |\n",
		"| nano | 67.5 ± 1.0 | 50 | – |  |  |  |  |\n",
		"## Held-out problems, thinking\n\n| family | rl2 | thought | nano | thought |\n|---|--:|--:|--:|--:|\n| add | 80.0 ± 2.0 | 33 | 90.0 ± 2.0 | 33 |\n",
		"## Held-out problems, without thinking\n", "## Held-out problems, thinking, difficulty 1.5\n",
		"template\n\n| family | zero | lenient |\n|---|--:|--:|\n| add | 40.0 ± 2.0 | 50.0 |\n",
		"50 problems a family, 4 samples each, temperature 0.6, top-p 0.95, up to 512 tokens, seed 3.\n",
		"| rl2 | 2 | 7 | 25.0 → 75.0 | 40 → 90 | 1.00 → 0.50 | 0.0000 → 0.0020 |\n",
		"| zero | 1 → 2 | 50.0 → 87.5 | 35 → 50 |\n| zero, no thought | 1 | 12.5 | 0 |\n",
		"| reinforcement | rl1 | 1e+13 | 40.0 | +0 % |\n| the cold start's fine-tuning continued | rl1-sft | 1e+13 | 70.0 | -43 % |\n",
		"| zero | 12.34 M | 10.0 M | 1e+13 | 4.00 | 1.000 | 0.00 | a   machine, 2 cores |\n",
		"| all |  |  |  | 16.00 | 4.000 |  |  |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, b.String())
		}
	}
	if err := os.WriteFile(filepath.Join(zero, report.MetricsFile), []byte(`{"kind":"start","name":"r"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(output{keep: kept}, stages, &again); err != nil || again.String() != b.String() { // it was begun anew
		t.Errorf("with a run under way, %v:\n%s", err, again.String())
	}
	again.Reset()
	for _, dir := range []string{zero, rl2, rl1, sft, only} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(output{keep: kept}, stages, &again); err != nil || again.String() != b.String() {
		t.Errorf("of what was kept, %v:\n%s", err, again.String())
	}
	if err := os.WriteFile(filepath.Join(kept, "distill.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(output{keep: kept}, stages, &again); err == nil || !strings.Contains(err.Error(), "distill.json") {
		t.Errorf("what was not kept: %v", err)
	}
}

func TestCard(t *testing.T) {
	asks := map[string]any{"eval-think.json": answers("chat", true, 1, 0.8), "eval-plain.json": answers("chat", false, 1, 0.5)}
	stages := []string{"rl2=" + ran(t, asks), "other=" + ran(t, nil)}
	file := filepath.Join(t.TempDir(), "README.md")
	card := "rl2=" + file
	if err := os.WriteFile(file, []byte("before\n"+cardFrom+"old\n"+cardTo+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again over what it wrote
		if err := write(output{card: card}, stages, &bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		want := "before\n" + cardFrom + "| family | thinking | tokens of thought | at once |\n|---|--:|--:|--:|\n| add | 80.0 ± 2.0 | 33 | 50.0 ± 2.0 |\n" +
			"| story | 40.0 ± 3.0 | 66 | 25.0 ± 3.0 |\n| mean, without stretch | 60.0 ± 1.0 | 50 | 37.5 ± 1.0 |\n" + cardTo + "\nafter\n"
		if err != nil || string(got) != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	if err := write(output{card: card}, stages[1:], &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "without thinking") {
		t.Errorf("a stage that was asked nothing: %v", err)
	}
	if err := write(output{card: file}, stages, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "STAGE=FILE") {
		t.Errorf("a card of no stage: %v", err)
	}
	if err := os.WriteFile(file, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := write(output{card: card}, stages, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no place") {
		t.Errorf("a card without a place: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	good := ran(t, nil)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no stage"},
		{[]string{"zero"}, "is no stage"},
		{[]string{"zero=" + filepath.Join(good, "none")}, "no stage has run"},
		{[]string{"zero=" + ran(t, map[string]any{"eval.json": []int{1}})}, "isn't what"},
		{[]string{"zero=" + ran(t, map[string]any{"eval.json": map[string]any{"form": "chat"}})}, "isn't what"},
		{[]string{"zero=" + ran(t, map[string]any{"eval1.json": answers("chat", true, 1, 1), "eval2.json": answers("chat", true, 1, 0)})}, "twice"},
	} {
		if err := write(output{}, c.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want %q", c.args, err, c.want)
		}
	}
}
