package report

import (
	"math"
	"slices"
)

// curve is a line of a chart: y over x, x ascending.
type curve struct {
	name  string
	x, y  []float64
	color int  // of the palette
	faint bool // as a background to another
	dots  bool // few points, each worth seeing
}

func (c *curve) add(x, y float64) {
	if drawable(x) && drawable(y) {
		c.x, c.y = append(c.x, x), append(c.y, y)
	}
}

// drawable tells whether v can have a place on an axis.
func drawable(v float64) bool { return math.Abs(v) < 1e30 } // false for NaN

// smooth is c with y as an exponential moving average over about a hundredth of its points, the start corrected for.
func (c curve) smooth() curve {
	s := c
	s.y = make([]float64, len(c.y))
	keep := 1 - 1/max(1, float64(len(c.y))/100)
	sum, weight := 0.0, 0.0
	for i, y := range c.y {
		sum, weight = keep*sum+(1-keep)*y, keep*weight+(1-keep)
		s.y[i] = sum / weight
	}
	return s
}

// background is c drawn faintly.
func (c curve) background() curve {
	c.faint = true
	return c
}

// thin is c with at most about four points for each of n equal parts of it: the first, the last, the lowest and the highest. So
// nothing that could be seen goes: a spike of a single step stays.
func (c curve) thin(n int) curve {
	if len(c.x) <= 4*n {
		return c
	}
	t := c
	t.x, t.y = make([]float64, 0, 4*n), make([]float64, 0, 4*n)
	for i := range n {
		from, to := i*len(c.x)/n, (i+1)*len(c.x)/n
		low, high := from, from
		for j := from; j < to; j++ {
			if c.y[j] < c.y[low] {
				low = j
			}
			if c.y[j] > c.y[high] {
				high = j
			}
		}
		keep := []int{from, low, high, to - 1}
		slices.Sort(keep)
		for _, j := range slices.Compact(keep) {
			t.x, t.y = append(t.x, c.x[j]), append(t.y, c.y[j])
		}
	}
	return t
}

// axis is what a curve runs over.
type axis int

const (
	bySteps axis = iota
	byTokens
	byFLOPs
	bySeconds
)

// at is the place on the axis where the counters stand so.
func (r *Run) at(a axis, step int, tokens int64, seconds float64) float64 {
	switch a {
	case byTokens:
		return float64(tokens)
	case byFLOPs:
		return float64(tokens) * r.Start.FLOPsPerToken
	case bySeconds:
		return seconds
	}
	return float64(step)
}

// curve is a value of the steps.
func (r *Run) curve(a axis, value func(*Step) float64) curve {
	var c curve
	for i := range r.Steps {
		s := &r.Steps[i]
		c.add(r.at(a, s.Step, s.Tokens, s.Seconds), value(s))
	}
	return c
}

// bits is the bits per byte of one source.
func (r *Run) bits(a axis, source string) curve {
	c := curve{name: source, dots: true}
	for _, v := range r.Valids {
		if v.Source == source {
			c.add(r.at(a, v.Step, v.Tokens, v.Seconds), v.BitsPerByte)
		}
	}
	return c
}

// maxSources is how many sources of validation, or families of problems, are shown.
const maxSources = 16

// sources are the sources of validation, in order of appearance.
func (r *Run) sources() []string { return firsts(r.Valids, func(v Valid) string { return v.Source }) }

// families are those that sat exams, in order of appearance.
func (r *Run) families() []string { return firsts(r.Exams, func(v Exam) string { return v.Family }) }

// firsts are the first names in a list, each once.
func firsts[T any](list []T, name func(T) string) []string {
	var names []string
	for _, v := range list {
		if len(names) < maxSources && !slices.Contains(names, name(v)) {
			names = append(names, name(v))
		}
	}
	return names
}

// tail is the mean of the last hundredth of c's points, but ten at least; NaN where there are none.
func (c curve) tail() float64 {
	sum, from := 0.0, max(0, len(c.y)-max(10, len(c.y)/100))
	for _, y := range c.y[from:] {
		sum += y
	}
	return sum / float64(len(c.y)-from)
}

func loss(s *Step) float64   { return s.Loss }
func maxVio(s *Step) float64 { return s.MaxVio }
