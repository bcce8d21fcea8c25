package distill

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sprat/eval"
	"sprat/reward"
)

// teacher asks sums and sequences, some without a thought.
func teacher() *Teacher {
	t := DefaultTeacher()
	t.Model, t.Count, t.Most = "teacher", 3*round+7, 2
	t.Problems = []reward.Problems{{Families: []string{"add", "sequence"}, Plain: 0.4}}
	return &t
}

// knows answers a batch: the first and the second sample are right and alike, the third is wrong, the fourth right in other words.
func knows(_ context.Context, batch []*asked, think bool) error {
	for _, a := range batch {
		for i := range a.replies {
			r := reward.Reply{Said: a.Answer, Formed: true}
			if think {
				r.Thought = "I can see it"
			}
			if i == 3 {
				r.Said += "."
			}
			a.replies[i] = eval.Sample{Problem: a.Problem, Number: i, Reply: r, Right: i != 2, Tokens: 5}
		}
	}
	return nil
}

func contents(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, SamplesFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sampleBy is Sample with answers of the test's own.
func sampleBy(t *testing.T, dir string, resume bool, answer func(context.Context, []*asked, bool) error) error {
	t.Helper()
	s, err := begin(teacher(), 5, dir, resume)
	if err != nil {
		return err
	}
	s.answer = answer
	return errors.Join(s.sample(context.Background(), io.Discard), s.out.Close())
}

func TestWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := sampleBy(t, dir, false, knows); err != nil {
		t.Fatal(err)
	}
	thoughts, seen := 0, map[string]int{}
	lines := strings.Split(strings.TrimSpace(contents(t, dir)), "\n")
	for _, text := range lines {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil || len(l.Messages) != 2 || l.Messages[0].Role != "user" || l.Messages[1].Role != "assistant" {
			t.Fatalf("%s: %v", text, err)
		}
		seen[l.Messages[0].Content+l.Messages[1].Thought]++
		if l.Messages[1].Thought != "" {
			thoughts++
		}
	}
	if n := len(lines); n < 250 || thoughts < n/2 || thoughts > n*3/4 {
		t.Errorf("%d lines, %d with a thought: want two of nearly each problem, three fifths of them with a thought", n, thoughts)
	}
	for q, n := range seen {
		if n > 2*2 { // two words for one problem may ask the same
			t.Errorf("%q was kept %d times", q, n)
		}
	}
}

func TestFilter(t *testing.T) {
	dir := t.TempDir()
	err := sampleBy(t, dir, false, func(ctx context.Context, batch []*asked, think bool) error {
		err := knows(ctx, batch, think)
		for _, a := range batch {
			for i := range a.replies {
				a.replies[i].Right = false
				if think {
					a.replies[i].Right, a.replies[i].Reply.Thought = true, "это просто сумма"
				}
			}
		}
		return err
	})
	if text := contents(t, dir); err != nil || text != "" {
		t.Errorf("%v: wrong answers and another language are kept: %.100q", err, text)
	}
}

// TestSampleResumes: a run that is cut off anywhere goes on to the same file, even where a line was half written.
func TestSampleResumes(t *testing.T) {
	whole, dir := t.TempDir(), t.TempDir()
	if err := sampleBy(t, whole, false, knows); err != nil {
		t.Fatal(err)
	}
	cut := errors.New("cut off")
	for rounds := range 4 {
		calls := 0
		err := sampleBy(t, dir, true, func(ctx context.Context, batch []*asked, think bool) error {
			if calls++; calls > 2 { // in the second round
				return cut
			}
			return knows(ctx, batch, think)
		})
		if rounds < 3 && !errors.Is(err, cut) {
			t.Fatalf("cut %d: %v", rounds, err)
		}
		f, err := os.OpenFile(filepath.Join(dir, SamplesFile), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(`{"messages":[{"role":"us`)
		f.Close()
		if err := sampleBy(t, dir, false, knows); rounds < 3 && (err == nil || !strings.Contains(err.Error(), "--resume")) {
			t.Errorf("begun anew over a run that was cut off: %v", err)
		}
	}
	if err := sampleBy(t, dir, true, knows); err != nil {
		t.Fatal(err)
	}
	if contents(t, dir) != contents(t, whole) {
		t.Error("the samples are others than those of a run that wasn't cut off")
	}
}

func TestSampleMistakes(t *testing.T) {
	dir := t.TempDir()
	if err := sampleBy(t, dir, false, knows); err != nil {
		t.Fatal(err)
	}
	other := teacher()
	other.Samples = 7
	if _, err := begin(other, 5, dir, true); err == nil || !strings.Contains(err.Error(), "other problems") {
		t.Errorf("another teacher's samples are taken: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, SamplesFile), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := begin(teacher(), 5, dir, true); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("a file that lost lines is taken: %v", err)
	}
	for _, change := range []func(*Teacher){
		func(t *Teacher) { t.Model = "" }, func(t *Teacher) { t.Problems = nil }, func(t *Teacher) { t.Count = 0 },
		func(t *Teacher) { t.Samples = 1e9 }, func(t *Teacher) { t.Weights = "int3" }, func(t *Teacher) { t.Temperature = -1 },
	} {
		bad := teacher()
		if change(bad); bad.Check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	if err := teacher().Check(); err != nil {
		t.Error(err)
	}
	err := Sample(context.Background(), teacher(), 1, t.TempDir(), false, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "teacher") {
		t.Errorf("a teacher that isn't there: %v", err)
	}
}

// TestProblemsOnce: nothing is asked twice in the same way, whatever was cut off.
func TestProblemsOnce(t *testing.T) {
	var keys []string
	err := sampleBy(t, t.TempDir(), false, func(ctx context.Context, batch []*asked, think bool) error {
		for _, a := range batch {
			if a.HeldOut() {
				t.Errorf("%s is held out", a.Key)
			}
			if think {
				keys = append(keys, a.Key)
			}
		}
		return knows(ctx, batch, think)
	})
	all := len(keys)
	slices.Sort(keys)
	if err != nil || len(slices.Compact(keys)) != all {
		t.Errorf("%d of %d problems are asked twice, %v", all-len(slices.Compact(keys)), all, err)
	}
}
