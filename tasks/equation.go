package tasks

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// An equation is a·x+b = c·x+d, whose solution is whole.
type equation struct {
	a, b, c, d int
	x          int
	letter     string
}

func drawEquation(rng *rand.Rand, difficulty float64) puzzle {
	most := dial(rng, difficulty, 5, 20)
	solutions := dial(rng, difficulty, 4, 10)
	least, low := -most, -solutions
	if difficulty < 0.4 {
		least, low = 1, 1
	}
	e := equation{letter: pick(rng, "x", "x", "x", "y", "n")}
	for {
		e.a, e.c, e.x = between(rng, least, most), between(rng, least, most), between(rng, low, solutions)
		if difficulty < 0.25 || chance(rng, 5) {
			e.c = 0
		}
		step := (e.a - e.c) * e.x // d is b and this
		from, to := max(least, least-step), min(most, most-step)
		if e.a == 0 || e.a == e.c || from > to {
			continue
		}
		e.b = between(rng, from, to)
		e.d = e.b + step
		return e
	}
}

// side writes a·x+b.
func (e equation) side(a, b int) string {
	switch s := e.term(a); {
	case a == 0:
		return strconv.Itoa(b)
	case b == 0:
		return s
	default:
		return fmt.Sprintf("%s%+d", s, b)
	}
}

// term writes a·x.
func (e equation) term(a int) string {
	switch a {
	case 1:
		return e.letter
	case -1:
		return "-" + e.letter
	}
	return strconv.Itoa(a) + e.letter
}

func (e equation) ask(rng *rand.Rand) string {
	text := e.side(e.a, e.b) + "=" + e.side(e.c, e.d)
	if !chance(rng, 4) {
		spaced := func(s string) string { // a sign that begins a side stays where it is
			return s[:1] + strings.NewReplacer("+", " + ", "-", " - ").Replace(s[1:])
		}
		text = spaced(e.side(e.a, e.b)) + " = " + spaced(e.side(e.c, e.d))
	}
	return fmt.Sprintf(pick(rng, "Solve %[1]s.", "Solve for %[2]s: %[1]s", "%s, what is %s?", "Find %[2]s if %[1]s.",
		"If %s, what is %s?",
		"Solve the equation %[1]s."), text, e.letter)
}

// key takes an equation and the same with its sides exchanged for one.
func (e equation) key() string {
	left, right := fmt.Sprintf("%dx%+d", e.a, e.b), fmt.Sprintf("%dx%+d", e.c, e.d)
	return min(left, right) + "=" + max(left, right)
}

func (e equation) answer() string { return fmt.Sprintf("%s = %d", e.letter, e.x) }

func (e equation) verify(reply string) bool {
	if rest, ok := strings.CutPrefix(reply, e.letter); ok {
		if rest, ok = strings.CutPrefix(strings.TrimSpace(rest), "="); !ok {
			return false
		}
		reply = strings.TrimSpace(rest)
	}
	return isInteger(reply, e.x)
}

// solve brings the unknown to the left and the numbers to the right, divides, and checks by putting the result in.
func (e equation) solve(w *writer, rng *rand.Rand) {
	k := e.a - e.c
	w.say("%s=%s\n", e.side(e.a, e.b), e.side(e.c, e.d))
	if wrong := e.d + e.b; e.b != 0 && chance(rng, 5) {
		e.collect(w.slip, -e.b)
		if wrong%k != 0 {
			w.say("%d does not divide by %d. The sign of %d is wrong.\n", wrong, k, e.b)
		} else {
			e.divide(w.slip, wrong)
			e.check(w, wrong/k)
			w.say("not equal. The sign of %d is wrong.\n", e.b)
		}
	}
	e.collect(w.say, e.b)
	e.divide(w.say, e.d-e.b)
	if !chance(rng, 3) {
		e.check(w, e.x)
		w.say("equal.\n")
	}
}

// collect takes c·x and b to the other sides. The right b is e.b.
func (e equation) collect(say func(string, ...any), b int) {
	k := e.a - e.c
	if e.c != 0 {
		c := e.term(-e.c)
		if e.c < 0 {
			c = "+" + c
		}
		say("%s%s=%d", e.term(e.a), c, e.d)
	} else if b != 0 {
		say("%s=%d", e.term(e.a), e.d)
	}
	if b != 0 {
		say("%+d", -b)
	}
	if e.c != 0 || b != 0 {
		say("\n")
	}
	if e.c != 0 {
		say("%d%+d=%d", e.a, -e.c, k)
		if b != 0 {
			say(", ")
		} else {
			say(": ")
		}
	}
	if b != 0 {
		say("%d%+d=%d: ", e.d, -b, e.d-b)
	}
	if e.c != 0 || b != 0 {
		say("%s=%d\n", e.term(k), e.d-b)
	}
}

func (e equation) divide(say func(string, ...any), right int) {
	if k := e.a - e.c; k != 1 {
		say("%s=%d: %s=%d\n", quotientOf(right, k), right/k, e.letter, right/k)
	}
}

func quotientOf(a, b int) string { return fmt.Sprintf("%d/%s", a, bracket(b)) }

// bracket writes a number as it stands after an operator.
func bracket(n int) string {
	if n < 0 {
		return fmt.Sprintf("(%d)", n)
	}
	return strconv.Itoa(n)
}

// check puts x in, a side a line, and leaves the verdict to follow.
func (e equation) check(w *writer, x int) {
	side := func(name string, a, b int) {
		w.say("%s ", name)
		switch {
		case a == 0:
			w.say("%d", b)
		case a == 1:
			w.say("%d%+d=%d", x, b, x+b)
		default:
			w.say("%d*%s=%d, %d%+d=%d", a, bracket(x), a*x, a*x, b, a*x+b)
		}
	}
	side("Left", e.a, e.b)
	w.say("\n")
	side("Right", e.c, e.d)
	w.say(", ")
}
