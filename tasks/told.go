package tasks

import (
	"math/rand/v2"
	"slices"
	"strconv"
)

// A told problem is one whose wording is drawn with it, as the solution speaks of the same things.
type told struct {
	question string
	name     string                          // its key
	forms    []string                        // of the answer, as tidy leaves them, but for the first
	steps    func(w *writer, rng *rand.Rand) // the solution
}

func (t told) ask(*rand.Rand) string           { return t.question }
func (t told) key() string                     { return t.name }
func (t told) answer() string                  { return t.forms[0] }
func (t told) solve(w *writer, rng *rand.Rand) { t.steps(w, rng) }

func (t told) verify(reply string) bool {
	first, _ := tidy(t.forms[0])
	return reply == first || slices.Contains(t.forms[1:], reply)
}

// amount is the forms of a number of something: "12 cm", with the unit's other names, or none.
func amount(n int, unit string, others ...string) []string {
	number := strconv.Itoa(n)
	forms := []string{number + " " + unit, number, number + unit}
	for _, o := range others {
		forms = append(forms, number+" "+o)
	}
	return forms
}
