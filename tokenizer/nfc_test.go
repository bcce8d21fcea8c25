package tokenizer

import (
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"
)

// TestNFCLongRuns: marks on one letter are put in order and composed, however many they are, and nothing is added.
func TestNFCLongRuns(t *testing.T) {
	const above, below = "\u0301", "\u0323"
	tests := []struct{ text, want string }{
		{"a" + strings.Repeat(above, 40), "á" + strings.Repeat(above, 39)},
		{"a" + strings.Repeat(above+below, 40), "ạ" + strings.Repeat(below, 39) + strings.Repeat(above, 40)},
		{"x e" + strings.Repeat(above, 40) + "e" + above, "x é" + strings.Repeat(above, 39) + "é"},
		{strings.Repeat(above, 40) + "e" + above, strings.Repeat(above, 40) + "é"},
		{"\xff" + strings.Repeat(above, 40) + "\xe4\xb8", "\xff" + strings.Repeat(above, 40) + "\xe4\xb8"},
		{"\u034f" + strings.Repeat(above, 31), "\u034f" + strings.Repeat(above, 31)},
	}
	for _, test := range tests {
		if got := nfc(test.text); got != test.want {
			t.Errorf("%+q becomes\n %+q, want\n %+q", test.text, got, test.want)
		}
	}
}

// TestComposeLikeNFC: what is written for long runs agrees with x/text on short ones.
func TestComposeLikeNFC(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	parts := append([]string{
		"e\u0301", "u\u0308\u0304", "ǖ", "\u1e9b\u0323", "\u212b", "\u0344", "\u0958", "\u0f73", "\uac00", "\uac01", "\u1100", "\u1161", "\u11a8",
		"\u09c7\u09be", "\u0bc6", "\u0bd7", "\u0338", "=", "\u0345", "\u0327", "\u3099", "か", "\ufb2a", "\U0001d15e", "\u0340",
	}, hostile...)
	for range 20_000 {
		var text strings.Builder
		for range rnd.IntN(10) {
			if rnd.IntN(4) == 0 {
				text.WriteRune(rune(rnd.IntN(0x30000)))
			} else {
				text.WriteString(parts[rnd.IntN(len(parts))])
			}
		}
		if got, want := compose(text.String()), norm.NFC.String(text.String()); got != want {
			t.Fatalf("%+q becomes\n %+q, want\n %+q", text.String(), got, want)
		}
	}
}
