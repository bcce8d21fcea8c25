package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// rl is a value of the steps of reinforcement.
func (r *Run) rl(value func(*RL) float64) curve {
	var c curve
	for i := range r.RLs {
		c.add(float64(r.RLs[i].Step), value(&r.RLs[i]))
	}
	return c
}

func accuracy(v *RL) float64 { return v.Accuracy }
func length(v *RL) float64   { return v.Length }
func pass(v *Exam) float64   { return v.Pass }

// exams is a value of one family's exams, or with no name the mean of all families that sat at a step.
func (r *Run) exams(a axis, family string, value func(*Exam) float64) curve {
	c := curve{name: family, dots: true}
	for i := 0; i < len(r.Exams); {
		sum, n, v := 0.0, 0, r.Exams[i]
		for ; i < len(r.Exams) && r.Exams[i].Step == v.Step; i++ {
			if family == "" || r.Exams[i].Family == family {
				sum, n = sum+value(&r.Exams[i]), n+1
			}
		}
		if n > 0 {
			c.add(r.at(a, v.Step, v.Tokens, v.Seconds), sum/float64(n))
		}
	}
	return c
}

// last is y at the end of c, NaN where there is none.
func (c curve) last() float64 {
	if len(c.y) == 0 {
		return math.NaN()
	}
	return c.y[len(c.y)-1]
}

// rlCharts are those of a run of reinforcement, none for another's.
func (r *Run) rlCharts(marks []float64) []*chart {
	if len(r.RLs) == 0 && len(r.Exams) == 0 {
		return nil
	}
	type line struct {
		name  string
		value func(*RL) float64
	}
	charts := r.examCharts()
	for _, c := range []struct {
		title string
		lines []line
	}{
		{"Reward", []line{{"", func(v *RL) float64 { return v.Reward }}}},
		{"Samples right, and well-formed", []line{{"accuracy", accuracy}, {"format", func(v *RL) float64 { return v.Format }}}},
		{"Tokens a sample", []line{{"", length}}},
		{"KL to the reference, nats a token", []line{{"", func(v *RL) float64 { return v.KL }}}},
		{"Entropy, nats a token", []line{{"", func(v *RL) float64 { return v.Entropy }}}},
		{"Share of tokens clipped", []line{{"", func(v *RL) float64 { return v.ClipShare }}}},
		{"Groups that teach nothing", []line{{"all right", func(v *RL) float64 { return v.Right }}, {"all wrong", func(v *RL) float64 { return v.Wrong }}}},
		{"Samples cut at the limit", []line{{"", func(v *RL) float64 { return v.Dropped }}}},
		{"Engine against trainer, mean |Δ log p|", []line{{"", func(v *RL) float64 { return v.Mismatch }}}},
		{"Tokens a second, drawing samples", []line{{"", func(v *RL) float64 { return v.RolloutTokensPerSecond }}}},
		{"Seconds a step", []line{{"drawing", func(v *RL) float64 { return v.RolloutSeconds }}, {"learning", func(v *RL) float64 { return v.TrainSeconds }}}},
	} {
		ch := &chart{title: c.title, zero: true, marks: marks}
		for i, l := range c.lines {
			raw := r.rl(l.value)
			raw.color = i
			smooth := raw.smooth()
			smooth.name = l.name
			ch.curves = append(ch.curves, raw.background(), smooth)
		}
		charts = append(charts, ch)
	}
	return charts
}

func (r *Run) examCharts() []*chart {
	right := &chart{title: "Held-out problems, pass@1", zero: true}
	long := &chart{title: "Held-out problems, tokens of thought", zero: true}
	for i, family := range r.families() {
		for c, value := range map[*chart]func(*Exam) float64{right: pass, long: func(v *Exam) float64 { return v.Length }} {
			line := r.exams(bySteps, family, value)
			line.color = i
			c.curves = append(c.curves, line)
		}
	}
	return []*chart{right, long}
}

// examTable has each family's first exam beside its latest.
func (r *Run) examTable() Table {
	t := Table{Title: "Held-out problems, at first and now", Head: []string{"family", "pass@1, %", "tokens of thought", "not formed"}}
	for _, family := range r.families() {
		of := slices.DeleteFunc(slices.Clone(r.Exams), func(v Exam) bool { return v.Family != family })
		first, now := of[0], of[len(of)-1]
		t.Rows = append(t.Rows, []string{family, fixed(100*first.Pass, 1) + " → " + fixed(100*now.Pass, 1) + " ± " + fixed(100*now.Error, 1),
			fixed(first.Length, 0) + " → " + fixed(now.Length, 0), share(now.Unformed)})
	}
	return t
}

// share writes a share that may well be zero.
func share(v float64) string {
	if !drawable(v) {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}

// rlTiles are the numbers that are looked for first in a run of reinforcement, none for another's.
func (r *Run) rlTiles() [][2]string {
	if len(r.RLs) == 0 {
		return nil
	}
	return [][2]string{{share(r.rl(accuracy).tail()), "of samples right"}, {fixed(r.rl(length).tail(), 0), "tokens a sample"},
		{share(r.exams(bySteps, "", pass).last()), "of held-out problems, pass@1"}}
}

// problem is a held-out one with what the model wrote to it at successive steps.
type problem struct {
	Family, Question, Answer string
	Replies                  []reply
}

type reply struct {
	Step          int
	Right         bool
	Thought, Said fold
}

// fold is a text that is folded where it is long.
type fold struct{ Name, Text string }

// Long tells whether it is: on a telephone, more than a screen.
func (f fold) Long() bool { return len(f.Text) > 700 }

// Words are counted.
func (f fold) Words() int { return len(strings.Fields(f.Text)) }

const maxProblems, maxReplies = 12, 5 // on a page, and to each of them

// problems are those of the page: the first that were told of, each with its first reply, its latest, and some between.
func (r *Run) problems() []problem {
	var list []problem
	for _, v := range r.Transcripts {
		i := slices.IndexFunc(list, func(p problem) bool { return p.Family == v.Family && p.Question == v.Question })
		if i < 0 {
			if len(list) == maxProblems {
				continue
			}
			i = len(list)
			list = append(list, problem{Family: v.Family, Question: v.Question, Answer: v.Answer})
		}
		p := &list[i]
		if n := len(p.Replies); n > 0 && p.Replies[n-1].Step == v.Step { // told again, after a session that was killed
			p.Replies = p.Replies[:n-1]
		}
		p.Replies = append(p.Replies, replyOf(v))
	}
	for i := range list {
		all := list[i].Replies
		if n := len(all) - 1; n >= maxReplies {
			list[i].Replies = nil
			for k := range maxReplies {
				list[i].Replies = append(list[i].Replies, all[k*n/(maxReplies-1)])
			}
		}
	}
	return list
}

// replyOf takes a reply apart at the end of its thought.
func replyOf(v Transcript) reply {
	thought, said, closed := strings.Cut(v.Reply, "</think>")
	switch {
	case !closed && strings.HasPrefix(strings.TrimSpace(v.Reply), "<think>"):
		said = "(the thought has no end)"
	case !closed:
		thought, said = "", v.Reply
	}
	thought = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(thought), "<think>"))
	return reply{Step: v.Step, Right: v.Right, Thought: fold{"thought", thought}, Said: fold{"answer", strings.TrimSpace(said)}}
}
