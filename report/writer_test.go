package report

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// filled are lines with every field set to something that is not its zero.
var (
	filledStart = Start{
		Name: "a \"name\"\n", Started: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Seed: 1 << 63, Precision: "f32", Kernels: "avx2",
		Machine: "a machine", Cores: 2, Params: 3, Activated: 4, FLOPsPerToken: 5e6, PeakFLOPs: 1e11, TokensTotal: 7, Sequence: 8,
		DollarsPerCoreHour: 0.04,
	}
	filledStep = Step{
		Step: 1, Tokens: 2, Seconds: 3.5, Loss: 4.25, MTP: Floats{5, 6.1}, Balance: 1e-9, LR: 1e-3, GradNorm: 7, MaxVio: 0.1, Batch: 8,
		TokensPerSecond: 1e21, PeakShare: 0.3, Skipped: true,
	}
	filledLoad  = Load{Step: 1, Layers: []Floats{{0.5, 1.5}, {1, 1, 1}}}
	filledValid = Valid{Step: 1, Tokens: 2, Seconds: 3, Source: "books/é", Nats: 3.1, BitsPerByte: 1.4}
	filledRL    = RL{
		Step: 1, Reward: 1.5, Accuracy: 0.5, Format: 0.75, Length: 100.5, KL: 1e-3, Entropy: 0.3, ClipShare: 0.01, Mismatch: 1e-6, Right: 0.1,
		Wrong: 0.2, Dropped: 3, RolloutTokensPerSecond: 1e3, RolloutSeconds: 4, TrainSeconds: 2,
	}
	filledExam = Exam{Step: 1, Tokens: 2, Seconds: 3, Family: "countdown", Problems: 64, Samples: 4, Pass: 0.5, Error: 0.03, Length: 80, Unformed: 0.1}
	filledTold = Transcript{
		Step: 1, Family: "sum", Question: "What is 1 + 1?", Answer: "2", Reply: "<think>\n\"1\" + 1: é</think>\n2", Right: true,
	}
	filledResume   = Resume{Step: 1, Tokens: 2, Seconds: 3}
	filledRollback = Rollback{Step: 9, ToStep: 1, Tokens: 2, Seconds: 3, Why: "spike"}
	filledEnd      = End{Step: 1, Tokens: 2, Seconds: 3, Why: Done}
)

// written returns the lines that write makes, as a reader finds them.
func written(t *testing.T, write func(w *Writer) error) (dir string, lines []string) {
	t.Helper()
	dir = t.TempDir()
	w, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	return dir, strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
}

// TestEveryFieldIsWritten fails for a field that a type gains and its line does not.
func TestEveryFieldIsWritten(t *testing.T) {
	for _, c := range []struct {
		kind  string
		want  any
		write func(w *Writer) error
	}{
		{"run", filledStart, func(w *Writer) error { return w.Start(filledStart) }},
		{"step", filledStep, func(w *Writer) error { return w.Step(filledStep) }},
		{"load", filledLoad, func(w *Writer) error { return w.Load(filledLoad) }},
		{"valid", filledValid, func(w *Writer) error { return w.Valid(filledValid) }},
		{"rl", filledRL, func(w *Writer) error { return w.RL(filledRL) }},
		{"exam", filledExam, func(w *Writer) error { return w.Exam(filledExam) }},
		{"transcript", filledTold, func(w *Writer) error { return w.Transcript(filledTold) }},
		{"resume", filledResume, func(w *Writer) error { return w.Resume(filledResume) }},
		{"rollback", filledRollback, func(w *Writer) error { return w.Rollback(filledRollback) }},
		{"end", filledEnd, func(w *Writer) error { return w.End(filledEnd) }},
	} {
		v := reflect.ValueOf(c.want)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s: this test leaves %s empty", c.kind, v.Type().Field(i).Name)
			}
		}
		_, lines := written(t, c.write)
		var kind struct{ Kind string }
		got := reflect.New(v.Type())
		for _, into := range []any{&kind, got.Interface()} {
			if err := json.Unmarshal([]byte(lines[0]), into); err != nil {
				t.Fatalf("%v in %s", err, lines[0])
			}
		}
		if len(lines) != 1 || kind.Kind != c.kind || !reflect.DeepEqual(got.Elem().Interface(), c.want) {
			t.Errorf("%s: wrote %s\nread %+v\nwant %+v", c.kind, lines, got.Elem(), c.want)
		}
	}
}

func TestNotFiniteIsNull(t *testing.T) {
	_, lines := written(t, func(w *Writer) error {
		return w.Step(Step{Step: 1, Loss: math.NaN(), GradNorm: math.Inf(1), MTP: Floats{1, math.Inf(-1)}})
	})
	s := filledStep
	if err := json.Unmarshal([]byte(lines[0]), &s); err != nil {
		t.Fatalf("%v in %s", err, lines[0])
	}
	if !strings.Contains(lines[0], `"loss":null`) || !strings.Contains(lines[0], `"grad_norm":null`) || s.MTP[0] != 1 || !math.IsNaN(s.MTP[1]) {
		t.Errorf("wrote %s, read MTP %v", lines[0], s.MTP)
	}
}

func TestOpenCutsTornLine(t *testing.T) {
	long := strings.Repeat("x", 200<<10) // more than is looked at in one go
	for _, c := range []struct{ before, want string }{
		{"", ""},
		{"a\nb\n", "a\nb\n"},
		{"a\nb", "a\n"},
		{"torn", ""},
		{"a\n" + long, "a\n"},
		{long + "\n" + long, long + "\n"},
		{long, ""},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, MetricsFile)
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.End(filledEnd); err != nil {
			t.Fatal(err)
		}
		w.Close()
		got, _ := os.ReadFile(path)
		end := `{"kind":"end","step":1,"tokens":2,"seconds":3,"why":"done"}` + "\n"
		if string(got) != c.want+end {
			t.Errorf("%.20q of %d bytes became %.40q of %d", c.before, len(c.before), got, len(got))
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
			t.Errorf("mode is %v", info.Mode())
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	w, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n := testing.AllocsPerRun(100, func() {
		if err := w.Step(filledStep); err != nil {
			t.Fatal(err)
		}
		if err := w.RL(filledRL); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
}

func TestWritingAfterCloseFails(t *testing.T) {
	w, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if w.Step(filledStep) == nil {
		t.Error("a step that went nowhere is no error")
	}
}
