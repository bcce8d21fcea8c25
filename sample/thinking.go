package sample

import (
	"errors"
	"fmt"
	"slices"
)

// Thinking bounds what a model thinks before it answers, between the tokens Begin and End. Once it has thought for Budget tokens,
// the tokens Close are forced, one after another: End, perhaps with words before it that lead over to the answer, and
// line breaks after it. Without Close there is no bound.
//
// The prompt may have opened the block. Several blocks share the budget.
type Thinking struct {
	Begin, End int32
	Close      []int32
	Budget     int // tokens, without Begin and End and those of the prompt
}

// maxClose bounds Thinking.Close.
const maxClose = 256

func (t *Thinking) check(vocab int) error {
	if len(t.Close) == 0 {
		return nil
	}
	for _, id := range append([]int32{t.Begin, t.End}, t.Close...) {
		if !inVocab(id, vocab) {
			return fmt.Errorf("thinking: token id %d is not in the vocabulary of %d", id, vocab)
		}
	}
	switch {
	case t.Begin == t.End:
		return fmt.Errorf("thinking begins and ends with token %d: want two", t.Begin)
	case t.Budget < 0:
		return fmt.Errorf("thinking budget is %d tokens: want 0 or more", t.Budget)
	case len(t.Close) > maxClose:
		return fmt.Errorf("thinking is closed by %d tokens: want at most %d", len(t.Close), maxClose)
	case !slices.Contains(t.Close, t.End):
		return errors.New("the tokens that close thinking lack the one that ends it")
	}
	return nil
}

// thinking is Thinking under way.
type thinking struct {
	Thinking
	open   bool
	spent  int
	closed int // tokens of Close that have been forced, while some are left
}

func newThinking(o Thinking, prompt []int32) thinking {
	t := thinking{Thinking: o}
	for _, id := range prompt {
		t.open = id == t.Begin || t.open && id != t.End
	}
	t.open = t.open && len(t.Close) > 0
	return t
}

// force returns the next token if it isn't the model's to choose.
func (t *thinking) force() (int32, bool) {
	if t.open && t.spent >= t.Budget {
		return t.Close[t.closed], true
	}
	return 0, false
}

// accept follows the token that came.
func (t *thinking) accept(id int32) {
	if len(t.Close) == 0 {
		return
	}
	if want, ok := t.force(); ok && id == want {
		if t.closed++; t.closed == len(t.Close) {
			t.open, t.closed = false, 0
		}
		return
	}
	switch {
	case id == t.Begin:
		t.open = true
	case id == t.End:
		t.open, t.closed = false, 0
	case t.open:
		t.spent++
	}
}
