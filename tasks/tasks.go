// Package tasks writes problems that a very small model can learn to solve, shows how to solve them, and checks answers.
//
// A Family draws a Problem from a random source and a difficulty: 0 is the easiest, 1 what the shipped model is measured on, and
// above 1 it goes on growing along the same line. The same source gives the same problem. A Problem carries its question, its
// answer in plain form and a Key, which names the problem whatever its wording: 3+4 and 4+3 share one. HeldOut splits problems by
// a hash of the key, so that no wording of a held-out problem is ever trained on, in whatever family. (The split is of what is asked: a
// solution may add two numbers on its way whose sum is held out as a question.)
//
//	add        add and subtract up to 4 digits          divide     4 digits by 1, with a remainder
//	multiply   3 digits by 2                            brackets   expressions of 3 or 4 numbers
//	equation   ax+b=cx+d, coefficients to 20            countdown  3 numbers up to 25, a target they reach
//	sequence   the next term                            measure    units, money, clock time, in two steps
//	story      word problems of 2 or 3 steps            lists      sort five numbers, count and reverse letters
//
// Those ship. The stretch families countdown4, knights, path, trace and dates go further; talk is small talk: who the model is,
// what it can do, and a plain word for what it can't; beyond difficulty 1 in many words, for fine-tuning. Talk is told and not graded: its Verify knows the very sentences of the
// generator and nothing else, and it must not be used as a reward.
//
// Solve writes the solution as a person would on paper and a small model can follow: a step a line, each needing only what stands
// close by; column work with the least significant digit first; no spaces inside arithmetic, as a digit is a token. Some solutions
// make a mistake and correct it, and some try what leads nowhere. Both are marked, as Slip and DeadEnd, for training to leave out
// of its loss: a model should learn to notice a mistake, not to make it. A slip is false; a dead end is true, and whether a model is
// to learn searching from dead ends is for the trainer to say.
//
// Verify wants the final answer alone: what follows </think>. It takes equal forms of it (007 for 7, "x=4" for "x = 4", any
// expression that reaches a Countdown target by the rules) and nothing else: no second answer, no sentence around it.
// A reply is untrusted: it is bounded in length before it is read, and arithmetic on it is exact and bounded.
//
// A Document is a problem as text to train on, in segments, so that markers can become special tokens. A Mixture says how
// many of which families, and how hard.
package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// MaxDifficulty is where the dial ends: more counts as this much.
const MaxDifficulty = 3

// A Family is one kind of problem.
type Family struct {
	Name    string
	Stretch bool // beyond what the shipped model is measured on
	Graded  bool // Verify means something: all but talk

	draw func(rng *rand.Rand, difficulty float64) puzzle
}

// A puzzle is a problem as its family sees it: operands and structure, with the wording that was drawn where that matters.
type puzzle interface {
	ask(rng *rand.Rand) string       // the question, in one of its wordings
	key() string                     // the problem, whatever its wording
	answer() string                  // in plain form
	solve(w *writer, rng *rand.Rand) // ends at the answer
	verify(reply string) bool        // of a reply that tidy has seen
}

// Families returns all of them, in a fixed order: those that ship, the stretch families, talk.
func Families() []Family {
	return []Family{
		{Name: "add", Graded: true, draw: drawSum},
		{Name: "multiply", Graded: true, draw: drawProduct},
		{Name: "divide", Graded: true, draw: drawQuotient},
		{Name: "brackets", Graded: true, draw: drawBracketed},
		{Name: "equation", Graded: true, draw: drawEquation},
		{Name: "countdown", Graded: true, draw: drawCountdown},
		{Name: "sequence", Graded: true, draw: drawSequence},
		{Name: "measure", Graded: true, draw: drawMeasure},
		{Name: "story", Graded: true, draw: drawStory},
		{Name: "lists", Graded: true, draw: drawList},
		{Name: "countdown4", Stretch: true, Graded: true, draw: drawCountdown4},
		{Name: "knights", Stretch: true, Graded: true, draw: drawIsland},
		{Name: "path", Stretch: true, Graded: true, draw: drawNetwork},
		{Name: "trace", Stretch: true, Graded: true, draw: drawProgram},
		{Name: "dates", Stretch: true, Graded: true, draw: drawDate},
		{Name: "talk", draw: drawRemark},
	}
}

// ByName returns the family of that name.
func ByName(name string) (Family, error) {
	for _, f := range Families() {
		if f.Name == name {
			return f, nil
		}
	}
	return Family{}, fmt.Errorf("no family of problems is called %q", name)
}

// Select returns the graded families of these names, or of all, shipped or stretch for several at once, in the order of Families.
func Select(names []string) (list []Family, err error) {
	count := map[string]int{} // of a family's mentions
	for _, name := range names {
		group, known := map[string][]bool{"all": {false, true}, "shipped": {false}, "stretch": {true}}[name]
		if !known {
			f, err := ByName(name)
			switch {
			case err != nil:
				return nil, err
			case !f.Graded:
				return nil, fmt.Errorf("%s can't be graded: there is no one right answer", name)
			}
			count[name]++
		}
		for _, f := range Families() {
			if f.Graded && slices.Contains(group, f.Stretch) {
				count[f.Name]++
			}
		}
	}
	for _, f := range Families() {
		switch count[f.Name] {
		case 0:
		case 1:
			list = append(list, f)
		default:
			return nil, fmt.Errorf("the family %s is named twice", f.Name)
		}
	}
	return list, nil
}

// Generate draws a problem. A difficulty out of range counts as the nearest end of [0, MaxDifficulty].
func (f Family) Generate(rng *rand.Rand, difficulty float64) Problem {
	if !(difficulty > 0) { // not a number is easy, too
		difficulty = 0
	}
	p := f.draw(rng, min(difficulty, MaxDifficulty))
	return Problem{Family: f.Name, Question: p.ask(rng), Answer: p.answer(), Key: f.Name + " " + p.key(), graded: f.Graded, puzzle: p}
}

// A Problem is a question with one answer, or several that Verify tells from wrong ones. Generate makes them.
type Problem struct {
	Family   string
	Question string
	Answer   string // in plain form
	Key      string // operands and structure, not the wording

	graded bool
	puzzle puzzle
}

// Solve writes the way to the answer, without the answer that follows it. The random source chooses wordings and mistakes.
func (p Problem) Solve(rng *rand.Rand) []Segment {
	w := &writer{}
	p.puzzle.solve(w, rng)
	return w.segments
}

// Graded reports whether Verify means something: all but talk.
func (p Problem) Graded() bool { return p.graded }

// Verify reports whether reply, a final answer, is right.
func (p Problem) Verify(reply string) bool {
	reply, ok := tidy(reply)
	return ok && p.puzzle.verify(reply)
}
