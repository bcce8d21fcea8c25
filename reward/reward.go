// Package reward puts questions to a model, reads its answers, and says what they are worth: the rules that reinforcement learning and
// evaluation share. There is no model in them (DeepSeek-R1, section 2.2): what can be checked by program can't be flattered.
//
//	form := reward.Chat(format, true)
//	ids := …what a model writes after form.Prompt(problem.Question), until form.StopIDs or form.Stop…
//	r := form.Read(ids, ended)
//	score := reward.Accuracy(problem, r) + reward.Format(r) + reward.Language(r.Thought)
//
// What a model writes is untrusted: it is trained to get a reward by whatever way there is. A reply that isn't formed as it was asked
// for gets nothing, however right: an answer inside the thought, two thoughts, tags that are left open or stand in one another or are
// spelled letter by letter, nothing at all, or a reply that the limit of tokens cut off. And of a formed one the answer alone is
// checked, which tasks' verifiers take whole: "7 or 8" is not 7.
package reward

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"sprat/tasks"
)

// A Reply is what a model wrote, taken apart. Thought and Said are as much of it as can be made out, even where it isn't Formed.
type Reply struct {
	Thought string // before the answer; "" where nothing was to be thought
	Said    string // the answer
	Formed  bool   // one thought that is closed, one answer and the end; or the answer alone, where nothing was to be thought
	Tokens  int    // of the thought
}

// String is the reply as text, in the form of R1's chat.
func (r Reply) String() string {
	switch {
	case r.Thought == "":
		return r.Said
	case r.Said == "" && !r.Formed:
		return beginThought + r.Thought
	}
	return beginThought + r.Thought + endThought + r.Said
}

// Accuracy is 1 for a right answer, properly formed, and 0 for everything else. Talk, which can't be graded, is never right.
func Accuracy(p tasks.Problem, r Reply) float64 {
	if r.Formed && p.Graded() && p.Verify(r.Said) {
		return 1
	}
	return 0
}

// Format is 1 for a reply that is formed as it was asked for, and 0 for others.
func Format(r Reply) float64 {
	if r.Formed {
		return 1
	}
	return 0
}

// Language is the share of a thought's words that are English: R1's reward against thoughts that mix languages (section 2.3.2). A
// word with other letters or digits in it counts as many times as it has of them, as some languages put no spaces between words. No
// words have no share: 0.
func Language(thought string) float64 {
	ours, foreign := 0, 0
	for word := range strings.FieldsSeq(thought) {
		n := 0
		for _, r := range word {
			if isForeign(r) {
				n++
			}
		}
		if foreign += n; n == 0 {
			ours++
		}
	}
	if ours == 0 {
		return 0
	}
	return float64(ours) / float64(ours+foreign)
}

// isForeign reports whether r is a letter, a mark or a digit that English hasn't got. Signs such as × belong to everybody.
func isForeign(r rune) bool {
	return r >= utf8.RuneSelf && (unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) || r == utf8.RuneError)
}

// Lenient reports whether the last thing in a text that could be an answer is right. A base model hasn't learned to stop or to leave
// out sentences, and curves that begin with one read it so at both ends. It is no reward: "7, 8, 9" passes for 9.
//
// What follows the last tag, or stands in the last \boxed{}, is looked at: of its last line with anything in it, every end that begins
// with a word, or after a colon or an equals sign.
func Lenient(p tasks.Problem, text string) bool {
	for _, tag := range []string{beginThought, endThought, beginAnswer} {
		if i := strings.LastIndex(text, tag); i >= 0 {
			text = text[i+len(tag):]
		}
	}
	text, _, _ = strings.Cut(text, endAnswer)
	if i := strings.LastIndex(text, `\boxed{`); i >= 0 {
		if inside, _, ok := strings.Cut(text[i+len(`\boxed{`):], "}"); ok {
			text = inside
		}
	}
	text = strings.TrimSpace(text)
	line := strings.Trim(text[strings.LastIndexByte(text, '\n')+1:], lenientTrim)
	line = line[max(0, len(line)-lenientTail):]
	begins := true
	for i, r := range line {
		if begins && !unicode.IsSpace(r) && p.Verify(strings.TrimLeft(line[i:], lenientTrim)) {
			return true
		}
		begins = unicode.IsSpace(r) || r == ':' || r == '='
	}
	return false
}

const (
	lenientTrim = " \t*_`$#\"'!?." // what stands around an answer in prose
	lenientTail = 200              // bytes of a line that are looked at: no answer is longer
)
