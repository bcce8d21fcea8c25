package tasks

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// heldOutOneIn is the share of keys held out: 5 %.
const heldOutOneIn = 20

// keyHeldOut decides by a hash of the key alone.
func keyHeldOut(key string) bool {
	sum := sha256.Sum256([]byte(key))
	return binary.LittleEndian.Uint64(sum[:])%heldOutOneIn == 0
}

// HeldOut reports whether a problem is kept from all training, for evaluation. It depends on keys alone: its own, and what another family
// that can ask the same calls it, as each family's documents leave out what is held out by its own key. Talk is never held out.
func (p Problem) HeldOut() bool {
	return p.graded && keyHeldOut(p.Key) && !slices.ContainsFunc(p.twins(), func(key string) bool { return !keyHeldOut(key) })
}

// maxTwin is the largest number of an expression in brackets, at MaxDifficulty.
const maxTwin = 42

// twins are the keys of the same problem in other families: a game of Countdown is of two, and an expression of two numbers may be a sum, a
// product or a quotient.
func (p Problem) twins() []string {
	expression := func(op byte, a, b int) []string {
		if min(a, b) < 1 || max(a, b) > maxTwin {
			return nil // those families alone have it
		}
		return []string{"brackets " + bracketed{e: &expr{op: op, left: number(a), right: number(b)}}.key()}
	}
	switch q := p.puzzle.(type) {
	case countdown:
		return []string{"countdown " + q.key(), "countdown4 " + q.key()}
	case sum:
		if q.minus {
			return expression('-', q.a, q.b)
		}
		return expression('+', q.a, q.b)
	case product:
		return expression('*', q.a, q.b)
	case quotient:
		if q.a%q.b == 0 {
			return expression('/', q.a, q.b)
		}
	case bracketed:
		return q.twins()
	}
	return nil
}

// twins of two numbers.
func (b bracketed) twins() []string {
	numbers := b.e.numbers(nil)
	if len(numbers) != 2 {
		return nil
	}
	x, y := numbers[0], numbers[1]
	switch b.e.op {
	case '*':
		return []string{"multiply " + product{x, y}.key()}
	case '/':
		return []string{"divide " + quotient{x, y}.key()}
	}
	return []string{"add " + sum{x, y, b.e.op == '-'}.key()}
}
