package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
)

// A sequence asks for the term after those it shows. Every rule that fits them gives the same.
type sequence struct {
	terms []int
	next  int
}

func drawSequence(rng *rand.Rand, difficulty float64) puzzle {
	first, most := dial(rng, difficulty, 9, 40), dial(rng, difficulty, 5, 20)
	signed := func(n int) int { return pick(rng, n, n, -n) }
	for {
		var terms []int
		switch a := between(rng, 1, first); between(rng, 0, min(3, dial(rng, difficulty, 0, 4))) {
		case 0:
			d := signed(between(rng, 1, most))
			if d < 0 {
				a -= 6 * d // stays above 0
			}
			terms = grow(6, func(t []int) int { return t[len(t)-1] + d }, a)
		case 1:
			d := []int{signed(between(rng, 1, most)), signed(between(rng, 1, most))}
			terms = grow(6, func(t []int) int { return t[len(t)-1] + d[(len(t)-1)%2] }, a)
		case 2:
			ratio := between(rng, 2, dial(rng, difficulty, 2, 5))
			terms = grow(5, func(t []int) int { return t[len(t)-1] * ratio }, between(rng, 1, max(2, first/8)))
		default:
			start := func() int { return between(rng, 1, max(2, first/4)) }
			terms = grow(6, func(t []int) int { return t[len(t)-1] + t[len(t)-2] }, start(), start())
		}
		s := sequence{terms[:len(terms)-1], terms[len(terms)-1]}
		if slices.Min(terms) < 1 || s.next > dial(rng, difficulty, 300, 1000) {
			continue
		}
		if other := func(next int) bool { return next != s.next }; !slices.ContainsFunc(s.nexts(), other) {
			return s
		}
	}
}

// grow appends to the first terms what next makes of those there are, until there are n.
func grow(n int, next func([]int) int, terms ...int) []int {
	for len(terms) < n {
		terms = append(terms, next(terms))
	}
	return terms
}

// nexts returns the next term by every rule that fits. Terms are above 0.
func (s sequence) nexts() []int {
	t, n := s.terms, len(s.terms)
	same, turns, ratio, sums := true, true, t[1]%t[0] == 0, true
	for i := 2; i < n; i++ {
		same = same && t[i]-t[i-1] == t[1]-t[0]
		turns = turns && (i < 3 || t[i]-t[i-1] == t[i-2]-t[i-3])
		ratio = ratio && t[i] == t[i-1]*(t[1]/t[0])
		sums = sums && t[i] == t[i-1]+t[i-2]
	}
	var list []int
	for _, rule := range []struct {
		fits bool
		next int
	}{
		{same, t[n-1] + t[1] - t[0]},
		{turns, t[n-1] + t[n-2] - t[n-3]},
		{ratio, t[n-1] * (t[1] / t[0])},
		{sums, t[n-1] + t[n-2]},
	} {
		if rule.fits {
			list = append(list, rule.next)
		}
	}
	return list
}

func (s sequence) ask(rng *rand.Rand) string {
	return fmt.Sprintf(pick(rng, "What comes next: %s, ...?", "%s, ?", "What is the next number: %s?", "Continue: %s, ...",
		"Find the next term of %s, ...", "Which number follows %s?"), commas(s.terms))
}

func (s sequence) key() string              { return commas(s.terms) }
func (s sequence) answer() string           { return strconv.Itoa(s.next) }
func (s sequence) verify(reply string) bool { return isInteger(reply, s.next) }

// solve looks at the differences, as far as they may have a rule; then at the ratios; then at sums of two.
func (s sequence) solve(w *writer, _ *rand.Rand) {
	t, n := s.terms, len(s.terms)
	text, fits := "Differences: ", true
	for i := 1; i < n && fits; i++ {
		d := t[i] - t[i-1]
		text += step('-', t[i], t[i-1]) + ", "
		fits = i < 3 || d == t[i-2]-t[i-3] // which is so if all are the same, too
	}
	last := t[n-1]
	if d := t[n-2] - t[n-3]; fits {
		w.say("%s", text)
		if d == t[1]-t[0] && d == last-t[n-2] {
			w.say("the same.\n")
		} else {
			w.say("they take turns, next is %d.\n", d)
		}
		w.say("%d%+d=%d\n", last, d, last+d)
		return
	}
	w.deadEnd("%s", text)
	w.say("no rule.\n")
	text, fits = "Ratios: ", true
	for i := 1; i < n && fits; i++ {
		if fits = t[i]%t[i-1] == 0 && t[i]/t[i-1] == t[1]/t[0]; fits {
			text += step('/', t[i], t[i-1]) + ", "
		} else {
			text += fmt.Sprintf("%d/%d ", t[i], t[i-1])
		}
	}
	if fits {
		w.say("%sthe same.\n%s\n", text, step('*', last, t[1]/t[0]))
		return
	}
	w.deadEnd("%s", text)
	w.say("no rule.\nSums of two: ")
	for i := 2; i < n; i++ {
		w.say("%s, ", step('+', t[i-2], t[i-1]))
	}
	w.say("yes.\n%s\n", step('+', t[n-2], last))
}
