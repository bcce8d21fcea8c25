package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"sprat/chat"
	"sprat/engine"
	"sprat/eval"
	"sprat/report"
	"sprat/reward"
	"sprat/tasks"
)

type evalCmd struct {
	modelFlags
	weightsFlag
	Task        []string `help:"Families of problems: names with commas between, or all, shipped or stretch." placeholder:"NAME"`
	Data        string   `help:"Problems of your own instead, or besides: a .jsonl file with question and answer, perhaps in .gz or .zst." placeholder:"FILE"`
	N           int      `help:"Problems of each family; of --data, from its beginning." default:"100"`
	K           int      `help:"Samples of each problem." default:"4"`
	Difficulty  float64  `help:"0 is the easiest, 1 what the built-in model is measured on, up to 3." default:"1"`
	Think       bool     `help:"Have the model think before it answers." default:"true" negatable:""`
	Form        string   `help:"How questions are put: chat, the model's own format, or zero, R1-Zero's template for a base model." enum:"chat,zero" default:"chat"`
	MaxTokens   int      `help:"Most tokens of a reply." default:"1024"`
	Temperature float64  `help:"0 takes the likeliest token always." default:"0.6"`
	TopP        float64  `help:"Draw from the likeliest tokens that make up this much probability." default:"0.95" name:"top-p"`
	Seed        uint64   `help:"Draws the problems and the samples." default:"1"`
	JSON        bool     `help:"Print one JSON object."`
}

// Help is what 'sprat eval --help' says besides.
func (c *evalCmd) Help() string {
	return "The problems are held out: no training has seen them. pass@1 is the share of right samples, with its standard error; lenient reads " +
		"the last thing that could be an answer even where the reply isn't formed as asked; cons@K takes the commonest answer of K, pass@K any of " +
		"them. thought and reply are mean lengths in tokens. The mean is of the families that ship."
}

// evaluated is what eval --json prints.
type evaluated struct {
	Model      string  `json:"model"`
	Form       string  `json:"form"`
	Difficulty float64 `json:"difficulty"`
	eval.Result
}

func (c *evalCmd) Run(e *env) error {
	problems, err := c.problems()
	if err != nil {
		return err
	}
	weights, err := engine.ParseWeights(c.Weights)
	if err != nil {
		return usageError{fmt.Errorf("--weights: %w", err)}
	}
	dir, dev, done, err := c.open()
	if err != nil {
		return err
	}
	defer done()
	if dir.Tokenizer == nil {
		return noTokenizer(c.Model)
	}
	form, err := c.form(dir)
	if err != nil {
		return err
	}
	m, err := engine.New(dir, dev, engine.Options{Weights: weights})
	if err != nil {
		return fmt.Errorf("model %s: %w", c.Model, err)
	}
	defer m.Close()
	show, asked := percent{w: e.stderr}, int64(0)
	r, err := eval.Run(e.ctx, m, form, problems, eval.Options{
		Samples: c.K, Temperature: c.Temperature, TopP: c.TopP, MaxTokens: c.MaxTokens, Seed: c.Seed,
		Each: func(s eval.Sample) {
			asked++
			show.step("asking "+s.Problem.Family, asked, int64(len(problems)*c.K))
		},
	})
	show.end()
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(evaluated{c.Model, c.Form, c.Difficulty, r})
	}
	table := report.Table{Title: c.title(r)}
	table.Head, table.Rows = r.Table()
	printTable(e.stdout, table, terminalWidth(e.stdout))
	return nil
}

func (c *evalCmd) title(r eval.Result) string {
	how := "thinking"
	if !r.Think {
		how = "without thinking"
	}
	return fmt.Sprintf("%s %s: percent right at temperature %g, difficulty %g, seed %d", c.Model, how, c.Temperature, c.Difficulty, c.Seed)
}

// problems are those to ask.
func (c *evalCmd) problems() ([]tasks.Problem, error) {
	if err := c.check(); err != nil {
		return nil, usageError{err}
	}
	problems, err := eval.Set{Families: c.Task, N: c.N, Difficulty: c.Difficulty, Seed: c.Seed}.Problems()
	if err != nil {
		return nil, usageError{fmt.Errorf("--task: %w", err)}
	}
	if c.Data == "" {
		return problems, nil
	}
	more, err := eval.Read(c.Data, c.N)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	return append(problems, more...), nil
}

func (c *evalCmd) check() error {
	switch {
	case len(c.Task) == 0 && c.Data == "":
		return errors.New("--task or --data is needed: say what to ask")
	case c.N < 1:
		return fmt.Errorf("--n %d: want 1 or more", c.N)
	case c.K < 1:
		return fmt.Errorf("--k %d: want 1 or more", c.K)
	case !(c.Difficulty >= 0 && c.Difficulty <= tasks.MaxDifficulty):
		return fmt.Errorf("--difficulty %g: want 0 to %d", c.Difficulty, tasks.MaxDifficulty)
	case c.Form == "zero" && !c.Think:
		return errors.New("--form zero asks for a thought: leave out --no-think")
	}
	return checkSampling(c.MaxTokens, c.Temperature, c.TopP)
}

// form is how the questions are put.
func (c *evalCmd) form(dir *engine.Dir) (reward.Form, error) {
	if c.Form == "zero" {
		return reward.Zero(dir.Tokenizer), nil
	}
	files, err := modelFS(c.Model)
	if err != nil {
		return reward.Form{}, err
	}
	format, err := chat.Load(files, dir.Tokenizer)
	if err != nil {
		return reward.Form{}, fmt.Errorf("model %s: %w", c.Model, err)
	}
	return reward.Chat(format, c.Think), nil
}
