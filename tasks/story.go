package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A telling is a story as it comes about. Its grammar is an opening that gives a number, events that each change it, and a
// question; a scene says which. In templates {hero}, {he}, {friend}, {things} and numbers stand for what was drawn. The words of an
// event stand in the question and again in the solution, so that its lines can be copied.
type telling struct {
	rng       *rand.Rand
	limit     int // of numbers that are added and taken
	names     *strings.Replacer
	thing     string // what is counted
	sentences []string
	expr      string // what is computed so far: the key
	value     int
	lines     []storyLine
}

// A storyLine is one step of the solution: its words, what they compute, and what somebody would who took more for fewer.
type storyLine struct{ words, does, wrong, remark string }

type person struct{ name, he string }

var people = append(
	persons("she", "Anna Ella Mia Lily Zoe Sara Nina Ruth Kate Emma Ida Rosa Jane Lucy Amy Eva Clara Maya"),
	persons("he", "Tom Ben Max Sam Leo Paul Jack Noah Finn Otto Karl Ivan Luis Omar Hugo Adam Dan Eric")...)

func persons(he, names string) (list []person) {
	for name := range strings.FieldsSeq(names) {
		list = append(list, person{name, he})
	}
	return list
}

var things = strings.Fields("apples pears plums nuts marbles stamps shells cards coins books pencils stickers beads buttons eggs " +
	"cookies candies balloons ribbons stones leaves flowers toys blocks crayons badges tickets photos sweets figs")

func drawStory(rng *rand.Rand, difficulty float64) puzzle {
	t := &telling{rng: rng, limit: dial(rng, difficulty, 9, 50), thing: pick(rng, things...)}
	hero, friend := pick(rng, people...), pick(rng, people...)
	for friend == hero {
		friend = pick(rng, people...)
	}
	he := hero.he
	t.names = strings.NewReplacer("{hero}", hero.name, "{he}", he, "{He}", strings.ToUpper(he[:1])+he[1:],
		"{friend}", friend.name, "{things}", t.thing)
	steps := dial(rng, difficulty, 1, 3)
	if steps > 2 && chance(rng, 2) {
		steps--
	}
	scene := pick(rng, (*telling).holding, (*telling).holding, (*telling).boxes, (*telling).crowd,
		(*telling).shopOrWork, (*telling).shopOrWork)
	t.tell(scene(t, steps))
	number := strconv.Itoa(t.value)
	return told{
		question: strings.Join(t.sentences, " "),
		name:     t.expr,
		forms:    []string{number, number + " " + t.thing},
		steps:    t.solve,
	}
}

// fill puts names and numbers into a template: {n} and {k} are the first two numbers, {m} and {j} more.
func (t *telling) fill(template string, numbers ...int) string {
	for i, n := range numbers {
		template = strings.ReplaceAll(template, []string{"{n}", "{k}", "{m}", "{j}"}[i], strconv.Itoa(n))
	}
	return t.names.Replace(template)
}

// tell appends a sentence in one of several wordings.
func (t *telling) tell(template string, numbers ...int) {
	sentence := strings.Join(strings.Fields(t.fill(template, numbers...)), " ")
	t.sentences = append(t.sentences, strings.ToUpper(sentence[:1])+sentence[1:])
}

// count is a number of more than one that may be added or taken: the plural stands.
func (t *telling) count() int { return between(t.rng, 2, t.limit) }

// start sets the first number.
func (t *telling) start(n int) {
	t.value, t.expr = n, strconv.Itoa(n)
	t.line("Start", strconv.Itoa(n))
}

func (t *telling) line(words, does string) {
	t.lines = append(t.lines, storyLine{words: words, does: does})
}

// product starts with k times n, and says so in words.
func (t *telling) product(k, n int, words string) {
	t.value, t.expr = k*n, times(k, n)
	t.line(words, step('*', n, k))
}

// times is the key of a product.
func times(a, b int) string { return fmt.Sprintf("%d*%d", min(a, b), max(a, b)) }

// apply changes the number by an operation, in words that end up in the solution.
func (t *telling) apply(op byte, n int, words string) {
	line := storyLine{words: words, does: step(op, t.value, n)}
	expr := fmt.Sprintf("%s%c%d", t.expr, op, n)
	switch op {
	case '+':
		if t.expr == strconv.Itoa(t.value) {
			expr = fmt.Sprintf("%d+%d", min(n, t.value), max(n, t.value))
		}
		if n <= t.value {
			line.wrong, line.remark = step('-', t.value, n), "more"
		}
		t.value += n
	case '-':
		line.wrong, line.remark = step('+', t.value, n), "fewer"
		t.value -= n
	case '*':
		expr = fmt.Sprintf("(%s)*%d", t.expr, n)
		t.value *= n
	case '/':
		expr = fmt.Sprintf("(%s)/%d", t.expr, n)
		t.value /= n
	}
	t.expr = expr
	t.lines = append(t.lines, line)
}

// change draws an event, out of more and fewer: phrases with {n} for the number.
func (t *telling) change(more, fewer []string) (words string) {
	if t.value > 4 && chance(t.rng, 2) {
		n := between(t.rng, 2, min(t.limit, t.value-1))
		words = t.fill(pick(t.rng, fewer...), n)
		t.apply('-', n, words)
		return words
	}
	n := t.count()
	words = t.fill(pick(t.rng, more...), n)
	t.apply('+', n, words)
	return words
}

// solve writes the lines. Now and then it takes one event the wrong way first.
func (t *telling) solve(w *writer, rng *rand.Rand) {
	slip := -1
	if chance(rng, 4) {
		slip = rng.IntN(len(t.lines))
	}
	for i, l := range t.lines {
		if i == slip && l.wrong != "" {
			w.slip("%s: %s\n", l.words, l.wrong)
			w.say("No, that makes it %s.\n", l.remark)
		}
		w.say("%s: %s\n", l.words, l.does)
	}
}

// divisors are the numbers from 2 to 9 that divide n and leave more than 1.
func divisors(n int) []int {
	return slices.DeleteFunc([]int{2, 3, 4, 5, 6, 7, 8, 9}, func(d int) bool { return n%d != 0 || n/d < 2 })
}
