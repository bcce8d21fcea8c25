package tasks

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
)

// An external problem is one from outside, whose answer is known and whose solution isn't: number is nil where that is a text.
type external struct {
	question, known string
	number          *big.Rat
}

// External makes a problem of a set that comes from elsewhere. Its answer is a number, which other forms of the same number equal, or else
// a text, to be given as it is but for upper case, spaces and a full stop at its end. It has no solution to show.
func External(set, question, answer string) (Problem, error) {
	known, ok := tidy(answer)
	if !ok {
		return Problem{}, fmt.Errorf("the answer %.40q: want 1 to %d bytes of UTF-8", answer, maxReply)
	}
	if strings.TrimSpace(question) == "" {
		return Problem{}, fmt.Errorf("the question of the answer %.40q is empty", answer)
	}
	p := external{question, known, quantity(known)}
	return Problem{Family: set, Question: question, Answer: strings.TrimSpace(answer), Key: set + " " + question, graded: true, puzzle: p}, nil
}

func (x external) ask(*rand.Rand) string         { return x.question }
func (x external) key() string                   { return x.question }
func (x external) answer() string                { return x.known }
func (x external) solve(w *writer, _ *rand.Rand) {}

func (x external) verify(reply string) bool {
	if x.number == nil {
		return reply == x.known
	}
	n := quantity(reply)
	return n != nil && n.Cmp(x.number) == 0
}

// quantities are whole numbers, perhaps with commas between thousands, decimals and fractions, after a dollar sign or not.
var quantities = regexp.MustCompile(`^-?\$?(\d{1,30}|\d{1,3}(,\d{3}){1,9})(\.\d{1,30}|/\d{1,30})?$`)

// quantity is the number that s is, exactly, or nil.
func quantity(s string) *big.Rat {
	if !quantities.MatchString(s) {
		return nil
	}
	n, ok := new(big.Rat).SetString(strings.NewReplacer("$", "", ",", "").Replace(s))
	if !ok {
		return nil // a division by zero
	}
	return n
}
