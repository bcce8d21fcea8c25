package quantize

import (
	_ "embed"
	"fmt"

	"sprat/data"
	"sprat/tokenizer"
)

// A text of our own, to measure by where there is none.
//
//go:embed text.txt
var builtIn string

// maxText is how much of a file is read, in bytes.
const maxText = 4 << 20

// heldShare is one over the share of a file that is not calibrated by, but measured.
const heldShare = 8

// Text is a text in tokens.
type Text struct {
	Calibrate []int32 // to round by; none in the built-in text
	Held      []int32 // to measure by
}

// ReadText reads the first 4 MiB of a file of any kind that package data reads. The last eighth of it is held out. Documents end in
// eos, unless that is negative.
func ReadText(path string, tok *tokenizer.Tokenizer, eos int32) (Text, error) {
	ids, size := []int32(nil), 0
	for doc, err := range data.Docs(path) {
		if err != nil {
			return Text{}, err
		}
		ids = tok.Encode(ids, doc)
		if eos >= 0 {
			ids = append(ids, eos)
		}
		if size += len(doc); size >= maxText {
			break
		}
	}
	if len(ids) < 2*heldShare {
		return Text{}, fmt.Errorf("%s holds %d tokens: want a text of some pages at least", path, len(ids))
	}
	cut := len(ids) - len(ids)/heldShare
	return Text{Calibrate: ids[:cut], Held: ids[cut:]}, nil
}

// BuiltIn is a short text inside this program.
func BuiltIn(tok *tokenizer.Tokenizer) Text { return Text{Held: tok.Encode(nil, builtIn)} }
