package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// digits matches \p{N}{1,most}.
func digits(most int) *scanner {
	return newScanner(mayBeNumber, func(s string, i int) int { return scanDigits(s, i, most) })
}

func scanDigits(s string, i, most int) int {
	for range most {
		c, width := classAt(s, i)
		if c&number == 0 {
			break
		}
		i += width
	}
	return i
}

// literal matches a fixed text.
func literal(text string) *scanner {
	first := func(b byte) bool { return text != "" && text[0] == b }
	return newScanner(first, func(s string, i int) int {
		if strings.HasPrefix(s[i:], text) {
			return i + len(text)
		}
		return i
	})
}

// scanCJK matches patternCJK: Chinese characters and Japanese syllables.
func scanCJK(s string, i int) int {
	for i < len(s) && s[i] >= 0xE3 {
		r, width := utf8.DecodeRuneInString(s[i:])
		if !(r >= '一' && r <= '龥' || r >= 0x3040 && r <= 0x30FF) {
			break
		}
		i += width
	}
	return i
}

// scanWords matches patternWords, DeepSeek-V3's last and longest.
func scanWords(s string, i int) int {
	first, width := classAt(s, i)
	if s[i] < utf8.RuneSelf && first&symbol != 0 {
		if end := asciiLetters(s, i+1); end > i+1 {
			return end
		}
	}
	if first&(letter|mark) != 0 {
		return run(s, i+width, letter|mark)
	}
	if first&(newline|symbol) == 0 {
		if end := run(s, i+width, letter|mark); end > i+width {
			return end
		}
	}
	if end := symbols(s, i, symbol); end > i {
		return end
	}
	return spaces(s, i, true)
}

// scanGPT2 matches patternGPT2.
func scanGPT2(s string, i int) int {
	if end := contraction(s, i, false); end > i {
		return end
	}
	start := i
	if s[i] == ' ' {
		start++
	}
	c, width := classAt(s, start)
	switch {
	case width == 0 || c&space != 0:
		return spaces(s, i, false)
	case c&(letter|number) != 0:
		return run(s, start+width, c)
	}
	return runOthers(s, start+width)
}

// llama3 matches patternLlama3, or patternQwen2 with single digits.
func llama3(mostDigits int) *scanner {
	return newScanner(anyByte, func(s string, i int) int { return scanLlama3(s, i, mostDigits) })
}

func scanLlama3(s string, i, mostDigits int) int {
	if end := contraction(s, i, true); end > i {
		return end
	}
	first, width := classAt(s, i)
	if first&letter != 0 {
		return run(s, i+width, letter)
	}
	if first&number != 0 {
		return scanDigits(s, i, mostDigits)
	}
	if first&newline == 0 {
		if end := run(s, i+width, letter); end > i+width {
			return end
		}
	}
	start := i
	if s[i] == ' ' {
		start++
	}
	if end := runOthers(s, start); end > start {
		return newlines(s, end)
	}
	return spaces(s, i, true)
}

// contraction matches 's|'t|'re|'ve|'m|'ll|'d, in either case if fold, where 's may also be written with a long s, U+017F.
func contraction(s string, i int, fold bool) int {
	if s[i] != '\'' || i+1 == len(s) {
		return i
	}
	rest := s[i+1:]
	if fold && strings.HasPrefix(rest, "ſ") {
		return i + 1 + len("ſ")
	}
	lower := func(c byte) byte {
		if fold && c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	switch first := lower(rest[0]); first {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v', 'l':
		if second := byte('e'); len(rest) > 1 {
			if first == 'l' {
				second = 'l'
			}
			if lower(rest[1]) == second {
				return i + 3
			}
		}
	}
	return i
}

// symbols matches " ?[any]+[\r\n]*".
func symbols(s string, i int, any class) int {
	start := i
	if s[i] == ' ' {
		start++
	}
	end := run(s, start, any)
	if end == start {
		return i
	}
	return newlines(s, end)
}

// spaces matches \s+(?!\S)|\s+, with \s*[\r\n]+ before it if lines.
func spaces(s string, i int, lines bool) int {
	end, last, afterLine := i, i, i // last: where the last space begins; afterLine: where the last newline ends
	for end < len(s) {
		c, width := classAt(s, end)
		if c&space == 0 {
			break
		}
		last = end
		end += width
		if c&newline != 0 {
			afterLine = end
		}
	}
	switch {
	case lines && afterLine > i:
		return afterLine
	case end == len(s) || last == i:
		return end
	}
	return last // the last space goes with what follows
}

// newlines returns the end of a run of \r and \n.
func newlines(s string, i int) int {
	for i < len(s) && (s[i] == '\r' || s[i] == '\n') {
		i++
	}
	return i
}

// runOthers returns the end of a run of [^\s\p{L}\p{N}].
func runOthers(s string, i int) int {
	for i < len(s) {
		c, width := classAt(s, i)
		if c&(space|letter|number) != 0 {
			break
		}
		i += width
	}
	return i
}

func asciiLetters(s string, i int) int {
	for i < len(s) && (s[i]|0x20) >= 'a' && (s[i]|0x20) <= 'z' {
		i++
	}
	return i
}
