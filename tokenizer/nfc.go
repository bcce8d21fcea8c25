package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// nfc returns text in Unicode's form NFC. Package norm puts a U+034F after 30 marks on one letter, to bound its buffer (UAX #15,
// section 13); the form itself, and Hugging Face, do not. As no character decomposes to a U+034F, one too many tells.
func nfc(text string) string {
	const joiner = "\u034f"
	form := norm.NFC.String(text)
	if strings.Count(form, joiner) == strings.Count(text, joiner) {
		return form
	}
	return compose(text)
}

// A unit is a character that does not decompose, or an invalid byte.
type unit struct {
	text  string
	class uint8 // canonical combining class: 0 for a letter, more for a mark
}

// compose is NFC as UAX #15 has it: decompose, order the marks on each letter, compose.
func compose(text string) string {
	units := decompose(text)
	for i := 0; i < len(units); i++ {
		start := i
		for i < len(units) && units[i].class != 0 {
			i++
		}
		slices.SortStableFunc(units[start:i], func(a, b unit) int { return cmp.Compare(a.class, b.class) })
	}
	out := units[:0]
	letter := -1     // in out: what a mark may join
	last := uint8(0) // the class of what stands between the letter and the present unit; 0 if nothing does
	for _, u := range units {
		if letter >= 0 && (last == 0 || last < u.class) {
			both := norm.NFC.String(out[letter].text + u.text)
			if _, width := utf8.DecodeRuneInString(both); width == len(both) {
				out[letter].text = both
				continue
			}
		}
		if last = u.class; last == 0 {
			letter = len(out)
		}
		out = append(out, u)
	}
	var b strings.Builder
	for _, u := range out {
		b.WriteString(u.text)
	}
	return b.String()
}

// decompose returns the units of text. A Hangul syllable stays whole: it would only be composed again.
func decompose(text string) []unit {
	units := make([]unit, 0, len(text))
	for text != "" {
		_, width := utf8.DecodeRuneInString(text)
		char := text[:width]
		text = text[width:]
		if d := norm.NFD.PropertiesString(char).Decomposition(); d != nil {
			char = string(d)
		}
		for char != "" {
			_, width := utf8.DecodeRuneInString(char)
			units = append(units, unit{char[:width], norm.NFD.PropertiesString(char).CCC()})
			char = char[width:]
		}
	}
	return units
}
