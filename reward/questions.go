package reward

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"sprat/tasks"
)

// Problems is a table of a run file: problems to learn from.
type Problems struct {
	Families   []string  `toml:"families"`   // as tasks.Select takes them: names, all, shipped or stretch
	Difficulty []float64 `toml:"difficulty"` // from, to; [1, 1] if absent
	Weight     float64   `toml:"weight"`     // beside other tables'; 1 if absent
	Plain      float64   `toml:"plain"`      // share asked without thinking
}

// Questions draws from tables of problems. It doesn't change.
type Questions struct {
	tables []table
	total  float64 // of weights
}

// table is Problems made ready.
type table struct {
	families      []tasks.Family
	from, to      float64 // difficulty
	weight, plain float64
}

// NewQuestions says what is wrong with the tables, if anything.
func NewQuestions(tables []Problems) (q Questions, err error) {
	if len(tables) == 0 {
		return q, errors.New("there are no tables of problems: name families to learn from")
	}
	for i, p := range tables {
		t, err := p.table()
		if err != nil {
			return q, fmt.Errorf("problems %d: %w", i+1, err)
		}
		q.tables = append(q.tables, t)
		q.total += t.weight
	}
	return q, nil
}

func (p Problems) table() (table, error) {
	if p.Difficulty == nil {
		p.Difficulty = []float64{1, 1}
	}
	if p.Weight == 0 {
		p.Weight = 1
	}
	families, err := tasks.Select(p.Families)
	d := p.Difficulty
	switch {
	case err != nil:
		return table{}, err
	case len(families) == 0:
		return table{}, errors.New("families is empty: list names, or all, shipped or stretch")
	case len(d) != 2 || !(d[0] >= 0 && d[0] <= d[1] && d[1] <= tasks.MaxDifficulty):
		return table{}, fmt.Errorf("difficulty is %v: want two numbers from 0 to %d, rising", d, tasks.MaxDifficulty)
	case !(p.Weight > 0 && p.Weight <= 1e9):
		return table{}, fmt.Errorf("weight is %g: want a number over 0", p.Weight)
	case !(p.Plain >= 0 && p.Plain <= 1):
		return table{}, fmt.Errorf("plain is %g: want 0 to 1", p.Plain)
	}
	return table{families, d[0], d[1], p.Weight, p.Plain}, nil
}

// Draw draws a problem, never a held-out one, and whether it is to be thought about.
func (q Questions) Draw(rng *rand.Rand) (p tasks.Problem, think bool) {
	t := q.pick(rng)
	for {
		p = t.families[rng.IntN(len(t.families))].Generate(rng, t.from+(t.to-t.from)*rng.Float64())
		if !p.HeldOut() {
			return p, rng.Float64() >= t.plain
		}
	}
}

func (q Questions) pick(rng *rand.Rand) table {
	at := rng.Float64() * q.total
	for _, t := range q.tables {
		if at -= t.weight; at < 0 {
			return t
		}
	}
	return q.tables[len(q.tables)-1] // what rounding may leave
}

// Plain tells whether some questions are asked without thinking.
func (q Questions) Plain() bool {
	for _, t := range q.tables {
		if t.plain > 0 {
			return true
		}
	}
	return false
}

// Families are the names of all families that are drawn from, each once.
func (q Questions) Families() (names []string) {
	seen := map[string]bool{}
	for _, t := range q.tables {
		for _, f := range t.families {
			if !seen[f.Name] {
				names = append(names, f.Name)
			}
			seen[f.Name] = true
		}
	}
	return names
}
