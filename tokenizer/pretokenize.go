package tokenizer

import (
	"slices"
	"time"
	"unicode/utf8"
)

// A splitter cuts text in pieces: what it matches, and what lies between two matches. All pieces together are the text. A slow
// one leaves off cutting at a certain time.
type splitter interface {
	split(text string, until time.Time, yield func(piece string))
}

// splitters apply one after the other: the second cuts the pieces of the first, and sees nothing beyond a piece's ends.
type splitters []splitter

func (ss splitters) split(text string, until time.Time, yield func(piece string)) {
	if text == "" {
		return
	}
	for _, s := range slices.Backward(ss) {
		next := yield
		yield = func(piece string) { s.split(piece, until, next) }
	}
	yield(text)
}

// A scanner is a pattern written by hand.
type scanner struct {
	match func(s string, i int) int // the end of the match that begins at i, or i if there is none there
	first [256]bool                 // the bytes that a match can begin with
}

func (m *scanner) split(text string, _ time.Time, yield func(piece string)) {
	between := 0 // where what lies between two matches begins
	for i := 0; i < len(text); {
		if !m.first[text[i]] {
			i++ // of a longer character, the other bytes begin no match either
			continue
		}
		end := m.match(text, i)
		if end == i {
			_, width := utf8.DecodeRuneInString(text[i:])
			i += width
			continue
		}
		if between < i {
			yield(text[between:i])
		}
		yield(text[i:end])
		i, between = end, end
	}
	if between < len(text) {
		yield(text[between:])
	}
}

// newScanner returns a scanner for matches that begin with certain bytes.
func newScanner(first func(b byte) bool, match func(s string, i int) int) *scanner {
	m := &scanner{match: match}
	for b := range m.first {
		m.first[b] = first(byte(b))
	}
	return m
}

func anyByte(byte) bool       { return true }
func mayBeNumber(b byte) bool { return b >= '0' && b <= '9' || b >= 0xC2 }

// The patterns with a scanner.
const (
	patternNumber  = `\p{N}`
	patternNumber3 = `\p{N}{1,3}`
	patternNumbers = `\p{N}+`

	patternCJK   = "[一-龥\u3040-ゟ゠-ヿ]+"
	patternWords = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"

	patternGPT2   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	patternLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// newSplitter returns the splitter of a regular expression: the scanner written for it, or else the general machine.
func newSplitter(pattern string) (splitter, error) {
	switch pattern {
	case patternNumber:
		return digits(1), nil
	case patternNumber3:
		return digits(3), nil
	case patternNumbers:
		return newScanner(mayBeNumber, func(s string, i int) int { return run(s, i, number) }), nil
	case patternCJK:
		return newScanner(func(b byte) bool { return b >= 0xE3 }, scanCJK), nil
	case patternWords:
		return newScanner(anyByte, scanWords), nil
	case patternGPT2:
		return newScanner(anyByte, scanGPT2), nil
	case patternLlama3:
		return llama3(3), nil
	case patternQwen2:
		return llama3(1), nil
	}
	return newRegexSplitter(pattern)
}
