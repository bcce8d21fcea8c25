package tasks

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A sum is a+b, or a-b if minus.
type sum struct {
	a, b  int
	minus bool
}

func drawSum(rng *rand.Rand, difficulty float64) puzzle {
	digits := dial(rng, difficulty, 1, 4)
	s := sum{a: withDigits(rng, digits), b: withDigits(rng, between(rng, 1, digits)), minus: chance(rng, 2)}
	if chance(rng, 2) {
		s.a, s.b = s.b, s.a
	}
	if s.minus && s.a < s.b && (difficulty < 0.5 || !chance(rng, 5)) {
		s.a, s.b = s.b, s.a
	}
	return s
}

// withDigits draws a number of n digits; 0 has one.
func withDigits(rng *rand.Rand, n int) int {
	if n == 1 {
		return rng.IntN(10)
	}
	return between(rng, power10(n-1), power10(n)-1)
}

func power10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

func (s sum) value() int {
	if s.minus {
		return s.a - s.b
	}
	return s.a + s.b
}

func (s sum) ask(rng *rand.Rand) string {
	if s.minus {
		return fmt.Sprintf(pick(rng, "What is %d - %d?", "%d - %d = ?", "Compute %d - %d.", "%d-%d", "Work out %d - %d.",
			"What is %d minus %d?", "Take %[2]d from %[1]d.", "Subtract %[2]d from %[1]d."), s.a, s.b)
	}
	return fmt.Sprintf(pick(rng, "What is %d + %d?", "%d + %d = ?", "Compute %d + %d.", "%d+%d", "Work out %d + %d.",
		"What is %d plus %d?", "Add %d and %d.", "What is the sum of %d and %d?"), s.a, s.b)
}

func (s sum) key() string {
	if s.minus {
		return fmt.Sprintf("%d-%d", s.a, s.b)
	}
	return fmt.Sprintf("%d+%d", min(s.a, s.b), max(s.a, s.b))
}

func (s sum) answer() string           { return strconv.Itoa(s.value()) }
func (s sum) verify(reply string) bool { return isInteger(reply, s.value()) }

func (s sum) solve(w *writer, rng *rand.Rand) {
	slip := chance(rng, 6)
	switch {
	case !s.minus:
		w.add(s.a, s.b, slip)
	case s.a >= s.b:
		w.subtract(s.a, s.b, slip)
		if chance(rng, 4) {
			w.say("Check: %d+%d=%d ends in %d, good.\n", s.value()%10, s.b%10, s.value()%10+s.b%10, s.a%10)
		}
	default:
		w.say("%d is less than %d, so turn it round.\n", s.a, s.b)
		w.subtract(s.b, s.a, slip)
		w.say("So %d\n", s.value())
	}
}

// columns returns the digits of a number, the least significant first, with zeros up to a width.
func columns(n, width int) []int {
	var digits []int
	for ; n > 0 || len(digits) < width; n /= 10 {
		digits = append(digits, n%10)
	}
	return digits
}

func width(n int) int { return len(strconv.Itoa(n)) }

// add writes a+b column by column, the units first. A line ends with the digits found so far, the last line with the sum. With
// slip, the first carry is forgotten and then remembered.
func (w *writer) add(a, b int, slip bool) {
	n := max(width(a), width(b))
	if n > 1 {
		w.say("%0*d+%0*d\n", n, a, n, b)
	}
	as, bs := columns(a, n), columns(b, n)
	carry, found := 0, ""
	for i := range n {
		if carry > 0 && slip {
			w.slip("%d+%d=%s", as[i], bs[i], carried(as[i]+bs[i], i == n-1, found))
			w.say("No, the carry is missing.\n")
			slip = false
		}
		total := as[i] + bs[i] + carry
		w.say("%d+%d", as[i], bs[i])
		if carry > 0 {
			w.say("+%d", carry)
		}
		w.say("=%s", carried(total, i == n-1, found))
		found = strconv.Itoa(total%10) + found
		carry = total / 10
	}
}

// carried writes what follows the = of a column: its total, the carry, and the digits found with its own before them. The last
// column carries nothing.
func carried(total int, last bool, found string) string {
	switch {
	case last && found == "":
		return fmt.Sprintf("%d\n", total)
	case last:
		return fmt.Sprintf("%d: %d%s\n", total, total, found)
	case total >= 10:
		return fmt.Sprintf("%d, carry %d: %d%s\n", total, total/10, total%10, found)
	}
	return fmt.Sprintf("%d: %d%s\n", total, total, found)
}

// subtract writes a-b, not negative, in the way of add.
func (w *writer) subtract(a, b int, slip bool) {
	n := width(a)
	if n > 1 {
		w.say("%0*d-%0*d\n", n, a, n, b)
	}
	as, bs := columns(a, n), columns(b, n)
	borrow, found := 0, ""
	for i := range n {
		if borrow > 0 && slip && as[i] >= bs[i] {
			w.slip("%d-%d=%d: %d%s\n", as[i], bs[i], as[i]-bs[i], as[i]-bs[i], found)
			w.say("No, the borrow is missing.\n")
			slip = false
		}
		column := fmt.Sprintf("%d-%d", as[i], bs[i])
		lent := ""
		if borrow > 0 {
			lent = "-1"
		}
		d := as[i] - bs[i] - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+10, 1
			w.say("%s%s borrow, 1%s%s=%d: %d%s\n", column, lent, column, lent, d, d, found)
		} else if n == 1 {
			w.say("%s=%d\n", column, d)
		} else {
			w.say("%s%s=%d: %d%s\n", column, lent, d, d, found)
		}
		found = strconv.Itoa(d) + found
	}
	if n > 1 && found[0] == '0' {
		w.say("So %d\n", a-b)
	}
}

// A product is a·b.
type product struct{ a, b int }

func drawProduct(rng *rand.Rand, difficulty float64) puzzle {
	p := product{withDigits(rng, dial(rng, difficulty, 1, 3)), withDigits(rng, dial(rng, difficulty, 1, 2))}
	if chance(rng, 4) {
		p.a, p.b = p.b, p.a
	}
	return p
}

func (p product) ask(rng *rand.Rand) string {
	return fmt.Sprintf(pick(rng, "What is %d * %d?", "%d * %d = ?", "Compute %d * %d.", "%d*%d", "Work out %d × %d.",
		"What is %d × %d?",
		"What is %d times %d?", "Multiply %d by %d.", "What is the product of %d and %d?"), p.a, p.b)
}

func (p product) key() string              { return fmt.Sprintf("%d*%d", min(p.a, p.b), max(p.a, p.b)) }
func (p product) answer() string           { return strconv.Itoa(p.a * p.b) }
func (p product) verify(reply string) bool { return isInteger(reply, p.a*p.b) }

// solve multiplies the larger by each digit of the smaller, and adds what that gives one by one.
func (p product) solve(w *writer, rng *rand.Rand) {
	a, b := max(p.a, p.b), min(p.a, p.b)
	digits := columns(b, 1)
	slip := -1 // which digit is got wrong first
	if chance(rng, 6) {
		slip = rng.IntN(len(digits))
	}
	total := 0
	for i, d := range digits {
		w.multiply(a, d, i == slip)
		part := a * d * power10(i)
		if i > 0 && part > 0 {
			w.say("shift: %d\n", part)
		}
		if total > 0 && part > 0 {
			w.add(total, part, false)
		}
		total += part
	}
	if len(digits) > 1 && chance(rng, 4) {
		w.say("Check: %d*%d=%d ends in %d, good.\n", a%10, b%10, a%10*(b%10), a*b%10)
	}
}

// multiply writes a·d for a digit d in the way of add.
func (w *writer) multiply(a, d int, slip bool) {
	as := columns(a, 1)
	if d <= 1 {
		w.say("%d*%d=%d\n", a, d, a*d)
		return
	}
	if len(as) > 1 {
		w.say("%d*%d\n", a, d)
	}
	carry, found := 0, ""
	for i, x := range as {
		last := i == len(as)-1
		if carry > 0 && slip {
			w.slip("%d*%d=%s", x, d, carried(x*d, last, found))
			w.say("No, the carry is missing.\n")
			slip = false
		}
		w.say("%d*%d", x, d)
		if carry > 0 {
			w.say("+%d", carry)
		}
		w.say("=%s", carried(x*d+carry, last, found))
		found = strconv.Itoa((x*d+carry)%10) + found
		carry = (x*d + carry) / 10
	}
}

// A quotient is a/b with a remainder.
type quotient struct{ a, b int }

func drawQuotient(rng *rand.Rand, difficulty float64) puzzle {
	digits := dial(rng, difficulty, 1, 4)
	return quotient{withDigits(rng, digits), between(rng, 2, 9)}
}

func (q quotient) ask(rng *rand.Rand) string {
	return fmt.Sprintf(pick(rng, "What is %d divided by %d, with remainder?", "Divide %d by %d.", "%d / %d with remainder?",
		"%d ÷ %d = ?",
		"Work out %d / %d and give the remainder.", "How often does %[2]d go into %[1]d, and what is left over?"), q.a, q.b)
}

func (q quotient) key() string { return fmt.Sprintf("%d/%d", q.a, q.b) }

func (q quotient) answer() string {
	if q.a%q.b == 0 {
		return strconv.Itoa(q.a / q.b)
	}
	return fmt.Sprintf("%d remainder %d", q.a/q.b, q.a%q.b)
}

// verify wants "12 remainder 3", or r or rem for the word; a remainder of 0 may be left out.
func (q quotient) verify(reply string) bool {
	whole, rest, found := strings.Cut(reply, "r")
	if !found {
		return q.a%q.b == 0 && isInteger(reply, q.a/q.b)
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "emainder"), "em")
	return isInteger(strings.TrimSpace(whole), q.a/q.b) && isInteger(strings.TrimSpace(rest), q.a%q.b)
}

// solve is long division: a line takes down a digit, and ends with the digits of the quotient so far.
func (q quotient) solve(w *writer, rng *rand.Rand) {
	slip := chance(rng, 6)
	rest, found := 0, 0
	digits := strconv.Itoa(q.a)
	for i, c := range digits {
		rest = rest*10 + int(c-'0')
		if rest < q.b && found == 0 && i < len(digits)-1 {
			continue // no digit yet
		}
		d := rest / q.b
		if slip && d < 9 && found > 0 {
			w.deadEnd("%d: %d*%d=%d, ", rest, d+1, q.b, (d+1)*q.b)
			w.say("too much.\n")
			slip = false
		}
		found = found*10 + d
		w.say("%d: %d*%d=%d, %d-%d=%d: %d\n", rest, d, q.b, d*q.b, rest, d*q.b, rest-d*q.b, found)
		rest -= d * q.b
	}
	if rest > 0 {
		w.say("remainder %d\n", rest)
	}
	if chance(rng, 4) {
		w.say("Check: %d*%d+%d=%d ends in %d, good.\n", found%10, q.b, rest, found%10*q.b+rest, q.a%10)
	}
}
