package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestEval asks the built-in model, whatever it can.
func TestEval(t *testing.T) {
	data := filepath.Join(t.TempDir(), "mine.jsonl")
	writeFile(t, data, `{"question":"1+1","answer":"#### 2"}`+"\n")
	args := []string{"eval", "--task", "add,lists", "--data", data, "--n", "2", "--k", "2", "--max-tokens", "8", "--seed", "5"}
	for _, form := range []string{"chat", "zero"} {
		var r evaluated
		decode(t, must(t, "", append(args, "--json", "--form", form)...), &r)
		if r.Form != form || r.Samples != 2 || r.Seed != 5 || len(r.Families) != 3 || r.Families[2].Family != "mine" || r.Mean == nil {
			t.Errorf("%s: %+v", form, r)
		}
		if n := r.Families[0].Problems; n != 2 || r.Families[2].Problems != 1 || r.Families[0].Length < 1 || r.Families[0].Length > 8 {
			t.Errorf("%s: %+v", form, r.Families)
		}
	}
	table := must(t, "", args...)
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 6 || !strings.HasPrefix(lines[5], "mean") {
		t.Errorf("the table is\n%s", table)
	}
}

func TestEvalMistakes(t *testing.T) {
	for _, c := range []struct {
		args   string
		want   string
		status int
	}{
		{"", "--task", exitUsage},
		{"--task chess", "chess", exitUsage},
		{"--task talk", "talk", exitUsage},
		{"--task add,add", "twice", exitUsage},
		{"--task add --n 0", "--n 0", exitUsage},
		{"--task add --k 0", "--k 0", exitUsage},
		{"--task add --difficulty 9", "--difficulty 9", exitUsage},
		{"--task add --temperature NaN", "--temperature", exitUsage},
		{"--task add --max-tokens 0", "--max-tokens 0", exitUsage},
		{"--task add --form zero --no-think", "--no-think", exitUsage},
		{"--task add --form other", "form", exitUsage},
		{"--task add --weights f8", "--weights", exitUsage},
		{"--data none.jsonl", "none.jsonl", exitFailed},
		{"--task add --model none", "none", exitFailed},
		{"--task add --model " + goldModel, "tokenizer.json", exitFailed},
	} {
		out, errs, status := sprat(t, "", append([]string{"eval"}, strings.Fields(c.args)...)...)
		if status != c.status || !strings.Contains(errs, c.want) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("eval %s: status %d, %q, want %d with %q", c.args, status, errs, c.status, c.want)
		}
	}
}
