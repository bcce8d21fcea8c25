package data

import (
	"unicode"
	"unicode/utf8"
)

// words appends a hash of each word of text to dst. A word is letters, marks and digits on end, in lower case; where a script
// writes words on end, a character is one.
func words(dst []uint64, text string) []uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h, within := uint64(offset), false
	end := func() {
		if within {
			dst = append(dst, mix(h))
		}
		h, within = offset, false
	}
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			if !('a' <= r && r <= 'z' || '0' <= r && r <= '9') {
				end()
				continue
			}
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			end()
			dst = append(dst, mix(uint64(r)))
			continue
		case unicode.In(r, unicode.L, unicode.M, unicode.N):
			r = unicode.ToLower(r)
		default:
			end()
			continue
		}
		h, within = (h^uint64(r))*prime, true
	}
	end()
	return dst
}

// gram is a hash of words in their order.
func gram(words []uint64) uint64 {
	h := uint64(len(words))
	for _, w := range words {
		h = mix(h ^ w)
	}
	return h
}
