package engine

import (
	"slices"

	"sprat/sample"
	"sprat/tokenizer"
)

// text follows a continuation's text. Two look at the same tokens: run's, to end the sequence, and the reader's, to show it.
type text struct {
	decoder *tokenizer.Stream // nil where the model has no tokenizer
	stops   *sample.Ends
	watched bool // there are stop strings
}

func newText(e *Engine, r Request) (*text, error) {
	ids := r.StopIDs
	if !r.IgnoreEOS {
		ids = slices.Concat(ids, e.Config.EOSTokenIDs)
	}
	stops, err := sample.NewEnds(ids, r.Stop)
	t := &text{stops: stops, watched: len(r.Stop) > 0}
	if e.Tokenizer != nil {
		t.decoder = e.Tokenizer.Stream()
	}
	return t, err
}

// ends tells whether the continuation ends with a token, and whether that is a mere mark of the end, not part of the text.
func (t *text) ends(id int32) (stop, mark bool) {
	if t.stops.ID(id) {
		return true, true
	}
	if !t.watched {
		return false, false
	}
	_, found := t.stops.Text(t.decoder.Next(id))
	return found != "", false
}

// next is what is certain of the text with one more token.
func (t *text) next(id int32) string {
	if t.decoder == nil {
		return ""
	}
	piece, _ := t.stops.Text(t.decoder.Next(id))
	return piece
}

// flush is what was held back, when no more tokens come.
func (t *text) flush() string {
	if t.decoder == nil {
		return ""
	}
	piece, stop := t.stops.Text(t.decoder.Flush())
	if stop != "" {
		return piece
	}
	return piece + t.stops.Flush()
}
