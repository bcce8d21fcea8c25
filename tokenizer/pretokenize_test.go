package tokenizer

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var scanned = []string{
	patternNumber, patternNumber3, patternNumbers, patternCJK, patternWords, patternGPT2, patternLlama3, patternQwen2,
}

func pieces(s splitter, text string) []string {
	var all []string
	s.split(text, timeLimit(len(text)), func(piece string) { all = append(all, piece) })
	return all
}

// checkScanners compares the pieces of each scanner with those of its regular expression.
func checkScanners(t *testing.T, regexes []splitter, text string) {
	t.Helper()
	for i, pattern := range scanned {
		s, err := newSplitter(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.(*scanner); !ok {
			t.Fatalf("%s has no scanner", pattern)
		}
		got, want := pieces(s, text), pieces(regexes[i], text)
		if !slices.Equal(got, want) {
			t.Errorf("%s cuts %q\n  into %q\nnot in %q", pattern, text, got, want)
		}
	}
}

func compileScanned(t testing.TB) []splitter {
	t.Helper()
	var all []splitter
	for _, pattern := range scanned {
		s, err := newRegexSplitter(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// hostile has what the patterns treat apart: spaces of every kind, case folding, marks, invalid bytes, ends of ranges.
var hostile = []string{
	"a", "Z", "é", "ſ", "K", "中", "一", "龥", "龦", "\u303f", "\u3040", "\u3097", "\u3099", "ー", "ヿ", "\u3100", "ª", "ʰ", "ǅ",
	"\u0301", "\u0903", "\u20dd", "1", "٣", "½", "ⅷ", "〇", "'", "’", "!", "~", "_", "—", "$", "^", "`", "¬", "🙂", "\ufffd",
	" ", "  ", "\n", "\r", "\t", "\v", "\f", "\u0085", "\u00a0", "\u1680", "\u180e", "\u2003", "\u2028", "\u202f", "\u3000",
	"\x00", "\x1c", "\x7f", "\u200b", "\u200d", "\ufeff", "\ue000", "\U0010ffff", "\xff", "\xc3", "\xe4\xb8", "\xed\xa0\x80", "\xf0\x9f",
	"'s", "'S", "'ſ", "'ll", "'lL", "'Re", "'v", "'ve", "don't", "the", " the",
}

func TestScannersAreTheirPatterns(t *testing.T) {
	regexes := compileScanned(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		var text strings.Builder
		for range rnd.IntN(12) {
			if rnd.IntN(8) == 0 {
				text.WriteRune(rune(rnd.IntN(0x30000)))
			} else {
				text.WriteString(hostile[rnd.IntN(len(hostile))])
			}
		}
		checkScanners(t, regexes, text.String())
		if t.Failed() {
			return
		}
	}
}

// TestScannersOnEveryCharacter puts each character where the patterns look: alone, before and after letters, after a space.
func TestScannersOnEveryCharacter(t *testing.T) {
	regexes := compileScanned(t)
	var text strings.Builder
	for r := rune(0); r < 0x3_0000; r++ {
		if r >= 0xD800 && r < 0xE000 || testing.Short() && r%16 != 0 {
			continue
		}
		c := string(r)
		text.WriteString("x" + c + "x." + c + " " + c + c + "1\n")
		if text.Len() > 1<<12 {
			checkScanners(t, regexes, text.String())
			text.Reset()
			if t.Failed() {
				return
			}
		}
	}
	checkScanners(t, regexes, text.String())
}

func FuzzScanners(f *testing.F) {
	regexes := compileScanned(f)
	f.Add(strings.Join(hostile, ""))
	f.Add("It's 12345 o'clock,\r\n\r\n  中文 naïve <|x|> \t end ")
	f.Fuzz(func(t *testing.T, text string) { checkScanners(t, regexes, text) })
}

// TestSplitKeepsText: whatever the pattern, the pieces together are the text.
func TestSplitKeepsText(t *testing.T) {
	text := strings.Join(hostile, "")
	for _, pattern := range append([]string{"", "x*", "(?=a)", "$", `(a|b)\1`, "."}, scanned...) {
		s, err := newRegexSplitter(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(pieces(s, text), ""); got != text {
			t.Errorf("%q gives pieces of %q", pattern, got)
		}
	}
}

// TestSlowPatternEnds: a pattern with exponential backtracking gives up, and the text stays whole; once the time is over, no
// other piece of the text is tried.
func TestSlowPatternEnds(t *testing.T) {
	s, err := newRegexSplitter(`(a|a)+(a|a)+$b`)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 100 * time.Millisecond
	s.(*regexSplitter).re.MatchTimeout = limit
	text := strings.Repeat("a", 40)
	start := time.Now()
	if got := pieces(s, text); !slices.Equal(got, []string{text}) {
		t.Errorf("pieces %q, want the text whole", got)
	}
	tried := 0
	splitters{digits(1), s}.split(strings.Repeat(text+"1", 1000), time.Now().Add(limit), func(piece string) {
		if piece == text {
			tried++
		}
	})
	if tried != 1000 {
		t.Errorf("%d pieces are whole, want 1000", tried)
	}
	if took := time.Since(start); took > 50*limit {
		t.Errorf("it took %v, and the limit is %v", took, limit)
	}
}

func TestPatternsRefused(t *testing.T) {
	for _, pattern := range []string{"(", `\p{Nothing}`, strings.Repeat("a", maxPattern+1)} {
		if _, err := newRegexSplitter(pattern); err == nil {
			t.Errorf("%.20q is accepted", pattern)
		}
	}
}
