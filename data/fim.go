package data

import (
	"fmt"
	"math/rand/v2"
	"unicode/utf8"

	"sprat/tokenizer"
)

// middle rearranges documents for fill in the middle, prefix, suffix, middle (DeepSeek-V3 section 4.1):
//
//	<｜fim▁begin｜>prefix<｜fim▁hole｜>suffix<｜fim▁end｜>middle
type middle struct {
	rate             float64 // share of the documents
	begin, hole, end int32
}

func newMiddle(rate float64, tok *tokenizer.Tokenizer) (*middle, error) {
	m := &middle{rate: rate}
	for text, id := range map[string]*int32{tokenizer.FIMBegin: &m.begin, tokenizer.FIMHole: &m.hole, tokenizer.FIMEnd: &m.end} {
		var ok bool
		if *id, ok = tok.ID(text); !ok {
			return nil, fmt.Errorf("fim: the tokenizer has no token %s: train one anew, or set fim to 0", text)
		}
	}
	return m, nil
}

// rearrange cuts document number n at two places, each between characters and anywhere alike, if it is among those to be
// rearranged. Documents with tokens of their own are not.
func (m *middle) rearrange(doc document, n int64) document {
	const stream = 0x66696d // any number: it sets these draws apart from others of the same n
	rng := rand.New(rand.NewPCG(uint64(n), stream))
	if len(doc) != 1 || rng.Float64() >= m.rate {
		return doc
	}
	text := doc[0].text
	cut := func() int {
		at := rng.IntN(len(text) + 1)
		for at < len(text) && !utf8.RuneStart(text[at]) {
			at++
		}
		return at
	}
	from, to := cut(), cut()
	if from > to {
		from, to = to, from
	}
	var out document
	add := func(marker int32, text string) {
		out = append(out, part{token: marker})
		if text != "" {
			out = append(out, part{text: text})
		}
	}
	add(m.begin, text[:from])
	add(m.hole, text[to:])
	add(m.end, text[from:to])
	return out
}
