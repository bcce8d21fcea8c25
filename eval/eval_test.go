package eval

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sprat/chat"
	"sprat/config"
	"sprat/device/cpu"
	"sprat/engine"
	"sprat/model"
	"sprat/reward"
	"sprat/tasks"
	"sprat/tokenizer"
)

// tiny is a model with random weights, and its chat format without thinking.
func tiny(t *testing.T) (*engine.Engine, reward.Form) {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{strings.Repeat("What is 3 + 4? ", 9)}), tokenizer.TrainOptions{
		VocabSize: 280, SpecialTokens: []string{tokenizer.BOS, tokenizer.EOS, tokenizer.Pad},
		AddedTokens: []string{tokenizer.User, tokenizer.Assistant, tokenizer.Think, tokenizer.EndThink},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.LoadFS(os.DirFS("../testdata/gold/v3-basic"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.VocabSize, cfg.MaxPositionEmbeddings, cfg.EOSTokenIDs = tok.VocabSize(), 512, nil
	trained, dev := cpu.New(1), cpu.New(1)
	m := model.New(cfg, trained, model.Options{Positions: 32})
	m.Init(1, model.InitStd(cfg.HiddenSize))
	e, err := engine.FromModel(m, tok, dev, engine.Options{Weights: engine.F32})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(); dev.Close(); trained.Close() })
	return e, reward.Chat(chat.New(tok, ""), false)
}

func external(t *testing.T, set, question, answer string) tasks.Problem {
	t.Helper()
	p, err := tasks.External(set, question, answer)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRun asks a random model, takes what it happened to say for the answers, and asks again: then it is right where it said that.
func TestRun(t *testing.T) {
	e, form := tiny(t)
	o := Options{Samples: 6, Temperature: 1.5, MaxTokens: 60, Seed: 3}
	var said []Sample
	collect := func(s Sample) { said = append(said, s) }
	var problems []tasks.Problem
	for i := range 12 {
		problems = append(problems, external(t, "random", fmt.Sprintf("%d?", i), "impossible to say"))
	}
	o.Each = collect
	first, err := Run(t.Context(), e, form, problems, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(said) != 72 || first.Families[0].Pass != 0 || first.Families[0].Problems != 12 {
		t.Fatalf("%d samples, %+v", len(said), first)
	}
	slices.SortFunc(said, func(a, b Sample) int { return cmp.Or(a.index-b.index, a.Number-b.Number) })
	right := 0
	for _, s := range said {
		if p, err := tasks.External("random", s.Problem.Question, s.Reply.Said); err == nil && s.Reply.Formed {
			if problems[s.index] = p; right == 0 || said[right-1].index != s.index {
				right++
			}
		}
	}
	if right == 0 {
		t.Fatal("no reply is formed: the test has nothing to find")
	}
	before := slices.Clone(said)
	said = nil
	again, err := Run(t.Context(), e, form, problems, o)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(said, func(a, b Sample) int { return cmp.Or(a.index-b.index, a.Number-b.Number) })
	total := 0.0
	for i, s := range said {
		if s.Reply != before[i].Reply || s.Tokens != before[i].Tokens {
			t.Fatalf("sample %d differs: %+v, before %+v", i, s, before[i])
		}
		if s.Right {
			total++
		}
	}
	if total == 0 || math.Abs(again.Families[0].Pass-total/72) > 1e-12 {
		t.Errorf("%v right of 72, and pass@1 is %v", total, again.Families[0].Pass)
	}
	// A problem's samples don't depend on the others.
	said = nil
	if _, err := Run(t.Context(), e, form, problems[4:5], o); err != nil {
		t.Fatal(err)
	}
	for _, s := range said {
		if s.Reply != before[24+s.Number].Reply {
			t.Errorf("alone, sample %d says %q, not %q", s.Number, s.Reply.Said, before[24+s.Number].Reply.Said)
		}
	}
}

func TestRunEnds(t *testing.T) {
	e, form := tiny(t)
	if _, err := Run(t.Context(), e, form, nil, Options{}); err == nil {
		t.Error("no problems are no mistake")
	}
	long := external(t, "x", strings.Repeat("long ", 600), "1")
	if _, err := Run(t.Context(), e, form, []tasks.Problem{long}, Options{Samples: 300}); err == nil || !strings.Contains(err.Error(), "long long") {
		t.Errorf("a prompt that doesn't fit: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var problems []tasks.Problem
	for i := range 300 {
		problems = append(problems, external(t, "x", fmt.Sprint(i), "1"))
	}
	n := 0
	_, err := Run(ctx, e, form, problems, Options{Temperature: 1, MaxTokens: 20, Each: func(Sample) {
		if n++; n == 5 {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) || n > 280 {
		t.Errorf("stopped after %d samples: %v", n, err)
	}
}

// TestScores counts by hand.
func TestScores(t *testing.T) {
	var problems []tasks.Problem
	for i := range 4 {
		problems = append(problems, external(t, "x", fmt.Sprint(i), "7"))
	}
	problems = append(problems, external(t, "y", "q", "7"))
	tally := newTally(problems, 4)
	for i, replies := range [][]string{
		{"7", "7.0", "8", "9"},       // right twice, in two forms: a majority
		{"7", "8", "8", "8"},         // a minority
		{"7", "8", "-", "so 7"},      // a tie of three; unformed; not right but to the lenient
		{"1", "2", "3", "-"},         // never
		{"7", "seven", "Seven", "7"}, // y: a tie of two
	} {
		for n, said := range replies {
			r := reward.Reply{Said: said, Formed: said != "-", Tokens: 10}
			tally.add(Sample{Problem: problems[i], Number: n, Reply: r, Right: reward.Accuracy(problems[i], r) > 0, Tokens: 20, index: i})
		}
	}
	r := tally.result(reward.Form{}, Options{Samples: 4, Temperature: 0.6})
	// Means by problem are 1/2, 1/4, 1/4 and 0; their variance is 1/24, and a quarter of that is the error's square.
	want := Score{Family: "x", Problems: 4, Pass: 0.25, Error: math.Sqrt(1.0 / 96), Lenient: 5.0 / 16, Majority: 1.0 / 3, Any: 0.75,
		Thought: 10, Length: 20, Unformed: 2.0 / 16}
	near(t, r.Families[0], want)
	near(t, r.Families[1], Score{Family: "y", Problems: 1, Pass: 0.5, Lenient: 0.5, Majority: 0.5, Any: 1, Thought: 10, Length: 20})
	near(t, *r.Mean, Score{Family: "mean", Problems: 5, Pass: 0.375, Error: math.Sqrt(1.0/96) / 2, Lenient: 13.0 / 32, Majority: 5.0 / 12,
		Any: 0.875, Thought: 10, Length: 20, Unformed: 1.0 / 16})
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"cons_k":0.333`) {
		t.Errorf("%s: %v", text, err)
	}
	if md := r.Markdown(); !strings.Contains(md, "| x | 4 | 25.0 ± 10.2 | 31.2 | 33.3 | 75.0 | 10 | 20 | 12.5 |\n") || strings.Count(md, "\n") != 5 {
		t.Errorf("the table is\n%s", md)
	}
	r.Samples = 1
	if md := r.Markdown(); strings.Contains(md, "@4") || strings.Count(md, "pass@1") != 1 || !strings.Contains(md, "| x | 4 | 25.0 ± 10.2 | 31.2 | 10 | 20 | 12.5 |\n") {
		t.Errorf("of one sample the table is\n%s", md)
	}
}

// near compares scores, but for rounding.
func near(t *testing.T, got, want Score) {
	t.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		a, b := g.Field(i), w.Field(i)
		if a.CanFloat() && math.Abs(a.Float()-b.Float()) > 1e-12 || !a.CanFloat() && !a.Equal(b) {
			t.Errorf("%s: %s is %v, want %v", want.Family, g.Type().Field(i).Name, a, b)
		}
	}
}

func TestMeanIsOfWhatShips(t *testing.T) {
	if m := mean([]Score{{Family: "add", Pass: 1}, {Family: "path", Stretch: true}}); m != nil {
		t.Errorf("the mean of one is %+v", m)
	}
	m := mean([]Score{{Family: "add", Pass: 1}, {Family: "path", Stretch: true}, {Family: "story", Pass: 0.5}})
	if m == nil || m.Pass != 0.75 {
		t.Errorf("the mean is %+v, want 0.75", m)
	}
}

func TestSets(t *testing.T) {
	set := Set{Families: []string{"story", "add"}, N: 20, Difficulty: 1, Seed: 1}
	problems, err := set.Problems()
	if err != nil || len(problems) != 40 || problems[0].Family != "add" {
		t.Fatalf("%d problems: %v", len(problems), err)
	}
	for _, p := range problems {
		if !p.HeldOut() {
			t.Errorf("%s isn't held out", p.Key)
		}
	}
}

func TestRead(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "school.test.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write(`{"question":"1+1?","answer":"One and one.\n#### 1,002"}` + "\n\n" + `{"context":"2+2?","answer":4.50,"more":[]}` + "\n" +
		`{"question":"q","answer":"Paris"}`)
	problems, err := Read(path, 0)
	if err != nil || len(problems) != 3 {
		t.Fatalf("%v: %v", problems, err)
	}
	for i, reply := range []string{"$1002.00", "9/2", "paris."} {
		if p := problems[i]; !p.Verify(reply) || p.Family != "school" {
			t.Errorf("%q isn't the answer of %+v", reply, p)
		}
	}
	if problems, err = Read(path, 2); err != nil || len(problems) != 2 || problems[1].Question != "2+2?" {
		t.Errorf("%v: %v", problems, err)
	}
	for text, want := range map[string]string{
		"": "no problems", "x": "problem 1", `{"question":"q"}`: "answer", `{"question":"q","answer":null}`: "answer",
		`{"answer":"1"}`: "question", `{"question":"q","answer":"` + strings.Repeat("9", 300) + `"}`: "200 bytes",
	} {
		if _, err := Read(write(text), 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none.jsonl"), 0); err == nil {
		t.Error("a file that isn't there is no mistake")
	}
}
