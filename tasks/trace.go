package tasks

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A statement of a small program: variable = left op right; or, with a body, a loop of so many times; or, with a limit, a body that
// runs only if the variable is above it.
type statement struct {
	variable    string
	left, right string // a variable or a number
	op          byte   // 0 to set the variable to left
	times       int
	limit       int
	body        []statement
}

// A program asks what it prints at its end.
type program struct {
	statements []statement
	printed    string
	value      int
}

func drawProgram(rng *rand.Rand, difficulty float64) puzzle {
	names := []string{"a", "b", "c"}[:min(dial(rng, difficulty, 2, 3), 3)]
	for {
		p := program{printed: pick(rng, names...)}
		for _, name := range names {
			n := between(rng, 1, dial(rng, difficulty, 5, 9))
			p.statements = append(p.statements, statement{variable: name, left: strconv.Itoa(n)})
		}
		assign := func() statement {
			s := statement{variable: pick(rng, names...), op: pick(rng, byte('+'), '+', '-', '*')}
			s.left, s.right = pick(rng, names...), pick(rng, names...)
			if chance(rng, 2) {
				s.left = s.variable
			}
			if s.left == s.right || chance(rng, 2) {
				s.right = strconv.Itoa(between(rng, 2, 9))
			}
			if !chance(rng, 4) {
				p.printed = s.variable
			}
			return s
		}
		for range dial(rng, difficulty, 1, 2) {
			p.statements = append(p.statements, assign())
		}
		if difficulty > 0.4 {
			loop := statement{times: between(rng, 2, dial(rng, difficulty, 2, 3)), body: []statement{assign()}}
			if chance(rng, 2) {
				loop = statement{variable: pick(rng, names...), limit: between(rng, 2, 9), body: []statement{assign()}}
			}
			for range dial(rng, difficulty, 0, 1) - 1 { // beyond difficulty 1 more than one
				loop.body = append(loop.body, assign())
			}
			p.statements = append(p.statements, loop)
		}
		state := map[string]int{}
		if execute(p.statements, state, nil) {
			p.value = state[p.printed]
			return p
		}
	}
}

// execute runs statements and tells each step, if it has whom to tell. It gives up on values below 0 or above 200.
func execute(statements []statement, state map[string]int, w *writer) bool {
	tell := func(format string, args ...any) {
		if w != nil {
			w.say(format, args...)
		}
	}
	for _, s := range statements {
		switch {
		case s.times > 0:
			for i := range s.times {
				tell("round %d\n", i+1)
				if !execute(s.body, state, w) {
					return false
				}
			}
		case len(s.body) > 0:
			if state[s.variable] <= s.limit {
				tell("%d > %d no\n", state[s.variable], s.limit)
				continue
			}
			tell("%d > %d yes\n", state[s.variable], s.limit)
			if !execute(s.body, state, w) {
				return false
			}
		case s.op == 0:
			state[s.variable] = valueOf(s.left, state)
			tell("%s: %d\n", s.variable, state[s.variable])
		default:
			x, y := valueOf(s.left, state), valueOf(s.right, state)
			v, _ := mental(&expr{op: s.op, left: number(x), right: number(y)}, true)
			if state[s.variable] = v; v < 0 || v > 200 {
				return false
			}
			tell("%s: %s\n", s.variable, step(s.op, x, y))
		}
	}
	return true
}

func valueOf(name string, state map[string]int) int {
	if n, err := strconv.Atoi(name); err == nil {
		return n
	}
	return state[name]
}

func (p program) String() string {
	var b strings.Builder
	writeCode(&b, p.statements, "")
	fmt.Fprintf(&b, "print(%s)", p.printed)
	return b.String()
}

func writeCode(b *strings.Builder, statements []statement, indent string) {
	for _, s := range statements {
		switch {
		case s.times > 0:
			fmt.Fprintf(b, "%sfor i in range(%d):\n", indent, s.times)
		case len(s.body) > 0:
			fmt.Fprintf(b, "%sif %s > %d:\n", indent, s.variable, s.limit)
		case s.op == 0:
			fmt.Fprintf(b, "%s%s = %s\n", indent, s.variable, s.left)
		default:
			fmt.Fprintf(b, "%s%s = %s %c %s\n", indent, s.variable, s.left, s.op, s.right)
		}
		writeCode(b, s.body, indent+"  ")
	}
}

func (p program) ask(rng *rand.Rand) string {
	return pick(rng, "What does this print?\n", "What is printed?\n", "Run this code. What does it print?\n",
		"Trace this code:\n") + p.String()
}

func (p program) key() string              { return p.String() }
func (p program) answer() string           { return strconv.Itoa(p.value) }
func (p program) verify(reply string) bool { return isInteger(reply, p.value) }

func (p program) solve(w *writer, _ *rand.Rand) {
	execute(p.statements, map[string]int{}, w)
	w.say("print %s: %d\n", p.printed, p.value)
}
