package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sprat/eval"
	"sprat/grpo"
	"sprat/report"
)

// papers are the paper's names of the stages, and their benchmarks (DeepSeek-R1, version 2, its table of stages; R1-Distill-Qwen-32B from
// its table of distilled models).
var papers = map[string]paper{
	"zero":    {"R1-Zero", "77.9", "95.9", "50.0"},
	"cold":    {"R1 Dev1", "59.0", "94.2", "57.5"},
	"rl1":     {"R1 Dev2", "74.0", "95.9", "63.5"},
	"sft":     {"R1 Dev3", "78.1", "95.4", "64.6"},
	"rl2":     {"R1", "79.8", "97.3", "65.9"},
	"distill": {"R1-Distill-Qwen-32B", "72.6", "94.3", "57.2"},
	"base":    {"V3-Base", "15.6", "–", "–"}, // where R1-Zero's curve of AIME begins
}

type paper struct{ name, aime, math, code string }

// whole is the paper's table of stages.
const whole = `| | R1-Zero | Dev1 | Dev2 | Dev3 | R1 |
|---|--:|--:|--:|--:|--:|
| MMLU | 88.8 | 89.1 | 91.2 | 91.0 | 90.8 |
| MMLU-Pro | 68.9 | 74.1 | 83.8 | 83.1 | 84.0 |
| IF-Eval | 46.6 | 71.7 | 72.0 | 78.1 | 83.3 |
| GPQA Diamond | 75.8 | 66.1 | 70.7 | 71.2 | 71.5 |
| AlpacaEval 2 | 24.7 | 50.1 | 55.8 | 62.1 | 87.6 |
| ArenaHard | 53.6 | 77.0 | 73.2 | 75.6 | 92.3 |
| LiveCodeBench | 50.0 | 57.5 | 63.5 | 64.6 | 65.9 |
| Codeforces, rating | 1444 | 1534 | 1687 | 1746 | 2029 |
| SWE Verified | 43.2 | 39.6 | 44.6 | 45.6 | 49.2 |
| AIME 2024 | 77.9 | 59.0 | 74.0 | 78.1 | 79.8 |
| MATH-500 | 95.9 | 94.2 | 95.9 | 95.4 | 97.3 |
| CNMO 2024 | 88.1 | 58.0 | 73.9 | 77.3 | 78.8 |
`

// document is the page.
func document(stages []*stage, missing []string) string {
	var b strings.Builder
	b.WriteString("# R1, at this size\n\nWritten by `make report` from the records of the runs and what `sprat eval --json` printed; none of our figures is put in by hand. " +
		"Problems are held out: no training has seen them. ± is the standard error over problems: another training would differ by more.\n")
	if len(missing) > 0 {
		fmt.Fprintf(&b, "\nNot run yet: %s.\n", strings.Join(missing, ", "))
	}
	b.WriteString("\n## By stage\n\n" + byStage(stages))
	for _, w := range ways(stages) {
		fmt.Fprintf(&b, "\n## Held-out problems, %s\n\n%s", w, byFamily(stages, w))
	}
	b.WriteString(learning(stages) + exams(stages) + against(stages))
	b.WriteString("\n## What it cost\n\n" + cost(stages))
	b.WriteString("\n## The paper's stages\n\nFrom DeepSeek-R1's second version, for the shape of it: other problems, and 671 billion parameters.\n\n" + whole)
	return b.String()
}

// ways are those in which any stage was asked.
func ways(stages []*stage) []way {
	var list []way
	for _, s := range stages {
		for _, a := range s.Asked {
			if w := a.way(); !slices.Contains(list, w) {
				list = append(list, w)
			}
		}
	}
	slices.SortFunc(list, func(a, b way) int {
		return cmp.Or(cmp.Compare(a.difficulty, b.difficulty), cmp.Compare(a.form, b.form), cmp.Compare(b.String(), a.String()))
	})
	return list
}

// overall is the mean of the families that ship, or the only family's score.
func overall(r eval.Result) eval.Score {
	if r.Mean != nil {
		return *r.Mean
	}
	return r.Families[0]
}

func byStage(stages []*stage) string {
	t := table{head: []string{"stage", "pass@1, thinking", "tokens of thought", "pass@1, not thinking", "the paper's", "its AIME 2024", "MATH-500", "LiveCodeBench"}}
	for _, s := range stages {
		row := []string{s.Name, "–", "–", "–"}
		if r, ok := s.ask(way{"chat", true, 1}); ok {
			row[1], row[2] = pass(overall(r)), fmt.Sprintf("%.0f", overall(r).Thought)
		} else if r, ok := s.ask(way{"zero", true, 1}); ok {
			row[1], row[2] = pass(overall(r))+" (template)", fmt.Sprintf("%.0f", overall(r).Thought)
		}
		if r, ok := s.ask(way{"chat", false, 1}); ok {
			row[3] = pass(overall(r))
		}
		p := papers[s.Name]
		t.rows = append(t.rows, append(row, p.name, p.aime, p.math, p.code))
	}
	return t.String()
}

func pass(s eval.Score) string { return fmt.Sprintf("%.1f ± %.1f", 100*s.Pass, 100*s.Error) }

// byFamily has a row a family and two columns a stage: pass@1 with the mean thought, or in R1-Zero's template pass@1 with the lenient
// reading, by which a base model that doesn't know the form can be compared.
func byFamily(stages []*stage, w way) string {
	t := table{head: []string{"family"}}
	var asked []*stage
	var names []string
	how := ""
	for _, s := range stages {
		r, ok := s.ask(w)
		if !ok {
			continue
		}
		asked = append(asked, s)
		t.head = append(t.head, s.Name, map[bool]string{true: "lenient", false: "thought"}[w.form == "zero"])
		for _, f := range r.Families {
			if !slices.Contains(names, f.Family) {
				names = append(names, f.Family)
			}
		}
		if line := fmt.Sprintf("%d problems a family, %d samples each, temperature %g, top-p %g, up to %d tokens, seed %d",
			r.Families[0].Problems, r.Samples, r.Temperature, r.TopP, r.MaxTokens, r.Seed); how == "" {
			how = line
		} else if !strings.Contains(how, line) {
			how += "; " + s.Name + ": " + line
		}
	}
	for _, name := range append(names, "mean") {
		row := []string{name}
		for _, s := range asked {
			r, _ := s.ask(w)
			scores := r.Families
			if r.Mean != nil {
				scores = append(slices.Clone(scores), *r.Mean)
			}
			i := slices.IndexFunc(scores, func(f eval.Score) bool { return f.Family == name })
			switch {
			case i < 0:
				row = append(row, "–", "–")
			case w.form == "zero":
				row = append(row, pass(scores[i]), fmt.Sprintf("%.1f", 100*scores[i].Lenient))
			default:
				row = append(row, pass(scores[i]), fmt.Sprintf("%.0f", scores[i].Thought))
			}
		}
		t.rows = append(t.rows, row)
	}
	return t.String() + "\npass@1 in percent; " + how + ".\n"
}

// right is what a model gets right, by family: with a thought and at once.
func right(thinking, plain eval.Result) string {
	t := table{head: []string{"family", "thinking", "tokens of thought", "at once"}}
	for _, f := range thinking.Families {
		row := []string{f.Family, pass(f), fmt.Sprintf("%.0f", f.Thought), "–"}
		if f.Stretch {
			row[0] += ", stretch"
		}
		if i := slices.IndexFunc(plain.Families, func(g eval.Score) bool { return g.Family == f.Family }); i >= 0 {
			row[3] = pass(plain.Families[i])
		}
		t.rows = append(t.rows, row)
	}
	if thinking.Mean != nil && plain.Mean != nil {
		t.rows = append(t.rows, []string{"mean, without stretch", pass(*thinking.Mean), fmt.Sprintf("%.0f", thinking.Mean.Thought), pass(*plain.Mean)})
	}
	return t.String()
}

// learning is what reinforcement did over its steps.
func learning(stages []*stage) string {
	t := table{head: []string{"stage", "steps", "seed", "accuracy of samples", "tokens a sample", "entropy", "KL"}}
	for _, s := range stages {
		n := len(s.RLs)
		if n == 0 {
			continue
		}
		part := max(1, n/20)
		both := func(format string, value func(report.RL) float64) string {
			mean := func(list []report.RL) (m float64) {
				for _, v := range list {
					m += value(v) / float64(len(list))
				}
				return m
			}
			return fmt.Sprintf(format+" → "+format, mean(s.RLs[:part]), mean(s.RLs[n-part:]))
		}
		t.rows = append(t.rows, []string{s.Name, fmt.Sprint(s.RLs[n-1].Step), fmt.Sprint(s.Start.Seed),
			both("%.1f", func(v report.RL) float64 { return 100 * v.Accuracy }), both("%.0f", func(v report.RL) float64 { return v.Length }),
			both("%.2f", func(v report.RL) float64 { return v.Entropy }), both("%.4f", func(v report.RL) float64 { return v.KL })})
	}
	if t.rows == nil {
		return ""
	}
	return "\n## Reinforcement, first and last twentieth of the steps\n\n" + t.String()
}

// exams are the curves of what a run was asked while it learned: the mean of its families, and how long it thought.
func exams(stages []*stage) string {
	t := table{head: []string{"stage", "after steps", "pass@1", "tokens of thought"}}
	for _, s := range stages {
		for _, suffix := range []string{"", grpo.NoThought} {
			var steps, passes, lengths []string
			for at := s.Exams; len(at) > 0; {
				n, families := 0, 0.0
				var pass, length float64
				for ; n < len(at) && at[n].Step == at[0].Step; n++ {
					if strings.HasSuffix(at[n].Family, grpo.NoThought) == (suffix != "") {
						families++
						pass, length = pass+at[n].Pass, length+at[n].Length
					}
				}
				if families > 0 {
					steps = append(steps, fmt.Sprint(at[0].Step))
					passes, lengths = append(passes, fmt.Sprintf("%.1f", 100*pass/families)), append(lengths, fmt.Sprintf("%.0f", length/families))
				}
				at = at[n:]
			}
			if steps != nil {
				const arrow = " → "
				t.rows = append(t.rows, []string{s.Name + suffix, strings.Join(steps, arrow), strings.Join(passes, arrow), strings.Join(lengths, arrow)})
			}
		}
	}
	if t.rows == nil {
		return ""
	}
	return "\n## Held-out problems while it learned\n\n" + t.String() + "\nA smaller examination than those above, at the difficulty of the run file's [exam].\n"
}

// against sets reinforcement beside fine-tuning, by what each gets wrong beyond the shipped difficulty.
func against(stages []*stage) string {
	wrong, flops := map[string]float64{}, map[string]float64{}
	harder := way{"chat", true, 1.5}
	for _, s := range stages {
		if r, ok := s.ask(harder); ok {
			wrong[s.Name], flops[s.Name] = 100*(1-overall(r).Pass), s.Ledger.FLOPs
		}
	}
	rl, ok := wrong["rl1"]
	if !ok {
		return ""
	}
	delete(flops, "cold")
	flops["rl1"] = flops["rl1-sft"] // see r1.sh
	t := table{head: []string{"", "stage", "FLOPs", "wrong, %", "rl1's errors against that"}}
	for _, row := range [][2]string{
		{"the cold start", "cold"},
		{"reinforcement", "rl1"},
		{"the cold start's fine-tuning continued", "rl1-sft"},
		{"fine-tuning on worked solutions of problems that rl1 only had answers to", "rl1-worked"},
	} {
		if w := wrong[row[1]]; w > 0 {
			operations := "–"
			if f := flops[row[1]]; f > 0 {
				operations = fmt.Sprintf("%.2g", f)
			}
			t.rows = append(t.rows, []string{row[0], row[1], operations, fmt.Sprintf("%.1f", w), fmt.Sprintf("%+.0f %%", 100*(rl/w-1))})
		}
	}
	return fmt.Sprintf("\n## Reinforcement against fine-tuning\n\nHeld out at difficulty %g; operations since the cold start. rl1-sft was given as many as rl1 took, which are those of "+
		"learning, of the reference and of drawing the samples.\n\n%s", harder.difficulty, t)
}

func cost(stages []*stage) string {
	t := table{head: []string{"stage", "parameters", "tokens", "FLOPs", "core hours", "dollars", "of which lost, hours", "machine"}}
	var hours, dollars float64
	for _, s := range stages {
		l, start := s.Ledger, s.Start
		if start.Params == 0 { // it was only asked
			continue
		}
		hours, dollars = hours+l.CoreHours, dollars+l.Dollars
		t.rows = append(t.rows, []string{s.Name, fmt.Sprintf("%.2f M", float64(start.Params)/1e6), fmt.Sprintf("%.1f M", float64(l.Tokens)/1e6),
			fmt.Sprintf("%.2g", l.FLOPs), fmt.Sprintf("%.2f", l.CoreHours), fmt.Sprintf("%.3f", l.Dollars), fmt.Sprintf("%.2f", l.LostSeconds/3600),
			fmt.Sprintf("%s, %d cores", start.Machine, start.Cores)})
	}
	t.rows = append(t.rows, []string{"all", "", "", "", fmt.Sprintf("%.2f", hours), fmt.Sprintf("%.3f", dollars), "", ""})
	return t.String() + "\nFrom the ledgers, lost work included; FLOPs are of learning alone, hours also of drawing samples in reinforcement, but not of a teacher's. The paper's bill beyond its base model, in H800 hours at $2: R1-Zero 101,000, the samples for " +
		"fine-tuning 5,000, R1 41,000; in all 147,000, $294,000.\n"
}

// table is written as Markdown has it.
type table struct {
	head []string
	rows [][]string
}

func (t table) String() string {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + strings.Map(plain, c) + " ")
		}
		b.WriteString("|\n")
	}
	line(t.head)
	b.WriteString("|---" + strings.Repeat("|--:", len(t.head)-1) + "|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

// plain keeps a name from ending its cell, or being taken for markup.
func plain(r rune) rune {
	if strings.ContainsRune("|<>`*_[]\n\r", r) {
		return ' '
	}
	return r
}
