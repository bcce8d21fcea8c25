package report

import (
	"fmt"
	"math"
	"slices"
)

// Comparison is several runs side by side. Its JSON form is stable.
type Comparison struct {
	Runs    []Compared `json:"runs"`
	Targets []Target   `json:"targets"`
	runs    []*Run
}

// Compared is where a run stands. A number that is not known is null.
type Compared struct {
	Name        string             `json:"name"`
	Dir         string             `json:"dir"`
	Params      int64              `json:"params"`
	Activated   int64              `json:"activated"`
	Step        int                `json:"step"`
	Tokens      int64              `json:"tokens"`             // seen; lost work is in the ledger only
	Seconds     float64            `json:"seconds"`            // likewise
	FLOPs       float64            `json:"flops"`              // likewise
	Loss        *float64           `json:"loss"`               // mean of the last hundredth of the steps, ten at least
	MaxVio      *float64           `json:"max_vio"`            // likewise
	Accuracy    *float64           `json:"accuracy,omitempty"` // of samples in reinforcement, likewise
	Length      *float64           `json:"length,omitempty"`   // tokens of them, likewise
	Pass        *float64           `json:"pass,omitempty"`     // at the latest exam, mean over families
	BitsPerByte map[string]float64 `json:"bits_per_byte"`
	Ledger      Ledger             `json:"ledger"`
}

// Target is a mark that every run has reached: on a source which all have, what the worst of them ended with.
type Target struct {
	Source      string    `json:"source"`
	BitsPerByte float64   `json:"bits_per_byte"`
	Reached     []Reached `json:"reached"` // by each run in order
}

// Reached is what it took a run to come to a target, on the straight line between two evaluations. Lost work is not counted.
type Reached struct {
	Tokens  float64 `json:"tokens"`
	FLOPs   float64 `json:"flops"`
	Seconds float64 `json:"seconds"`
	AtMost  bool    `json:"at_most"` // the run's first evaluation was below the target already
}

// Compare sets runs side by side. Runs of one name get their directories' names.
func Compare(runs []*Run) *Comparison {
	c := &Comparison{Runs: []Compared{}, Targets: []Target{}}
	for i, r := range runs {
		named := *r
		named.Name = distinct(runs, i)
		c.runs = append(c.runs, &named)
		c.Runs = append(c.Runs, named.compared())
	}
	for _, source := range c.sources() {
		if !slices.ContainsFunc(c.Runs, func(r Compared) bool { return math.IsNaN(r.bits(source)) }) {
			c.Targets = append(c.Targets, c.target(source))
		}
	}
	return c
}

// distinct is run i's name, with what tells it from others of that name.
func distinct(runs []*Run, i int) string {
	same := func(key func(*Run) string) (n, before int) {
		for j, r := range runs {
			if key(r) == key(runs[i]) {
				if n++; j < i {
					before++
				}
			}
		}
		return n, before
	}
	r := runs[i]
	if n, _ := same(func(r *Run) string { return r.Name }); n == 1 {
		return r.Name
	}
	if n, _ := same(func(r *Run) string { return nameOf(r.Dir) }); n == 1 {
		return nameOf(r.Dir)
	}
	if n, before := same(func(r *Run) string { return r.Dir }); n > 1 {
		return fmt.Sprintf("%s (%d)", r.Dir, before+1)
	}
	return r.Dir
}

func (r *Run) compared() Compared {
	last := r.last()
	c := Compared{
		Name: r.Name, Dir: r.Dir, Params: r.Start.Params, Activated: r.Start.Activated, Step: last.Step, Tokens: last.Tokens,
		Seconds: last.Seconds, FLOPs: float64(last.Tokens) * r.Start.FLOPsPerToken, Loss: known(r.curve(bySteps, loss).tail()),
		MaxVio: known(r.curve(bySteps, maxVio).tail()), Accuracy: known(r.rl(accuracy).tail()), Length: known(r.rl(length).tail()),
		Pass: known(r.exams(bySteps, "", pass).last()), BitsPerByte: map[string]float64{}, Ledger: r.Ledger,
	}
	for _, s := range r.sources() {
		if bits, ok := r.lastBits(s); ok {
			c.BitsPerByte[s] = bits
		}
	}
	return c
}

func known(v float64) *float64 {
	if !drawable(v) {
		return nil
	}
	return &v
}

// bits is what the run stands at on a source, NaN where that is not known.
func (r *Compared) bits(source string) float64 {
	if bits, ok := r.BitsPerByte[source]; ok {
		return bits
	}
	return math.NaN()
}

// sources are those that any run has.
func (c *Comparison) sources() []string {
	var all []string
	for _, r := range c.runs {
		all = append(all, r.sources()...)
	}
	return firsts(all, func(s string) string { return s })
}

func (c *Comparison) target(source string) Target {
	t := Target{Source: source, BitsPerByte: math.Inf(-1)}
	for _, r := range c.Runs {
		t.BitsPerByte = max(t.BitsPerByte, r.BitsPerByte[source])
	}
	for _, r := range c.runs {
		bits := r.bits(byTokens, source).y
		t.Reached = append(t.Reached, Reached{
			AtMost:  len(bits) > 0 && bits[0] < t.BitsPerByte,
			Tokens:  r.bits(byTokens, source).reach(t.BitsPerByte),
			FLOPs:   r.bits(byFLOPs, source).reach(t.BitsPerByte),
			Seconds: r.bits(bySeconds, source).reach(t.BitsPerByte),
		})
	}
	return t
}

// reach is the first x at which the line comes down to y, which its last point does.
func (c curve) reach(y float64) float64 {
	for i := range c.y {
		if c.y[i] > y {
			continue
		}
		if i == 0 {
			return c.x[0]
		}
		part := (c.y[i-1] - y) / (c.y[i-1] - c.y[i])
		return c.x[i-1] + part*(c.x[i]-c.x[i-1])
	}
	return 0
}

// Tables are the comparison in words: where each run stands, and what each target took.
func (c *Comparison) Tables() []Table {
	sources := c.sources()
	t := Table{Title: "Runs", Head: []string{"run", "parameters", "activated", "tokens", "loss"}}
	for _, s := range sources {
		t.Head = append(t.Head, "bits/byte "+s)
	}
	reinforced := slices.ContainsFunc(c.runs, func(r *Run) bool { return len(r.RLs) > 0 })
	if reinforced {
		t.Head = append(t.Head, "accuracy", "tokens a sample", "pass@1")
	}
	t.Head = append(t.Head, "MaxVio", "tokens/s", "of peak", "time", "cost")
	for _, r := range c.Runs {
		row := []string{r.Name, count(float64(r.Params)), count(float64(r.Activated)), count(float64(r.Tokens)), optional(r.Loss, 3)}
		for _, s := range sources {
			row = append(row, fixed(r.bits(s), 3))
		}
		if reinforced {
			row = append(row, optional(r.Accuracy, 3), optional(r.Length, 1), optional(r.Pass, 3))
		}
		l := r.Ledger
		rate := math.NaN()
		if l.Seconds > 0 {
			rate = float64(l.Tokens) / l.Seconds
		}
		t.Rows = append(t.Rows, append(row, optional(r.MaxVio, 2), count(rate), percent(l.PeakShare), span(l.Seconds), dollars(l.Dollars)))
	}
	tables := []Table{t}
	if len(c.runs) < 2 {
		return tables
	}
	for _, target := range c.Targets {
		tables = append(tables, c.targetTable(target))
	}
	return tables
}

func optional(v *float64, decimals int) string {
	if v == nil {
		return fixed(math.NaN(), 0)
	}
	return fixed(*v, decimals)
}

func (c *Comparison) targetTable(target Target) Table {
	t := Table{
		Title: fmt.Sprintf("To reach %.3f bits per byte on %s", target.BitsPerByte, target.Source),
		Head:  []string{"run", "tokens", "FLOPs", "time", "FLOPs/first's", "time/first's"},
	}
	first := target.Reached[0]
	for i, r := range target.Reached {
		row := []string{c.Runs[i].Name, count(r.Tokens), power(r.FLOPs), span(r.Seconds),
			fixed(r.FLOPs/first.FLOPs, 2), fixed(r.Seconds/first.Seconds, 2)}
		if r.AtMost {
			row[1] = "≤ " + row[1]
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// Save writes the comparison as a page, which needs nothing but itself.
func (c *Comparison) Save(path string) error {
	panels, err := draws(c.charts())
	if err != nil {
		return err
	}
	p := &page{Title: fmt.Sprintf("%d runs compared", len(c.runs)), Panels: panels, Tables: c.Tables(), Several: true,
		Status: "Curves hold each step once, as it was done last; time and tokens of lost work are in each run's ledger only."}
	return p.save(path)
}

func (c *Comparison) charts() []*chart {
	var charts []*chart
	add := func(title string, over axis, one func(*Run) curve, zero bool) {
		ch := &chart{title: title, over: over, zero: zero, clip: !zero}
		for i, r := range c.runs {
			line := one(r)
			line.name, line.color = r.Name, i
			ch.curves = append(ch.curves, line)
		}
		charts = append(charts, ch)
	}
	ways := []struct {
		axis
		name string
	}{{bySteps, "step"}, {byFLOPs, "FLOP"}, {bySeconds, "wall clock"}}
	for _, by := range ways {
		add("Loss by "+by.name, by.axis, func(r *Run) curve { return r.curve(by.axis, loss).smooth() }, false)
	}
	for _, s := range c.sources() {
		for _, by := range ways {
			add("Bits per byte, "+s+", by "+by.name, by.axis, func(r *Run) curve { return r.bits(by.axis, s) }, false)
		}
	}
	add("Accuracy of samples", bySteps, func(r *Run) curve { return r.rl(accuracy).smooth() }, true)
	add("Tokens a sample", bySteps, func(r *Run) curve { return r.rl(length).smooth() }, true)
	for _, by := range ways {
		add("Held-out pass@1, mean over families, by "+by.name, by.axis, func(r *Run) curve { return r.exams(by.axis, "", pass) }, true)
	}
	add("MaxVio by tokens", byTokens, func(r *Run) curve { return r.curve(byTokens, maxVio).smooth() }, true)
	add("Tokens a second", byTokens, func(r *Run) curve {
		return r.curve(byTokens, func(s *Step) float64 { return s.TokensPerSecond }).smooth()
	}, true)
	return charts
}
