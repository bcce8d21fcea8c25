package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

func drawList(rng *rand.Rand, difficulty float64) puzzle {
	switch rng.IntN(3) {
	case 0:
		return drawSorting(rng, difficulty)
	case 1:
		return drawCounting(rng, difficulty)
	}
	return drawReversal(rng, difficulty)
}

// A sorting asks for numbers in order.
type sorting struct {
	numbers []int
	falling bool
}

func drawSorting(rng *rand.Rand, difficulty float64) puzzle {
	s := sorting{make([]int, dial(rng, difficulty, 3, 5)), difficulty > 0.5 && chance(rng, 4)}
	most := dial(rng, difficulty, 9, 99)
	for i := range s.numbers {
		s.numbers[i] = between(rng, 1, most)
	}
	return s
}

func (s sorting) sorted() []int {
	sorted := slices.Sorted(slices.Values(s.numbers))
	if s.falling {
		slices.Reverse(sorted)
	}
	return sorted
}

func (s sorting) ask(rng *rand.Rand) string {
	how := pick(rng, "from small to large", "from the smallest to the largest", "in rising order")
	if s.falling {
		how = pick(rng, "from large to small", "from the largest to the smallest", "in falling order")
	} else if chance(rng, 3) {
		return fmt.Sprintf(pick(rng, "Sort %s.", "Sort the numbers %s."), commas(s.numbers))
	}
	return fmt.Sprintf(pick(rng, "Sort %s %s.", "Arrange %s %s.", "Order %s %s.", "Sort these numbers: %s, %s.",
		"Write %s %s."), commas(s.numbers), how)
}

func (s sorting) key() string {
	rising := sorting{numbers: s.numbers}
	return fmt.Sprintf("sort %s", commas(rising.sorted()))
}

func (s sorting) answer() string { return commas(s.sorted()) }

func (s sorting) verify(reply string) bool {
	fields := strings.FieldsFunc(reply, func(r rune) bool { return r == ',' || r == ' ' })
	return slices.EqualFunc(fields, s.sorted(), isInteger)
}

// solve takes the smallest of what is left, again and again. A slip takes another one.
func (s sorting) solve(w *writer, rng *rand.Rand) {
	left, name, other := slices.Clone(s.numbers), "Smallest", "smaller"
	if s.falling {
		name, other = "Largest", "larger"
	}
	slip := -1
	if chance(rng, 4) {
		slip = rng.IntN(len(left) - 1)
	}
	for i, n := range s.sorted() {
		if wrong := left[0]; i == slip && wrong != n {
			w.slip("%s of %s: %d\n", name, commas(left), wrong)
			w.say("No, %d is %s.\n", n, other)
		}
		if len(left) == 1 {
			w.say("Last: %d\n", n)
			return
		}
		w.say("%s of %s: %d\n", name, commas(left), n)
		left = without(left, slices.Index(left, n))
	}
}

// A counting asks how often a letter is in a word, or how many letters it has if letter is "".
type counting struct{ word, letter string }

func drawCounting(rng *rand.Rand, difficulty float64) puzzle {
	c := counting{word: drawWord(rng, dial(rng, difficulty, 3, 8))}
	switch {
	case chance(rng, 4):
	case chance(rng, 5):
		c.letter = string(rune('a' + rng.IntN(26)))
	default:
		i := rng.IntN(len(c.word))
		c.letter = c.word[i : i+1]
		for range 3 { // rather one that is there more than once
			if i = rng.IntN(len(c.word)); strings.Count(c.word, c.word[i:i+1]) > 1 {
				c.letter = c.word[i : i+1]
			}
		}
	}
	return c
}

func (c counting) value() int {
	if c.letter == "" {
		return len(c.word)
	}
	return strings.Count(c.word, c.letter)
}

func (c counting) ask(rng *rand.Rand) string {
	if c.letter == "" {
		return fmt.Sprintf(pick(rng, "How many letters does the word %s have?", "How many letters are in %s?",
			"Count the letters of %s.", "How long is the word %s?"), c.word)
	}
	return fmt.Sprintf(pick(rng, "How many times is the letter %[2]s in %[1]s?", "How often does %s have the letter %s?",
		"Count the letter %[2]s in the word %[1]s.",
		"How many %[2]s are in %[1]s?"), c.word, c.letter)
}

func (c counting) key() string {
	if c.letter == "" {
		return "length " + c.word
	}
	return "count " + c.letter + " " + c.word
}

func (c counting) answer() string           { return strconv.Itoa(c.value()) }
func (c counting) verify(reply string) bool { return isInteger(reply, c.value()) }

// solve spells the word and goes through it with a count.
func (c counting) solve(w *writer, rng *rand.Rand) {
	w.say("%s\n", spelled(c.word))
	n := 0
	for i := range len(c.word) {
		letter := c.word[i : i+1]
		if c.letter == "" || letter == c.letter {
			n++
			w.say("%s %d, ", letter, n)
		} else {
			w.say("%s no, ", letter)
		}
	}
	w.say("so %d\n", n)
}

func spelled(word string) string { return strings.Join(strings.Split(word, ""), " ") }

// A reversal asks for a word backwards.
type reversal struct{ word string }

func drawReversal(rng *rand.Rand, difficulty float64) puzzle {
	return reversal{drawWord(rng, dial(rng, difficulty, 3, 8))}
}

func (r reversal) ask(rng *rand.Rand) string {
	return fmt.Sprintf(pick(rng, "Reverse the word %s.", "Write %s backwards.", "What is %s spelled backwards?",
		"Turn the letters of %s round.", "Reverse %s."), r.word)
}

func (r reversal) key() string { return "reverse " + r.word }

func (r reversal) answer() string {
	letters := []byte(r.word)
	slices.Reverse(letters)
	return string(letters)
}

func (r reversal) verify(reply string) bool { return reply == r.answer() }

// solve spells the word, and spells it from the end. A slip leaves out a letter.
func (r reversal) solve(w *writer, rng *rand.Rand) {
	w.say("%s\n", spelled(r.word))
	back := r.answer()
	if i := rng.IntN(len(back)); chance(rng, 4) {
		w.slip("%s\n", spelled(back[:i]+back[i+1:]))
		w.say("No, %d letters, but there are %d.\n", len(back)-1, len(back))
	}
	w.say("%s\n", spelled(back))
}
