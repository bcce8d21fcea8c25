package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"sprat/tokenizer"
)

// Tokens with a meaning of their own that a trained tokenizer has, first in the vocabulary. As in R1's tokenizer, those of a
// conversation are part of the text that decoding gives.
var (
	specialTokens = []string{tokenizer.BOS, tokenizer.EOS, tokenizer.Pad}
	addedTokens   = []string{
		tokenizer.FIMBegin, tokenizer.FIMHole, tokenizer.FIMEnd,
		tokenizer.User, tokenizer.Assistant, tokenizer.Think, tokenizer.EndThink,
	}
)

// Tokenizer trains a tokenizer on c's training text and writes it to c.Tokenizer.Path.
func Tokenizer(ctx context.Context, c *Config, w io.Writer) error {
	start := time.Now()
	var (
		failed error
		size   int64
	)
	docs := func(yield func(string) bool) {
		for doc, err := range c.Data.Text() {
			if failed = err; failed == nil {
				failed = ctx.Err()
			}
			if failed != nil {
				return
			}
			size += int64(len(doc))
			if !yield(doc) {
				return
			}
		}
	}
	tok, err := tokenizer.Train(iter.Seq[string](docs), tokenizer.TrainOptions{
		VocabSize:     c.Tokenizer.VocabSize,
		SpecialTokens: specialTokens,
		AddedTokens:   addedTokens,
		SingleDigits:  c.Tokenizer.SingleDigits,
		Workers:       c.Train.Threads,
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	if size == 0 {
		return errors.New("no text in the training files: nothing to learn from")
	}
	if err := tok.Save(c.Tokenizer.Path); err != nil {
		return err
	}
	fmt.Fprintf(w, "wrote %s: %d tokens, from %.1f MB of text in %s\n",
		c.Tokenizer.Path, tok.VocabSize(), float64(size)/1e6, time.Since(start).Round(time.Millisecond))
	return nil
}
