package sample

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits on stop texts.
const (
	MaxStops    = 16
	MaxStopSize = 1024 // bytes of one
)

// Ends says where a continuation ends: at a token, or before a text, wherever the borders of tokens lie.
//
// The text ends where a stop text is first complete. If several are complete there, the longest counts, which begins first.
// That depends on the text alone, and not on the pieces in which it comes.
type Ends struct {
	ids   []int32
	texts []stop
	held  string // the end of the text so far: the longest that may yet become a stop
	found string
}

// stop is a stop text that the text so far may be ending with the beginning of (Knuth, Morris and Pratt, 1977).
type stop struct {
	text   string
	border []int // of text[:n], n >= 1: the longest proper beginning of it that it also ends with
	length int   // the longest beginning of text, in bytes, that the text so far ends with
}

// NewEnds returns Ends for a new text, which ends with any of the tokens or before any of the texts.
func NewEnds(ids []int32, texts []string) (*Ends, error) {
	if len(texts) > MaxStops {
		return nil, fmt.Errorf("%d stop texts: want at most %d", len(texts), MaxStops)
	}
	e := &Ends{ids: slices.Clone(ids)}
	for _, t := range texts {
		switch {
		case t == "":
			return nil, errors.New("a stop text is empty")
		case len(t) > MaxStopSize:
			return nil, fmt.Errorf("a stop text has %d bytes: want at most %d", len(t), MaxStopSize)
		case !utf8.ValidString(t):
			return nil, fmt.Errorf("the stop text %q is not UTF-8", t)
		}
		e.texts = append(e.texts, newStop(t))
	}
	return e, nil
}

func newStop(text string) stop {
	s := stop{text: text, border: make([]int, len(text)+1)}
	for n := 2; n <= len(text); n++ {
		b := s.border[n-1]
		for b > 0 && text[b] != text[n-1] {
			b = s.border[b]
		}
		if text[b] == text[n-1] {
			b++
		}
		s.border[n] = b
	}
	return s
}

// next follows one byte of text, which isn't complete yet, and returns whether it is now.
func (s *stop) next(c byte) bool {
	for s.length > 0 && s.text[s.length] != c {
		s.length = s.border[s.length]
	}
	if s.text[s.length] == c {
		s.length++
	}
	return s.length == len(s.text)
}

// ID reports whether a token ends the continuation, without being part of it.
func (e *Ends) ID(id int32) bool { return slices.Contains(e.ids, id) }

// Text takes the next piece of text and returns what is certain to come before the end. If the text has ended, stop is the stop
// text that follows, and every later call returns it too. Pieces of whole characters give pieces of whole characters.
func (e *Ends) Text(piece string) (text, stop string) {
	if e.found != "" {
		return "", e.found
	}
	all := e.held + piece
	for i := len(e.held); i < len(all); i++ {
		for j := range e.texts {
			if s := &e.texts[j]; s.next(all[i]) && len(s.text) > len(e.found) {
				e.found = s.text
			}
		}
		if e.found != "" {
			e.held = ""
			return all[:i+1-len(e.found)], e.found
		}
	}
	hold := 0
	for _, s := range e.texts {
		hold = max(hold, s.length)
	}
	e.held = all[len(all)-hold:]
	return all[:len(all)-hold], ""
}

// Flush returns what was held back, when no more text comes.
func (e *Ends) Flush() string {
	text := e.held
	e.held = ""
	return text
}
