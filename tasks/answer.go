package tasks

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxReply bounds a reply, in bytes: no answer comes near it.
const maxReply = 200

// tidy brings a reply into the form that puzzles verify: lower case, single spaces, no full stop at the end. It refuses what is
// too long, empty or not UTF-8.
func tidy(reply string) (string, bool) {
	if len(reply) > maxReply || !utf8.ValidString(reply) {
		return "", false
	}
	reply = strings.Map(lower, strings.Join(strings.Fields(reply), " "))
	reply = strings.TrimSpace(strings.TrimSuffix(reply, "."))
	return reply, reply != ""
}

// lower is of ASCII alone: Unicode would turn a Kelvin sign into a k.
func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// integer reads a whole number: at most 18 ASCII digits, perhaps after a minus sign; -0 is none.
func integer(s string) (int, bool) {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > 18 {
		return 0, false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil && (n != 0 || s == digits)
}

// isInteger reports whether s is the number n.
func isInteger(s string, n int) bool {
	got, ok := integer(s)
	return ok && got == n
}
