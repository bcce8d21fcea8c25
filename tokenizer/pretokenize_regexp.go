package tokenizer

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
	"github.com/dlclark/regexp2/v2/syntax"
)

// Limits on the patterns of a file, which may be hostile. An honest pattern takes well under a microsecond for a byte, and must
// never meet the limit, on a machine however busy.
const (
	maxPattern   = 4096 // bytes
	maxBacktrack = 1 << 20
	matchTime    = 10 * time.Second
	timePerByte  = 20 * time.Microsecond
)

// timeLimit returns when to leave off splitting a text of n bytes that is begun now.
func timeLimit(n int) time.Time {
	return time.Now().Add(matchTime + time.Duration(n)*timePerByte)
}

// regexSplitter splits with a general, backtracking machine.
type regexSplitter struct{ re *regexp2.Regexp }

func newRegexSplitter(pattern string) (splitter, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern is %d bytes long, and %d are the most", len(pattern), maxPattern)
	}
	// In the Ruby syntax that Hugging Face uses, ^ and $ are always those of a line.
	re, err := regexp2.Compile(pattern, regexp2.Multiline, regexp2.OptionMaxBacktrackingStackSize(maxBacktrack))
	if err != nil {
		if bad := (*syntax.Error)(nil); errors.As(err, &bad) {
			return nil, fmt.Errorf("pattern %.80q: %s", pattern, bad.Code) // the whole error repeats the pattern
		}
		return nil, fmt.Errorf("pattern %.80q: %.200q", pattern, err.Error())
	}
	re.MatchTimeout = matchTime
	return &regexSplitter{re}, nil
}

// split leaves the rest of the text whole once the time is over.
func (r *regexSplitter) split(text string, until time.Time, yield func(piece string)) {
	if time.Now().After(until) {
		yield(text)
		return
	}
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
	// After an error, which is one of the limits, what is left is the last piece.
	_ = r.re.FindRunesMatches(runes, 0, func(m regexp2.MatchView) bool {
		start, n, _ := m.GroupRange(0)
		cut(start)
		cut(start + n)
		return time.Now().Before(until)
	})
	cut(len(runes))
}
