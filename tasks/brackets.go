package tasks

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A bracketed is an expression to evaluate. Only the whole of it may be negative.
type bracketed struct {
	e     *expr
	value int
}

func drawBracketed(rng *rand.Rand, difficulty float64) puzzle {
	count := dial(rng, difficulty, 2, 4)
	if count > 3 && chance(rng, 3) {
		count--
	}
	largest := dial(rng, difficulty, 9, 20)
	for {
		b := bracketed{e: drawExpr(rng, count, largest)}
		var ok bool
		b.value, ok = mental(b.e, true)
		if ok && (count < 3 || strings.Contains(b.e.String(), "(")) {
			return b
		}
	}
}

func drawExpr(rng *rand.Rand, count, largest int) *expr {
	if count == 1 {
		return number(between(rng, 1, largest))
	}
	n := between(rng, 1, count-1)
	op := pick(rng, byte('+'), '+', '-', '-', '*', '*', '/')
	return &expr{op: op, left: drawExpr(rng, n, largest), right: drawExpr(rng, count-n, largest)}
}

// mental returns the value of an expression if its steps can be done in the head: products of a digit and what is below 100 or of
// two numbers up to 12, exact quotients that such a product undoes, and nothing negative but, if root, the whole.
func mental(e *expr, root bool) (int, bool) {
	if e.op == 0 {
		return e.n, true
	}
	x, ok := mental(e.left, false)
	y, ok2 := mental(e.right, false)
	if !ok || !ok2 {
		return 0, false
	}
	easy := func(a, b int) bool { return max(a, b) <= 12 || min(a, b) <= 9 && max(a, b) < 100 }
	switch e.op {
	case '+':
		return x + y, x+y < 1000
	case '-':
		return x - y, x >= y || root
	case '*':
		return x * y, easy(x, y)
	}
	return x / max(y, 1), y > 1 && x%y == 0 && easy(x/y, y)
}

func (b bracketed) ask(rng *rand.Rand) string {
	spaced := strings.NewReplacer("+", " + ", "-", " - ", "*", " * ", "/", " / ").Replace(b.e.String())
	return fmt.Sprintf(pick(rng, "What is %s?", "%s = ?", "Compute %s.", "Work out %s.", "Evaluate %s.", "%s"), spaced)
}

func (b bracketed) key() string              { return b.e.canonical() }
func (b bracketed) answer() string           { return strconv.Itoa(b.value) }
func (b bracketed) verify(reply string) bool { return isInteger(reply, b.value) }

// solve does one operation a line, and writes after it what is left of the expression.
func (b bracketed) solve(w *writer, rng *rand.Rand) {
	w.say("%s\n", b.e)
	slip := chance(rng, 3)
	for e := b.e; e.op != 0; {
		left, right := e.left, e.right
		if slip && hasty(e) {
			w.slip("%s\n", step(e.op, left.n, right.left.n))
			w.say("No, * goes before %c.\n", e.op)
			slip = false
		}
		var done string
		e, done = reduce(e)
		if e.op == 0 {
			w.say("%s\n", done)
		} else {
			w.say("%s: %s\n", done, e)
		}
	}
}

// hasty reports whether going from left to right is a mistake: a sum of a number and a product that begins with a number.
func hasty(e *expr) bool {
	if e.precedence() != 1 || e.left.op != 0 || e.right.op != '*' || e.right.left.op != 0 {
		return false
	}
	v, _ := mental(e.right, false)
	return v != e.right.left.n
}

// reduce does the first operation from the left that can be done, and says what it did.
func reduce(e *expr) (*expr, string) {
	if e.left.op == 0 && e.right.op == 0 {
		value, _ := mental(e, true)
		return number(value), step(e.op, e.left.n, e.right.n)
	}
	next := *e
	var done string
	if e.left.op != 0 {
		next.left, done = reduce(e.left)
	} else {
		next.right, done = reduce(e.right)
	}
	return &next, done
}

// step writes one operation and its result: "7+5=12". A product is taken apart where no table has it: "17*6=60+42=102".
func step(op byte, a, b int) string {
	switch op {
	case '+':
		return fmt.Sprintf("%d+%d=%d", a, b, a+b)
	case '-':
		return fmt.Sprintf("%d-%d=%d", a, b, a-b)
	case '/':
		return fmt.Sprintf("%d/%d=%d", a, b, a/b)
	}
	if large, small := max(a, b), min(a, b); large > 12 && small > 1 && large%10 > 0 {
		var parts []string
		for i, d := range columns(large, 1) {
			if d > 0 {
				parts = append([]string{strconv.Itoa(d * power10(i) * small)}, parts...)
			}
		}
		return fmt.Sprintf("%d*%d=%s=%d", a, b, strings.Join(parts, "+"), a*b)
	}
	return fmt.Sprintf("%d*%d=%d", a, b, a*b)
}
