package tokenizer

import (
	"unicode"
	"unicode/utf8"
)

// class is a set of the properties that the patterns ask for. Only a newline has two: it is a space as well.
type class uint8

const (
	letter  class = 1 << iota // \p{L}
	mark                      // \p{M}
	number                    // \p{N}
	symbol                    // \p{P} or \p{S}
	space                     // \s, Unicode's White_Space
	newline                   // \r or \n
)

var asciiClass = func() (table [utf8.RuneSelf]class) {
	for r := range table {
		table[r] = slowClass(rune(r))
	}
	return table
}()

func slowClass(r rune) class {
	switch {
	case r == '\r' || r == '\n':
		return space | newline
	case unicode.IsSpace(r):
		return space
	case unicode.IsLetter(r):
		return letter
	case unicode.IsMark(r):
		return mark
	case unicode.IsNumber(r):
		return number
	case unicode.IsPunct(r) || unicode.IsSymbol(r):
		return symbol
	}
	return 0
}

// classAt returns the class and the width of the character at s[i:]. An invalid byte counts as U+FFFD, a symbol, one wide.
// Past the end both are 0.
func classAt(s string, i int) (class, int) {
	if i >= len(s) {
		return 0, 0
	}
	if c := s[i]; c < utf8.RuneSelf {
		return asciiClass[c], 1
	}
	r, width := utf8.DecodeRuneInString(s[i:])
	return slowClass(r), width
}

// run returns the end of the longest run of characters from i that are in any of the classes.
func run(s string, i int, any class) int {
	for i < len(s) {
		c, width := classAt(s, i)
		if c&any == 0 {
			break
		}
		i += width
	}
	return i
}
