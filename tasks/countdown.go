package tasks

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A countdown asks for an expression that makes a target of numbers, each used once at most.
type countdown struct {
	numbers []int // the largest first
	target  int
	made    *expr
}

func drawCountdown(rng *rand.Rand, difficulty float64) puzzle {
	return makeCountdown(rng, difficulty, 2, 3)
}
func drawCountdown4(rng *rand.Rand, difficulty float64) puzzle {
	return makeCountdown(rng, difficulty, 3, 4)
}

// makeCountdown draws a game with lo numbers at difficulty 0 and hi at 1, which search wins, mostly with all of them.
func makeCountdown(rng *rand.Rand, difficulty float64, lo, hi int) puzzle {
	c := countdown{numbers: make([]int, min(dial(rng, difficulty, lo, hi), 5))}
	largest, most := dial(rng, difficulty, 9, 25), dial(rng, difficulty, 30, 100)
	for {
		for i := range c.numbers {
			c.numbers[i] = between(rng, 1, largest)
		}
		c.target = c.numbers[0]
		for _, n := range c.numbers[1:] {
			switch pick(rng, '+', '-', '*', '*', '*', '/', '/') {
			case '+':
				c.target += n
			case '-':
				c.target -= n
			case '*':
				c.target *= n
			default:
				if c.target%n == 0 {
					c.target /= n
				}
			}
			c.target = max(c.target, -c.target)
		}
		if c.target < 1 || c.target > most || slices.Contains(c.numbers, c.target) {
			continue
		}
		slices.SortFunc(c.numbers, func(a, b int) int { return b - a })
		c.made = search(c.numbers, c.target)
		if c.made != nil && (len(c.made.numbers(nil)) == len(c.numbers) || chance(rng, 4)) {
			return c
		}
	}
}

// A want is what the other numbers have to make, for n to turn it into the target.
type want struct {
	n    int
	how  string                 // what was computed to find that
	with func(made *expr) *expr // makes the target of it
}

// wants lists them for a number kept to the end.
func wants(n, target int) []want {
	kept := number(n)
	list := []want{{target, strconv.Itoa(target), func(e *expr) *expr { return e }}}
	if target > n {
		list = append(list, want{target - n, step('-', target, n), func(e *expr) *expr { return &expr{op: '+', left: e, right: kept} }})
	} else if target < n {
		list = append(list, want{n - target, step('-', n, target), func(e *expr) *expr { return &expr{op: '-', left: kept, right: e} }})
	}
	list = append(list, want{target + n, step('+', target, n), func(e *expr) *expr { return &expr{op: '-', left: e, right: kept} }})
	if n > 1 && target%n == 0 {
		list = append(list, want{target / n, step('/', target, n), func(e *expr) *expr { return &expr{op: '*', left: e, right: kept} }})
	}
	return list
}

// pairs lists what two numbers make, the larger first: nothing below 1, and no product above limit.
func pairs(a, b, limit int) []*expr {
	if a < b {
		a, b = b, a
	}
	x, y := number(a), number(b)
	list := []*expr{{op: '+', left: x, right: y}}
	if a > b {
		list = append(list, &expr{op: '-', left: x, right: y})
	}
	if b > 1 && a*b <= limit {
		list = append(list, &expr{op: '*', left: x, right: y})
	}
	if b > 1 && a%b == 0 {
		list = append(list, &expr{op: '/', left: x, right: y})
	}
	return list
}

// search finds an expression over numbers, the largest first, in the order in which solve tells it; nil if it finds none.
func search(numbers []int, target int) *expr {
	if len(numbers) == 2 {
		for _, e := range pairs(numbers[0], numbers[1], target) {
			if e.whole() == target {
				return e
			}
		}
		return nil
	}
	for i, n := range numbers {
		others, list := without(numbers, i), wants(n, target)
		if len(others) == 2 {
			if e, w := match(others, list, target+n); e != nil {
				return w.with(e)
			}
			continue
		}
		for _, w := range list {
			if e := search(others, w.n); e != nil {
				return w.with(e)
			}
		}
	}
	return nil
}

// match finds what two numbers make that is wanted.
func match(two []int, list []want, limit int) (*expr, want) {
	for _, e := range pairs(two[0], two[1], limit) {
		for _, w := range list {
			if e.whole() == w.n {
				return e, w
			}
		}
	}
	return nil, want{}
}

// whole is the value of an operation on two numbers that gives a whole one.
func (e *expr) whole() int {
	v, _ := e.value()
	return int(v.num)
}

func without(numbers []int, i int) []int { return slices.Delete(slices.Clone(numbers), i, i+1) }

func (c countdown) ask(rng *rand.Rand) string {
	shuffled := slices.Clone(c.numbers)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	return fmt.Sprintf(pick(rng, "Use %s to make %d. Use each number at most once.",
		"Make %[2]d from %[1]s. Each number may be used once.",
		"With the numbers %s, each used at most once, make %d.", "Numbers: %s. Target: %d. Use each number at most once.",
		"How can you get %[2]d from %[1]s, using no number twice?"), commas(shuffled), c.target)
}

// commas writes numbers with commas between them.
func commas(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}

func (c countdown) key() string    { return fmt.Sprintf("%s: %d", commas(c.numbers), c.target) }
func (c countdown) answer() string { return c.made.String() }

// verify wants an expression that has the value of the target and takes no number more often than it is there. After it, "= target"
// may follow.
func (c countdown) verify(reply string) bool {
	if left, right, ok := strings.Cut(reply, "="); ok {
		if reply = left; !isInteger(strings.TrimSpace(right), c.target) {
			return false
		}
	}
	e, err := parseExpr(reply)
	if err != nil {
		return false
	}
	left := slices.Clone(c.numbers)
	for _, n := range e.numbers(nil) {
		i := slices.Index(left, n)
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	v, err := e.value()
	return err == nil && v == fraction{int64(c.target), 1}
}

// solve keeps one number for the end, the largest first, works out what the others would have to make, and tries. What fails is a
// dead end. Of four numbers it shows one dead end at most before the number to keep, and of more none.
func (c countdown) solve(w *writer, rng *rand.Rand) {
	w.say("%s\n", commas(c.numbers))
	w.countdown(rng, c.numbers, c.target)
	w.say("So %s=%d\n", c.made, c.target)
}

func (w *writer) countdown(rng *rand.Rand, numbers []int, target int) {
	switch len(numbers) {
	case 2:
		w.tryPair(numbers, "", []want{{n: target}}, target)
		return
	case 3:
		for i, n := range numbers {
			list := wants(n, target)
			var hows []string
			for _, x := range list {
				hows = append(hows, x.how)
			}
			if w.tryPair(without(numbers, i), fmt.Sprintf("Keep %d: want %s. ", n, strings.Join(hows, ", ")), list, target+n) {
				return
			}
		}
		return
	}
	failed := len(numbers) > 4 || chance(rng, 2) // no dead end, or no other
	for i, n := range numbers {
		others := without(numbers, i)
		for _, x := range wants(n, target) {
			found := search(others, x.n) != nil
			if !found && (failed || !chance(rng, 3)) {
				continue
			}
			w.say("Keep %d: want %s from %s.\n", n, x.how, commas(others))
			w.countdown(rng, others, x.n)
			if found {
				return
			}
			failed = true
		}
	}
}

// tryPair tries what two numbers make, after a text that says what for, and reports whether it was wanted.
func (w *writer) tryPair(two []int, before string, wanted []want, limit int) bool {
	for _, e := range pairs(two[0], two[1], limit) {
		before += step(e.op, e.left.n, e.right.n) + " "
		if slices.ContainsFunc(wanted, func(x want) bool { return x.n == e.whole() }) {
			w.say("%syes\n", before)
			return true
		}
	}
	w.deadEnd("%s", before)
	w.say("no\n")
	return false
}
