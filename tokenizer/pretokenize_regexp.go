package tokenizer

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// Limits on the patterns of a file, which may be hostile.
const (
	maxPattern   = 4096 // bytes
	patternTime  = time.Second
	timePerByte  = 5 * time.Microsecond // about thirty times what an honest pattern takes
	maxBacktrack = 1 << 20              // integers on the machine's stack
)

// regexSplitter splits with a general, backtracking machine.
type regexSplitter struct{ re *regexp2.Regexp }

func newRegexSplitter(pattern string) (splitter, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern is %d bytes long, and %d are the most", len(pattern), maxPattern)
	}
	// In the Ruby syntax that Hugging Face uses, ^ and $ are always those of a line.
	re, err := regexp2.Compile(pattern, regexp2.Multiline, regexp2.OptionMaxBacktrackingStackSize(maxBacktrack))
	if err != nil {
		return nil, fmt.Errorf("pattern %.80q: %w", pattern, err)
	}
	re.MatchTimeout = patternTime
	return &regexSplitter{re}, nil
}

// split leaves the rest of the text whole where the pattern takes too long over it.
func (r *regexSplitter) split(text string, yield func(piece string)) {
	deadline := time.Now().Add(patternTime + time.Duration(len(text))*timePerByte)
	runes := []rune(text) // an invalid byte becomes U+FFFD, one rune
	done, at := 0, 0      // bytes of text yielded, and the same in runes
	cut := func(end int) {
		start := done
		for ; at < end; at++ {
			_, width := utf8.DecodeRuneInString(text[done:])
			done += width
		}
		if start < done {
			yield(text[start:done])
		}
	}
	// What the machine did not get to see, for its error, is the last piece.
	_ = r.re.FindRunesMatches(runes, 0, func(m regexp2.MatchView) bool {
		start, n, _ := m.GroupRange(0)
		cut(start)
		cut(start + n)
		return time.Now().Before(deadline)
	})
	cut(len(runes))
}
