package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"sprat/data"
	"sprat/tasks"
)

// A Set is problems of our own, none of which any training may see.
type Set struct {
	Families   []string // as tasks.Select takes them
	N          int      // problems of each, fewer where a family has no more
	Difficulty float64
	Seed       uint64
}

// Problems draws them.
func (s Set) Problems() ([]tasks.Problem, error) {
	families, err := tasks.Select(s.Families)
	if err != nil {
		return nil, err
	}
	var problems []tasks.Problem
	for _, f := range families {
		problems = slices.AppendSeq(problems, tasks.Problems(s.Seed, f, s.Difficulty, true, s.N))
	}
	return problems, nil
}

// Read returns the first n problems of a .jsonl file, which may end in .gz or .zst too; all of them if n is 0. A line has the keys
// "question", or "context", and "answer": a number or a text, of which GSM8K's with the number after #### is known. Their family is
// named after the file.
func Read(path string, n int) ([]tasks.Problem, error) {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	var problems []tasks.Problem
	at := 0
	for line, err := range data.Lines(path) {
		if err != nil {
			return nil, err
		}
		at++
		problem, err := parse(name, line)
		if err != nil {
			return nil, fmt.Errorf("%s: problem %d: %w", path, at, err)
		}
		if problems = append(problems, problem); len(problems) == n {
			break
		}
	}
	if len(problems) == 0 {
		return nil, fmt.Errorf("%s has no problems", path)
	}
	return problems, nil
}

// parse makes a problem of a line.
func parse(set, line string) (tasks.Problem, error) {
	var p struct {
		Question, Context string
		Answer            json.RawMessage // a string or a number
	}
	if err := json.Unmarshal([]byte(line), &p); err != nil {
		return tasks.Problem{}, err
	}
	if p.Question == "" {
		p.Question = p.Context
	}
	answer := string(p.Answer)
	switch {
	case answer == "" || answer == "null":
		return tasks.Problem{}, errors.New(`it has nothing under the key "answer"`)
	case answer[0] == '"':
		if err := json.Unmarshal(p.Answer, &answer); err != nil {
			return tasks.Problem{}, err
		}
	}
	if i := strings.LastIndex(answer, "####"); i >= 0 {
		answer = answer[i+len("####"):]
	}
	return tasks.External(set, p.Question, answer)
}
