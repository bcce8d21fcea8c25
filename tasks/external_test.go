package tasks

import (
	"math/big"
	"strings"
	"testing"
)

func TestExternal(t *testing.T) {
	for _, c := range []struct {
		answer       string
		right, wrong []string
	}{
		{"18", []string{"18", "18.", "$18", "18.00", "018", "36/2", " 18\n"},
			[]string{"", "18 dollars", "18 or 19", "1 8", "-18", "18e0", "1,8", "+18", "17.999", "18/0", "0x12", "١٨", "18,", "$$18", "18%", "9*2"}},
		{"-1,234.50", []string{"-1234.5", "-$1,234.5", "-2469/2"}, []string{"1234.5", "-1,2345", "-12,34.5", "-1234.51"}},
		{"Tuesday", []string{"tuesday", "Tuesday.", " TUESDAY "}, []string{"Monday", "Tuesday or Monday", "Tues day", ""}},
		{strings.Repeat("9", 30), []string{strings.Repeat("9", 30)}, []string{strings.Repeat("9", 29), "1" + strings.Repeat("0", 30)}},
	} {
		p, err := External("set", "q", c.answer)
		if err != nil || !p.Graded() || !p.Verify(p.Answer) {
			t.Fatalf("%q: %+v, %v", c.answer, p, err)
		}
		for _, reply := range c.right {
			if !p.Verify(reply) {
				t.Errorf("%q is refused for %q", reply, c.answer)
			}
		}
		for _, reply := range c.wrong {
			if p.Verify(reply) {
				t.Errorf("%q is accepted for %q", reply, c.answer)
			}
		}
	}
	for _, bad := range [][2]string{{"q", ""}, {"", "1"}, {" ", "1"}, {"q", strings.Repeat("1", 201)}, {"q", "\xff"}} {
		if _, err := External("set", bad[0], bad[1]); err == nil {
			t.Errorf("question %q with answer %.10q is taken", bad[0], bad[1])
		}
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"0", "-$1,000.50", "1/3", "1e999999999", "1/0", "9.9.9", ",", "00,000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := quantity(s)
		if n == nil {
			return
		}
		if strings.Trim(s, "-$0123456789,./") != "" || len(s) > maxReply {
			t.Fatalf("%q is read as %v", s, n)
		}
		if again := quantity(n.RatString()); len(n.RatString()) < 30 && (again == nil || again.Cmp(n) != 0) {
			t.Fatalf("%q is %v, which is read as %v", s, n, again)
		}
		if bound := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(31), nil)); n.Cmp(bound) > 0 {
			t.Fatalf("%q is %v", s, n)
		}
	})
}
