package tasks

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An expr is an expression: a number n, or left op right.
type expr struct {
	op          byte // '+', '-', '*', '/', or 0 for a number
	n           int
	left, right *expr
}

func number(n int) *expr { return &expr{n: n} }

func (e *expr) precedence() int {
	switch e.op {
	case '+', '-':
		return 1
	case '*', '/':
		return 2
	}
	return 3
}

// String writes an expression so that it says in what order to work: of equal operators, those on the right are in brackets.
func (e *expr) String() string {
	if e.op == 0 {
		return strconv.Itoa(e.n)
	}
	left, right := e.left.String(), e.right.String()
	if e.left.precedence() < e.precedence() {
		left = "(" + left + ")"
	}
	if e.right.precedence() <= e.precedence() {
		right = "(" + right + ")"
	}
	return left + string(e.op) + right
}

// canonical is one name for all orders of what commutes.
func (e *expr) canonical() string {
	if e.op == 0 {
		return strconv.Itoa(e.n)
	}
	left, right := e.left.canonical(), e.right.canonical()
	if (e.op == '+' || e.op == '*') && left > right {
		left, right = right, left
	}
	return "(" + left + string(e.op) + right + ")"
}

// numbers appends those of an expression, from left to right.
func (e *expr) numbers(to []int) []int {
	if e.op == 0 {
		return append(to, e.n)
	}
	return e.right.numbers(e.left.numbers(to))
}

// A fraction is exact, in lowest terms, with a denominator above 0.
type fraction struct{ num, den int64 }

// maxFraction bounds both parts of every intermediate value, so that no product overflows.
const maxFraction = 1 << 31

var errValue = errors.New("a division by zero, or a value out of bounds")

func (e *expr) value() (fraction, error) {
	if e.op == 0 {
		return reduced(int64(e.n), 1)
	}
	x, err := e.left.value()
	if err != nil {
		return x, err
	}
	y, err := e.right.value()
	if err != nil {
		return y, err
	}
	switch e.op {
	case '+':
		return reduced(x.num*y.den+y.num*x.den, x.den*y.den)
	case '-':
		return reduced(x.num*y.den-y.num*x.den, x.den*y.den)
	case '*':
		return reduced(x.num*y.num, x.den*y.den)
	}
	return reduced(x.num*y.den, x.den*y.num)
}

func reduced(num, den int64) (fraction, error) {
	a, b := num, den
	for b != 0 {
		a, b = b, a%b
	}
	if den == 0 {
		return fraction{}, errValue
	}
	if (a < 0) != (den < 0) {
		a = -a // the denominator's sign, so that it ends above 0
	}
	f := fraction{num / a, den / a}
	if f.num > maxFraction || f.num < -maxFraction || f.den > maxFraction {
		return fraction{}, errValue
	}
	return f, nil
}

// parseExpr reads whole numbers of at most 9 digits, + - * / (or × ÷) and brackets; signs before a number are refused. Operators
// and brackets may not come to more than maxReply, which bounds the depth too.
func parseExpr(s string) (*expr, error) {
	s = strings.NewReplacer("×", "*", "÷", "/").Replace(s)
	if len(s) > maxReply {
		return nil, fmt.Errorf("an expression of %d bytes is longer than %d", len(s), maxReply)
	}
	p := &exprParser{rest: strings.TrimSpace(s)}
	e, err := p.sum()
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q follows the expression", p.rest)
	}
	return e, err
}

type exprParser struct{ rest string }

// operator takes the next byte if it is one of ops.
func (p *exprParser) operator(ops string) byte {
	if p.rest == "" || strings.IndexByte(ops, p.rest[0]) < 0 {
		return 0
	}
	op := p.rest[0]
	p.rest = strings.TrimLeft(p.rest[1:], " ")
	return op
}

func (p *exprParser) sum() (*expr, error)     { return p.chain("+-", p.product) }
func (p *exprParser) product() (*expr, error) { return p.chain("*/", p.operand) }

func (p *exprParser) chain(ops string, operand func() (*expr, error)) (*expr, error) {
	e, err := operand()
	for err == nil {
		op := p.operator(ops)
		if op == 0 {
			return e, nil
		}
		var right *expr
		right, err = operand()
		e = &expr{op: op, left: e, right: right}
	}
	return nil, err
}

func (p *exprParser) operand() (*expr, error) {
	if p.operator("(") != 0 {
		e, err := p.sum()
		if err == nil && p.operator(")") == 0 {
			err = errors.New("a bracket is not closed")
		}
		return e, err
	}
	n := 0
	for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	if n == 0 || n > 9 {
		return nil, fmt.Errorf("want a number of at most 9 digits at %q", p.rest)
	}
	value, err := strconv.Atoi(p.rest[:n])
	p.rest = strings.TrimLeft(p.rest[n:], " ")
	return number(value), err
}
