package tasks

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func mustParse(t *testing.T, s string) *expr {
	t.Helper()
	e, err := parseExpr(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestVerifyForms(t *testing.T) {
	shop := told{forms: []string{"$1.25", "1.25", "1.25 dollars", "125 cents"}}
	roads := network{places: 4, roads: []road{{0, 1, 2}, {1, 3, 2}, {0, 2, 1}, {2, 3, 3}, {1, 2, 9}}}
	spies := island{knights: []bool{true, false}}
	three := countdown{numbers: []int{25, 7, 3}, target: 46}
	for _, c := range []struct {
		p     puzzle
		right []string
		wrong []string
	}{
		{sum{a: 3, b: 4}, []string{"7", " 7 ", "7.", "07", "\n7\n"},
			[]string{"8", "+7", "7.0", "7,", "7..", "3+4", "seven", "7 7", "7 or 8", "=7", "x=7", "٧", "７", "7\u0301", "7e0",
				"0x7", "00000000000000000007", "-7"}},
		{sum{a: 3, b: 4, minus: true}, []string{"-1"}, []string{"1", "- 1", "--1", "−1", "-01.0", "-"}},
		{sum{a: 4, b: 4, minus: true}, []string{"0"}, []string{"-0", "", "o", "O"}},
		{quotient{15, 4}, []string{"3 remainder 3", "3 r 3", "3r3", "3 R3", "3 rem 3"},
			[]string{"3", "3 remainder", "remainder 3", "3 remainder 4", "3 3", "3.75", "3 r 3 r 3", "3 remaind 3", "15/4",
				"3 remainder -1", "2 remainder 7"}},
		{quotient{16, 4}, []string{"4", "4 r 0", "4 remainder 0"}, []string{"4 remainder 4", "0 r 4", "3 r 4"}},
		{equation{x: -4, letter: "x"}, []string{"x = -4", "x=-4", "-4", "X = -4"}, []string{"x = 4", "x -4", "y = -4",
			"x = x = -4", "xx=-4", "x = -4 or 4", "x = -8/2"}},
		{three, []string{"25+3*7", "7*3+25", "(3*7)+25", "25+3*7=46", " 25 + 3 × 7 = 46 ", "((((25))))+7*3", "25+3*7."},
			[]string{"46", "46=46", "25+21", "25+3*7=47", "25+3*7=40+6", "25+7+7+7", "25+3*7+0", "25+3*7*1", "25+25-4",
				"25+3*7 or 46", "(25+3*7", "25+3*7)", "25+-3*-7",
				"2 5+3*7", "25+3(7)", "25+3**7", "25/0", "25/(3-3)", "7^2-3", "=46", "25+3*7==46", "25+3x7", "٢٥+3*7", "25+3*7#",
				"", "()"}},
		{sorting{numbers: []int{9, 3, 5}}, []string{"3, 5, 9", "3 5 9", "3,5,9"}, []string{"3, 9, 5", "9, 5, 3", "3, 5",
			"3, 5, 9, 9", "359", "3, 5, 9, or 1", "3-5-9"}},
		{reversal{"pear"}, []string{"raep", "Raep"}, []string{"pear", "rae", "raepp", "r a e p", "raep pear",
			"raеp"}}, // the last with a Cyrillic letter
		{counting{"letter", "t"}, []string{"2"}, []string{"1", "3", "t 2", "two"}},
		{shop, []string{"$1.25", "1.25", "1.25 dollars", "125 cents"}, []string{"$1.5", "125", "$1.250", "$1.25 $1.26",
			"1.25 cents", "$125"}},
		{roads, []string{"A-B-D", "A-C-D", "a b d", "A -> B -> D", "A→B→D", "A,B,D"},
			[]string{"A-D", "A-B", "B-D", "A-B-C-D", "A-B-D-B-D", "A-B-A-B-D", "ABD", "A--B-D", "A-B-D-", "-A-B-D", "A-Z-D",
				"A-B-D A-C-D", "AB-D", "A"}},
		{spies, []string{"A is a knight, B is a knave", "B is a knave and A is a knight", "A: knight, B: knave",
			"A knight, B knave", "A is a knight; B is a knave."},
			[]string{"A is a knave, B is a knight", "A is a knight", "A is a knight, B is a knave, A is a knave",
				"A is a knight, A is a knight", "A is a knight, B is a knight or a knave",
				"A is a knight, B is a knave,", "A is not a knight, B is a knave", "A and B"}},
	} {
		p := Problem{puzzle: c.p}
		for _, reply := range c.right {
			if !p.Verify(reply) {
				t.Errorf("%+v: %q is refused", c.p, reply)
			}
		}
		for _, reply := range c.wrong {
			if p.Verify(reply) {
				t.Errorf("%+v: %q is accepted", c.p, reply)
			}
		}
	}
}

// TestNearMisses changes one digit of each answer.
func TestNearMisses(t *testing.T) {
	problems(t, func(t *testing.T, _ float64, p Problem, rng *rand.Rand) {
		for i, c := range []byte(p.Answer) {
			if c < '0' || c > '9' {
				continue
			}
			near := []byte(p.Answer)
			near[i] = '0' + (c-'0'+byte(between(rng, 1, 9)))%10
			if game, ok := p.puzzle.(countdown); ok {
				if v := evaluate(string(near)); v != nil && v.IsInt() && v.Num().Int64() == int64(game.target) {
					continue // another way
				}
			}
			if p.Verify(string(near)) {
				t.Errorf("%q is taken for %q", near, p.Answer)
			}
		}
	})
}

func TestExpressionsAreBounded(t *testing.T) {
	for s, fine := range map[string]bool{
		strings.Repeat("(", 99) + "1" + strings.Repeat(")", 99): true,
		strings.Repeat("1+", 99) + "1":                          true,
		strings.Repeat("(", maxReply):                           false,
		strings.Repeat("1+", maxReply) + "1":                    false,
	} {
		if _, err := parseExpr(s); (err == nil) != fine {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"999999999*999999999", "999999999*999999999*999999999", "1/0", "1/(2-2)", "0/0",
		"1/999999999/999999999", "1/(1/999999999/999999999)"} {
		if v, err := mustParse(t, s).value(); err == nil {
			t.Errorf("%s is %v", s, v)
		}
	}
	for s, want := range map[string]fraction{
		"1/3+1/6": {1, 2}, "2-5": {-3, 1}, "1/(2-5)": {-1, 3}, "0*5": {0, 1}, "(1-2)/(1-3)": {1, 2}, "8-4-2": {2, 1}, "8/4/2": {1, 1},
		"2+3*4": {14, 1}, "1-1": {0, 1}} {
		if v, err := mustParse(t, s).value(); err != nil || v != want {
			t.Errorf("%s is %v, not %v: %v", s, v, want, err)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{"25+3*7", "(1-2)*(3/4)", "((", "1/0", "999999999*999999999", "9-(8-(7-6))", "2×3÷6", "1 2", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseExpr(s)
		if err != nil {
			return
		}
		again, err := parseExpr(e.String())
		if len(e.String()) > maxReply {
			return // brackets that the printer added
		}
		if err != nil || again.String() != e.String() {
			t.Fatalf("%q is printed as %q, which is read as %v: %v", s, e, again, err)
		}
		v, err := e.value()
		w, err2 := again.value()
		if v != w || (err == nil) != (err2 == nil) {
			t.Fatalf("%q is %v, and printed and read again %v", s, v, w)
		}
		if exact := evaluate(e.String()); err == nil && (exact == nil || exact.Num().Int64() != v.num || exact.Denom().Int64() != v.den) {
			t.Fatalf("%q is %v, not %v", s, v, exact)
		}
		if err == nil && (v.den < 1 || v.den > maxFraction || max(v.num, -v.num) > maxFraction) {
			t.Fatalf("%q is %v: out of bounds", s, v)
		}
	})
}

// FuzzVerify gives one reply to problems of all families: whatever is accepted must be made of what the answer is made of.
func FuzzVerify(f *testing.F) {
	var asked []Problem
	for _, family := range Families() {
		for seed := range uint64(5) {
			p := family.Generate(source(seed), 1)
			asked = append(asked, p)
			f.Add(p.Answer)
		}
	}
	for _, s := range []string{"", "7 7", "x=", "r", "-", "=", ",", "a-b", "1:2", "$", strings.Repeat("9", 400), "\xff", "K", "７"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		for _, p := range asked {
			if !p.Verify(reply) {
				continue
			}
			if len(reply) > maxReply {
				t.Fatalf("%d bytes are accepted", len(reply))
			}
			tidied, _ := tidy(reply)
			got, want := numbersIn(tidied), numbersIn(p.Answer)
			switch q := p.puzzle.(type) {
			case countdown:
				if err := checkWay(q, tidied); err != nil {
					t.Fatalf("%q is accepted for %d of %v: %v", reply, q.target, q.numbers, err)
				}
				continue
			case network:
				equal, _ := networkForms(q)
				if !slices.Contains(equal, strings.ToUpper(strings.Join(strings.FieldsFunc(tidied, notLetter), "-"))) {
					t.Fatalf("%q is accepted for %q", reply, p.Answer)
				}
				continue
			case island:
				if n := len(q.knights); strings.Count(tidied, "kn") != n || strings.Count(tidied, "knight") != strings.Count(p.Answer, "knight") {
					t.Fatalf("%q is accepted for %q", reply, p.Answer)
				}
				continue
			}
			if p.Family == "divide" && len(want) == 1 {
				want = append(want, 0)[:min(len(got), 2)] // a remainder of 0 may be said
			}
			if p.Family != "measure" && !slices.Equal(got, want) { // measures have other forms: 125 cents
				t.Fatalf("%q is accepted for %q", reply, p.Answer)
			}
		}
	})
}

func notLetter(r rune) bool { return r < 'a' || r > 'z' }

// checkWay works a game's way out again, by Go's own arithmetic.
func checkWay(c countdown, reply string) error {
	way, _, _ := strings.Cut(strings.NewReplacer("×", "*", "÷", "/").Replace(reply), "=")
	if v := evaluate(way); v == nil || v.Cmp(big.NewRat(int64(c.target), 1)) != 0 {
		return fmt.Errorf("it comes to %v", v)
	}
	left := slices.Clone(c.numbers)
	for _, n := range numbersIn(way) {
		i := slices.Index(left, n)
		if i < 0 {
			return fmt.Errorf("%d is used too often", n)
		}
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

// numbersIn lists the numbers in a text.
func numbersIn(s string) []int {
	var list []int
	for _, digits := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		n := 0
		for _, c := range digits {
			n = min(n*10+int(c-'0'), 1e17)
		}
		list = append(list, n)
	}
	return list
}

func FuzzInteger(f *testing.F) {
	for _, s := range []string{"0", "-1", "007", "-", "", "+1", "99999999999999999999", "1_000", "0x1", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := integer(s)
		if !ok {
			return
		}
		if got := numbersIn(s); len(s) < 10 && (len(got) != 1 || got[0] != max(n, -n)) || strings.Trim(s, "-0123456789") != "" || len(s) > 19 {
			t.Fatalf("%q is read as %d", s, n)
		}
	})
}
