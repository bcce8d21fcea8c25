package eval

import (
	"fmt"
	"math"
	"strings"

	"sprat/reward"
	"sprat/tasks"
)

// Result is what a model got right, and how it was asked.
type Result struct {
	Samples     int     `json:"samples"` // of each problem: the k below
	Temperature float64 `json:"temperature"`
	TopP        float64 `json:"top_p"`
	MaxTokens   int     `json:"max_tokens"`
	Seed        uint64  `json:"seed"`
	Think       bool    `json:"think"`
	Families    []Score `json:"families"`       // in the order of the problems
	Mean        *Score  `json:"mean,omitempty"` // of the families that aren't stretch ones, each counting alike; if there are two or more
}

// Score is of one family. Shares are from 0 to 1.
type Score struct {
	Family   string  `json:"family"`
	Problems int     `json:"problems"`
	Pass     float64 `json:"pass"`     // pass@1: the share of right samples
	Error    float64 `json:"error"`    // standard error of Pass, problems being a draw from all of the family; 0 of one problem
	Lenient  float64 `json:"lenient"`  // the same by reward.Lenient, which takes answers that aren't formed
	Majority float64 `json:"cons_k"`   // cons@k: the share of problems whose commonest answer is right; a tie counts in part
	Any      float64 `json:"pass_k"`   // pass@k: the share of problems with a right sample
	Thought  float64 `json:"thought"`  // mean tokens of a thought
	Length   float64 `json:"length"`   // mean tokens of a whole reply
	Unformed float64 `json:"unformed"` // share of replies that aren't formed as they were asked for
	Stretch  bool    `json:"stretch,omitempty"`
}

// tally collects samples.
type tally struct {
	problems []tasks.Problem
	counts   []count // by problem
}

// count is of one problem's samples.
type count struct {
	n, right, lenient, unformed, thought, length int
	votes                                        map[string]int // for wrong answers that are formed
}

func newTally(problems []tasks.Problem, samples int) *tally {
	return &tally{problems, make([]count, len(problems))}
}

// add counts a sample. All right answers are one in the vote, however they are put.
func (t *tally) add(s Sample) {
	c := &t.counts[s.index]
	c.n++
	c.thought += s.Reply.Tokens
	c.length += s.Tokens
	switch {
	case s.Right:
		c.right++
	case !s.Reply.Formed:
		c.unformed++
	default:
		if c.votes == nil {
			c.votes = map[string]int{}
		}
		c.votes[strings.ToLower(strings.Join(strings.Fields(s.Reply.Said), ""))]++
	}
	if s.Right || reward.Lenient(s.Problem, s.Reply.String()) {
		c.lenient++
	}
}

// majority is 1 where most votes are for the right answer, and the share of it where others have as many.
func (c count) majority() float64 {
	if c.right == 0 {
		return 0
	}
	as := 1
	for _, votes := range c.votes {
		if votes > c.right {
			return 0
		}
		if votes == c.right {
			as++
		}
	}
	return 1 / float64(as)
}

func (t *tally) result(form reward.Form, o Options) Result {
	r := Result{Samples: o.Samples, Temperature: o.Temperature, TopP: o.TopP, MaxTokens: o.MaxTokens, Seed: o.Seed, Think: form.Thinks()}
	counts := map[string][]count{}
	var names []string
	for i, p := range t.problems {
		if counts[p.Family] == nil {
			names = append(names, p.Family)
		}
		counts[p.Family] = append(counts[p.Family], t.counts[i])
	}
	for _, name := range names {
		r.Families = append(r.Families, score(name, counts[name]))
	}
	r.Mean = mean(r.Families)
	return r
}

// score is of a family's problems, each of which has as many samples.
func score(name string, counts []count) Score {
	f, _ := tasks.ByName(name) // another's problems are no stretch
	s := Score{Family: name, Problems: len(counts), Stretch: f.Stretch}
	problems := float64(len(counts))
	samples := problems * float64(counts[0].n)
	for _, c := range counts {
		s.Pass += float64(c.right) / samples
		s.Lenient += float64(c.lenient) / samples
		s.Unformed += float64(c.unformed) / samples
		s.Thought += float64(c.thought) / samples
		s.Length += float64(c.length) / samples
		s.Majority += c.majority() / problems
		if c.right > 0 {
			s.Any += 1 / problems
		}
	}
	squares := 0.0
	for _, c := range counts {
		d := float64(c.right)/float64(c.n) - s.Pass
		squares += d * d
	}
	if len(counts) > 1 {
		s.Error = math.Sqrt(squares / (problems - 1) / problems)
	}
	return s
}

// mean is of those that aren't stretch ones, or nil.
func mean(scores []Score) *Score {
	m, n := Score{Family: "mean"}, 0.0
	for _, s := range scores {
		if !s.Stretch {
			n++
		}
	}
	if n < 2 {
		return nil
	}
	for _, s := range scores {
		if s.Stretch {
			continue
		}
		m.Problems += s.Problems
		m.Pass += s.Pass / n
		m.Error += s.Error * s.Error / (n * n)
		m.Lenient += s.Lenient / n
		m.Majority += s.Majority / n
		m.Any += s.Any / n
		m.Thought += s.Thought / n
		m.Length += s.Length / n
		m.Unformed += s.Unformed / n
	}
	m.Error = math.Sqrt(m.Error)
	return &m
}

// Table is the result for people, shares in percent. With a single sample of each problem cons@k and pass@k say nothing new, and are left
// out.
func (r Result) Table() (head []string, rows [][]string) {
	percent := func(x float64) string { return fmt.Sprintf("%.1f", 100*x) }
	row := func(s Score) []string {
		cells := []string{s.Family, fmt.Sprint(s.Problems), percent(s.Pass) + " ± " + percent(s.Error), percent(s.Lenient)}
		if r.Samples > 1 {
			cells = append(cells, percent(s.Majority), percent(s.Any))
		}
		return append(cells, fmt.Sprintf("%.0f", s.Thought), fmt.Sprintf("%.0f", s.Length), percent(s.Unformed))
	}
	head = []string{"family", "problems", "pass@1", "lenient"}
	if r.Samples > 1 {
		head = append(head, fmt.Sprintf("cons@%d", r.Samples), fmt.Sprintf("pass@%d", r.Samples))
	}
	head = append(head, "thought", "reply", "unformed")
	for _, s := range r.Families {
		rows = append(rows, row(s))
	}
	if r.Mean != nil {
		rows = append(rows, row(*r.Mean))
	}
	return head, rows
}

// Markdown is Table as Markdown has it.
func (r Result) Markdown() string {
	head, rows := r.Table()
	line := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	text := line(head) + "|---" + strings.Repeat("|--:", len(head)-1) + "|\n"
	for _, row := range rows {
		text += line(row)
	}
	return text
}
